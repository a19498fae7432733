"""Where the productions of an event stand in the drawing of who needs whom: columns from left to right, arrows between.

The steps are those of Sugiyama, Tagawa and Toda (1981): columns by longest path, order within a column by barycentres,
heights as near to the neighbours' as the order allows. Names are taken as they come, so that the same records give the same
drawing; what is beyond the limits is left out, and counted.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from chalicelib.handlers.pages.heights import Columns, Lane, Member

BOX_WIDTH = 184
BOX_HEIGHT = 46
COLUMN_GAP = 64
"""Between two columns, in pixels: room for the arrows' curves."""

ROW_HEIGHT = 60
LANE_HEIGHT = 5
"""Of the way of an arrow through a column, in pixels."""

MARGIN = 14
PAGE_COLUMNS = 4
"""Columns that fit a wide page without scrolling."""

MAX_MISSING = 100
"""Names drawn of which there is no production; one event's productions may name very many."""

MAX_ARROWS = 2_000
MAX_LANES = 2_000
"""Further arrows that pass columns go straight, behind the boxes: the time for a drawing grows with the lanes."""

Ends = tuple[str, str]
"""Who is needed, and who needs it."""


@dataclass(frozen=True)
class Box:
    """A production, or a name that one needs and nobody has (`is_missing`): its column, its top left corner in pixels."""

    name: str
    column: int
    x: float
    y: float
    is_missing: bool


@dataclass(frozen=True)
class Arrow:
    """From who is needed to who needs it; `path` is the text of an SVG path, in pixels.

    `is_back` says that it closes a circle, which the API refuses, and a record written by hand may hold.
    """

    source: str
    target: str
    path: str
    is_back: bool


@dataclass(frozen=True)
class Drawing:
    """Boxes and arrows, the size that holds them in pixels, and how many were left out."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    width: int
    height: int
    missing_left_out: int
    arrows_left_out: int


def draw(needs: Mapping[str, Sequence[str]]) -> Drawing:
    """Lay out who needs whom; who is connected with nobody stands below the others.

    Parameters
    ----------
    needs : mapping
        Name of each production -> the names it needs, which may not exist.
    """
    missing = list(dict.fromkeys(name for its in needs.values() for name in its if name not in needs))
    names = dict.fromkeys([*missing[:MAX_MISSING], *needs])
    every = [(each, name) for name, its in needs.items() for each in dict.fromkeys(its)]
    drawn = [ends for ends in every if ends[0] in names]
    connected = {name for ends in drawn for name in ends}
    column_of = depths({name: needs.get(name, ()) for name in names if name in connected})
    # The nearest come first: what is needed through others is needed anyway.
    drawn.sort(key=lambda ends: abs(column_of[ends[1]] - column_of[ends[0]]))
    arrows = drawn[:MAX_ARROWS]
    middle_of, ways = _stack(column_of, arrows)

    boxes = {
        name: Box(name, column, _left(column), middle_of[name] - BOX_HEIGHT / 2, name not in needs)
        for name, column in column_of.items()
    }
    bottom = max(middle_of.values(), default=0.0) + BOX_HEIGHT / 2
    alone = [name for name in needs if name not in connected]
    column_count = max([1, min(PAGE_COLUMNS, len(alone)), *(column + 1 for column in column_of.values())])
    first_row = bottom + ROW_HEIGHT - BOX_HEIGHT if column_of else MARGIN
    for number, name in enumerate(alone):
        row, column = divmod(number, column_count)
        boxes[name] = Box(name, column, _left(column), first_row + row * ROW_HEIGHT, is_missing=False)
        bottom = boxes[name].y + BOX_HEIGHT
    return Drawing(
        tuple(boxes.values()),
        tuple(_arrows(arrows, boxes, ways, middle_of)),
        _left(column_count) - COLUMN_GAP + MARGIN,
        ceil(bottom) + MARGIN,
        max(0, len(missing) - MAX_MISSING),
        len(every) - len(arrows),
    )


def depths(needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return for each name the length of the longest way to it, those first that others need; 0 for who needs none of them.

    Of a circle, the first that is named does not wait for the others.
    """
    waits_for = {name: {each for each in its if each in needs} for name, its in needs.items()}
    needed_by: dict[str, list[str]] = {name: [] for name in needs}
    for name, its in waits_for.items():
        for each in its:
            needed_by[each].append(name)
    left = {name: len(its) for name, its in waits_for.items()}
    free = deque(name for name, count in left.items() if not count)
    others = iter(needs)
    found: dict[str, int] = {}
    while len(found) < len(needs):
        name = free.popleft() if free else next(others)
        if name in found:
            continue
        found[name] = max((found[each] + 1 for each in waits_for[name] if each in found), default=0)
        for each in needed_by[name]:
            left[each] -= 1
            if not left[each]:
                free.append(each)
    return found


def _stack(
    column_of: Mapping[str, int], arrows: Iterable[Ends]
) -> tuple[dict[Member, float], dict[Ends, tuple[Member, list[Lane]]]]:
    """Return the middles of boxes and lanes, in pixels from the top, and the way of each arrow that goes through lanes.

    A lane is the way of all arrows from one box through one column, `(source, column)`. An arrow's way begins where the
    arrows that go less far leave it: at the box or in a lane.
    """
    columns = Columns(max(column_of.values(), default=-1) + 1)
    for name, column in column_of.items():
        columns.add(name, column, ROW_HEIGHT)
    ways: dict[Ends, tuple[Member, list[Lane]]] = {}
    furthest: dict[str, Member] = {}
    lane_count = 0
    for source, target in arrows:
        start = furthest.get(source, source)
        first = (start[1] if isinstance(start, tuple) else column_of[source]) + 1
        lanes = [(source, column) for column in range(first, column_of[target])]
        if column_of[target] <= column_of[source] or lane_count + len(lanes) > MAX_LANES:
            continue
        lane_count += len(lanes)
        for lane in lanes:
            columns.add(lane, lane[1], LANE_HEIGHT)
        steps: list[Member] = [start, *lanes]
        for one, two in pairwise([*steps, target]):
            columns.join(one, two)
        ways[source, target] = start, lanes
        furthest[source] = steps[-1]
    columns.order()
    return {member: round(MARGIN + BOX_HEIGHT / 2 + middle, 1) for member, middle in columns.stack().items()}, ways


def _left(column: int) -> int:
    return MARGIN + column * (BOX_WIDTH + COLUMN_GAP)


def _arrows(
    kept: Iterable[Ends],
    boxes: Mapping[str, Box],
    ways: Mapping[Ends, tuple[Member, Sequence[Lane]]],
    middle_of: Mapping[Member, float],
) -> Iterator[Arrow]:
    for source, target in kept:
        box, other = boxes[source], boxes[target]
        start, lanes = ways.get((source, target), (source, ()))
        x = _left(start[1] if isinstance(start, tuple) else box.column) + BOX_WIDTH
        y = middle_of[start]
        path = f"M{x} {y:.7g}"
        for lane in lanes:
            left = _left(lane[1])
            path += f"{_curve(x, y, left, middle_of[lane])}H{left + BOX_WIDTH}"
            x, y = left + BOX_WIDTH, middle_of[lane]
        is_back = other.column <= box.column
        path += _curve(x, y, other.x, middle_of[target], BOX_HEIGHT if is_back else 0)
        yield Arrow(source, target, path, is_back)


def _curve(x: float, y: float, end_x: float, end_y: float, bend: float = 0) -> str:
    """Return a curve that begins and ends level; one with a bend goes out, around below, and comes in."""
    out, into = (x + bend, end_x - bend) if bend else ((x + end_x) / 2,) * 2
    return f"C{out:.7g} {y + bend:.7g} {into:.7g} {end_y + bend:.7g} {end_x:.7g} {end_y:.7g}"
