"""The load benchmark sees what is lost and what is doubled."""

from typing import Any

import pytest

from benchmarks.load_jobs import FRAMES, faults_of
from benchmarks.load_tally import Told, compare, percentile

STORY = "Sorting frames\n" + "".join(f"Processing frame {n}/{FRAMES}\n" for n in range(1, FRAMES + 1)) + "Finished\n"


def test_what_was_told_and_is_not_there_is_lost() -> None:
    found = compare(["1 a", "2 b", "3 c"], ["1 a", "3 other"])
    assert (found.told, found.lost, found.doubled) == (3, ("2 b", "3 c"), ("3 other",))


def test_what_is_there_twice_or_was_told_twice_or_to_nobody_is_doubled() -> None:
    assert compare(["1 a"], ["1 a", "1 a"]).doubled == ("1 a",)
    assert compare(["1 a", "1 a"], ["1 a"]).doubled == ("1 a",)
    assert compare(["1 a"], ["1 a", "2 a"]).doubled == ("2 a",)


def test_what_was_taken_away_must_not_be_there() -> None:
    one, other = Told(), Told()
    one.add("events", "E1")
    other.add("events", "E2")
    other.remove("events", "E2")
    one.merge(other)
    tallies = one.compare({"events": ["E1", "E2"], "targets": ["T1"]})
    assert tallies["events"].doubled == ("E2",)
    assert tallies["targets"].doubled == ("T1",)


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    values = [float(value) for value in range(200, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99)] == [100, 190, 198]
    assert percentile([7.0], 0.99) == 7
    assert percentile([], 0.5) == 0


def job(number: int, *, attempt: int = 1, log: str = STORY) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the items and the files of a job that has finished once."""
    key, product, group = f"processes/{number}/{attempt}/film.gif", number + 100, number + 200
    items = [
        {"pk": f"PROCESS#{number}", "sk": "PROCESS", "id": number, "status": "created"},
        {"pk": f"PROCESS#{number}", "sk": "LOG#000001#00000000", "text": log},
        {"pk": f"DATAPRODUCT#{product}", "sk": "DATAPRODUCT", "id": product, "process_id": number, "key": key},
        {"pk": "TARGET#1", "sk": f"TIMELAPSE#{product}", "product_id": product},
        {"pk": f"GROUP#{group}", "sk": "GROUP", "id": group},
    ]
    items[0] |= {"attempt": attempt, "group_id": group}
    return items, [key]


def test_a_job_that_finished_once_has_no_faults() -> None:
    items, keys = job(1)
    again, more = job(2, attempt=2, log=f"Sorting frames\nAttempt 2: the worker of attempt 1 died; ...\n{STORY}")
    assert faults_of([1, 2], [*items, *again], keys + more) == []


@pytest.mark.parametrize(
    ("index", "change", "fault"),
    [
        (0, {"status": "failed"}, "status failed"),
        (0, {"group_id": None}, "no group"),
        (0, {"attempt": 2}, "log"),
        (1, {"text": STORY + STORY}, "log"),
        (1, {"text": STORY.replace("Finished\n", "")}, "log"),
        (2, {"process_id": None}, "0 outputs"),
        (2, {"key": "processes/1/2/film.gif"}, "files"),
        (3, {"sk": "PLOT#101"}, "not one timelapse"),
        (4, {"sk": "MEMBER#1"}, "no group"),
    ],
)
def test_what_a_job_lacks_is_a_fault(index: int, change: dict[str, Any], fault: str) -> None:
    items, keys = job(1)
    items[index] |= change
    assert any(each.startswith(f"1: {fault}") for each in faults_of([1], items, keys))


def test_what_a_job_has_too_much_of_is_a_fault() -> None:
    items, keys = job(1)
    stray = {"pk": "DATAPRODUCT#9", "sk": "DATAPRODUCT", "id": 9, "process_id": 1, "key": "processes/1/1/other.gif"}
    assert "1: 2 outputs" in faults_of([1], [*items, stray], keys)
    assert any(each.startswith("1: files") for each in faults_of([1], items, [*keys, "processes/1/2/film.gif"]))
    assert "1: told of 2 times, there" in faults_of([1, 1], items, keys)
    assert "1: told of 0 times, there" in faults_of([], items, keys)
    assert faults_of([1, 2], items, keys) == ["2: told of 1 times, not there"]


def test_a_group_of_two_jobs_is_a_fault() -> None:
    (items, keys), (others, more) = job(1), job(2)
    others[0]["group_id"] = items[0]["group_id"]
    assert faults_of([1, 2], [*items, *others], keys + more) == ["201: group of 2 processes"]
