"""Child processes: started, started again when they die, ended together."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
STEADY_S = 20.0
"""A child that has run this long is healthy: the next restart starts with the first delay again."""

TICK_S = 0.2


class StoppedError(Exception):
    """Raised out of a wait when the supervisor has been told to stop."""


class ChildFailedError(Exception):
    """Raised when a child does not come up."""


@dataclass
class Child:
    """One program that should keep running.

    Parameters
    ----------
    name : str
        What messages and its log file call it.
    arguments : sequence of str
        The program and its arguments.
    environment : mapping
        Its whole environment.
    log_file : Path
        Where its output goes, appended.
    pass_fds : sequence of int
        Open files that it inherits.
    stop_s : float
        How long it may take to end before it is killed.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log_file: Path
    pass_fds: Sequence[int] = ()
    stop_s: float = 8.0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    restarts: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)
    _started: float = field(default=0.0, init=False)
    _due: float = field(default=0.0, init=False)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self.process.pid if self.process and self.process.poll() is None else None

    def start(self) -> None:
        """Start the program.

        It gets a session of its own, so that Ctrl-C in a terminal reaches only the supervisor, and a pipe as standard
        input, whose closing tells it that the supervisor is gone (`local.orphan`).
        """
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                list(self.arguments),
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=tuple(self.pass_fds),
                start_new_session=True,
            )
        self._started = time.monotonic()

    def keep_alive(self) -> str | None:
        """Start the program again if it has ended and its delay is over; returns what happened, if anything did."""
        now = time.monotonic()
        if self.process is None:
            if now < self._due:
                return None
            self.restarts += 1
            self.start()
            return f"{self.name} started again"
        code = self.process.poll()
        if code is None:
            return None
        self._close()
        self._failures = 1 if now - self._started > STEADY_S else self._failures + 1
        # A program that ends with 0 has asked for a fresh start.
        delay = 0.0 if code == 0 else min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (self._failures - 1))
        self._due = now + delay
        return f"{self.name} ended with {_describe(code)}; starting it again in {delay:g} s (log: {self.log_file})"

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        self._signal(signal.SIGTERM)

    def wait_end(self) -> None:
        """Wait for the end; what is left of its session after its time is killed."""
        if self.process is None:
            return
        try:
            self.process.wait(self.stop_s)
        except subprocess.TimeoutExpired:
            # The session holds only what this child started.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._close()

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def _close(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None


class Supervisor:
    """Keeps children running until SIGINT or SIGTERM; a context manager that leaves none behind."""

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self._say = say or (lambda text: print(text, flush=True))
        self._children: list[Child] = []
        self._stopping = threading.Event()
        self.is_interrupted = False

    def __enter__(self) -> "Supervisor":
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop_all()

    def stop(self) -> None:
        """End `run`, or the wait that is going on."""
        self._stopping.set()

    def start(self, child: Child) -> Child:
        """Start a child and keep it running from now on."""
        self._raise_if_stopping()
        child.start()
        self._children.append(child)
        return child

    def wait_until(self, is_ready: Callable[[], bool], needed: Iterable[Child], timeout_s: float, what: str) -> None:
        """Wait for `is_ready`.

        Raises
        ------
        ChildFailedError
            If one of `needed` ends first, or the time is over.
        StoppedError
            If the supervisor is told to stop.
        """
        deadline = time.monotonic() + timeout_s
        needed = list(needed)
        while not is_ready():
            for child in needed:
                if child.process is not None and child.process.poll() is not None:
                    code = child.process.returncode
                    raise ChildFailedError(
                        f"{child.name} ended with {_describe(code)} while starting:\n{tail(child.log_file)}"
                    )
            if time.monotonic() > deadline:
                raise ChildFailedError(f"{what} did not answer within {timeout_s:g} s")
            self._stopping.wait(0.05)
            self._raise_if_stopping()

    def run_once(self, child: Child, timeout_s: float) -> None:
        """Run a program that ends by itself.

        Raises
        ------
        ChildFailedError
            If it fails or takes too long.
        """
        self._raise_if_stopping()
        child.start()
        process = child.process
        assert process is not None  # noqa: S101 - just started
        deadline = time.monotonic() + timeout_s
        try:
            while process.poll() is None and time.monotonic() < deadline:
                self._stopping.wait(0.02)
                self._raise_if_stopping()
            if process.poll() is None:
                raise ChildFailedError(f"{child.name} took longer than {timeout_s:g} s")
            if process.returncode != 0:
                raise ChildFailedError(f"{child.name} failed:\n{tail(child.log_file)}")
        finally:
            child.ask_to_end()
            child.wait_end()

    def run(self) -> None:
        """Keep all children running until told to stop."""
        while not self._stopping.wait(TICK_S):
            self.check()

    def check(self) -> None:
        """Look after each child once."""
        for child in self._children:
            happened = child.keep_alive()
            if happened:
                self._say(happened)

    def stop_all(self) -> None:
        """End all children, the last started first; one that others may need is still there while they end."""
        for index, child in reversed(list(enumerate(self._children))):
            if index > 0:
                child.ask_to_end()
        for child in reversed(self._children):
            child.ask_to_end()
            child.wait_end()
        self._children.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.is_interrupted = True
        self.stop()

    def _raise_if_stopping(self) -> None:
        if self._stopping.is_set():
            raise StoppedError


def tail(file: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    try:
        return "\n".join(file.read_text("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""


def python_module(module: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """Return the command that runs a module of this project."""
    return [python, "-m", module, *arguments]


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
