"""Throttles: `pk=THROTTLE#<scope>#<who>, sk=THROTTLE` in the operations table, with the times of the last requests.

The window slides: a request is let through if the one `count` places before it is a whole period ago. Each machine measures
with its own clock, but never writes down a time before those that stand there: a clock that is behind, or goes back, only
makes the window longer.
"""

import uuid
from datetime import UTC, datetime, timedelta

from chalicelib import clock
from chalicelib.errors import ThrottledError, UnavailableError
from chalicelib.models.rates import Rate
from chalicelib.settings import get_settings
from chalicelib.storage import requests
from chalicelib.storage.requests import ConditionFailedError, Key

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = 1_000_000


def take(scope: str, who: str, rate: Rate) -> None:
    """Count one request of somebody, if there is room for it. One GetItem; one PutItem if it is let through.

    Parameters
    ----------
    scope : str
        What is throttled, without `#`: ``observe``.
    who : str
        Whose requests are counted together.

    Raises
    ------
    ThrottledError
        If as many as are allowed were let through within the period; nothing is written then.
    UnavailableError
        If others were faster every time.
    """
    key: Key = {"pk": f"THROTTLE#{scope}#{who}", "sk": "THROTTLE"}
    mine = uuid.uuid4().hex
    item = requests.get(get_settings().operations_table, key) or {}
    for _ in range(rate.count + 1):  # whoever is too late finds one more let through: after `count` of them it is full
        now = (clock.now() - _EPOCH) // timedelta(microseconds=1)
        times: list[int] = item.get("times", [])[-rate.count :]
        if len(times) == rate.count and (wait := times[0] + rate.period_s * _US - now) > 0:
            raise ThrottledError(-(-wait // _US))
        latest = max([now, *times])
        window = {
            "times": [*times, latest][-rate.count :],
            "version": mine,
            "expires_at": latest // _US + rate.period_s + 1,
        }
        is_unchanged = "#version = :seen" if item else "attribute_not_exists(pk)"
        write = requests.put(
            get_settings().operations_table,
            key,
            window,
            is_unchanged,
            names={"#version": "version"} if item else None,
            values={":seen": item["version"]} if item else None,
        )
        try:
            requests.run(write)
        except ConditionFailedError as error:
            item = error.item or {}
            if item.get("version") == mine:  # it is ours: the answer was lost, and the client asked again
                return
        else:
            return
    raise UnavailableError("Too many requests at once; try again.")
