"""Submissions that are not settled, as they are kept."""

from dataclasses import replace

import pytest

from chalicelib.errors import NotFoundError
from chalicelib.models.observing import Submission
from chalicelib.storage import requests, submissions
from chalicelib.storage.submissions import NameTakenError
from tests.conftest import Aws
from tests.storage import records
from tests.storage.at_once import at_once

NOW = records.UNIX
KEPT_S = submissions.SETTLED_KEPT_S


@pytest.fixture
def draft(aws: Aws) -> Submission:
    return Submission(
        digest="0f" * 32,
        name="transit",
        facility="LCO",
        target_id=records.target().id,
        parameters={"name": "transit", "ipp_value": 1.0},
        email="someone@someplace.net",
        user="",
        created=records.NOW,
        sent=records.NOW,
        holder="first",
        worked_until=NOW + 28,
        held_until=NOW + 58.000001,
    )


@pytest.fixture
def begun(draft: Submission) -> Submission:
    submissions.begin(draft, NOW)
    return draft


def test_a_submission_comes_back_as_it_was(begun: Submission) -> None:
    assert submissions.of_input(begun.digest, NOW) == [begun]
    assert list(submissions.open_submissions()) == [begun]


def test_a_name_is_one_submissions_only(begun: Submission) -> None:
    other = replace(begun, digest="a" * 64)
    with pytest.raises(NameTakenError):
        submissions.begin(other, NOW + 10**9)
    submissions.begin(replace(other, facility="OTHER"), NOW)


def test_a_name_is_free_when_the_facility_does_not_have_the_submission(begun: Submission) -> None:
    assert submissions.drop(begun)
    submissions.begin(begun, NOW)


def test_a_name_is_free_a_day_after_its_submission_was_settled(begun: Submission) -> None:
    requests.transact(submissions.settling(begun, 5, NOW, 0))
    with pytest.raises(NameTakenError):
        submissions.begin(begun, NOW + submissions.NAME_KEPT_S - 1)
    submissions.begin(begun, NOW + submissions.NAME_KEPT_S + 1)


def test_nothing_is_begun_for_a_target_that_does_not_exist(draft: Submission) -> None:
    with pytest.raises(NotFoundError, match="Target not found"):
        submissions.begin(replace(draft, target_id=99), NOW)
    assert submissions.of_input(draft.digest, NOW) == []


def test_one_of_many_takes_a_submission_over(begun: Submission) -> None:
    drafts = [replace(begun, holder=f"holder{number}", held_until=NOW + 100) for number in range(10)]
    taken = [
        one for one in at_once([lambda draft=draft: submissions.take_over(begun, draft) for draft in drafts]) if one
    ]
    assert len(taken) == 1
    assert submissions.of_input(begun.digest, NOW) == taken
    assert (taken[0].is_lost, taken[0].created, taken[0].held_until) == (True, begun.created, NOW + 100)


def test_a_submission_that_was_let_go_since_it_was_seen_is_not_taken_over(begun: Submission) -> None:
    assert submissions.let_go(begun, NOW, NOW + 30)
    assert submissions.take_over(begun, replace(begun, holder="second")) is None


@pytest.mark.parametrize("is_settled", [False, True])
def test_who_has_lost_a_submission_changes_nothing_of_it(begun: Submission, is_settled: bool) -> None:
    taken = submissions.take_over(begun, replace(begun, holder="second"))
    assert taken is not None
    mine = begun
    if is_settled:
        requests.transact(submissions.settling(taken, 4, NOW, KEPT_S))
        mine = taken
    before = submissions.of_input(begun.digest, NOW)
    assert not submissions.let_go(mine, NOW, NOW)
    assert not submissions.drop(mine)
    for kept_s in (0, KEPT_S):
        with pytest.raises(requests.ConditionFailedError):
            requests.transact(submissions.settling(mine, 5, NOW, kept_s))
    assert submissions.of_input(begun.digest, NOW) == before


def test_a_settled_submission_is_open_no_more_and_told_of_for_a_while_from_the_first_time_on(begun: Submission) -> None:
    requests.transact(submissions.settling(begun, 5, NOW, KEPT_S))
    (settled,) = submissions.of_input(begun.digest, NOW)
    assert settled.observation_id == 5
    assert list(submissions.open_submissions()) == []
    assert submissions.take_over(settled, replace(begun, holder="second")) is None
    submissions.tell(settled, NOW)
    submissions.tell(settled, NOW + submissions.TOLD_KEPT_S / 2)
    assert submissions.of_input(begun.digest, NOW + submissions.TOLD_KEPT_S - 2) != []
    assert submissions.of_input(begun.digest, NOW + submissions.TOLD_KEPT_S + 2) == []


def test_a_submission_that_is_not_settled_cannot_be_told_of(begun: Submission) -> None:
    submissions.tell(begun, NOW)
    assert submissions.of_input(begun.digest, NOW + 10**6) == [begun]


def test_a_settled_submission_is_forgotten_in_time_even_if_dynamodb_is_late(begun: Submission) -> None:
    requests.transact(submissions.settling(begun, 5, NOW, KEPT_S))
    assert submissions.of_input(begun.digest, NOW + KEPT_S + 2) == []
