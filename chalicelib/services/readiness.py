"""Whether requests can be answered: all that they depend on is asked at once, and waited for no longer than `LIMIT_S`."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LIMIT_S = 2.0
"""Seconds after which whatever has not answered counts as not there."""

TOO_LATE = "no answer in time"


@dataclass(frozen=True)
class Check:
    """What came of one question.

    Parameters
    ----------
    seconds : float
        How long it took; how long it was waited for where no answer came.
    fault : str
        What went wrong, in a word for the log; "" where nothing did.
    answer : object
        What came back.
    """

    seconds: float
    fault: str
    answer: Any = None

    @property
    def is_ok(self) -> bool:
        """Whether it was answered with yes."""
        return not self.fault


def ask_all(questions: Mapping[str, Callable[[], object]]) -> dict[str, Check]:
    """Ask everything at the same time; what raises, or does not answer in time, has a fault.

    Each question has a thread of its own, which is left behind where it hangs: nothing else ends that in time, for the
    clients of AWS wait for longer, and try again.
    """
    found: dict[str, Check] = {}
    until = time.monotonic() + LIMIT_S
    threads = [
        threading.Thread(target=_ask, args=(name, question, found), name=f"asks {name}", daemon=True)
        for name, question in questions.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return {name: found.get(name, Check(LIMIT_S, TOO_LATE)) for name in questions}


def _ask(name: str, question: Callable[[], object], found: dict[str, Check]) -> None:
    started, fault, answer = time.monotonic(), "", None
    try:
        answer = question()
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is no
        fault = type(error).__name__
    found[name] = Check(time.monotonic() - started, fault, answer)
