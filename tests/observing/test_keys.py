"""A request for an observation with an `Idempotency-Key` is one observation, whenever and however often it comes."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.services import observing as service
from local.portal.stand_in import StandIn
from tests.asking import FIRST_NAME, Killer, asked, fail_to_submit, groups_of, kept, prepare, submit_again, unsettled
from tests.conftest import Answer, Api, Aws, Clock, forget
from tests.keys import KEYED, TABLE, end_time, records


@pytest.fixture
def ask(api: Api, target: int) -> Callable[..., Answer]:
    """Send the same request with the same key; `key` is another one."""

    def send(key: str = KEYED["Idempotency-Key"], **more: Any) -> Answer:
        return api.post("/api/observe/", asked(target, **more), headers={"Idempotency-Key": key}, token=None)

    return send


def place(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.headers.get("location")


FIRST = (201, "/api/observations/1/")


def test_a_repetition_after_a_quick_answer_is_the_same_observation(
    portal: StandIn, clock: Clock, ask: Callable[..., Answer]
) -> None:
    answers = [ask()]
    for pause in (1, 20, 4000):
        clock.advance(pause)
        answers.append(ask())
    assert [place(answer) for answer in answers] == [FIRST] * 4
    assert len({answer.text for answer in answers}) == 1
    assert groups_of(portal) == [FIRST_NAME]


def test_other_keys_are_other_wishes_even_while_one_is_lost(
    aws: Aws, portal: StandIn, clock: Clock, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "502")
    assert ask().status == 503
    clock.advance(30)
    assert ask("another").status == 201
    assert kept(aws, "SUBMISSION").count(FIRST_NAME) == 1
    assert ask().status == 201
    assert sorted(groups_of(portal)) == [FIRST_NAME, "my-template-2026-01-10-030435"]


def test_a_request_without_a_key_is_none_of_one_with_a_key(
    api: Api, target: int, portal: StandIn, clock: Clock, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "502")
    assert ask().status == 503
    clock.advance(30)
    assert api.post("/api/observe/", asked(target), token=None).status == 201
    assert ask().status == 201
    assert len(groups_of(portal)) == 2


def test_a_lost_request_goes_on_under_its_key_as_it_does_without(
    portal: StandIn, clock: Clock, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "502")
    assert (ask().status, ask().headers["retry-after"]) == (503, "30")
    submit_again(portal)
    clock.advance(30)
    assert [place(ask()), place(ask())] == [FIRST] * 2
    assert groups_of(portal) == [FIRST_NAME]


def test_an_observation_whose_reply_was_not_kept_is_found_by_its_key(
    aws: Aws, portal: StandIn, clock: Clock, ask: Callable[..., Answer]
) -> None:
    ask()
    for pause_s in (0, 9, 61, 3599):
        for item in aws.items(TABLE):
            aws.dynamodb.delete_item(TableName=aws.name(TABLE), Key={"id": item["id"]})
        clock.advance(pause_s)
        assert place(ask()) == FIRST
    assert groups_of(portal) == [FIRST_NAME]


def test_a_request_that_dies_anywhere_is_one_observation_when_it_is_repeated(
    aws: Aws, portal: StandIn, clock: Clock, ask: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = Killer(monkeypatch)
    steps = killer.count(lambda: ask("counted"))
    assert steps > 10
    # The sixth step writes the submission down; the seventh, the validation by the portal, leaves nothing behind.
    for dying_step in (6, *range(8, steps + 1)):
        key = f"dies-at-{dying_step}"
        before = len(groups_of(portal))
        killer.run(lambda key=key: ask(key), dying_step)  # type: ignore[misc]
        end_time(aws)
        clock.advance(5)
        assert ask(key).status in (201, 503)
        clock.advance(60)
        end_time(aws)
        assert ask(key).status == 201
        assert len(groups_of(portal)) == before + 1, dying_step
    assert unsettled(aws) == []
    assert {record["status"] for record in records(aws)} == {"COMPLETED"}


def test_what_the_schedule_has_settled_is_told_as_long_as_the_key_is_known(
    portal: StandIn, clock: Clock, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "502")
    ask()
    submit_again(portal)
    clock.advance(30)
    assert service.settle_submissions(lambda: 600.0) == 1
    clock.advance(5 * 3600)
    assert place(ask()) == FIRST
    assert groups_of(portal) == [FIRST_NAME]


def test_a_reply_that_is_kept_is_not_throttled_and_new_requests_are(
    api: Api, portal: StandIn, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THROTTLE_OBSERVE", "1/minute")
    forget()
    body = asked(prepare(api))
    send = lambda key: api.post("/api/observe/", body, headers={"Idempotency-Key": key}, token=None)  # noqa: E731
    assert [send(key).status for key in ("first", "first", "second", "first", "second")] == [201, 201, 429, 201, 429]
    clock.advance(60)
    assert send("second").status == 201


def test_where_a_token_is_needed_nobody_without_one_is_told_a_kept_reply(
    api: Api, portal: StandIn, clock: Clock, ask: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask().status == 201
    monkeypatch.setenv("OBSERVE_REQUIRES_TOKEN", "true")
    forget()
    assert ask().status == 401
