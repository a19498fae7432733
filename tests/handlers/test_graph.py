"""The drawing of who needs whom: where boxes stand, and what the arrows join. No AWS."""

import random
import re
from functools import cache
from itertools import pairwise

import pytest

from chalicelib.handlers.pages import graph
from chalicelib.handlers.pages.graph import BOX_HEIGHT, BOX_WIDTH, Drawing, draw
from chalicelib.handlers.pages.heights import Columns

Needs = dict[str, list[str]]
MOST = 500


def chain() -> Needs:
    return {f"P{n}": [f"P{n - 1}"] if n else [] for n in range(MOST)}


def chain_on_a_hub() -> Needs:
    return {f"P{n}": [f"P{n - 1}", "P0"] if n > 1 else ["P0"][:n] for n in range(MOST)}


def star() -> Needs:
    return {f"P{n}": ["P0"] if n else [] for n in range(MOST)}


def sink() -> Needs:
    return {f"P{n}": [] if n else [f"P{other}" for other in range(1, MOST)] for n in range(MOST)}


def alone() -> Needs:
    return {f"P{n}": [] for n in range(MOST)}


def at_random(count: int = MOST) -> Needs:
    chance = random.Random(1)
    return {f"P{n}": [f"P{chance.randrange(n)}" for _ in range(chance.randrange(4))] if n else [] for n in range(count)}


def everything() -> Needs:
    """Each needs all before it: twelve, as five hundred of them take long."""
    return {f"P{n}": [f"P{other}" for other in range(n)] for n in range(12)}


SHAPES = (chain, chain_on_a_hub, star, sink, alone, at_random, everything)
draw_once = cache(lambda shape: draw(shape()))


@pytest.fixture(params=SHAPES, ids=lambda shape: shape.__name__)
def shape(request: pytest.FixtureRequest) -> tuple[Needs, Drawing]:
    """Who needs whom, and its drawing, which is made once."""
    return request.param(), draw_once(request.param)


def corners(drawing: Drawing) -> list[tuple[float, float]]:
    return [(box.x, box.y) for box in drawing.boxes]


def test_every_production_has_a_box_and_every_need_an_arrow_to_a_later_column(shape: tuple[Needs, Drawing]) -> None:
    needs, drawing = shape
    column_of = {box.name: box.column for box in drawing.boxes}
    assert list(column_of.keys() ^ needs.keys()) == []
    assert len(drawing.boxes) == len(needs)
    wanted = {(each, name) for name, its in needs.items() for each in its}
    assert {(arrow.source, arrow.target) for arrow in drawing.arrows} == wanted
    assert drawing.arrows_left_out == drawing.missing_left_out == 0
    assert not [arrow for arrow in drawing.arrows if arrow.is_back]
    assert not [arrow for arrow in drawing.arrows if column_of[arrow.source] >= column_of[arrow.target]]


def test_no_two_boxes_touch_and_all_stand_within_the_drawing(shape: tuple[Needs, Drawing]) -> None:
    drawing = shape[1]
    columns: dict[float, list[float]] = {}
    for x, y in corners(drawing):
        columns.setdefault(x, []).append(y)
    assert not [pair for pair in pairwise(sorted(columns)) if pair[1] - pair[0] <= BOX_WIDTH]
    assert not [
        pair for heights in columns.values() for pair in pairwise(sorted(heights)) if pair[1] - pair[0] <= BOX_HEIGHT
    ]
    assert min(columns) >= 0
    assert max(columns) + BOX_WIDTH <= drawing.width
    assert min(y for _, y in corners(drawing)) >= 0
    assert max(y for _, y in corners(drawing)) + BOX_HEIGHT <= drawing.height


def test_the_height_is_that_of_the_fullest_column(shape: tuple[Needs, Drawing]) -> None:
    drawing = shape[1]
    fullest = max(
        sum(box.column == column for box in drawing.boxes) for column in {box.column for box in drawing.boxes}
    )
    lanes = len({arrow.source for arrow in drawing.arrows})
    assert drawing.height <= (fullest + 1) * graph.ROW_HEIGHT + lanes * graph.LANE_HEIGHT + 2 * graph.MARGIN


def test_arrows_begin_at_a_box_or_where_another_of_the_same_box_went_on_and_end_at_their_target() -> None:
    needs = {"A": [], "B": ["A"], "C": ["B", "A"], "D": ["C", "A"]}
    drawing = draw(needs)
    at = {box.name: box for box in drawing.boxes}
    for arrow in drawing.arrows:
        numbers = [float(text) for text in re.findall(r"[\d.]+", arrow.path)]
        source, target = at[arrow.source], at[arrow.target]
        assert numbers[-2:] == pytest.approx([target.x, target.y + BOX_HEIGHT / 2], abs=0.1)
        if (arrow.source, arrow.target) != ("A", "D"):
            assert numbers[:2] == pytest.approx([source.x + BOX_WIDTH, source.y + BOX_HEIGHT / 2], abs=0.1)
    beyond = next(arrow.path for arrow in drawing.arrows if (arrow.source, arrow.target) == ("A", "D"))
    assert float(beyond[1:].split()[0]) == at["B"].x + BOX_WIDTH


def test_the_same_records_give_the_same_drawing() -> None:
    assert draw(at_random(60)) == draw(at_random(60))


def test_what_needs_nothing_comes_first_and_a_chain_is_a_line() -> None:
    drawing = draw({"Prod2": ["Prod1"], "Prod1": ["Prod0"], "Prod0": []})
    boxes = sorted(drawing.boxes, key=lambda box: box.column)
    assert [box.name for box in boxes] == ["Prod0", "Prod1", "Prod2"]
    assert len({box.y for box in boxes}) == 1
    assert [box.column for box in boxes] == [0, 1, 2]


def test_who_is_alone_stands_below_the_others() -> None:
    drawing = draw({"alone": [], "A": [], "B": ["A"]})
    at = {box.name: box for box in drawing.boxes}
    assert at["alone"].y > max(at["A"].y, at["B"].y) + BOX_HEIGHT


def test_a_name_that_does_not_exist_has_a_box_of_its_own_once() -> None:
    drawing = draw({"A": ["later"], "B": ["later", "A"]})
    assert [(box.name, box.is_missing) for box in drawing.boxes if box.is_missing] == [("later", True)]
    assert {(arrow.source, arrow.target) for arrow in drawing.arrows} == {("later", "A"), ("later", "B"), ("A", "B")}


def test_a_circle_that_somebody_wrote_by_hand_is_drawn() -> None:
    drawing = draw({"A": ["C"], "B": ["A"], "C": ["B"], "self": ["self"], "D": ["C"]})
    assert len({(box.x, box.y) for box in drawing.boxes}) == 5
    assert len(drawing.arrows) == 5
    back = {(arrow.source, arrow.target) for arrow in drawing.arrows if arrow.is_back}
    assert back == {("C", "A"), ("self", "self")}


def test_depths_of_a_circle_have_an_end() -> None:
    assert graph.depths({"A": ["B"], "B": ["A"]}) == {"A": 0, "B": 1}


def test_too_many_arrows_are_left_out_and_counted_the_longest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MAX_ARROWS", 11)
    drawing = draw(everything())
    assert {(arrow.source, arrow.target) for arrow in drawing.arrows} == {(f"P{n}", f"P{n + 1}") for n in range(11)}
    assert drawing.arrows_left_out == 12 * 11 // 2 - 11


def test_too_many_names_that_do_not_exist_are_left_out_and_counted() -> None:
    drawing = draw({f"P{n}": [f"M{n}-{other}" for other in range(10)] for n in range(20)})
    assert sum(box.is_missing for box in drawing.boxes) == graph.MAX_MISSING
    assert drawing.missing_left_out == drawing.arrows_left_out == 200 - graph.MAX_MISSING


def test_arrows_beyond_the_limit_of_lanes_go_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MAX_LANES", 0)
    drawing = draw(everything())
    assert len(drawing.arrows) == 12 * 11 // 2
    assert not [arrow for arrow in drawing.arrows if arrow.path.count("C") > 1]


def test_lines_that_need_not_cross_do_not() -> None:
    drawing = draw({"A": [], "B": [], "C": [], "of C": ["C"], "of B": ["B"], "of A": ["A"]})
    y = {box.name: box.y for box in drawing.boxes}
    assert sorted("ABC", key=lambda name: y[name]) == sorted("ABC", key=lambda name: y[f"of {name}"])


def test_crossings_are_counted() -> None:
    columns = Columns(2)
    for name, column in (("A", 0), ("B", 0), ("C", 1), ("D", 1)):
        columns.add(name, column, 10)
    columns.join("A", "D")
    columns.join("B", "C")
    assert columns.crossings() == 1
    columns.join("B", "D")
    assert columns.crossings() == 1
    columns.order()
    assert columns.crossings() == 0


def test_no_productions_are_an_empty_drawing() -> None:
    drawing = draw({})
    assert (drawing.boxes, drawing.arrows) == ((), ())
