"""No observation is asked for twice, and none is forgotten, whatever is lost on the way."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from urllib3 import PoolManager

from chalicelib.errors import UnavailableError
from chalicelib.models.observations import ObservationState
from chalicelib.services import observing as service
from chalicelib.services.asking_again import UNSETTLED
from chalicelib.storage import circuits, clients, observations, submissions
from local.portal.stand_in import StandIn
from tests.asking import FIRST_NAME, Killer, asked, fail_to_submit, groups_of, kept, prepare, submit_again, unsettled
from tests.conftest import Answer, Api, Aws, Clock, forget
from tests.facilities.scripted import INSTRUMENTS, ScriptedServer, Told

SUBMIT = "/api/requestgroups/"
AGAIN = {"detail": UNSETTLED}


def sent(portal: StandIn) -> int:
    """Return how often a submission was sent."""
    return len([each for each in portal.seen("POST") if each.path == SUBMIT])


def check_one_of_each(api: Api, aws: Aws, portal: StandIn, target: int) -> None:
    """Check that the portal holds one group of the first name, and we its observation, with an alert and nothing else."""
    assert groups_of(portal) == [FIRST_NAME]
    (group,) = portal.submissions[FIRST_NAME]
    listed = api.get(f"/api/observations/?target={target}").json["results"]
    assert [(each["observation_id"], each["parameters"]["name"]) for each in listed] == [
        (str(group["requests"][0]["id"]), FIRST_NAME)
    ]
    assert sorted(kept(aws, "OBSERVATION")) == ["ALERT", "OBSERVATION"]
    assert unsettled(aws) == []


def check_wait(answer: Answer, seconds: int) -> None:
    """Check that an answer says to send the same again after so many seconds."""
    assert (answer.status, answer.json, answer.headers["retry-after"]) == (503, AGAIN, str(seconds))


def test_a_submission_whose_answer_is_lost_is_found_by_its_name(
    api: Api, aws: Aws, target: int, portal: StandIn, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "lose")
    assert ask().status == 201
    assert sent(portal) == 1
    check_one_of_each(api, aws, portal, target)


def test_a_submission_that_the_portal_has_answered_and_does_not_have_is_sent_once_more(
    api: Api, aws: Aws, target: int, portal: StandIn, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "500")
    assert ask().status == 201
    assert sent(portal) == 2
    check_one_of_each(api, aws, portal, target)


def test_a_submission_that_may_still_arrive_is_not_sent_again_before_it_must_have(
    api: Api, aws: Aws, target: int, portal: StandIn, clock: Clock, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "502")
    check_wait(ask(), 30)
    clock.advance(10)
    check_wait(ask(), 20)
    clock.advance(19.5)
    check_wait(ask(), 1)
    assert sent(portal) == 1
    clock.advance(0.5)
    answer = ask()
    assert (answer.status, answer.json) == (201, asked(target))
    assert sent(portal) == 2
    check_one_of_each(api, aws, portal, target)


def test_a_submission_that_arrives_late_is_not_sent_again(
    api: Api, aws: Aws, target: int, portal: StandIn, clock: Clock, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "502")
    ask()
    submit_again(portal)
    arrived = sent(portal)
    clock.advance(30)
    assert ask().status == 201
    assert sent(portal) == arrived
    check_one_of_each(api, aws, portal, target)


def test_a_submission_to_which_the_portal_is_slow_to_answer_is_found_afterwards(
    api: Api,
    aws: Aws,
    target: int,
    portal: StandIn,
    clock: Clock,
    ask: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "PORTAL_S", 2.0)
    monkeypatch.setattr(service, "SEARCH_S", 1.6)
    portal.fail("slow", f"{SUBMIT}validate/", seconds=0)
    portal.fail("slow", SUBMIT, method="POST", seconds=0.8)
    check_wait(ask(), 30)
    clock.advance(30)
    deadline = time.monotonic() + 5
    while not portal.submissions:
        assert time.monotonic() < deadline, "the portal never came to it"
    monkeypatch.undo()
    assert ask().status == 201
    assert sent(portal) == 1
    check_one_of_each(api, aws, portal, target)


def test_a_submission_that_cannot_be_looked_for_waits(
    api: Api, aws: Aws, target: int, portal: StandIn, clock: Clock, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "lose")
    portal.fail("503", SUBMIT, 10, method="GET")
    check_wait(ask(), 30)
    clock.advance(30)
    check_wait(ask(), 30)
    portal.faults.clear()
    circuits.forget()
    clock.advance(30)
    assert ask().status == 201
    assert sent(portal) == 1
    check_one_of_each(api, aws, portal, target)


def test_a_submission_that_is_lost_twice_waits(
    api: Api, aws: Aws, target: int, portal: StandIn, clock: Clock, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "500", 2)
    check_wait(ask(), 30)
    clock.advance(30)
    assert ask().status == 201
    assert sent(portal) == 3
    check_one_of_each(api, aws, portal, target)


def test_another_request_has_nothing_to_do_with_one_that_is_lost(
    target: int, portal: StandIn, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "502")
    check_wait(ask(), 30)
    assert ask(email="another@someplace.net").status == 201
    assert groups_of(portal) == [f"{FIRST_NAME}_2"]


def test_each_of_several_equal_requests_that_are_lost_is_gone_on_with_once(
    api: Api, aws: Aws, target: int, portal: StandIn, clock: Clock, at_once: Callable[..., list[Answer]]
) -> None:
    fail_to_submit(portal, "502", 3)
    body = asked(target)
    lost = at_once(lambda _: api.post("/api/observe/", body, token=None), range(3))
    assert [answer.status for answer in lost] == [503] * 3
    clock.advance(30)
    answers = [api.post("/api/observe/", body, token=None).status for _ in range(3)]
    assert answers == [201] * 3
    assert sorted(groups_of(portal)) == [FIRST_NAME, f"{FIRST_NAME}_2", f"{FIRST_NAME}_3"]
    assert unsettled(aws) == []


def test_of_several_who_go_on_with_a_lost_submission_at_once_one_does_and_the_others_wait(
    api: Api, aws: Aws, target: int, portal: StandIn, clock: Clock, at_once: Callable[..., list[Answer]]
) -> None:
    fail_to_submit(portal, "502")
    body = asked(target)
    api.post("/api/observe/", body, token=None)
    clock.advance(30)
    answers = at_once(lambda _: api.post("/api/observe/", body, token=None), range(4))
    assert {answer.status for answer in answers} <= {201, 503}
    clock.advance(5)
    answers += [api.post("/api/observe/", body, token=None)]
    assert {answer.headers["location"] for answer in answers if answer.status == 201} == {"/api/observations/1/"}
    check_one_of_each(api, aws, portal, target)


def test_what_became_of_a_lost_submission_is_told_for_a_minute(
    portal: StandIn, clock: Clock, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "502")
    ask()
    clock.advance(30)
    told = [ask()]
    for _ in range(3):
        clock.advance(20)
        told.append(ask())
    clock.advance(1)
    told.append(ask())
    assert [answer.headers["location"] for answer in told] == ["/api/observations/1/"] * 4 + ["/api/observations/2/"]
    assert len(groups_of(portal)) == 2


TROUBLE = [UnavailableError("Too many changes of the same record at once; try again."), RuntimeError("throttled")]


@pytest.mark.parametrize("trouble", TROUBLE)
def test_an_observation_that_cannot_be_recorded_is_found_when_it_is_asked_for_again(
    api: Api,
    aws: Aws,
    target: int,
    portal: StandIn,
    clock: Clock,
    ask: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
    trouble: Exception,
) -> None:
    fail_once(monkeypatch, observations, "create", trouble)
    check_wait(ask(), 5)
    clock.advance(5)
    assert [ask().headers["location"], ask().headers["location"]] == ["/api/observations/2/"] * 2
    assert sent(portal) == 1
    check_one_of_each(api, aws, portal, target)


def test_where_nothing_at_all_can_be_recorded_asking_again_has_to_wait_longer(
    api: Api,
    aws: Aws,
    target: int,
    portal: StandIn,
    clock: Clock,
    ask: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail_once(monkeypatch, observations, "create", TROUBLE[0])
    fail_once(monkeypatch, submissions, "let_go", TROUBLE[1])
    check_wait(ask(), 58)
    clock.advance(11)
    check_wait(ask(), 5)
    clock.advance(47)
    assert ask().status == 201
    assert sent(portal) == 1
    check_one_of_each(api, aws, portal, target)


def test_an_observation_that_was_recorded_although_no_answer_came_is_told(
    api: Api, aws: Aws, target: int, portal: StandIn, ask: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = observations.create

    def create_and_break_off(*args: Any) -> None:
        create(*args)
        raise TimeoutError

    monkeypatch.setattr(observations, "create", create_and_break_off)
    answer = ask()
    assert (answer.status, answer.headers["location"]) == (201, "/api/observations/1/")
    check_one_of_each(api, aws, portal, target)


def fail_once(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, trouble: Exception) -> None:
    """Let a function go wrong the first time that it is called."""
    function, waiting = getattr(where, name), [trouble]

    def call(*args: Any, **kwargs: Any) -> Any:
        if waiting:
            raise waiting.pop()
        return function(*args, **kwargs)

    monkeypatch.setattr(where, name, call)


def test_a_request_that_comes_again_while_the_first_takes_long_waits_for_it(
    api: Api,
    aws: Aws,
    target: int,
    portal: StandIn,
    clock: Clock,
    ask: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    impatient: list[Answer] = []

    def come_again() -> None:
        clock.advance(11)
        impatient.append(ask())

    at_settling(aws, monkeypatch, come_again)
    assert ask().status == 201
    check_wait(impatient[0], 5)
    clock.advance(5)
    assert ask().headers["location"] == "/api/observations/1/"
    check_one_of_each(api, aws, portal, target)


def test_what_is_refused_after_a_lost_answer_is_told_and_looked_for_nevertheless(
    aws: Aws, target: int, portal: StandIn, clock: Clock, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "502")
    ask()
    clock.advance(8 * 86_400)
    over = {"end": ["Window end time must be in the future"]}
    answers = [ask(), ask()]
    assert [(answer.status, answer.json) for answer in answers] == [(400, over)] * 2
    assert kept(aws, "SUBMISSION") == [FIRST_NAME]
    clock.advance(16 * 60)
    service.settle_submissions(lambda: 600.0)
    assert kept(aws, "SUBMISSION") + kept(aws, "OBSERVATIONNAME") == []
    assert groups_of(portal) == []


def test_a_submission_that_is_refused_because_the_lost_one_arrived_is_that_one(
    api: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ScriptedServer()
    monkeypatch.setenv("PORTAL_URL", server.address)
    monkeypatch.setenv("PORTAL_TOKEN", "0" * 40)
    forget()
    nothing = Told(200, {"count": 0, "next": None, "previous": None, "results": []})
    group = {"id": 7, "name": FIRST_NAME, "created": "2026-01-10T03:04:06Z", "requests": [{"id": 8}]}
    server.on("GET", "/api/instruments/", Told(200, INSTRUMENTS))
    server.on("POST", f"{SUBMIT}validate/", Told(200, {"request_durations": {}, "errors": {}}))
    server.on("POST", SUBMIT, Told(500), Told(400, {"non_field_errors": ["no NORMAL time left"]}))
    server.on("GET", SUBMIT, nothing, nothing, Told(200, {"count": 1, "next": None, "results": [group]}))
    target = prepare(api)
    assert api.post("/api/observe/", asked(target)).status == 201
    assert api.get("/api/observations/1/").json["observation_id"] == "8"
    server.close()


def test_what_the_portal_refuses_at_the_last_moment_leaves_nothing(
    aws: Aws, target: int, portal: StandIn, ask: Callable[..., Answer]
) -> None:
    fail_to_submit(portal, "429")
    assert ask().status == 503
    assert kept(aws, "SUBMISSION") + kept(aws, "OBSERVATIONNAME") == []
    portal.faults.clear()
    assert ask().status == 201
    assert groups_of(portal) == [FIRST_NAME]


def test_a_target_deleted_before_anything_was_sent_is_not_found(
    aws: Aws, target: int, portal: StandIn, ask: Callable[..., Answer]
) -> None:
    at_call(aws, "TransactWriteItems", lambda: mark_going(aws, target))
    answer = ask()
    assert (answer.status, answer.json) == (404, {"detail": "Target not found."})
    assert sent(portal) == 0
    assert kept(aws, "SUBMISSION") + kept(aws, "OBSERVATIONNAME") == []


def at_call(aws: Aws, operation: str, function: Callable[[], Any]) -> None:
    """Let something happen in the moment before the project asks AWS for an operation, once."""
    waiting = [function]

    def happen(**_: Any) -> None:
        if waiting:
            waiting.pop()()

    clients.dynamodb().meta.events.register(f"before-call.dynamodb.{operation}", happen)


def mark_going(aws: Aws, target: int) -> None:
    aws.dynamodb.update_item(
        TableName=aws.name("sidereal-telescope"),
        Key={"pk": {"S": f"TARGET#{target}"}, "sk": {"S": "TARGET"}},
        UpdateExpression="SET is_going = :true",
        ExpressionAttributeValues={":true": {"BOOL": True}},
    )


def at_settling(aws: Aws, monkeypatch: pytest.MonkeyPatch, function: Callable[[], Any]) -> None:
    """Let something happen when an observation was submitted and is not written down yet, once."""
    next_id, waiting = observations.next_id, [function]

    def happen_first() -> int:
        if waiting:
            waiting.pop()()
        return next_id()

    monkeypatch.setattr(observations, "next_id", happen_first)


def test_an_observation_whose_target_is_deleted_meanwhile_is_cancelled(
    aws: Aws, target: int, portal: StandIn, ask: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_settling(aws, monkeypatch, lambda: mark_going(aws, target))
    answer = ask()
    assert (answer.status, answer.json) == (404, {"detail": "Target not found."})
    assert [group["state"] for group in portal.submissions[FIRST_NAME]] == ["CANCELED"]
    assert kept(aws, "SUBMISSION") + kept(aws, "OBSERVATION") == []


def test_a_name_under_which_an_observation_was_taken_back_stays_taken(
    api: Api, aws: Aws, target: int, portal: StandIn, ask: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_settling(aws, monkeypatch, lambda: mark_going(aws, target))
    assert ask(overrides={"name": "X"}).status == 404
    other = prepare(api, "M 13")
    fail_to_submit(portal, "lose")
    assert api.post("/api/observe/", asked(other, overrides={"name": "X"}), token=None).status == 201
    assert [group["state"] for group in portal.submissions["X"]] == ["CANCELED"]
    (group,) = portal.submissions["X_2"]
    (listed,) = api.get(f"/api/observations/?target={other}").json["results"]
    assert listed["observation_id"] == str(group["requests"][0]["id"])


def test_an_observation_whose_target_is_deleted_while_the_portal_is_down_is_cancelled_later(
    aws: Aws, target: int, portal: StandIn, clock: Clock, ask: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete_target() -> None:
        mark_going(aws, target)
        portal.fail("503", "/api/requestgroups/1/cancel/", 10)

    at_settling(aws, monkeypatch, delete_target)
    assert ask().status == 404
    assert kept(aws, "SUBMISSION") == [FIRST_NAME]
    portal.faults.clear()
    clock.advance(1)
    assert service.settle_submissions(lambda: 600.0) == 0
    assert [group["state"] for group in portal.submissions[FIRST_NAME]] == ["CANCELED"]
    assert kept(aws, "SUBMISSION") + kept(aws, "OBSERVATION") == []


def test_a_request_that_is_overtaken_by_the_schedule_answers_with_the_same_observation(
    api: Api,
    aws: Aws,
    target: int,
    portal: StandIn,
    clock: Clock,
    ask: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settled: list[int] = []

    def sleep_long() -> None:
        clock.advance(100)
        settled.append(service.settle_submissions(lambda: 600.0))

    at_settling(aws, monkeypatch, sleep_long)
    answer = ask()
    assert settled == [1]
    assert (answer.status, answer.headers["location"]) == (201, "/api/observations/1/")
    check_one_of_each(api, aws, portal, target)


def test_a_request_that_is_answered_too_late_may_be_sent_again(
    api: Api,
    aws: Aws,
    target: int,
    portal: StandIn,
    clock: Clock,
    ask: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ask_portal = PoolManager.request

    def ask_slowly(*args: Any, **kwargs: Any) -> Any:
        clock.advance(20)
        return ask_portal(*args, **kwargs)

    monkeypatch.setattr(PoolManager, "request", ask_slowly)
    answers = [ask(), ask()]
    assert [(answer.status, answer.headers["location"]) for answer in answers] == [(201, "/api/observations/1/")] * 2
    check_one_of_each(api, aws, portal, target)


Deaths = Iterator[tuple[int, str]]


@pytest.fixture
def deaths(
    aws: Aws, target: int, portal: StandIn, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Deaths]:
    """Let a request die after each of its steps, and check that what is done then makes one observation of it.

    After the last one it is done: that its caller was not told, nobody can know.
    """
    killer = Killer(monkeypatch)

    def run(request: Callable[[str], Any], prepare_one: Callable[[str], Any] = lambda _: None) -> Deaths:
        prepare_one("all@someplace.net")
        steps = killer.count(lambda: request("all@someplace.net"))
        assert steps > 8
        for step in range(1, steps):
            email = f"{step}@someplace.net"
            prepare_one(email)
            groups = len(groups_of(portal))
            killer.run(partial(request, email), step)
            yield step, email
            assert len(groups_of(portal)) == groups + 1, step
            assert len(kept(aws, "OBSERVATION")) == 2 * len(groups_of(portal)), step
        assert unsettled(aws) == []

    return run


def ask_until_told(ask: Callable[..., Answer], clock: Clock, email: str) -> None:
    """Send a request again, as often as the answer says so."""
    answer = ask(email=email)
    for _ in range(10):
        if answer.status == 503:
            clock.advance(int(answer.headers["retry-after"]))
            answer = ask(email=email)
    assert answer.status == 201, answer.text


def test_whatever_step_a_request_dies_at_sending_it_again_does_not_double_the_observation(
    clock: Clock, ask: Callable[..., Answer], deaths: Callable[..., Deaths]
) -> None:
    for _, email in deaths(lambda email: ask(email=email)):
        clock.advance(11)
        ask_until_told(ask, clock, email)


def test_whatever_step_a_request_dies_at_the_schedule_finds_what_became_of_it(
    aws: Aws, portal: StandIn, clock: Clock, ask: Callable[..., Answer], deaths: Callable[..., Deaths]
) -> None:
    for step, email in deaths(lambda email: ask(email=email)):
        clock.advance(60)
        service.settle_submissions(lambda: 600.0)
        assert len(kept(aws, "OBSERVATION")) == 2 * len(groups_of(portal)), step
        assert ask(email=email).status == 201


def test_whatever_step_going_on_with_a_submission_dies_at_nothing_is_doubled(
    portal: StandIn, clock: Clock, ask: Callable[..., Answer], deaths: Callable[..., Deaths]
) -> None:
    def lose(email: str) -> None:
        fail_to_submit(portal, "502")
        assert ask(email=email).status == 503
        clock.advance(30)

    for _, email in deaths(lambda email: ask(email=email), lose):
        ask_until_told(ask, clock, email)


def test_a_cancelled_observation_is_told_so_even_if_somebody_writes_down_how_it_stood_before(
    api: Api, aws: Aws, target: int, portal: StandIn, clock: Clock, ask: Callable[..., Answer]
) -> None:
    ask()

    def write_down_earlier_state() -> None:
        observations.set_state(observations.get(1), ObservationState("PENDING"), clock())

    at_call(aws, "UpdateItem", write_down_earlier_state)
    assert api.patch("/api/observations/1/cancel/").json["status"] == "CANCELED"
    assert api.get("/api/observations/1/").json["status"] == "CANCELED"
