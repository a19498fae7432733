"""A proxy that breaks streams off: it ends connections in the middle of what a server answers, at any byte."""

import random
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

STREAM = re.compile(rb"^GET [^ ]*/stream[? ]", re.MULTILINE)

CUT_SHARE = 0.6
"""Share of the answers that are cut; the others pass, so that there is an end."""

LONGEST_BYTES = 900
"""A cut comes before that many bytes of the messages, or of the head: there before its first.

Half a head is no lost connection to browsers, but a whole answer without what is missing; behind TLS they never see it.
"""


class CuttingProxy(socketserver.ThreadingTCPServer):
    """Passes connections on to a server, and cuts the answers to requests for streams.

    Parameters
    ----------
    url : str
        Address of the server.
    seed : int
        Of the random numbers.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, url: str, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.behind = (urlsplit(url).hostname, urlsplit(url).port)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.cuts = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def bytes_to_pass(self) -> int | None:
        """Return after how many bytes of its body the next answer is to be cut, 0: before its head; None lets it pass."""
        with self._lock:
            if self._random.random() >= CUT_SHARE:
                return None
            return max(0, self._random.randrange(-LONGEST_BYTES // 4, LONGEST_BYTES))


class _Connection(socketserver.BaseRequestHandler):
    """One connection, and its other half to the server."""

    server: CuttingProxy
    left: int | None = None

    def handle(self) -> None:
        with socket.create_connection(self.server.behind) as there:
            answers = threading.Thread(target=self._pass_answers, args=(there,), daemon=True)
            answers.start()
            try:
                while data := self.request.recv(1 << 16):
                    if STREAM.search(data):
                        self.left = self.server.bytes_to_pass()
                    there.sendall(data)
            except OSError:
                pass  # one side has gone: so does the other
            _end(there)
            answers.join()

    def _pass_answers(self, there: socket.socket) -> None:
        try:
            while data := there.recv(1 << 16):
                if self.left is not None:
                    # The head of an answer comes in one piece with what follows it, or alone.
                    head = data.find(b"\r\n\r\n") + 4 if data.startswith(b"HTTP/1.1 ") else 0
                    passed = head + self.left if self.left else 0
                    if len(data) >= passed:
                        self.request.sendall(data[:passed])
                        self.server.cuts += 1
                        break
                    self.left -= len(data) - head
                self.request.sendall(data)
        except OSError:
            pass
        _end(self.request)
        _end(there)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutting_proxy(url: str, seed: int) -> Iterator[CuttingProxy]:
    """Run a proxy in front of a server."""
    with CuttingProxy(url, seed) as proxy:
        threading.Thread(target=proxy.serve_forever, name="proxy", daemon=True).start()
        yield proxy
        proxy.shutdown()
