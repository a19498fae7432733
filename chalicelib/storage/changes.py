"""Changes of the ledger: `pk=CHANGES#<ten minutes>, sk=<moment>#<tag>`, each written in the transaction that makes it.

They lie in the operations table, for a day. A change has a moment, which its writer chooses before the transaction;
`SETTLED_S` later it is there, or never will be. The moment of a change is later than that of any change of the same record
before it, and of its event (`changed_at` of the records is compared): the order of moments is the order in which a record
changed, whatever the clocks of different machines say.
"""

import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib import clock
from chalicelib.errors import UnavailableError
from chalicelib.models.changes import LedgerChange
from chalicelib.models.names import MAX_NAME_LENGTH
from chalicelib.settings import get_settings
from chalicelib.storage import requests
from chalicelib.storage.requests import Write

REQUEST_S = 29
"""Longest run of the function that writes, the API's: `lambda_timeout` of `.chalice/config.json`."""

LAST_CALL_S = 6
"""What that function asked for at its end may be done so long after it: the client waits no longer for an answer."""

CLOCKS_S = 5
"""By how much the clocks of two machines may differ."""

SETTLED_S = REQUEST_S + LAST_CALL_S + CLOCKS_S
"""Seconds after a moment when no change of that moment can come any more."""

KEPT_S = 24 * 3600
"""Seconds for which changes can be read; DynamoDB deletes them an hour later, or more."""

BUCKET = timedelta(minutes=10)
TAG_LENGTH = 8

IS_LATER = "(attribute_not_exists(#changed) OR #changed < :moment OR #changed > :ahead)"
"""The condition on a record that changes, with the names of `CHANGED` and the values of `later`."""

CHANGED = {"#changed": "changed_at"}

_latest = datetime.min.replace(tzinfo=UTC)
_lock = threading.Lock()


@dataclass(frozen=True)
class KeptChange:
    """A change as it is read: its sort key, which orders all changes, and what it tells."""

    order: str
    data: LedgerChange

    @property
    def tag(self) -> str:
        """What tells it from others of about the same time."""
        return self.order[-TAG_LENGTH:]


def moments() -> Iterator[str]:
    """Yield moments for one change, each later than all before it, until one of them is taken; with pauses that grow.

    Raises
    ------
    UnavailableError
        If none was, because others changed the same record each time.
    """
    for attempt in range(requests.CONFLICT_TRIES):
        if attempt:
            requests.pause(attempt - 1)
        yield clock.to_text(_next_moment())
    raise UnavailableError("Too many changes of the same record at once; try again.")


def heed(item: dict[str, Any] | None) -> None:
    """Let the next moment be later than that of a record that has refused one."""
    global _latest
    if item is not None and "changed_at" in item:
        with _lock:
            _latest = max(_latest, clock.from_text(item["changed_at"]))


def _next_moment() -> datetime:
    global _latest
    with _lock:
        now = clock.now()
        # the clock may stand still, or be behind that of another machine
        is_ahead = now <= _latest < now + timedelta(seconds=CLOCKS_S)
        _latest = _latest + timedelta(microseconds=1) if is_ahead else now
        return _latest


def later(moment: str) -> dict[str, str]:
    """Return the values of `IS_LATER`: what has changed far ahead of time did so by a wrong clock."""
    ahead = clock.from_text(moment) + timedelta(seconds=SETTLED_S)
    return {":moment": moment, ":ahead": clock.to_text(ahead)}


def is_same(item: dict[str, Any], moment: str) -> bool:
    """Say whether what is read after a change is the record that was changed, and not another that has its name since.

    Another one is made later: each deletion and creation is later than what it follows. Records from before `made_at` was
    kept are older than any change. Only where a clock was ahead by more than `SETTLED_S`, a record that others have changed
    meanwhile may not be known again.
    """
    changed_at = item.get("changed_at", "")
    return bool(changed_at == moment or item.get("made_at", "") <= moment < changed_at)


def record(moment: str, action: str, event: str, production: str | None = None, status: str | None = None) -> Write:
    """Describe keeping a change.

    Parameters
    ----------
    moment : str
        Its time, of `moments`.
    action : str
        ``created``, ``changed`` or ``deleted``.
    production : str, optional
        The name of the production that it is about; else it is about the event.
    status : str, optional
        The status that a production has got.
    """
    data: dict[str, Any] = {
        "action": action,
        "kind": "event" if production is None else "production",
        "event": event,
        "name": production,
        "status": status,
        "time": clock.to_unix(moment),
    }
    text = json.dumps({key: value for key, value in data.items() if value is not None}, separators=(",", ":"))
    key = {"pk": _bucket(moment), "sk": f"{moment}#{secrets.token_urlsafe(TAG_LENGTH * 3 // 4)}"}
    return requests.put(_table(), key, {"data": text, "expires_at": int(data["time"]) + KEPT_S + 3600})


def existence(moment: str, event: str) -> Write:
    """Describe that an event begins or ends to exist, later than it last did: its own record, which would know, is gone."""
    expires_at = int(clock.to_unix(moment)) + 3600
    return requests.put(
        _table(),
        # no name is longer, but what is asked for may be, and DynamoDB refuses keys beyond 2 KB
        {"pk": f"CHANGED#{event[: MAX_NAME_LENGTH + 1]}", "sk": "CHANGED"},
        {"changed_at": moment, "expires_at": expires_at},
        IS_LATER,
        names=CHANGED,
        values=later(moment),
    )


def read_settled(bucket: str, after: str, until: str, limit: int) -> list[KeptChange]:
    """Return the first changes of a bucket behind a place and before a moment, which are settled. One Query."""
    items = requests.query(
        _table(), bucket, between=(after, until), limit=limit + 1
    )  # the first may be the place itself
    return [_from_record(item) for item in items if item["sk"] > after][:limit]


def read_latest(after: str, until: str) -> list[KeptChange]:
    """Return all changes behind a place, in their order. One Query for each bucket up to a moment, and for each MB.

    Of one record there is none among them without those before it: they are read backwards, since a Query is no snapshot.
    """
    found: list[KeptChange] = []
    for bucket in reversed(buckets(after, until)):
        items = requests.query(_table(), bucket, between=(after, "~"), is_forward=False)
        found.extend(_from_record(item) for item in items if item["sk"] > after)
    return found[::-1]


def buckets(after: str, until: str) -> list[str]:
    """Return the partitions in which changes from one moment to another lie, oldest first."""
    moment, end = clock.from_text(after.partition("#")[0]), clock.from_text(until)
    found = [_bucket(after)]
    while found[-1] < _bucket(until) and moment < end:
        moment += BUCKET
        found.append(_bucket(clock.to_text(moment)))
    return found


def end_of(bucket: str) -> str:
    """Return a text behind all moments of a bucket, which begins as the last of them."""
    return bucket.partition("#")[2] + "9:59.999999Z"


def _bucket(moment: str) -> str:
    return f"CHANGES#{moment[: len('2026-01-10T03:0')]}"  # a digit less is ten minutes


def _from_record(item: dict[str, Any]) -> KeptChange:
    return KeptChange(item["sk"], json.loads(item["data"]))


def _table() -> str:
    return get_settings().operations_table
