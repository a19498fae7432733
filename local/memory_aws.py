"""AWS in memory for another process: moto, which only knows calls of its own process, behind a port of this machine."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

HOST = "127.0.0.1"
TIMEOUT_S = 30

_SCOPE = re.compile(r"Credential=[^/]+/[0-9]+/([a-z0-9-]+)/([a-z0-9-]+)/")
_OF_ONE_CONNECTION = ("connection", "content-length", "content-encoding", "transfer-encoding", "date", "server")


@contextmanager
def memory_aws() -> Iterator[str]:
    """Run an empty AWS, for this process and behind the address that is yielded, which is for AWS_ENDPOINT_URL."""
    from moto import mock_aws

    with mock_aws():
        server = ThreadingHTTPServer((HOST, 0), _Gateway)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Gateway(BaseHTTPRequestHandler):
    """Sends each request on to the service for which it is signed; moto answers it before it leaves this process."""

    protocol_version = "HTTP/1.1"
    alone = threading.Lock()  # DynamoDB's writes with a condition are atomic, moto's are not

    def _answer(self) -> None:
        body = self._body()
        scope = _SCOPE.search(self.headers.get("Authorization", ""))
        if scope is None:
            self.send_error(403, "not signed")
            return
        region, service = scope.groups()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        url = f"https://{service if service != 'ses' else 'email'}.{region}.amazonaws.com{self.path}"
        with self.alone:
            reply = requests.request(
                self.command, url, headers=headers, data=body, timeout=TIMEOUT_S, allow_redirects=False, stream=True
            )
            is_head = self.command == "HEAD"  # the length that it tells is that of a body that does not come
            content = b"" if is_head else reply.content
        self.send_response(reply.status_code)
        for name, value in reply.headers.items():
            if name.lower() not in _OF_ONE_CONNECTION:
                self.send_header(name, value)
        self.send_header("Content-Length", reply.headers.get("Content-Length", "0") if is_head else str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - http.server calls them so

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""
