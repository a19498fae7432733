"""How much time calls to a facility may take altogether: API Gateway gives up a request after 29 seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

DEFAULT_S = 10.0
"""For one call outside any budget."""

_until: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def time_budget(seconds: float) -> Iterator[None]:
    """Let all calls inside the block take at most so many seconds together; a narrower budget around it stays in force."""
    until = time.monotonic() + seconds
    outer = _until.get()
    token = _until.set(until if outer is None else min(until, outer))
    try:
        yield
    finally:
        _until.reset(token)


def deadline() -> float | None:
    """Return the moment (`time.monotonic()`) at which the budget is over, None outside any."""
    return _until.get()


def time_left() -> float:
    """Return the seconds that are left of the budget."""
    until = _until.get()
    return DEFAULT_S if until is None else until - time.monotonic()
