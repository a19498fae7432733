"""Submissions that are not settled: `pk=SUBMISSION#<digest of the input>, sk=<name>` in the telescope table.

Each has a guard on its name. Open ones stand in the index under `OPENSUBMISSIONS#<shard>`. Whoever works on one is its
holder; every write has the condition that the holder is still the same.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from chalicelib.errors import NotFoundError
from chalicelib.models.observing import Submission
from chalicelib.settings import get_settings
from chalicelib.storage import lists, requests, targets
from chalicelib.storage.convert import number
from chalicelib.storage.freeform import pack, unpack
from chalicelib.storage.requests import ConditionFailedError, Key, Write

OPEN_SHARDS = 4
"""Partitions of the index over which the open submissions are spread."""

NAME_KEPT_S = 86_400
"""Seconds for which a name stays taken after its submission is settled: whoever looks for a name that is used again must not
find the earlier one, although the facility's clock may be another."""

TOLD_KEPT_S = 60
"""Seconds for which a settled submission answers its caller again, after the first time."""

SETTLED_KEPT_S = 3600 + TOLD_KEPT_S
"""Seconds for which a settled submission waits for its caller to ask again: an hour, with room behind it for all answers."""

_IS_MINE = "#holder = :holder AND attribute_not_exists(#done)"
_MINE = {"#holder": "holder", "#done": "observation_id"}


class NameTakenError(Exception):
    """Raised when another observation has this name."""


def begin(submission: Submission, now: float) -> None:
    """Write down a submission before it is sent. One transaction (conditions: its target stays, its name is free).

    Raises
    ------
    NotFoundError
        If the target does not exist, or is being deleted.
    NameTakenError
        If the name is in use.
    """
    writes = [
        requests.put(
            _table(),
            key,
            item,
            "attribute_not_exists(pk) OR #expires < :now",
            names={"#expires": "expires_at"},
            values={":now": int(now)},
        )
        for key, item in (
            (_name_key(submission), {"digest": submission.digest}),
            (_key(submission), _record(submission)),
        )
    ]
    try:
        requests.transact([targets.exists(submission.target_id), *writes])
    except ConditionFailedError as error:
        if error.failed[0]:
            raise NotFoundError("Target not found.") from None
        raise NameTakenError from None


def of_input(digest: str, now: float) -> list[Submission]:
    """Return the submissions that the same input asked for and that are open, or settled and kept. One Query.

    Of the settled ones those come first of which no caller was told, then those that were told of last.
    """
    items = [
        item for item in requests.query(_table(), f"SUBMISSION#{digest}") if item.get("expires_at", now) >= int(now)
    ]
    return [_from_record(item) for item in sorted(items, key=lambda item: -item.get("expires_at", 0))]


def became(submission: Submission) -> int | None:
    """Return the observation that a submission has become, or None; known for a day. One GetItem."""
    guard = requests.get(_table(), _name_key(submission)) or {}
    is_its_own = guard.get("digest") == submission.digest
    return guard.get("observation_id") if is_its_own else None


def open_submissions() -> Iterator[Submission]:
    """Yield every submission that is not settled. One Query, or more, for each partition of the index."""
    for shard in range(OPEN_SHARDS):
        yield from map(_from_record, lists.read_partition(_table(), f"OPENSUBMISSIONS#{shard}"))


def take_over(seen: Submission, mine: Submission) -> Submission | None:
    """Make the holder of `mine` that of a submission, with its times, and return it as it is then. One UpdateItem.

    None if somebody else has it, or it is settled, or gone (condition: nothing of it changed since it was seen).
    """
    write = requests.update(
        _table(),
        _key(seen),
        "SET #holder = :holder, #worked = :worked, #held = :held, #sent = :sent, #lost = :true",
        "#holder = :seen AND #held = :seen_until AND attribute_not_exists(#done)",
        names=_MINE | {"#worked": "worked_until", "#held": "held_until", "#sent": "sent", "#lost": "is_lost"},
        values={
            ":holder": mine.holder,
            ":worked": number(mine.worked_until),
            ":held": number(mine.held_until),
            ":sent": mine.sent,
            ":true": True,
            ":seen": seen.holder,
            ":seen_until": number(seen.held_until),
        },
    )
    try:
        return _from_record(requests.run(write))
    except ConditionFailedError as error:
        if error.item is not None and error.item["holder"] == mine.holder:
            return _from_record(error.item)  # taken a moment ago, by a request whose answer was lost
        return None


def let_go(submission: Submission, now: float, held_until: float) -> bool:
    """Leave a submission, of which nobody knows whether it arrived, to whoever comes after `held_until`. One UpdateItem.

    False if it is somebody else's already.
    """
    write = requests.update(
        _table(),
        _key(submission),
        "SET #worked = :now, #held = :held, #lost = :true",
        _IS_MINE,
        names=_MINE | {"#worked": "worked_until", "#held": "held_until", "#lost": "is_lost"},
        values={":holder": submission.holder, ":now": number(now), ":held": number(held_until), ":true": True},
    )
    try:
        requests.run(write)
    except ConditionFailedError:
        return False
    return True


def settling(submission: Submission, observation_id: int, now: float, kept_s: int) -> list[Write]:
    """Describe that a submission has become an observation, for the transaction that creates that.

    Parameters
    ----------
    kept_s : int
        Seconds for which it stays, to answer a caller who asks again.
    """
    values = {":holder": submission.holder}
    if kept_s:
        record = requests.update(
            _table(),
            _key(submission),
            "SET #done = :id, #expires = :expires REMOVE #lpk, #lsk",
            _IS_MINE,
            names=_MINE | {"#expires": "expires_at", "#lpk": "list_pk", "#lsk": "list_sk"},
            values=values | {":id": observation_id, ":expires": int(now) + kept_s},
        )
    else:
        record = requests.delete(_table(), _key(submission), _IS_MINE, names=_MINE, values=values)
    return [record, _keep_name(submission, now, observation_id=observation_id)]


def tell(submission: Submission, now: float) -> None:
    """Note that the caller of a settled submission is told: from the first time on it stays for `TOLD_KEPT_S`.

    One UpdateItem (condition: it would stay for longer).
    """
    write = requests.update(
        _table(),
        _key(submission),
        "SET #expires = :soon",
        "attribute_exists(#done) AND #expires > :soon",
        names={"#done": "observation_id", "#expires": "expires_at"},
        values={":soon": int(now) + TOLD_KEPT_S},
    )
    with suppress(ConditionFailedError):  # another was told before
        requests.run(write)


def drop(submission: Submission) -> bool:
    """Remove a submission that the facility does not have, and free its name; False if it is somebody else's."""
    return _remove(submission, requests.delete(_table(), _name_key(submission)))


def end(submission: Submission, now: float) -> bool:
    """Remove a submission that the facility has, and that nobody wants; its name stays taken. False as in `drop`."""
    return _remove(submission, _keep_name(submission, now))


def _remove(submission: Submission, guard: Write) -> bool:
    """Remove a submission, and change its guard. One transaction (condition: the holder is the same)."""
    values = {":holder": submission.holder}
    record = requests.delete(_table(), _key(submission), _IS_MINE, names=_MINE, values=values)
    try:
        requests.transact([record, guard])
    except ConditionFailedError:
        return False
    return True


def _keep_name(submission: Submission, now: float, **more: Any) -> Write:
    guard = {"digest": submission.digest, "expires_at": int(now) + NAME_KEPT_S, **more}
    return requests.put(_table(), _name_key(submission), guard)


def _key(submission: Submission) -> Key:
    return {"pk": f"SUBMISSION#{submission.digest}", "sk": submission.name}


def _name_key(submission: Submission) -> Key:
    return {"pk": f"OBSERVATIONNAME#{submission.facility}#{submission.name}", "sk": "OBSERVATIONNAME"}


def _record(submission: Submission) -> dict[str, Any]:
    return {
        **{name: getattr(submission, name) for name in Submission.__dataclass_fields__},
        "parameters": pack(submission.parameters),
        "worked_until": number(submission.worked_until),
        "held_until": number(submission.held_until),
        "list_pk": f"OPENSUBMISSIONS#{int(submission.digest, 16) % OPEN_SHARDS}",
        "list_sk": f"{submission.created}#{submission.name}",
    }


def _from_record(item: dict[str, Any]) -> Submission:
    values = {name: item[name] for name in Submission.__dataclass_fields__ if name in item}
    submission = Submission(**{**values, "parameters": unpack(item["parameters"])})
    return replace(submission, worked_until=float(item["worked_until"]), held_until=float(item["held_until"]))


def _table() -> str:
    return get_settings().telescope_table
