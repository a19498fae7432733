"""Whose role a call acts under: the function that is running, in its own thread and in those that it starts."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import pytest

_NOBODY = ""
_running: ContextVar[str | None] = ContextVar("running", default=None)

DOORS = {
    "services.runs.run_process": ("run_pipeline", "run_timelapse"),
    "services.thumbnails.make_thumbnail": ("make_rendition",),
    "services.archives.make_archive": ("make_rendition",),
    "services.processes.resend_stuck_processes": ("sweep",),
    "services.alerts.process_alerts": ("process_alerts",),
    "services.observing.settle_submissions": ("process_alerts",),
}
"""What functions of the bundle do first, and which. Tests may begin here: with a crash, or with little time left."""


def function_running() -> str | None:
    """Return the function under whose role the caller acts; None for a test itself."""
    running = _running.get()
    return (running if running is not None else getattr(threading.current_thread(), "started_by", None)) or None


@contextmanager
def acting_as(function: str | None) -> Iterator[None]:
    """Act as a function, or as nobody."""
    before = _running.set(function or _NOBODY)
    try:
        yield
    finally:
        _running.reset(before)


def watch_functions(patch: pytest.MonkeyPatch) -> None:
    """From now on, whatever a function of the bundle does is done as that function, however it was called."""
    import importlib

    from chalice.app import Chalice, EventSourceHandler

    _wrap(patch, Chalice, "__call__", lambda *_: "api")
    _wrap(patch, EventSourceHandler, "__call__", lambda handler, *_: handler.func.__name__)
    for door, functions in DOORS.items():
        module, _, name = f"chalicelib.{door}".rpartition(".")
        _wrap(patch, importlib.import_module(module), name, _whoever_may(functions))
    _follow_threads(patch)


def _whoever_may(functions: tuple[str, ...]) -> Callable[..., str]:
    def whose(*_: Any) -> str:
        running = function_running()
        return running if running in functions else functions[0]

    return whose


def _wrap(patch: pytest.MonkeyPatch, owner: Any, name: str, whose: Callable[..., str]) -> None:
    inner = getattr(owner, name)

    @wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        with acting_as(whose(*args)):
            return inner(*args, **kwargs)

    patch.setattr(owner, name, outer)


def _follow_threads(patch: pytest.MonkeyPatch) -> None:
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def start_as(thread: Any) -> None:
        thread.started_by = function_running()
        start(thread)

    def submit_as(pool: Any, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        # a thread of a pool works for whoever hands it something, not for who had it started
        function = function_running()

        def work_as() -> Any:
            with acting_as(function):
                return work(*args, **kwargs)

        return submit(pool, work_as)

    patch.setattr(threading.Thread, "start", start_as)
    patch.setattr(ThreadPoolExecutor, "submit", submit_as)
