"""What becomes of submissions that nobody works on any more, and whose callers do not come back."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.services import observing as service
from chalicelib.storage import circuits
from local.portal.stand_in import StandIn
from tests.asking import (
    FIRST_NAME,
    Killer,
    asked,
    fail_to_submit,
    groups_of,
    kept,
    lose_submission,
    submit_again,
)
from tests.conftest import Answer, Api, Aws, Clock

PLENTY_S = 600.0


@pytest.fixture
def lost(portal: StandIn, clock: Clock, ask: Callable[..., Answer]) -> None:
    """A submission that the portal did not answer and does not have, when it has had its time."""
    lose_submission(portal, ask)
    clock.advance(30)


def settle(seconds_left: float = PLENTY_S) -> int:
    return service.settle_submissions(lambda: seconds_left)


def test_a_submission_that_arrived_becomes_an_observation_with_an_alert(
    api: Api, aws: Aws, target: int, portal: StandIn, lost: None
) -> None:
    submit_again(portal)
    assert settle() == 1
    (listed,) = api.get(f"/api/observations/?target={target}").json["results"]
    (group,) = portal.submissions[FIRST_NAME]
    assert (listed["observation_id"], listed["parameters"]["name"]) == (str(group["requests"][0]["id"]), FIRST_NAME)
    assert sorted(kept(aws, "OBSERVATION")) == ["ALERT", "OBSERVATION"]
    assert settle() == 0


def test_callers_are_told_of_a_settled_submission_within_a_minute_of_the_first(
    portal: StandIn, lost: None, ask: Callable[..., Answer], target: int, clock: Clock
) -> None:
    submit_again(portal)
    settle()
    clock.advance(3600)
    answers = [ask()]
    clock.advance(60)
    answers.append(ask())
    clock.advance(1)
    answers.append(ask())
    assert [answer.status for answer in answers] == [201] * 3
    assert answers[0].json == asked(target)
    assert [answer.headers["location"] for answer in answers] == [
        "/api/observations/1/",
        "/api/observations/1/",
        "/api/observations/2/",
    ]
    assert len(groups_of(portal)) == 2


def test_all_who_ask_for_a_settled_submission_at_once_are_told_of_it(
    api: Api, target: int, portal: StandIn, lost: None, at_once: Callable[..., list[Answer]]
) -> None:
    submit_again(portal)
    settle()
    answers = at_once(lambda _: api.post("/api/observe/", asked(target), token=None), range(4))
    assert [(answer.status, answer.headers["location"]) for answer in answers] == [(201, "/api/observations/1/")] * 4
    assert len(groups_of(portal)) == 1


def test_each_of_several_settled_submissions_is_told_of(
    api: Api, target: int, portal: StandIn, clock: Clock, at_once: Callable[..., list[Answer]]
) -> None:
    fail_to_submit(portal, "lose", 2)
    portal.fail("503", "/api/requestgroups/", 20, method="GET")
    at_once(lambda _: api.post("/api/observe/", asked(target), token=None), range(2))
    portal.faults.clear()
    circuits.forget()
    clock.advance(60)
    assert settle() == 2
    answers = [api.post("/api/observe/", asked(target), token=None) for _ in range(3)]
    assert {answer.headers["location"] for answer in answers} == {"/api/observations/1/", "/api/observations/2/"}
    assert len(groups_of(portal)) == 2


def test_after_more_than_an_hour_nobody_is_told_of_a_settled_submission(
    portal: StandIn, clock: Clock, lost: None, ask: Callable[..., Answer]
) -> None:
    submit_again(portal)
    settle()
    clock.advance(3661)
    assert ask().headers["location"] == "/api/observations/2/"


def test_a_submission_is_not_touched_while_the_portal_may_be_at_work_on_it(
    aws: Aws, portal: StandIn, clock: Clock, ask: Callable[..., Answer], target: int
) -> None:
    lose_submission(portal, ask)
    submit_again(portal)
    before, asked_before = kept_records(aws), len(portal.requests)
    clock.advance(29)
    assert settle() == 0
    assert (kept_records(aws), len(portal.requests)) == (before, asked_before)


def kept_records(aws: Aws) -> list[dict[str, Any]]:
    return [item for item in aws.items() if item["pk"]["S"].startswith(("SUBMISSION#", "OBSERVATION"))]


def test_a_submission_that_never_arrives_is_dropped_after_a_quarter_of_an_hour(
    aws: Aws, portal: StandIn, clock: Clock, lost: None, ask: Callable[..., Answer]
) -> None:
    clock.advance(14 * 60)
    assert settle() == 0
    assert kept(aws, "SUBMISSION") == [FIRST_NAME]
    clock.advance(60)
    assert settle() == 0
    assert kept(aws, "SUBMISSION") + kept(aws, "OBSERVATIONNAME") == []
    assert ask().status == 201
    assert len(groups_of(portal)) == 1


def test_a_submission_that_was_looked_for_in_vain_can_be_gone_on_with(
    portal: StandIn, lost: None, ask: Callable[..., Answer]
) -> None:
    settle()
    assert ask().status == 201
    assert groups_of(portal) == [FIRST_NAME]


def test_submissions_wait_while_the_portal_is_down_and_it_is_asked_for_one_only(
    aws: Aws, portal: StandIn, clock: Clock, ask: Callable[..., Answer], target: int
) -> None:
    for number in range(3):
        lose_submission(portal, ask, email=f"{number}@someplace.net")
        submit_again(portal)
    clock.advance(3600)
    portal.faults.clear()
    portal.fail("forbidden", "/api/requestgroups/", 100)
    before = len(portal.requests)
    assert settle() == 0
    assert len(portal.requests) - before <= 2
    assert len(kept(aws, "SUBMISSION")) == 3
    portal.faults.clear()
    circuits.forget()
    assert settle() == 3
    assert len(kept(aws, "OBSERVATION")) == 6


def test_one_that_cannot_be_settled_does_not_stop_the_others(
    aws: Aws, portal: StandIn, clock: Clock, ask: Callable[..., Answer], target: int
) -> None:
    for number in range(8):
        lose_submission(portal, ask, email=f"{number}@someplace.net")
        submit_again(portal)
    for item in [item for item in aws.items() if item["pk"]["S"].startswith("SUBMISSION#")][:3]:
        aws.dynamodb.update_item(
            TableName=aws.name("sidereal-telescope"),
            Key={"pk": item["pk"], "sk": item["sk"]},
            UpdateExpression="SET facility = :gone",
            ExpressionAttributeValues={":gone": {"S": "GONE"}},
        )
    clock.advance(30)
    assert settle() == 5


def test_settling_stops_in_time(aws: Aws, portal: StandIn, lost: None) -> None:
    submit_again(portal)
    assert settle(service.SETTLING_S - 1) == 0
    assert settle(service.SETTLING_S) == 1


def test_two_runs_at_once_settle_a_submission_once(
    aws: Aws, portal: StandIn, lost: None, at_once: Callable[..., list[int]]
) -> None:
    submit_again(portal)
    assert sorted(at_once(lambda _: settle(), range(4))) == [0, 0, 0, 1]
    assert sorted(kept(aws, "OBSERVATION")) == ["ALERT", "OBSERVATION"]


def test_a_caller_who_comes_back_during_a_run_and_the_run_make_one_observation(
    api: Api, aws: Aws, target: int, portal: StandIn, lost: None, clock: Clock, at_once: Callable[..., list[Any]]
) -> None:
    submit_again(portal)
    calls: list[Callable[[], Any]] = [settle, lambda: api.post("/api/observe/", asked(target), token=None)]
    _, answer = at_once(lambda call: call(), calls)
    if answer.status == 503:  # the run was faster, and not done
        clock.advance(int(answer.headers["retry-after"]))
        answer = api.post("/api/observe/", asked(target), token=None)
    assert (answer.status, answer.headers["location"]) == (201, "/api/observations/1/")
    assert groups_of(portal) == [FIRST_NAME]
    assert sorted(kept(aws, "OBSERVATION")) == ["ALERT", "OBSERVATION"]


def test_what_was_asked_for_a_deleted_target_is_cancelled(
    api: Api, aws: Aws, target: int, portal: StandIn, lost: None
) -> None:
    submit_again(portal)
    assert api.delete(f"/api/targets/{target}/").status == 204
    assert settle() == 0
    assert [group["state"] for group in portal.submissions[FIRST_NAME]] == ["CANCELED"]
    assert kept(aws, "SUBMISSION") + kept(aws, "OBSERVATION") == []


def test_whatever_step_a_run_dies_at_the_next_one_settles_what_it_left(
    aws: Aws, portal: StandIn, clock: Clock, ask: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, target: int
) -> None:
    killer = Killer(monkeypatch)

    def lose(number: int) -> None:
        lose_submission(portal, ask, email=f"{number}@someplace.net")
        submit_again(portal)
        clock.advance(30)

    lose(0)
    steps = killer.count(settle)
    assert steps > 5
    for step in range(1, steps):
        lose(step)
        killer.run(settle, step)
        clock.advance(30)
        settle()
        assert len(kept(aws, "OBSERVATION")) == 2 * len(groups_of(portal)) == 2 * (step + 1), step
        assert settle() == 0
