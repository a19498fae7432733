"""Observations as they are kept."""

from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.errors import NotFoundError
from chalicelib.models.observations import Observation, ObservationState
from chalicelib.storage import lists, observations, requests, targets
from chalicelib.storage.requests import ConditionFailedError
from tests.conftest import Aws
from tests.storage import records
from tests.storage.at_once import at_once

START = datetime(2026, 1, 11, 2, 3, 4, tzinfo=UTC)
LATER = datetime(2026, 1, 12, tzinfo=UTC)


@pytest.fixture
def target(aws: Aws) -> int:
    return records.target().id


def keep(target_id: int, also: Any = (), **values: Any) -> Observation:
    made = Observation(
        **{
            "id": observations.next_id(),
            "target_id": target_id,
            "facility": "LCO",
            "observation_id": "12",
            "group_id": "7",
            "parameters": {"name": "transit", "ipp_value": 1.0, "": 1e-7, "~": None},
            "created": records.NOW,
            "modified": records.NOW,
            **values,
        }
    )
    observations.create(made, also)
    return made


def test_an_observation_comes_back_as_it_was(target: int) -> None:
    kept = keep(target, user="tester", status="PENDING", scheduled_start=records.NOW)
    assert observations.get(kept.id) == kept


def test_what_is_not_kept_is_not_found(target: int) -> None:
    kept = keep(target)
    with pytest.raises(NotFoundError):
        observations.get(kept.id + 1)
    observations.delete(kept)
    with pytest.raises(NotFoundError):
        observations.get(kept.id)
    with pytest.raises(NotFoundError):
        observations.set_state(kept, ObservationState("PENDING"), LATER)


@pytest.mark.parametrize("is_going", [True, False])
def test_a_target_that_is_gone_or_going_gets_no_observation(target: int, is_going: bool) -> None:
    kept = targets.mark_going(target) if is_going else targets.get(target)
    if not is_going:
        targets.delete(kept)
    with pytest.raises(NotFoundError, match="Target not found"):
        keep(target)


def test_what_else_is_written_is_written_with_it_or_not_at_all(target: int) -> None:
    first = keep(target)
    more = requests.put(observations._table(), {"pk": "MORE", "sk": "MORE"}, {}, "attribute_not_exists(pk)")
    keep(target, [more])
    with pytest.raises(ConditionFailedError) as caught:
        keep(target, [observations.exists(first.id), more])
    assert caught.value.failed == [False, True]
    assert observations.read_page(target, 10, None)[1] == 2


def test_the_state_is_changed_with_its_times(target: int) -> None:
    kept = keep(target)
    new = observations.set_state(kept, ObservationState("PENDING", START, LATER), LATER)
    assert (new.status, new.scheduled_start, new.modified) == (
        "PENDING",
        "2026-01-11T02:03:04.000000Z",
        "2026-01-12T00:00:00.000000Z",
    )
    assert observations.get(kept.id) == new


def test_a_time_that_is_planned_no_more_is_gone(target: int) -> None:
    planned = observations.set_state(keep(target), ObservationState("PENDING", START, LATER), LATER)
    new = observations.set_state(planned, ObservationState("PENDING"), LATER)
    assert (new.scheduled_start, new.scheduled_end) == (None, None)
    assert observations.get(new.id) == new


def test_a_state_that_has_not_changed_asks_aws_for_nothing(target: int, calls: list[str]) -> None:
    kept = observations.set_state(keep(target), ObservationState("PENDING", START), LATER)
    calls.clear()
    assert observations.set_state(kept, ObservationState("PENDING", START), LATER) == kept
    assert calls == []


def test_of_those_who_have_read_the_same_one_changes_the_state_and_all_are_told(target: int) -> None:
    kept = keep(target)
    words = [f"STATE{number}" for number in range(10)]
    told = at_once([lambda word=word: observations.set_state(kept, ObservationState(word), LATER) for word in words])
    assert {each.status for each in told} == {observations.get(kept.id).status}


def test_a_change_is_later_than_the_one_before_whatever_the_clock_says(target: int) -> None:
    first = observations.set_state(keep(target), ObservationState("PENDING"), LATER)
    second = observations.set_state(first, ObservationState("COMPLETED"), START)
    assert second.modified > first.modified
    third = observations.set_state(first, ObservationState("CANCELED"), LATER)
    assert third == second


def test_pages_go_from_the_newest_to_the_oldest_across_buckets(target: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "BUCKET_SIZE", 3)
    ids = [keep(target).id for _ in range(8)][::-1]
    found: list[int] = []
    cursor = None
    while True:
        page, total, cursors = observations.read_page(target, 3, cursor)
        found += [each.id for each in page]
        assert total == 8
        cursor = cursors.next
        if cursor is None:
            break
    assert found == ids
    assert [each.id for each in observations.read_all(target)] == ids[::-1]


def test_deleting_twice_takes_one_from_the_list(target: int) -> None:
    first, second = keep(target), keep(target)
    observations.delete(first)
    observations.delete(first)
    assert [each.id for each in observations.read_page(target, 10, None)[0]] == [second.id]
    assert observations.read_page(target, 10, None)[1] == 1
    observations.delete(second)
    observations.drop_list(target)
    assert observations.read_page(target, 10, None)[:2] == ([], 0)
