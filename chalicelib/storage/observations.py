"""Observations: `pk=OBSERVATION#<id>, sk=OBSERVATION` in the telescope table, in a list of their target's."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib import clock
from chalicelib.errors import NotFoundError
from chalicelib.models.observations import Observation, ObservationState
from chalicelib.settings import get_settings
from chalicelib.storage import counters, lists, requests, targets
from chalicelib.storage.freeform import pack, unpack
from chalicelib.storage.requests import ConditionFailedError, Key, Write

_TEXTS = ("status", "scheduled_start", "scheduled_end", "modified")


def key(observation_id: int) -> Key:
    """Return the key of an observation."""
    return {"pk": f"OBSERVATION#{observation_id}", "sk": "OBSERVATION"}


def exists(observation_id: int) -> Write:
    """Describe the condition that an observation is kept, for other records' transactions."""
    return requests.check(_table(), key(observation_id), "attribute_exists(pk)")


def list_name(target_id: int) -> str:
    """Return the name of the list of a target's observations."""
    return f"TARGET#{target_id}#OBSERVATIONS"


def next_id() -> int:
    """Return the id of the next observation."""
    return counters.next_id("OBSERVATION")


def create(observation: Observation, also: Sequence[Write] = ()) -> None:
    """Keep a new observation, with what else belongs into the same transaction.

    One transaction (conditions: its target stays, its id is not in use, those of `also`), two where a bucket of the list
    is full.

    Raises
    ------
    NotFoundError
        If the target does not exist, or is being deleted.
    ConditionFailedError
        If a condition of `also` does not hold; `items` and `failed` are in its order.
    """
    record = {
        **{name: getattr(observation, name) for name in Observation.__dataclass_fields__},
        "parameters": pack(observation.parameters),
    }

    def writes_at(place: lists.Place) -> list[Write]:
        new = requests.put(_table(), key(observation.id), record | place._asdict(), "attribute_not_exists(pk)")
        return [targets.exists(observation.target_id), new, *also]

    try:
        lists.join(_table(), list_name(observation.target_id), f"{observation.id:015d}", writes_at)
    except ConditionFailedError as error:
        if error.failed[0]:
            raise NotFoundError("Target not found.") from None
        end = 2 + len(also)
        raise ConditionFailedError(error.items[2:end], error.failed[2:end]) from None


def get(observation_id: int) -> Observation:
    """Return an observation. One GetItem.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    item = requests.get(_table(), key(observation_id))
    if item is None:
        raise NotFoundError("Not found.")
    return from_record(item)


def set_state(observation: Observation, state: ObservationState, now: datetime) -> Observation:
    """Keep how an observation stands at its facility, and return the record as it is then.

    Nothing where nothing changed, else one UpdateItem (condition: nobody changed the record since it was read). Where
    somebody did, it is returned as they left it: who of the two looked at the facility last cannot be known here.

    Raises
    ------
    NotFoundError
        If the observation is kept no more.
    """
    new = replace(
        observation,
        status=state.status,
        scheduled_start=_text(state.scheduled_start),
        scheduled_end=_text(state.scheduled_end),
    )
    if new == observation:
        return observation
    # Later than what was read, whatever this machine's clock says: `modified` tells whether somebody else was faster.
    later = max(now, clock.from_text(observation.modified) + timedelta(microseconds=1))
    new = replace(new, modified=clock.to_text(later))
    values = {name: getattr(new, name) for name in _TEXTS}
    given = [name for name in _TEXTS if values[name] is not None]
    absent = [name for name in _TEXTS if values[name] is None]
    write = requests.update(
        _table(),
        key(observation.id),
        "SET "
        + ", ".join(f"#{name} = :{name}" for name in given)
        + (" REMOVE " + ", ".join(f"#{name}" for name in absent) if absent else ""),
        "#modified = :seen",
        names={f"#{name}": name for name in _TEXTS},
        values={f":{name}": values[name] for name in given} | {":seen": observation.modified},
    )
    try:
        return from_record(requests.run(write))
    except ConditionFailedError as error:
        if error.item is None:
            raise NotFoundError("Not found.") from None
        return from_record(error.item)


def read_page(target_id: int, limit: int, cursor: str | None) -> tuple[list[Observation], int, lists.Page]:
    """Return observations of a target, newest first, how many there are, and the page with its cursors."""
    page, total = lists.read_newest(_table(), list_name(target_id), limit, cursor)
    return [from_record(item) for item in page.items], total, page


def read_all(target_id: int) -> Iterator[Observation]:
    """Yield all observations of a target."""
    return (from_record(item) for item in lists.read_all(_table(), list_name(target_id)))


def delete(observation: Observation, also: Sequence[Write] = ()) -> None:
    """Delete an observation, `also` others, in one transaction; done already is done."""
    writes = [
        requests.delete(_table(), key(observation.id), "attribute_exists(pk)"),
        *also,
        lists.leave(list_name(observation.target_id)),
    ]
    try:
        requests.transact(writes)
    except ConditionFailedError as error:
        if not error.failed[0]:
            raise


def drop_list(target_id: int) -> None:
    """Remove what is left of the list of a target without observations; see `lists.drop`."""
    lists.drop(_table(), list_name(target_id))


def from_record(item: dict[str, Any]) -> Observation:
    """Return the observation that an item of the table holds."""
    values = {name: item[name] for name in Observation.__dataclass_fields__ if name in item}
    return Observation(**{**values, "parameters": unpack(item["parameters"])})


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else clock.to_text(moment)


def _table() -> str:
    return get_settings().telescope_table
