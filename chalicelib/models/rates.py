"""Rates: how often something may be done."""

import re
from dataclasses import dataclass

MAX_COUNT = 1000
"""Largest number of a rate: whoever is throttled has a record with the time of each, which is read every time."""

_PERIODS_S = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}
_RATE = re.compile(r"\s*([0-9]{1,9})\s*/\s*([a-z]+)\s*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Rate:
    """At most `count` times within any `period_s` seconds."""

    count: int
    period_s: int

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Return the rate that a text such as `6/minute` says; the period may be cut: `6/min`, `6/m`.

        Raises
        ------
        ValueError
            If it is none, with what would be one.
        """
        match = _RATE.fullmatch(text)
        word = match[2].lower() if match else ""
        period_s = next((seconds for period, seconds in _PERIODS_S.items() if word and period.startswith(word)), None)
        if match is None or period_s is None:
            raise ValueError(f"{text!r} is no rate; give <number>/<second|minute|hour|day>, such as 6/minute")
        count = int(match[1])
        if not 1 <= count <= MAX_COUNT:
            raise ValueError(f"{text!r} is no rate that can be kept to; its number must be from 1 to {MAX_COUNT}")
        return cls(count, period_s)
