"""The real thing for a while: `python -m local serve` with a state folder, an address and a key of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue

from local.client import Client
from local.home import PROJECT, Home

START_S = 120.0
"""Seconds after which a server that is not ready has failed; it takes five on a quiet machine."""

STOP_S = 60.0

FOREIGN = ("AWS_", "ASIMOV_", "PORTAL_", "ARCHIVE_")
"""Variables of somebody's shell that would lead a server elsewhere."""


class NotReadyError(Exception):
    """Raised when a server does not come up; carries what it said."""


@dataclass(frozen=True)
class Server:
    """A server that is up.

    Parameters
    ----------
    url : str
        Its address.
    token : str
        Its API key.
    home : Home
        Its state folder.
    """

    url: str
    token: str
    home: Home

    def client(self) -> Client:
        """Return a client of its APIs."""
        return Client(self.url, self.token)


@contextmanager
def running(folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Serve from a state folder, with everything that belongs to it, and end it in order.

    Parameters
    ----------
    folder : Path
        The state folder.
    variables : mapping
        Settings that differ from those of `make serve`.

    Raises
    ------
    NotReadyError
        If it does not come up.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    environment |= {"LOCAL_STATE": str(folder), **(variables or {})}
    command = [sys.executable, "-m", "local", "serve", "--port", "0", "--create-key"]
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield _wait_until_ready(process, Home(folder))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: "subprocess.Popen[str]", home: Home) -> Server:
    lines: Queue[str | None] = Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put(None)

    # It is read to the end: who writes into a full pipe stands still.
    threading.Thread(target=read, name="server's output", daemon=True).start()
    said = ""
    while not (ready := re.search(r"^ready (\S+)", said, re.MULTILINE)):
        try:
            line = lines.get(timeout=START_S)
        except Empty:
            line = None
        if line is None:
            raise NotReadyError(f"the server did not come up:\n{said}")
        said += line
    key = re.search(r"^API key of this machine: (\S+)", said, re.MULTILINE)
    if key is None:
        raise NotReadyError(f"the server named no key:\n{said}")
    return Server(ready[1], key[1], home)
