"""What a run reports while it lasts: log lines, progress, and that its worker is alive."""

import threading
import time
from collections.abc import Callable
from numbers import Real
from types import TracebackType
from typing import Any

from chalicelib import clock
from chalicelib.errors import ClaimLostError, SiderealError
from chalicelib.models.processes import Process
from chalicelib.observability import logger
from chalicelib.pipelines.base import AsyncError
from chalicelib.settings import get_settings
from chalicelib.states import is_terminal
from chalicelib.storage import process_moves
from chalicelib.storage.schema import JOB_TIMEOUT_S

FLUSH_AFTER_S = 0.5
"""Log lines and progress are sent together, at most so often; each sending also extends the lease."""

STEPS_UNCHECKED = 2
"""A run looks at least at every second step whether it was cancelled: a step may be long, or a thousand may be a second."""

MAX_LOG_BYTES = 1_000_000
"""A log longer than this is cut: it is answered whole."""

CHUNK = 90_000
"""Characters of an item of the log: DynamoDB takes 400 KB, and a character has up to four bytes."""

MAX_STATUS = 255
"""Characters of a status word."""

MAX_STEPS = 10**15


def took_too_long(process: Process) -> str:
    """Return the message of a run that cannot be done in the time that a function has."""
    return f"{process.pipeline} took longer than {JOB_TIMEOUT_S // 60} mins to create"


def _whole(steps: Any) -> int:
    """Return a number of steps, numpy's too.

    Raises
    ------
    AsyncError
        If it is none.
    """
    is_number = isinstance(steps, Real) and not isinstance(steps, bool)
    if not (is_number and 0 <= steps <= MAX_STEPS and steps == int(steps)):
        raise AsyncError(f"A pipeline must report its progress in whole steps, not {steps!r:.100}")
    return int(steps)


class RunReporter:
    """Sends the log of a run in batches; a thread keeps the lease alive while the pipeline is busy elsewhere.

    Used as a context manager. Every method raises `ClaimLostError` once the process was cancelled, ended or taken over;
    `log` and `progress` raise `AsyncError` when the function's time is nearly up: better a message than a worker killed.

    Parameters
    ----------
    time_left_s : callable
        Returns the seconds that are left of the function's time.
    """

    def __init__(self, process: Process, token: str, time_left_s: Callable[[], float]) -> None:
        self._time_left_s = time_left_s
        self._process = process
        self._token = token
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._index = 0
        self._under_way = ""
        self._bytes = 0
        self._done, self._total = process.done, process.total
        self._sent_at = 0.0
        self._steps = 0
        self._lost: ClaimLostError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name="lease", daemon=True)

    def __enter__(self) -> "RunReporter":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        with self._lock:
            if self._is_waiting() and self._lost is None:
                self._try_send()  # the last lines before an error are those that explain it

    def log(self, text: str) -> None:
        """Append text to the log; it is visible within a second."""
        text = text.encode("utf-8", "replace").decode()  # half a surrogate pair, as odd file names have, cannot be kept
        with self._lock:
            if self._bytes <= MAX_LOG_BYTES:
                self._bytes += len(text.encode())
                self._lines.append(
                    text if self._bytes <= MAX_LOG_BYTES else "The log is too long; the rest is left out.\n"
                )
            self._send_if_due()

    @property
    def done(self) -> int:
        """How far the run is, in the steps of its pipeline."""
        return self._done

    @property
    def total(self) -> int:
        """How many steps there are."""
        return self._total

    def progress(self, done: int, total: int) -> None:
        """Set how far the run is; a cancelled run stops here, at most one step late."""
        steps = _whole(done), _whole(total)
        with self._lock:
            self._done, self._total = steps
            self._steps += 1
            self._send_if_due()
            if self._steps >= STEPS_UNCHECKED:
                self._confirm_claim()

    def update_status(self, status: str) -> None:
        """Set the status word at once.

        Raises
        ------
        AsyncError
            If it is one of those that say that a process has ended, or no text.
        """
        if not isinstance(status, str):
            raise AsyncError(f"A pipeline must set the status to a text, not {status!r:.100}")
        status = status.encode("utf-8", "replace").decode()[:MAX_STATUS]
        if is_terminal(status):
            raise AsyncError(f"A pipeline must not set the status '{status}' itself")
        self.flush()
        process_moves.set_status(self._process, self._token, status)

    def is_time_short(self) -> bool:
        """Say whether what is left of the function's time should be used to hand over."""
        return self._time_left_s() < get_settings().job_handover_s

    def flush(self) -> None:
        """Send what is waiting, and make sure that the claim still stands."""
        with self._lock:
            self._raise_if_lost()
            self._send()

    def _send_if_due(self) -> None:
        self._raise_if_lost()
        if self._time_left_s() < get_settings().job_reserve_s:
            raise AsyncError(took_too_long(self._process))
        if time.monotonic() - self._sent_at >= FLUSH_AFTER_S:
            self._send()

    def _send(self) -> None:
        while True:
            if not self._under_way:
                text = "".join(self._lines)
                self._under_way = text[:CHUNK]
                self._lines = [text[CHUNK:]] if len(text) > CHUNK else []
            # It stays as it is until it is known to have arrived: it may have, and then somebody may have read it.
            entry = (self._process.attempt, self._index, self._under_way) if self._under_way else None
            now = clock.now().timestamp()
            try:
                process_moves.report(self._process.id, self._token, now, done=self._done, total=self._total, log=entry)
            except ClaimLostError as error:
                self._lost = error
                raise
            self._sent_at, self._steps = time.monotonic(), 0
            if entry:
                self._index += 1
            self._under_way = ""
            if not self._lines:
                return

    def _is_waiting(self) -> bool:
        return bool(self._lines or self._under_way)

    def _confirm_claim(self) -> None:
        try:
            process_moves.confirm_claim(self._process.id, self._token)
        except ClaimLostError as error:
            self._lost = error
            raise
        self._steps = 0

    def _raise_if_lost(self) -> None:
        if self._lost is not None:
            raise ClaimLostError(str(self._lost))

    def _keep_alive(self) -> None:
        period = get_settings().job_lease_s / 3
        while not self._stop.wait(min(1.0, period)):
            with self._lock:
                age = time.monotonic() - self._sent_at
                if self._lost is None and (age >= period or (self._is_waiting() and age >= FLUSH_AFTER_S)):
                    self._try_send()

    def _try_send(self) -> None:
        try:
            self._send()
        except ClaimLostError:
            logger.info("claim lost", extra={"process_id": self._process.id})
        except SiderealError:
            logger.warning("lease not extended", extra={"process_id": self._process.id}, exc_info=True)
        except Exception:  # noqa: BLE001 - the thread must live on: the next turn may reach DynamoDB again
            logger.warning("lease not extended", extra={"process_id": self._process.id}, exc_info=True)
