"""Productions: `pk=EVENT#<event>, sk=PRODUCTION#<name>`, in the partition of their event."""

from collections.abc import Sequence
from typing import Any

from chalicelib.errors import ConflictError, InvalidInputError, NotFoundError
from chalicelib.models.names import MAX_NAME_LENGTH
from chalicelib.models.productions import MAX_PRODUCTIONS, Production
from chalicelib.settings import get_settings
from chalicelib.storage import changes, requests
from chalicelib.storage.freeform import change_record, check_free_form_size, check_size, pack, unpack
from chalicelib.storage.requests import ConditionFailedError, Key, Write

NAMES = "production_names"
GRAPH = "graph_version"


def event_key(name: str) -> Key:
    """Return the key of an event, in whose partition its productions lie."""
    # No name is longer; what is asked for may be, and DynamoDB refuses keys beyond 2 KB instead of not finding them.
    return {"pk": f"EVENT#{name[: MAX_NAME_LENGTH + 1]}", "sk": "EVENT"}


def key(event_name: str, name: str) -> Key:
    """Return the key of a production."""
    return {**event_key(event_name), "sk": f"PRODUCTION#{name[: MAX_NAME_LENGTH + 1]}"}


class GraphChangedError(Exception):
    """Raised when another production with dependencies was added meanwhile, so that circles must be looked for again."""


def create(production: Production, graph_version: int | None = None, also: Sequence[Write] = ()) -> None:
    """Keep a new production, together with other writes. One transaction (conditions: its event exists, it does not).

    Parameters
    ----------
    graph_version : int, optional
        For a production with dependencies: the version of the event's graph that was checked for circles.

    Raises
    ------
    NotFoundError
        If there is no such event.
    ConflictError
        If the event has one of this name.
    GraphChangedError
        If the graph is no longer of that version.
    InvalidInputError
        If the record is too large.
    """
    packed = pack(production.meta)
    check_free_form_size("meta", packed)
    check_size("meta", production.comment, *production.dependencies, *packed.keys(), *packed.values())
    condition = "attribute_exists(pk)"
    expression = "SET #changed = :moment ADD #names :name"
    names = {"#names": NAMES, **changes.CHANGED}
    values: dict[str, Any] = {":name": {production.name}, ":most": MAX_PRODUCTIONS}
    condition += f" AND (attribute_not_exists(#names) OR size(#names) < :most) AND {changes.IS_LATER}"
    if graph_version is not None:
        expression += ", #graph :one"
        condition += " AND #graph = :seen" if graph_version else " AND attribute_not_exists(#graph)"
        names["#graph"] = GRAPH
        values |= {":one": 1} | ({":seen": graph_version} if graph_version else {})
    record = {
        "event_name": production.event_name,
        "name": production.name,
        "pipeline": production.pipeline,
        "status": production.status,
        "comment": production.comment,
        "dependencies": list(production.dependencies),
        "created": production.created,
        "meta": packed,
    }
    for moment in changes.moments():
        joining = requests.update(
            _table(),
            event_key(production.event_name),
            expression,
            condition,
            names=names,
            values=values | changes.later(moment),
        )
        its_key = key(production.event_name, production.name)
        its_record = record | {"made_at": moment, "changed_at": moment}
        writes = [
            joining,
            requests.put(_table(), its_key, its_record, "attribute_not_exists(pk)"),
            changes.record(moment, "created", production.event_name, production.name, production.status),
            *also,
        ]
        try:
            requests.transact(writes)
        except ConditionFailedError as error:
            _explain_refusal(error, moment)
        else:
            return


def _explain_refusal(error: ConditionFailedError, moment: str) -> None:
    """Raise why a production is not created; do nothing if it may be with a later moment."""
    if error.failed[1]:
        raise ConflictError("already exists") from None
    event = error.item
    if event is None:
        raise NotFoundError("Event not found") from None
    if len(event.get(NAMES, ())) >= MAX_PRODUCTIONS:
        raise InvalidInputError.of("name", f"the event has {MAX_PRODUCTIONS} productions; more are not kept") from None
    if event.get("changed_at", "") < moment:
        raise GraphChangedError from None
    changes.heed(event)


def get(event_name: str, name: str) -> Production | None:
    """Return a production, or None. One GetItem."""
    item = requests.get(_table(), key(event_name, name))
    return from_record(item) if item else None


def get_many(pairs: Sequence[tuple[str, str]]) -> dict[str, list[Production]]:
    """Return productions by event name, each list in creation order. One BatchGetItem per hundred."""
    found: dict[str, list[Production]] = {}
    for item in requests.get_many(_table(), [key(event, name) for event, name in pairs]):
        production = from_record(item)
        found.setdefault(production.event_name, []).append(production)
    for group in found.values():
        group.sort(key=lambda production: (production.created, production.name))
    return found


def change(event_name: str, name: str, values: dict[str, Any], meta: dict[str, Any]) -> Production | None:
    """Set `status`, `comment` and single keys of `meta`, and return the production; None if there is none any more.

    See `freeform.change_record`.

    Raises
    ------
    InvalidInputError
        If the record would grow too large.
    """

    def told(moment: str) -> Write:
        return changes.record(moment, "changed", event_name, name, values.get("status"))

    item = change_record(_table(), key(event_name, name), values, meta, told)
    return from_record(item) if item else None


def graph(event_name: str) -> tuple[dict[str, tuple[str, ...]], int]:
    """Return who depends on whom among the productions of an event, and the version of that graph. One Query per MB.

    Raises
    ------
    NotFoundError
        If there is no such event.
    """
    edges: dict[str, tuple[str, ...]] = {}
    version: int | None = None
    for item in requests.query(
        _table(),
        event_key(event_name)["pk"],
        projection={"#sk": "sk", "#n": "name", "#d": "dependencies", "#g": GRAPH},
    ):
        if item["sk"] == "EVENT":
            version = item.get(GRAPH, 0)
        else:
            edges[item["name"]] = tuple(item["dependencies"])
    if version is None:
        raise NotFoundError("Event not found")
    return edges, version


def delete(event_name: str, name: str) -> None:
    """Delete a production. One transaction with its event.

    Raises
    ------
    NotFoundError
        If the event or the production does not exist; the text says which.
    """
    for moment in changes.moments():
        leaving = requests.update(
            _table(),
            event_key(event_name),
            "SET #changed = :moment DELETE #names :name",
            f"attribute_exists(pk) AND {changes.IS_LATER}",
            names={"#names": NAMES, **changes.CHANGED},
            values={":name": {name}, **changes.later(moment)},
        )
        ending = requests.delete(
            _table(),
            key(event_name, name),
            f"attribute_exists(pk) AND {changes.IS_LATER}",
            names=changes.CHANGED,
            values=changes.later(moment),
        )
        try:
            requests.transact([leaving, ending, changes.record(moment, "deleted", event_name, name)])
        except ConditionFailedError as error:
            for failed, item, what in zip(error.failed, error.items, ("Event", "Production"), strict=False):
                if failed and item is None:
                    raise NotFoundError(f"{what} not found") from None
                changes.heed(item)
        else:
            return


def from_record(item: dict[str, Any]) -> Production:
    """Return the production that an item of the table holds."""
    return Production(
        event_name=item["event_name"],
        name=item["name"],
        pipeline=item["pipeline"],
        created=item["created"],
        status=item["status"],
        comment=item["comment"],
        dependencies=tuple(item["dependencies"]),
        meta=unpack(item["meta"]),
    )


def _table() -> str:
    return get_settings().ledger_table
