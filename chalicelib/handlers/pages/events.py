"""The pages of events and their productions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any
from unicodedata import category, east_asian_width
from urllib.parse import quote

from chalicelib import clock
from chalicelib.handlers.operations import HTML, operation
from chalicelib.handlers.pages import rendering
from chalicelib.handlers.pages.rendering import OLDER, PAGE, ROWS, links, part_of, render, router
from chalicelib.handlers.replies import Reply
from chalicelib.handlers.request import Request
from chalicelib.models.productions import Production
from chalicelib.services.change_stream import Position
from chalicelib.states import KINDS, kind_of
from chalicelib.storage import events, productions
from chalicelib.storage.changes import SETTLED_S

COUNTED = 1_000
"""Productions whose states a page of events counts: each hundred is a request."""

SHOWN_NEEDS = 20
"""Names in the line that tells what a production needs; the JSON has all."""

ANCHOR_CHARACTERS = 60
TITLE_CHARACTERS = 200
NAME_WIDTH = 11.0
"""What a box has for a name, in widths of its font."""


@operation({200: HTML}, parameters=(OLDER,), refuses=(503,))
def show_events(request: Request) -> Reply:
    """Show the events, newest first, in pages, with the states of their productions."""
    position = _position()
    found, event_count, page = events.read_newest(ROWS, request.query.get("next"))
    pairs: list[tuple[str, str]] = []
    is_counted = []
    for event in found:
        is_counted.append(len(pairs) + len(event.production_names) <= COUNTED)
        if is_counted[-1]:
            pairs += ((event.name, name) for name in event.production_names)
    of_event = productions.get_many(pairs)
    return render(
        request,
        "events.html",
        scripts=("refresh.js", "events.js") if found else (),
        events=[(event, _tally(of_event.get(event.name, ()))) for event in found],
        is_whole=all(is_counted),
        event_count=event_count,
        position=position,
        **links(page),
    )


@operation({200: HTML}, parameters=(PAGE,))
def show_event(request: Request) -> Reply:
    """Show an event with its productions: who needs whom as a drawing, and one by one, in pages."""
    from chalicelib.handlers.pages import graph  # loaded for those who look at an event

    position = _position()
    event, its = events.get(request.params["event_name"])
    needs = {production.name: production.dependencies for production in its}
    depth_of = graph.depths(needs)
    ordered = sorted(its, key=lambda production: depth_of[production.name])
    shown, numbers = part_of(request, ordered)
    anchors = {production.name: _anchor(production.name) for production in ordered}
    addresses = _addresses(anchors, numbers["page"])
    return render(
        request,
        "event.html",
        scripts=("refresh.js", "events.js"),
        event=event,
        position=position,
        productions=shown,
        count=len(its),
        anchors=anchors,
        addresses=addresses,
        shown_needs=SHOWN_NEEDS,
        **_drawing(its, needs, addresses),
        **numbers,
    )


def _position() -> Position:
    """Return from where on to follow the ledger's stream: what came before is part of what is read now."""
    return Position(clock.to_text(clock.now() - timedelta(seconds=SETTLED_S)))


def _anchor(name: str) -> str:
    """Return the id of a production's entry; that of a long name is short, as very many links may lead to it."""
    quoted = quote(name, safe="")
    return f"production-{quoted if len(quoted) <= ANCHOR_CHARACTERS else sha256(name.encode()).hexdigest()[:16]}"


def _addresses(anchors: Mapping[str, str], page: int) -> dict[str, str]:
    """Return where each production is told of: on this page, or on another one."""
    found = {}
    for number, (name, anchor) in enumerate(anchors.items()):
        its_page = number // rendering.FILES + 1
        found[name] = ("" if its_page == page else f"?page={its_page}") + f"#{anchor}"
    return found


def _drawing(
    its: Sequence[Production], needs: Mapping[str, Sequence[str]], addresses: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the template draws."""
    from chalicelib.handlers.pages import graph

    drawing = graph.draw(needs)
    of_name = {production.name: production for production in its}
    boxes = []
    for box in sorted(drawing.boxes, key=lambda box: (box.column, box.y)):
        production = of_name.get(box.name)
        boxes.append(
            {
                "x": f"{box.x:.7g}",
                "y": f"{box.y:.7g}",
                "name": box.name,
                "label": fit(box.name, NAME_WIDTH),
                "production": production,
                "kind": kind_of(production.status) if production else "missing",
                "title": _title(production) if production else f"{box.name}: there is no such production yet",
                "address": addresses.get(box.name),
            }
        )
    present = {box["kind"] for box in boxes}
    return {
        "drawing": drawing,
        "boxes": boxes,
        "box_width": graph.BOX_WIDTH,
        "box_height": graph.BOX_HEIGHT,
        "kinds": [kind for kind in (*KINDS, "missing") if kind in present],
    }


def _title(production: Production) -> str:
    text = f"{production.name}: {production.status}, {production.pipeline}"
    if production.dependencies:
        text += f", needs {', '.join(production.dependencies[:SHOWN_NEEDS])}"
    return text if len(text) <= TITLE_CHARACTERS else text[: TITLE_CHARACTERS - 1] + "…"


def fit(text: str, width: float) -> str:
    """Return as much of a text as fits in about `width` times the size of its font, with `…` for the rest."""
    taken = 0.0
    for number, character in enumerate(text):
        taken += _width(character)
        if taken > width:
            return text[: max(0, number - 1)] + "…"
    return text


def _width(character: str) -> float:
    """Return about how wide a character of a sans serif font is, in sizes of the font."""
    if category(character) in ("Mn", "Me", "Cf"):
        return 0.0
    if east_asian_width(character) in "WF":
        return 1.05
    if character in "mwMW@":
        return 0.95
    return 0.72 if character.isupper() else 0.6


def _tally(its: Sequence[Production]) -> dict[str, Any]:
    """Return how many have each status, and how many are of each kind, those together that are of one kind."""
    statuses = Counter(production.status for production in its)
    kinds = Counter(kind_of(production.status) for production in its)
    known = [status for kind in KINDS.values() for status in kind]
    return {
        "statuses": [(status, statuses[status]) for status in dict.fromkeys([*known, *statuses]) if statuses[status]],
        "kinds": [(kind, kinds[kind]) for kind in KINDS if kinds[kind]],
    }


router.add("/events", GET=show_events)
router.add("/events/{event_name}", GET=show_event)
