"""The document's two client programs, as published but for the address and the token, against a real HTTP server."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENT = Path(os.environ.get("SIDEREAL_SPEC", PROJECT.parent / "shared" / "spec")) / "asimov-rest-api.rst"
TOKEN = "a-token-for-tests"


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def address(aws: Any) -> Iterator[str]:
    from local.wsgi import create_app

    with make_server("127.0.0.1", 0, create_app(), handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _program(language: str, marker: str, address: str) -> str:
    if not DOCUMENT.is_file():
        pytest.skip(f"the published document is not at {DOCUMENT}")  # it is not ours to ship
    blocks = re.findall(rf"code-block:: {language}\n\n((?:   .*\n|\n)+)", DOCUMENT.read_text("utf-8"))
    code = next(block for block in blocks if marker in block)
    lines = [line[3:] for line in code.splitlines()]
    program = "\n".join(lines).replace("http://127.0.0.1:5000", address).replace("your-secret-token", TOKEN)
    assert address in program
    return program


def test_the_python_client_of_the_document_runs(address: str) -> None:
    program = _program("python", "import requests", address)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    created, got, production = done.stdout.splitlines()
    assert created == got
    assert "'name': 'GW150914'" in created
    assert "'pipeline': 'bilby'" in production
    assert "'status': 'ready'" in production


def test_the_javascript_client_of_the_document_runs(address: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")  # the program runs in nothing else; no requirement of ours brings it
    program = _program("javascript", "fetch(", address)
    # console.log prints objects in Node's own way; JSON can be compared
    program = f"console.log = (value) => process.stdout.write(JSON.stringify(value) + '\\n');\n{program}"
    done = subprocess.run([node, "-e", program], capture_output=True, text=True, timeout=60, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    events = [answer["event"] for answer in answers if "event" in answer]
    # The document's program does not wait for its POST: its GET may come first and find nothing.
    assert len(answers) == 2
    assert {
        "name": "GW150914",
        "working directory": "working/GW150914",
        "productions": [],
        "meta": {"test": True},
    } in events
