"""The throttle: never more than the rate allows, in any window, however many ask at once."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from chalicelib.errors import ThrottledError
from chalicelib.models.rates import Rate
from chalicelib.settings import Settings
from chalicelib.storage import throttle
from tests.conftest import Aws, Clock

SIX = Rate(6, 60)


def refusal(who: str = "a", rate: Rate = SIX) -> int:
    """Return the seconds after which a request that must be refused may come again."""
    with pytest.raises(ThrottledError) as caught:
        throttle.take("observe", who, rate)
    return caught.value.retry_after_s


def passes(who: str = "a", rate: Rate = SIX) -> bool:
    """Send one request and say whether it was let through."""
    try:
        throttle.take("observe", who, rate)
    except ThrottledError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("6/minute", Rate(6, 60)),
        ("6/m", Rate(6, 60)),
        ("6/min", Rate(6, 60)),
        (" 10 / Minutes ", Rate(10, 60)),
        ("1/s", Rate(1, 1)),
        ("100/hour", Rate(100, 3600)),
        ("1000/day", Rate(1000, 86_400)),
    ],
)
def test_a_rate_is_read_as_django_rest_framework_reads_it(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "6",
        "6/",
        "/minute",
        "6/month",
        "6/x",
        "six/minute",
        "-1/s",
        "0/s",
        "1001/s",
        "6/60",
        "1.5/m",
        "6/m/s",
        "٦/m",
    ],
)
def test_a_wrong_rate_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(ValidationError, match=r"give <number>/<second\|minute\|hour\|day>|must be from 1 to 1000"):
        Settings.model_validate({"throttle_observe": text})


def test_the_default_is_six_a_minute() -> None:
    assert (
        Settings().throttle_observe == Settings.model_validate({"throttle_observe": "6/minute"}).throttle_observe == SIX
    )


def test_the_last_allowed_passes_and_the_first_above_is_refused(aws: Aws, clock: Clock) -> None:
    assert [passes() for _ in range(8)] == [True] * 6 + [False] * 2


def test_callers_and_scopes_are_counted_apart(aws: Aws, clock: Clock) -> None:
    assert [passes("a") for _ in range(7)][-1] is False
    assert passes("b")
    throttle.take("elsewhere", "a", SIX)


def test_the_window_slides_with_every_single_request(aws: Aws, clock: Clock) -> None:
    start = clock.moment
    let_through = []
    for _ in range(500):
        if passes():
            let_through.append((clock.moment - start).total_seconds())
        clock.advance(0.7)
    spans = [last - first for first, last in zip(let_through, let_through[6:], strict=False)]
    assert min(spans) >= 60  # no seven within any 60 s
    assert len(let_through) == 6 * (1 + int(349.3 / 60.2))  # and all the room there is is given: 60.2 s are 86 steps


@pytest.mark.parametrize("passed_s", [0, 0.000001, 0.4, 59, 59.000001, 59.999999])
def test_a_request_passes_after_the_time_told_and_never_before_the_period_is_over(
    aws: Aws, clock: Clock, passed_s: float
) -> None:
    start = clock.moment
    once = Rate(1, 60)
    assert passes(rate=once)
    clock.advance(passed_s)
    wait_s = refusal(rate=once)
    assert wait_s >= 1
    assert wait_s - 1 < 60 - passed_s <= wait_s
    clock.moment = start
    clock.advance(59.999999)
    assert not passes(rate=once)
    clock.moment = start
    clock.advance(passed_s + wait_s)
    assert passes(rate=once)


def test_fifty_at_once_get_exactly_as_many_as_are_allowed(aws: Aws, at_once: Callable[..., list[Any]]) -> None:
    for who, rate in (("a", SIX), ("b", Rate(1, 60)), ("c", Rate(25, 60)), ("d", Rate(60, 60))):
        answers = at_once(lambda _, who=who, rate=rate: throttle.take("observe", who, rate), range(50))
        assert answers.count(None) == min(50, rate.count)
        assert all(isinstance(answer, ThrottledError) for answer in answers if answer is not None)


def test_fifty_at_once_share_the_room_that_the_sliding_window_frees(
    aws: Aws, clock: Clock, at_once: Callable[..., list[Any]]
) -> None:
    for _ in range(6):
        assert passes()
        clock.advance(10)
    for _ in range(3):  # one is a minute ago now, and with every ten seconds another
        answers = at_once(lambda _: throttle.take("observe", "a", SIX), range(50))
        assert answers.count(None) == 1
        clock.advance(10)


def test_a_clock_that_goes_back_lets_no_more_through(aws: Aws, clock: Clock) -> None:
    start = clock.moment
    assert [passes() for _ in range(3)] == [True] * 3
    clock.advance(-3600)
    assert [passes() for _ in range(4)] == [True] * 3 + [False]
    assert refusal() == 3660
    clock.moment = start
    clock.advance(59)
    assert not passes()
    clock.advance(1)
    assert [passes() for _ in range(7)] == [True] * 6 + [False]


def test_a_refused_request_costs_one_read_and_writes_nothing(aws: Aws, clock: Clock, calls: list[str]) -> None:
    throttle.take("observe", "a", Rate(1, 60))
    assert calls == ["GetItem", "PutItem"]
    before = aws.items("sidereal-operations")
    calls.clear()
    clock.advance(1)
    refusal(rate=Rate(1, 60))
    assert calls == ["GetItem"]
    assert aws.items("sidereal-operations") == before


def test_the_record_lasts_as_long_as_it_matters(aws: Aws, clock: Clock) -> None:
    throttle.take("observe", "user:alice", SIX)
    (item,) = aws.items("sidereal-operations")
    assert item["pk"]["S"] == "THROTTLE#observe#user:alice"
    period_over = clock.moment.timestamp() + 60
    assert period_over <= int(item["expires_at"]["N"]) <= period_over + 2


def test_the_record_holds_no_more_times_than_the_rate_needs(aws: Aws, clock: Clock) -> None:
    for _ in range(20):
        clock.advance(60)
        throttle.take("observe", "a", SIX)
    (item,) = aws.items("sidereal-operations")
    assert len(item["times"]["L"]) == 6


def test_another_rate_counts_what_was_let_through_under_the_old_one(aws: Aws, clock: Clock) -> None:
    for _ in range(6):
        throttle.take("observe", "a", SIX)
        clock.advance(1)
    assert refusal(rate=Rate(2, 60)) == 58  # the fifth of them was two seconds ago
    assert passes(rate=Rate(7, 60))
    assert not passes(rate=Rate(7, 60))


def test_a_write_whose_answer_was_lost_counts_once(aws: Aws, clock: Clock, calls: list[str]) -> None:
    from chalicelib.storage import clients

    def send_again(attempts: int, **_: Any) -> float | None:
        return 0.0 if attempts == 1 else None

    clients.dynamodb().meta.events.register_first("needs-retry.dynamodb.PutItem", send_again)
    throttle.take("observe", "a", SIX)
    throttle.take("observe", "a", SIX)
    (item,) = aws.items("sidereal-operations")
    assert len(item["times"]["L"]) == 2
