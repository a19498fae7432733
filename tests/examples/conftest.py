"""The scripts of `examples/` as their users run them: against the app behind real HTTP, and AWS in memory."""

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from tests.conftest import TOKEN, Aws

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Ended(NamedTuple):
    """How a script has ended, and what it has written."""

    code: int
    out: str
    err: str


@pytest.fixture
def address(aws: Aws) -> Iterator[str]:
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIServer

    from local.wsgi import create_app

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    with make_server("127.0.0.1", 0, create_app(), Server, _Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def script(aws: Aws, monkeypatch: pytest.MonkeyPatch, capsysbinary: Any) -> Callable[..., Ended]:
    """Run a script with the variables that `python -m local env` prints, but for the two of the HTTP API."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for name in ("LEDGER_TABLE", "TELESCOPE_TABLE"):
        monkeypatch.setenv(name, os.environ.get(name) or f"sidereal-{name.partition('_')[0].lower()}")
    for name, queue in (("TIMELAPSE", "timelapse"), ("RENDITION", "renditions"), ("GIVEN_UP", "given-up")):
        monkeypatch.setenv(f"{name}_QUEUE", aws.name(f"sidereal-{queue}"))
    monkeypatch.setenv("BUCKET", aws.name("sidereal-artefacts"))

    def execute(name: str, *arguments: object) -> Ended:
        shared, module = importlib.import_module("shared"), importlib.import_module(name)
        monkeypatch.setattr(importlib.import_module("tables"), "WAIT_S", 0)
        monkeypatch.setattr(importlib.import_module("waiting"), "POLL_S", 0.03)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as ending:
            shared.run(module.main)
        written = capsysbinary.readouterr()
        out, err = written.out.decode(), written.err.decode()
        code = ending.value.code
        return Ended(code, out, err) if isinstance(code, int) else Ended(1, out, f"{err}{code}\n")

    return execute


@pytest.fixture
def online(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The app behind HTTP, and the variables that lead there."""
    monkeypatch.setenv("SIDEREAL_URL", address)
    monkeypatch.setenv("SIDEREAL_TOKEN", TOKEN)
    return address
