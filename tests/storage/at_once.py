"""Doing things at the same moment."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any


def at_once(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    """Make all calls in threads that start together; return what each returned, or the exception that it raised."""
    waiting = list(calls)
    barrier = Barrier(len(waiting))

    def make(call: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return error

    with ThreadPoolExecutor(len(waiting)) as pool:
        return list(pool.map(make, waiting))
