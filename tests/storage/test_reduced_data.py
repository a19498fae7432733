"""Reduced data: blocks, cards and the count; times."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.errors import ClaimLostError, NotFoundError
from chalicelib.models.processes import Process
from chalicelib.models.reduced_data import Point, ReducedRun, Text, moment_of
from chalicelib.storage import process_moves, processes, reduced_data, requests
from tests.conftest import Aws
from tests.storage import records

T0 = records.UNIX
ENDED = "2026-01-10T03:09:05.678901Z"


@pytest.fixture
def process(aws: Aws) -> Process:
    made = records.process(records.target().id)
    return process_moves.claim(made.id, "worker", T0)


def run_of(process: Process, point_count: int, text_count: int = 0) -> ReducedRun:
    first = reduced_data.next_ids(point_count + text_count)[0]
    return ReducedRun(
        process.target_id, process.id, process.identifier, ENDED, process.attempt, first, point_count, text_count
    )


def points(count: int) -> list[Point]:
    return [Point(58_000.0 + number, 14.0, 0.1, number or None, {"n": number}) for number in range(count)]


def end(process: Process, run: ReducedRun) -> Process:
    process_moves.succeed(process, "worker", ENDED, None, reduced_data.cards(run))
    return processes.get(process.id)


def blocks(aws: Aws) -> list[str]:
    return sorted(item["sk"]["S"] for item in aws.items() if item["pk"]["S"].endswith("#DATA"))


@pytest.mark.parametrize(
    ("mjd", "text"),
    [
        (58_000.25, "2017-09-04T06:00:00+00:00"),
        (0.0, "1858-11-17T00:00:00+00:00"),
        (-0.5, "1858-11-16T12:00:00+00:00"),
        (40_587.0, "1970-01-01T00:00:00+00:00"),
        (58_107.209_600_694_44, "2017-12-20T05:01:49.500000+00:00"),
        (60_310.999_999_999_99, "2024-01-01T23:59:59.999999+00:00"),
    ],
)
def test_an_mjd_is_told_to_the_microsecond(mjd: float, text: str) -> None:
    assert moment_of(mjd).isoformat() == text


def test_points_and_texts_come_back_as_they_were(process: Process) -> None:
    run = run_of(process, 3, 1)
    exact = [Point(58_000.123456789012, 1e-300, 0.1 + 0.2, None, {"x": None, "é": "ü"}), *points(2)]
    text = Text("sc_1_a.csv", "periods", "1,2\r\n\u2028é")
    reduced_data.keep(run, exact, [text], process_moves.holds_claim(process.id, "worker"))
    end(process, run)
    shown, count, _ = reduced_data.read_page(process.target_id, 10, None)
    assert shown == [run.public(number, datum) for number, datum in enumerate([*exact, text])]
    assert count == 4
    ((found, kept),) = reduced_data.read_newest(process.target_id, 3)
    assert (found, list(kept)) == (run, exact)
    assert list(reduced_data.read_newest(process.target_id, 2)) == []


def test_nothing_is_seen_of_points_without_their_card(process: Process) -> None:
    run = run_of(process, 3)
    reduced_data.keep(run, points(3), [], process_moves.holds_claim(process.id, "worker"))
    assert reduced_data.read_page(process.target_id, 10, None)[:2] == ([], 0)
    assert reduced_data.summarise(process.target_id) == reduced_data.Summary(0, None)


@pytest.mark.parametrize("token", ["another", "worker"])
def test_only_the_worker_that_holds_the_process_keeps_points(aws: Aws, process: Process, token: str) -> None:
    if token == "worker":
        process_moves.fail(process, ENDED, "cancelled")
    with pytest.raises(ClaimLostError):
        reduced_data.keep(run_of(process, 3), points(3), [], process_moves.holds_claim(process.id, token))
    assert blocks(aws) == []


def test_discarding_takes_attempts_up_to_the_one_named(aws: Aws, process: Process) -> None:
    claim = process_moves.holds_claim(process.id, "worker")
    for attempt in (1, 2, 3):
        reduced_data.keep(replace(run_of(process, 1), attempt=attempt), points(1), [], claim)
    for attempt, left in ((0, ["1", "2", "3"]), (1, ["2", "3"]), (1, ["2", "3"]), (3, [])):
        reduced_data.discard(process.id, attempt)
        assert [key[5] for key in blocks(aws)] == left


def test_deleting_twice_is_counted_once(aws: Aws, process: Process) -> None:
    run = run_of(process, 250, 2)
    texts = [Text(f"{number}", "", "x") for number in range(2)]
    reduced_data.keep(run, points(250), texts, process_moves.holds_claim(process.id, "worker"))
    ended = end(process, run)
    assert len(blocks(aws)) == 5
    other = process_moves.claim(records.process(process.target_id).id, "worker", T0)
    mine = run_of(other, 1)
    reduced_data.keep(mine, points(1), [], process_moves.holds_claim(other.id, "worker"))
    end(other, mine)
    for _ in range(2):
        reduced_data.delete(ended)
        assert reduced_data.summarise(process.target_id).point_count == 1
    assert blocks(aws) == ["000001#000000"]


def test_a_deletion_that_meets_another_one_changes_no_count(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(process, 2)
    reduced_data.keep(run, points(2), [], process_moves.holds_claim(process.id, "worker"))
    ended = end(process, run)
    read = requests.get

    def overtaken(*arguments: Any) -> Any:
        item = read(*arguments)
        monkeypatch.setattr(requests, "get", read)
        reduced_data.delete(ended)
        return item

    monkeypatch.setattr(requests, "get", overtaken)
    reduced_data.delete(ended)
    assert reduced_data.read_page(process.target_id, 10, None)[:2] == ([], 0)


def test_an_unknown_target_has_no_summary(aws: Aws) -> None:
    with pytest.raises(NotFoundError):
        reduced_data.summarise(99)


def test_the_largest_block_fits_into_an_item_and_the_blocks_of_a_transaction_into_four_megabytes(
    aws: Aws, process: Process
) -> None:
    further = {"x": "é" * 160}  # six bytes each as JSON
    run = run_of(process, reduced_data.BLOCK)
    largest = [Point(58_000.123456789 + each, -1.234567890123456e-100, 1e-100, 10**15, further) for each in range(100)]
    reduced_data.keep(run, largest, [], process_moves.holds_claim(process.id, "worker"))
    (item,) = (each for each in aws.items() if each["pk"]["S"].endswith("#DATA"))
    assert len(str(item)) < 200_000
    assert reduced_data._BLOCKS_TOGETHER * (reduced_data.BLOCK * (reduced_data.MAX_DATUM_BYTES + 200)) < 4_000_000
