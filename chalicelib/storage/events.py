"""Events: `pk=EVENT#<name>, sk=EVENT` in the ledger table."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from chalicelib.errors import ConflictError, NotFoundError
from chalicelib.models.events import Event
from chalicelib.models.productions import Production
from chalicelib.settings import get_settings
from chalicelib.storage import changes, lists, productions, requests
from chalicelib.storage.freeform import change_record, check_free_form_size, pack, unpack
from chalicelib.storage.requests import ConditionFailedError, Key, Write

LIST = "EVENTS"
_SUMMARY_BYTES = 200
"""What the summary of a production takes in an answer, besides its comment."""

MAX_SHOWN = 1_000
"""Productions on one page of events: each hundred is a request."""

_NAMES = productions.NAMES

MAX_TOGETHER = 90
"""Productions that go in one transaction with their event; DynamoDB takes 100 actions."""


def key(name: str) -> Key:
    """Return the key of an event."""
    return productions.event_key(name)


def create(event: Event, also: Sequence[Write] = ()) -> None:
    """Keep a new event, together with other writes. One transaction (condition: no event of this name; it joins the list).

    Raises
    ------
    ConflictError
        If there is one of this name.
    InvalidInputError
        If `meta` is too large.
    """
    packed = pack(event.meta)
    check_free_form_size("meta", packed)
    values = {
        "name": event.name,
        "working_directory": event.working_directory,
        "repository": event.repository,
        "created": event.created,
        "meta": packed,
    }

    for moment in changes.moments():
        told = [changes.existence(moment, event.name), changes.record(moment, "created", event.name)]

        def writes_at(place: lists.Place, moment: str = moment, told: list[Write] = told) -> list[Write]:
            item = values | place._asdict() | {"made_at": moment, "changed_at": moment}
            return [requests.put(_table(), key(event.name), item, "attribute_not_exists(pk)"), *told, *also]

        try:
            lists.join(_table(), LIST, f"{event.created}#{event.name}", writes_at)
        except ConditionFailedError as error:
            if error.failed[0]:
                raise ConflictError("Event already exists") from None
            changes.heed(error.items[1])
        else:
            return


def get(name: str) -> tuple[Event, list[Production]]:
    """Return an event and its productions in creation order. One Query of its partition per MB.

    Raises
    ------
    NotFoundError
        If there is no such event.
    """
    event: Event | None = None
    found: list[Production] = []
    for item in requests.query(_table(), key(name)["pk"]):
        if item["sk"] == "EVENT":
            event = from_record(item)
        else:
            found.append(productions.from_record(item))
    if event is None:
        raise NotFoundError("Event not found")
    return event, sorted(found, key=lambda production: (production.created, production.name))


def exists(name: str) -> bool:
    """Say whether there is an event of this name. One GetItem."""
    return requests.get(_table(), key(name)) is not None


def read_page(
    limit: int, cursor: str | None, max_bytes: int
) -> tuple[list[tuple[Event, list[Production]]], str | None]:
    """Return events in creation order with their productions, and the cursor of the next page.

    One Query per bucket touched, and one BatchGetItem per hundred productions.
    """
    page = lists.read(_table(), LIST, limit, cursor, max_bytes)
    events = [from_record(item) for item in page.items]
    counts = accumulate(len(event.production_names) for event in events)
    shown = sum(count <= MAX_SHOWN for count in counts)
    events = events[: max(1, shown)]
    of_event = productions.get_many([(event.name, name) for event in events for name in event.production_names])
    found: list[tuple[Event, list[Production]]] = []
    size = 0
    for event, item in zip(events, page.items, strict=False):
        its = of_event.get(event.name, [])
        size += lists.size_of(item) + sum(len(production.comment.encode()) + _SUMMARY_BYTES for production in its)
        if found and size > max_bytes:
            return found, lists.cursor_after(page.items[len(found) - 1])
        found.append((event, its))
    if len(found) < len(page.items):
        return found, lists.cursor_after(page.items[len(found) - 1])
    return found, page.next


def read_newest(limit: int, cursor: str | None) -> tuple[list[Event], int, lists.Page]:
    """Return the newest events, how many there are, and the page with its cursors."""
    page, total = lists.read_newest(_table(), LIST, limit, cursor)
    return [from_record(item) for item in page.items], total, page


def change(name: str, values: dict[str, Any], meta: dict[str, Any]) -> Event:
    """Set attributes of an event and single keys of its `meta`, and return it. See `freeform.change_record`.

    Parameters
    ----------
    values : dict
        New values of `repository` and `working_directory`; None removes.

    Raises
    ------
    NotFoundError
        If there is no such event, or it was deleted right after the change.
    InvalidInputError
        If the event would grow too large.
    """
    item = change_record(_table(), key(name), values, meta, lambda moment: changes.record(moment, "changed", name))
    if item is None:
        raise NotFoundError("Event not found")
    return from_record(item)


def delete(name: str) -> None:
    """Delete an event with its productions.

    One transaction where there are at most 90 productions, and one before to learn of them; more go in several, the event
    last, so that an interrupted deletion can be repeated.

    Raises
    ------
    NotFoundError
        If there is no such event.
    """
    names: set[str] = set()
    for moment in changes.moments():
        try:
            requests.transact(_deletion(name, names, moment))
        except ConditionFailedError as error:
            if error.failed[0]:
                if error.item is None:
                    raise NotFoundError("Event not found") from None
                names = set(error.item.get(_NAMES, ()))  # somebody may have added or deleted a production meanwhile
            for item in error.items:
                changes.heed(item)
            continue
        if len(names) <= MAX_TOGETHER:
            return
        break
    delete(name)


def _deletion(name: str, names: set[str], moment: str) -> list[Write]:
    """Describe deleting an event that has these productions, or as many of them as go together."""
    together = sorted(names)[:MAX_TOGETHER]
    is_whole = len(names) <= MAX_TOGETHER
    placeholders = {"#names": _NAMES, **changes.CHANGED}
    if is_whole:
        as_seen, bound = ("#names = :names", {":names": names}) if names else ("attribute_not_exists(#names)", {})
        ending = requests.delete(
            _table(),
            key(name),
            f"attribute_exists(pk) AND {as_seen} AND {changes.IS_LATER}",
            names=placeholders,
            values={**changes.later(moment), **bound},
        )
        endings = [
            ending,
            lists.leave(LIST),
            changes.existence(moment, name),
            changes.record(moment, "deleted", name),
        ]
    else:
        ending = requests.update(
            _table(),
            key(name),
            "SET #changed = :moment DELETE #names :gone",
            f"attribute_exists(pk) AND {changes.IS_LATER}",
            names=placeholders,
            values={":gone": set(together), **changes.later(moment)},
        )
        endings = [ending, changes.record(moment, "changed", name)]
    return [*endings, *(_without(name, each, moment) for each in together)]


def _without(name: str, production: str, moment: str) -> Write:
    """Describe deleting a production with its event."""
    return requests.delete(
        _table(),
        productions.key(name, production),
        changes.IS_LATER,
        names=changes.CHANGED,
        values=changes.later(moment),
    )


def from_record(item: dict[str, Any]) -> Event:
    """Return the event that an item of the table holds."""
    return Event(
        name=item["name"],
        working_directory=item["working_directory"],
        created=item["created"],
        repository=item.get("repository"),
        meta=unpack(item["meta"]),
        production_names=frozenset(item.get("production_names", ())),
    )


def _table() -> str:
    return get_settings().ledger_table
