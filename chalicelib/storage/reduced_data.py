"""Reduced data: blocks of points under `pk=PROCESS#<id>#DATA`; a card for each run in the partition of its target.

A run has up to thousands of points, which nobody changes or asks for one by one: they lie together in blocks, so that
keeping and reading them takes few requests. Nobody sees a block before its card is there, which is written in the
transaction that ends the process.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from chalicelib.errors import ClaimLostError, NotFoundError
from chalicelib.models.data_products import PLOT_CARDS
from chalicelib.models.processes import Process
from chalicelib.models.reduced_data import Point, PublicDatum, ReducedRun, Text
from chalicelib.settings import get_settings
from chalicelib.storage import counters, lists, requests, targets
from chalicelib.storage.requests import ConditionFailedError, Key, Write

BLOCK = 100
"""Points of a block; a text is a block of its own."""

MAX_DATUM_BYTES = 1_000
"""Of the further values of a point, as JSON: a block stays far below the 400 KB of an item."""

MAX_TEXT_BYTES = 100_000
"""Of a text, as JSON."""

TEXTS_OF_A_PAGE = 30
"""Texts that are answered at once; a Lambda function answers at most 6 MB."""

_BLOCKS_TOGETHER = 10
"""Blocks written or deleted in one transaction, which may touch 4 MB."""

_BLOCKS_READ_TOGETHER = 50
_CARDS = "DATA#"
_ORDER = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z#\d{15}")


@dataclass(frozen=True)
class Summary:
    """What a target has: how many points, and the address of its newest plot."""

    point_count: int
    plot_url: str | None


def next_ids(count: int) -> range:
    """Return the ids of the next `count` reduced datums."""
    return counters.next_ids("REDUCEDDATUM", count)


def keep(run: ReducedRun, points: Sequence[Point], texts: Sequence[Text], claim: Write) -> None:
    """Keep the reduced data of a run, unseen until its card is there. One transaction for every 1,000 points.

    Parameters
    ----------
    points : sequence of Point
        In the order of time.
    claim : Write
        The condition that the worker still holds the process.

    Raises
    ------
    ClaimLostError
        If it does not.
    """
    blocks = [[_packed(point) for point in points[first : first + BLOCK]] for first in range(0, len(points), BLOCK)]
    blocks += [[[text.source_name, text.data_type, text.text]] for text in texts]
    puts = [
        requests.put(_table(), _block_key(run, number), {"data": json.dumps(block, separators=(",", ":"))})
        for number, block in enumerate(blocks)
    ]
    for first in range(0, len(puts), _BLOCKS_TOGETHER):
        try:
            requests.transact([claim, *puts[first : first + _BLOCKS_TOGETHER]])
        except ConditionFailedError:
            raise ClaimLostError("the claim on the process no longer stands") from None


def cards(run: ReducedRun) -> list[Write]:
    """Describe what makes the reduced data of a run visible, for the transaction that ends it."""
    card = {
        "target_id": run.target_id,
        "process_id": run.process_id,
        "identifier": run.identifier,
        "ended": run.ended,
        "attempt": run.attempt,
        "first_id": run.first_id,
        "point_count": run.point_count,
        "text_count": run.text_count,
    }
    key = _card_key(run.target_id, run.ended, run.process_id)
    return [requests.put(_table(), key, card), _count(run, 1, condition="")]


def discard(process_id: int, last_attempt: int) -> None:
    """Delete what attempts up to this one have kept. One Query, and one transaction for every ten blocks found."""
    found = requests.query(
        _table(),
        _blocks(process_id),
        between=("0", f"{last_attempt:06d}#~"),
        projection={"#pk": "pk", "#sk": "sk"},
    )
    deletions = [requests.delete(_table(), {"pk": item["pk"], "sk": item["sk"]}) for item in found]
    for first in range(0, len(deletions), _BLOCKS_TOGETHER):
        requests.transact(deletions[first : first + _BLOCKS_TOGETHER])


def delete(process: Process) -> None:
    """Delete the reduced data of a process that has ended: first they vanish, then their blocks go.

    One GetItem, one transaction where it has any, and what `discard` takes.
    """
    key = _card_key(process.target_id, process.terminal_timestamp or "", process.id)
    card = requests.get(_table(), key)
    if card is not None:
        writes = [
            requests.delete(_table(), key, "attribute_exists(pk)"),
            _count(_run(card), -1, "attribute_exists(pk)"),
        ]
        with suppress(ConditionFailedError):  # another deletion of the target was faster
            requests.transact(writes)
    discard(process.id, process.attempt)


def drop_count(target_id: int) -> None:
    """Delete what is kept of the number of a target's reduced data. One DeleteItem."""
    requests.run(requests.delete(_table(), _count_key(target_id)))


def summarise(target_id: int) -> Summary:
    """Return how many points a target has, and its newest plot. One BatchGetItem and one Query.

    Raises
    ------
    NotFoundError
        If there is no such target.
    """
    found = {item["sk"]: item for item in requests.get_many(_table(), [targets.key(target_id), _count_key(target_id)])}
    if "TARGET" not in found:
        raise NotFoundError("Not found.")
    plots = requests.query(
        _table(), _partition(target_id), between=(PLOT_CARDS, f"{PLOT_CARDS}~"), is_forward=False, limit=1
    )
    url = next((plot["url"] for plot in plots), None)
    return Summary(found.get(_count_key(target_id)["sk"], {}).get("point_count", 0), url)


@dataclass(frozen=True)
class _Span:
    """Members `start` to `stop` of a run."""

    run: ReducedRun
    start: int
    stop: int

    def places(self) -> list[tuple[int, int, int]]:
        """Return number, block and place in the block of each member."""
        run = self.run
        texts_from = _block_count(run)
        return [
            (each, each // BLOCK, each % BLOCK)
            if each < run.point_count
            else (each, texts_from + each - run.point_count, 0)
            for each in range(self.start, self.stop)
        ]


def read_page(target_id: int, limit: int, cursor: str | None) -> tuple[list[PublicDatum], int, lists.Page]:
    """Return reduced data of a target as the API shows them, how many there are, and the page with its cursors.

    Runs come in the order of their ends, the points of each in the order of time, then its texts. One Query for the cards
    that the page needs, one BatchGetItem for each hundred of their blocks.

    Raises
    ------
    InvalidInputError
        If the cursor is none of this list; names the parameter `next`.
    """
    order, number, is_forward = _decode(cursor) if cursor else ("", -1, True)
    spans, has_more = _plan(target_id, order, number, is_forward, limit)
    keys = {_block_name(key): key for span in spans for key in _block_keys(span)}
    blocks: dict[str, list[Any]] = {}
    total = 0
    for item in requests.get_many(_table(), [_count_key(target_id), *keys.values()]):
        if item["pk"] == _partition(target_id):
            total = item["count"]
        else:
            blocks[_block_name(item)] = json.loads(item["data"])
    if not is_forward:
        spans.reverse()
    shown = [
        span.run.public(each, _unpacked(span.run, each, blocks[name][place]))
        for span in spans
        for each, block, place in span.places()
        if (name := _block_name(_block_key(span.run, block))) in blocks  # else its process was deleted a moment ago
    ]
    onward = has_more or not is_forward
    backward = cursor is not None and (is_forward or has_more)
    following = spans and onward and _encode(spans[-1].run, spans[-1].stop - 1, is_forward=True)
    preceding = spans and backward and _encode(spans[0].run, spans[0].start, is_forward=False)
    return shown, total, lists.Page([], following or None, preceding or None)


def read_newest(
    target_id: int, max_points: int, process_id: int | None = None
) -> Iterator[tuple[ReducedRun, Iterator[Point]]]:
    """Yield the newest runs of a target that measured magnitudes, with their points, as long as these are no more in all.

    With `process_id` only that of this process. One Query of the target's partition per MB, one BatchGetItem for each fifty
    blocks.
    """
    left = max_points
    for card in requests.query(_table(), _partition(target_id), between=(_CARDS, f"{_CARDS}~"), is_forward=False):
        run = _run(card)
        if process_id not in (None, run.process_id):
            continue
        left -= run.point_count
        if left < 0:
            return
        if run.point_count:
            yield run, _points(run)


def _points(run: ReducedRun) -> Iterator[Point]:
    keys = [_block_key(run, number) for number in range(_block_count(run))]
    for first in range(0, len(keys), _BLOCKS_READ_TOGETHER):
        items = requests.get_many(_table(), keys[first : first + _BLOCKS_READ_TOGETHER])
        for item in sorted(items, key=lambda each: each["sk"]):
            yield from (_point(packed) for packed in json.loads(item["data"]))


def _plan(target_id: int, order: str, number: int, is_forward: bool, limit: int) -> tuple[list[_Span], bool]:
    """Return which members of which runs make a page, nearest to the cursor first, and whether there are more behind."""
    low, high = (_CARDS + order, f"{_CARDS}~") if is_forward else (_CARDS, _CARDS + order)
    spans: list[_Span] = []
    texts_left = TEXTS_OF_A_PAGE
    # each run has a member at least; one card more may be the cursor's, another one tells whether there is more
    cards_found = requests.query(
        _table(), _partition(target_id), between=(low, high), is_forward=is_forward, limit=limit + 2
    )
    for run in map(_run, cards_found):
        start, stop = 0, run.count
        if order == _order(run):
            start, stop = (number + 1, run.count) if is_forward else (0, min(number, run.count))
        if start >= stop:
            continue
        if limit == 0 or texts_left == 0:
            return spans, True
        taken = (range(start, stop) if is_forward else range(stop - 1, start - 1, -1))[:limit]
        texts = [place for place, each in enumerate(taken) if each >= run.point_count]
        if len(texts) > texts_left:
            taken = taken[: texts[texts_left]]
        spans.append(_Span(run, min(taken), max(taken) + 1))
        limit -= len(taken)
        texts_left -= min(len(texts), texts_left)
        if len(taken) < stop - start:
            return spans, True
    return spans, False


def _packed(point: Point) -> list[Any]:
    return [point.mjd, point.magnitude, point.error, point.product_id, *([point.further] if point.further else [])]


def _point(packed: Sequence[Any]) -> Point:
    return Point(*packed)


def _unpacked(run: ReducedRun, number: int, packed: Sequence[Any]) -> Point | Text:
    return _point(packed) if number < run.point_count else Text(*packed)


def _block_count(run: ReducedRun) -> int:
    """Return how many blocks the points of a run take."""
    return -(-run.point_count // BLOCK)


def _order(run: ReducedRun) -> str:
    return f"{run.ended}#{run.process_id:015d}"


def _run(card: dict[str, Any]) -> ReducedRun:
    return ReducedRun(**{name: card[name] for name in ReducedRun.__dataclass_fields__})


def _count(run: ReducedRun, sign: int, condition: str) -> Write:
    return requests.update(
        _table(),
        _count_key(run.target_id),
        "ADD #count :count, #points :points",
        condition,
        names={"#count": "count", "#points": "point_count"},
        values={":count": sign * run.count, ":points": sign * run.point_count},
    )


def _partition(target_id: int) -> str:
    return f"TARGET#{target_id}"


def _count_key(target_id: int) -> Key:
    return {"pk": _partition(target_id), "sk": "DATA"}


def _card_key(target_id: int, ended: str, process_id: int) -> Key:
    return {"pk": _partition(target_id), "sk": f"{_CARDS}{ended}#{process_id:015d}"}


def _blocks(process_id: int) -> str:
    return f"PROCESS#{process_id}#DATA"


def _block_key(run: ReducedRun, number: int) -> Key:
    return {"pk": _blocks(run.process_id), "sk": f"{run.attempt:06d}#{number:06d}"}


def _block_keys(span: _Span) -> list[Key]:
    return [_block_key(span.run, block) for block in dict.fromkeys(block for _, block, _ in span.places())]


def _block_name(item: dict[str, Any]) -> str:
    return f"{item['pk']} {item['sk']}"


def _encode(run: ReducedRun, number: int, *, is_forward: bool) -> str:
    return lists.encode_cursor(number, _order(run), is_forward=is_forward)


def _decode(cursor: str) -> tuple[str, int, bool]:
    number, order, is_forward = lists.decode_cursor("REDUCEDDATA", cursor)
    if not _ORDER.fullmatch(order):
        raise lists.bad_cursor("REDUCEDDATA")
    return order, number, is_forward


def _table() -> str:
    return get_settings().telescope_table
