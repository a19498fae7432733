"""Productions and their dependencies: those of one event, possibly named before they exist, never in a circle."""

from collections.abc import Mapping, Sequence

from chalicelib.errors import InvalidInputError, NotFoundError, UnavailableError
from chalicelib.models.productions import Production, ProductionChange
from chalicelib.storage import events, productions
from chalicelib.storage.productions import GraphChangedError
from chalicelib.storage.requests import Write

GRAPH_TRIES = 30
"""Attempts at a creation with dependencies; of those that are made at once, each attempt lets at least one through."""


def create_production(production: Production, also: Sequence[Write] = ()) -> None:
    """Keep a new production, together with other writes. One request; with dependencies one more, which reads the graph.

    Raises
    ------
    InvalidInputError
        If its dependencies close a circle.
    NotFoundError, ConflictError
        If its event does not exist; if the event has a production of this name.
    """
    if not production.dependencies:
        productions.create(production, also=also)  # nothing leads out of it: it closes no circle
        return
    for _ in range(GRAPH_TRIES):
        edges, version = productions.graph(production.event_name)
        circle = find_circle(production.name, production.dependencies, edges)
        if circle:
            raise InvalidInputError.of("dependencies", f"close a circle: {' -> '.join(circle)}", "value_error.circle")
        try:
            productions.create(production, version, also)
        except GraphChangedError:
            continue
        return
    raise UnavailableError("Too many productions of this event are created at once; try again.")


def get_production(event_name: str, name: str) -> Production:
    """Return a production.

    Raises
    ------
    NotFoundError
        If the event or the production does not exist; the text says which.
    """
    return productions.get(event_name, name) or _explain_missing(event_name)


def change_production(event_name: str, name: str, change: ProductionChange) -> Production:
    """Set what is given, and return the production; a comment of null or "" is cleared.

    Raises
    ------
    NotFoundError
        If the event or the production does not exist; the text says which.
    """
    given = change.model_fields_set
    values: dict[str, object] = {}
    if "status" in given:
        values["status"] = change.status
    if "comment" in given:
        values["comment"] = change.comment or ""
    return productions.change(event_name, name, values, change.meta) or _explain_missing(event_name)


def find_circle(name: str, dependencies: Sequence[str], edges: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the circle that a new production would close, from `name` back to `name`; empty if it closes none."""
    waiting = [[name, dependency] for dependency in dependencies]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        last = path[-1]
        if last == name:
            return path
        if last not in seen:
            seen.add(last)
            waiting.extend([*path, further] for further in edges.get(last, ()))
    return []


def _explain_missing(event_name: str) -> Production:
    raise NotFoundError("Production not found" if events.exists(event_name) else "Event not found")
