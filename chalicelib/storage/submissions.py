"""Submissions that are not settled: `pk=SUBMISSION#<digest of the input>, sk=<name>` in the telescope table.

Each has a guard on its name. Open ones stand in the index under `OPENSUBMISSIONS#<shard>`. Whoever works on one is its
holder; every write has the condition that the holder is still the same.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from chalicelib.errors import NotFoundError
from chalicelib.models.observing import Submission
from chalicelib.settings import get_settings
from chalicelib.storage import requests, targets
from chalicelib.storage.clients import dynamodb
from chalicelib.storage.convert import from_item, number, to_item
from chalicelib.storage.freeform import pack, unpack
from chalicelib.storage.requests import ConditionFailedError, Key, Write
from chalicelib.storage.schema import LIST_INDEX

OPEN_SHARDS = 4
"""Partitions of the index over which the open submissions are spread."""

NAME_KEPT_S = 86_400
"""Seconds for which a name stays taken after its submission is settled: whoever looks for a name that is used again must not
find the earlier one, although the facility's clock may be another."""

SETTLED_KEPT_S = 3600
"""Seconds for which a settled submission waits for its caller to ask again."""

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
    guard = requests.put(
        _table(),
        _name_key(submission),
        {"digest": submission.digest},
        "attribute_not_exists(pk) OR #expires < :now",
        names={"#expires": "expires_at"},
        values={":now": int(now)},
    )
    record = requests.put(_table(), _key(submission), _record(submission), "attribute_not_exists(pk)")
    try:
        requests.transact([targets.exists(submission.target_id), guard, record])
    except ConditionFailedError as error:
        if error.failed[0]:
            raise NotFoundError("Target not found.") from None
        raise NameTakenError from None


def of_input(digest: str, now: float) -> list[Submission]:
    """Return the submissions that the same input asked for and that are open, or settled and not answered. One Query."""
    items = requests.query(_table(), f"SUBMISSION#{digest}")
    return [_from_record(item) for item in items if item.get("expires_at", now) >= now]


def find(submission: Submission) -> Submission | None:
    """Return a submission as it is kept now, or None. One GetItem."""
    item = requests.get(_table(), _key(submission))
    return None if item is None else _from_record(item)


def open_submissions() -> Iterator[Submission]:
    """Yield every submission that is not settled. One Query, or more, for each partition of the index."""
    for shard in range(OPEN_SHARDS):
        start: dict[str, Any] = {}
        while True:
            answer = dynamodb().query(
                TableName=_table(),
                IndexName=LIST_INDEX,
                KeyConditionExpression="#pk = :pk",
                ExpressionAttributeNames={"#pk": "list_pk"},
                ExpressionAttributeValues=to_item({":pk": f"OPENSUBMISSIONS#{shard}"}),
                **start,
            )
            yield from (_from_record(from_item(raw)) for raw in answer["Items"])
            if "LastEvaluatedKey" not in answer:
                break
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


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


def settling(submission: Submission, observation_id: int, now: float, *, is_kept: bool) -> list[Write]:
    """Describe that a submission has become an observation, for the transaction that creates that.

    Parameters
    ----------
    is_kept : bool
        Whether its caller was not told, and may ask again: then it stays for a while.
    """
    values = {":holder": submission.holder}
    if is_kept:
        record = requests.update(
            _table(),
            _key(submission),
            "SET #done = :id, #expires = :expires REMOVE #lpk, #lsk",
            _IS_MINE,
            names=_MINE | {"#expires": "expires_at", "#lpk": "list_pk", "#lsk": "list_sk"},
            values=values | {":id": observation_id, ":expires": int(now) + SETTLED_KEPT_S},
        )
    else:
        record = requests.delete(_table(), _key(submission), _IS_MINE, names=_MINE, values=values)
    kept = {"digest": submission.digest, "expires_at": int(now) + NAME_KEPT_S}
    return [record, requests.put(_table(), _name_key(submission), kept)]


def answer(submission: Submission) -> bool:
    """Take a settled submission away for the one caller who is told of it; False if another was. One DeleteItem."""
    write = requests.delete(_table(), _key(submission), "attribute_exists(#done)", names={"#done": "observation_id"})
    try:
        requests.run(write)
    except ConditionFailedError:
        return False
    return True


def drop(submission: Submission) -> bool:
    """Remove a submission that the facility does not have, and free its name; False if it is somebody else's.

    One transaction (condition: the holder is the same).
    """
    values = {":holder": submission.holder}
    record = requests.delete(_table(), _key(submission), _IS_MINE, names=_MINE, values=values)
    try:
        requests.transact([record, requests.delete(_table(), _name_key(submission))])
    except ConditionFailedError:
        return False
    return True


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
