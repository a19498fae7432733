"""Observation alerts: `pk=OBSERVATION#<id>, sk=ALERT` in the telescope table, beside the observation and its frames.

Open ones stand in the index under `OPENALERTS#<id mod 8>`, in the order in which they are due. Whoever works on one holds a
claim with a lease; every write has the condition that the claim still stands.
"""

import heapq
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from chalicelib import clock
from chalicelib.errors import ClaimLostError
from chalicelib.models.alerts import Alert, alert_from
from chalicelib.models.observations import Observation
from chalicelib.settings import get_settings
from chalicelib.storage import lists, requests
from chalicelib.storage.convert import number
from chalicelib.storage.requests import ConditionFailedError, Key, Write

OPEN_SHARDS = 8
"""Partitions of the index over which the open alerts are spread."""

_HOLDS_CLAIM = "#held = :held AND attribute_exists(#open)"
_CLAIM_NAMES = {"#held": "claim", "#open": "list_pk"}


def key(observation_id: int) -> Key:
    """Return the key of the alert of an observation."""
    return {"pk": f"OBSERVATION#{observation_id}", "sk": "ALERT"}


def opening(observation: Observation, email: str) -> Write:
    """Describe the new alert of an observation, for the transaction that creates it; it is due at once."""
    record = {
        "id": observation.id,
        "target_id": observation.target_id,
        "facility": observation.facility,
        "email": email,
        "created": observation.created,
        "list_pk": f"OPENALERTS#{observation.id % OPEN_SHARDS}",
        "list_sk": _place(observation.id, observation.created),
    }
    return requests.put(_table(), key(observation.id), record, "attribute_not_exists(pk)")


def removal(observation_id: int) -> Write:
    """Describe that the alert of an observation goes with it; whoever works on it loses the claim."""
    return requests.delete(_table(), key(observation_id))


def open_alerts(due_by: datetime) -> Iterator[tuple[int, str]]:
    """Yield the ids of the open alerts that are due, with their places, those first that were due first.

    One Query for each of the partitions of the index, and one more for every hundred alerts in it.
    """
    end = f"{clock.to_text(due_by)}~"
    for place, observation_id in heapq.merge(*(_open_in(shard, end) for shard in range(OPEN_SHARDS))):
        yield observation_id, place


def claim(observation_id: int, seen: str, token: str, now: datetime) -> Alert:
    """Take an open alert for one worker until its lease ends, move it behind the others, and return it. One UpdateItem.

    It is moved at once, so that an alert whose work ends in a crash does not keep the others from their turn.

    Parameters
    ----------
    seen : str
        The place in which it was found.
    token : str
        Names the worker; unique.

    Raises
    ------
    ClaimLostError
        If somebody else works on it or has done so since it was seen, or it is closed, or gone.
    """
    write = requests.update(
        _table(),
        key(observation_id),
        "SET #claim = :claim, #until = :until, #lsk = :place",
        "#lsk = :seen AND (attribute_not_exists(#until) OR #until < :now)",
        names={"#claim": "claim", "#until": "claimed_until", "#lsk": "list_sk"},
        values={
            ":claim": token,
            ":until": _lease_end(now),
            ":now": number(now.timestamp()),
            ":place": _place(observation_id, clock.to_text(now)),
            ":seen": seen,
        },
    )
    try:
        return alert_from(requests.run(write))
    except ConditionFailedError as error:
        if error.item is not None and error.item.get("claim") == token:
            return alert_from(error.item)  # claimed a moment ago, by a request whose answer was lost
        raise ClaimLostError(f"the alert of observation {observation_id} is another worker's, or closed") from None


def holds_claim(observation_id: int, token: str) -> Write:
    """Describe the condition that a claim still stands, for other records' transactions."""
    return requests.check(_table(), key(observation_id), _HOLDS_CLAIM, names=_CLAIM_NAMES, values={":held": token})


def hold(observation_id: int, token: str, now: datetime) -> None:
    """Extend the lease: a sign of life. One UpdateItem.

    Raises
    ------
    ClaimLostError
        If the claim no longer stands.
    """
    _run(
        _claimed(observation_id, token, "SET #until = :until", {"#until": "claimed_until"}, {":until": _lease_end(now)})
    )


def change(observation_id: int, token: str, values: Mapping[str, Any]) -> Alert:
    """Set attributes of an alert, None removes one, and return it as it is then. One UpdateItem.

    Raises
    ------
    ClaimLostError
        If the claim no longer stands.
    """
    expression, names, bound = _setting(values)
    return _run(_claimed(observation_id, token, expression, names, bound))


def gain(observation_id: int, token: str, product_id: int | None, now: datetime) -> Write:
    """Describe that a frame was kept, for the transaction that does so.

    Parameters
    ----------
    product_id : int or None
        The data product that it has become, if a timelapse can show that.
    """
    expression, names = "SET #last = :now, #until = :until", {"#last": "last_frame_at", "#until": "claimed_until"}
    values = {":now": clock.to_text(now), ":until": _lease_end(now)}
    if product_id is not None:
        expression, names["#ids"], values[":ids"] = f"{expression} ADD #ids :ids", "product_ids", {product_id}
    return _claimed(observation_id, token, expression, names, values)


def release(observation_id: int, token: str, due_at: datetime, values: Mapping[str, Any]) -> None:
    """Give an alert back, to be due at `due_at`, with attributes set as by `change`. One UpdateItem.

    Raises
    ------
    ClaimLostError
        If the claim no longer stands.
    """
    given = {**values, "list_sk": _place(observation_id, clock.to_text(due_at)), "claim": None, "claimed_until": None}
    change(observation_id, token, given)


def close(observation_id: int, token: str, now: datetime, reason: str, values: Mapping[str, Any]) -> None:
    """Take an alert out of the open ones, with attributes set as by `change`. One UpdateItem.

    Raises
    ------
    ClaimLostError
        If the claim no longer stands.
    """
    given = {**values, "closed": clock.to_text(now), "close_reason": reason}
    change(observation_id, token, given | dict.fromkeys(("claim", "claimed_until", "list_pk", "list_sk")))


def _open_in(shard: int, end: str) -> Iterator[tuple[str, int]]:
    shown = {"#id": "id", "#place": "list_sk"}
    cards = lists.read_partition(_table(), f"OPENALERTS#{shard}", before=end, projection=shown)
    yield from ((card["list_sk"], card["id"]) for card in cards)


def _place(observation_id: int, due_at: str) -> str:
    return f"{due_at}#{observation_id:015d}"


def _lease_end(now: datetime) -> Any:
    return number(now.timestamp() + get_settings().job_lease_s)


def _setting(values: Mapping[str, Any]) -> tuple[str, dict[str, str], dict[str, Any]]:
    given = [name for name, value in values.items() if value is not None]
    absent = [name for name, value in values.items() if value is None]
    parts = ["SET " + ", ".join(f"#{name} = :{name}" for name in given)] if given else []
    parts += ["REMOVE " + ", ".join(f"#{name}" for name in absent)] if absent else []
    return " ".join(parts), {f"#{name}": name for name in values}, {f":{name}": values[name] for name in given}


def _claimed(
    observation_id: int, token: str, expression: str, names: Mapping[str, str], values: Mapping[str, Any]
) -> Write:
    return requests.update(
        _table(),
        key(observation_id),
        expression,
        _HOLDS_CLAIM,
        names={**_CLAIM_NAMES, **names},
        values={":held": token, **values},
    )


def _run(write: Write) -> Alert:
    try:
        return alert_from(requests.run(write))
    except ConditionFailedError:
        raise ClaimLostError("the claim on the alert no longer stands") from None


def _table() -> str:
    return get_settings().telescope_table
