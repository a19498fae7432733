"""The app as API Gateway serves a stage: under `/dev`, in front of the AWS of a server that runs already."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from socketserver import ThreadingMixIn
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from acceptance.server import Server
from local.context import LambdaContext
from local.home import PROJECT
from local.wsgi import Gateway, refusal, respond

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

STAGE = "dev"


class Stage:
    """A WSGI callable that knows nothing but what lies under `/dev/`."""

    def __init__(self) -> None:
        from app import app

        def function(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
            event["requestContext"] |= {"stage": STAGE, "path": f"/{STAGE}{event['path']}"}
            answer: dict[str, Any] = app(event, context)
            return answer

        self._gateway = Gateway(function, app.routes, frozenset(app.api.binary_types))

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        stage, slash, rest = environ["PATH_INFO"][1:].partition("/")
        if stage != STAGE or not slash:
            return respond(
                refusal(HTTPStatus.NOT_FOUND, environ["PATH_INFO"]), environ["REQUEST_METHOD"], start_response
            )
        return self._gateway({**environ, "PATH_INFO": f"/{rest}"}, start_response)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing of each request."""


@contextmanager
def stage_of(server: Server) -> Iterator[str]:
    """Serve the app under a stage in front of a server's tables and files; yields its address, stage included."""
    running = server.home.read_running() or {}
    # It answers one request at a time: none may wait for a thumbnail.
    environment = {**os.environ, **running["environment"], "RENDITION_WAIT_S": "0"}
    command = [sys.executable, "-m", "acceptance.stage"]
    with Popen(command, cwd=PROJECT, env=environment, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


if __name__ == "__main__":
    with make_server("127.0.0.1", 0, Stage(), _Server, _Quiet) as http:
        print(f"http://127.0.0.1:{http.server_port}/{STAGE}", flush=True)
        # Nobody reads on: the log of the app would fill the pipe, and then it stood still.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        http.serve_forever()
