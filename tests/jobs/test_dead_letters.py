"""What fails three times, and what is no message of ours: given up, and then parked where people find it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.handlers import jobs as functions
from chalicelib.services.processes import UNBEGUN_FOR_S, resend_stuck_processes
from chalicelib.settings import get_settings
from chalicelib.storage import clients, queues
from chalicelib.storage.schema import DEAD_LETTER_QUEUE
from tests.conftest import Api, Aws, Clock, sqs_event
from tests.jobs.conftest import Jobs

NONE_FAILED: dict[str, Any] = {"batchItemFailures": []}
GIVEN_UP = "sidereal-given-up"
SECRET = "what-only-its-sender-knows"


def parked(aws: Aws) -> list[tuple[str, dict[str, str]]]:
    """Receive what people would find: bodies with their attributes."""
    return [
        (each["Body"], {name: value["StringValue"] for name, value in each.get("MessageAttributes", {}).items()})
        for each in aws.messages(GIVEN_UP)
    ]


def dead_letter(body: Any, source: str | None = None) -> dict[str, Any]:
    """Return the event of a dead letter; SQS names the queue that it comes from, some of its likenesses do not."""
    event = sqs_event(body, queue=DEAD_LETTER_QUEUE)
    if source is not None:
        event["Records"][0]["attributes"]["DeadLetterQueueSourceArn"] = f"arn:aws:sqs:us-east-1:123456789012:{source}"
    return event


def test_the_process_fails_first_and_then_its_message_is_parked_as_it_was(jobs: Jobs) -> None:
    process = jobs.submit("Broken")
    jobs.run(process)
    body = f'{{ "process_id":{process} }}'
    event = dead_letter(body, "sidereal-pipeline")
    statuses: list[str] = []
    clients.sqs().meta.events.register(
        "before-call.sqs.SendMessage", lambda **_: statuses.append(jobs.get(process)["status"])
    )
    assert jobs.api.invoke("run_dead_letters", event) == NONE_FAILED
    assert statuses == ["failed"]
    told = {"reason": functions.FAILED, "queue": "sidereal-pipeline", "message_id": event["Records"][0]["messageId"]}
    assert parked(jobs.aws) == [(body, told)]


def test_a_rendition_is_given_up_and_its_message_is_parked(api: Api, aws: Aws) -> None:
    group = api.post("/api/dataproductgroups/", {"name": "all"}).json["id"]
    body = {"kind": "archive", "group_id": group}
    assert api.invoke("run_dead_letters", dead_letter(body)) == NONE_FAILED
    ((text, told),) = parked(aws)
    assert (json.loads(text), told["reason"]) == (body, functions.FAILED)
    assert "queue" not in told  # nobody said so


def test_what_is_not_parked_comes_again_and_what_is_parked_twice_does_no_harm(jobs: Jobs) -> None:
    process = jobs.submit("Broken")
    jobs.run(process)
    event = dead_letter({"process_id": process})

    def refuse(**_: Any) -> None:
        raise ConnectionError(SECRET)

    events = clients.sqs().meta.events
    events.register("before-call.sqs.SendMessage", refuse)
    (failure,) = jobs.api.invoke("run_dead_letters", event)["batchItemFailures"]
    assert failure["itemIdentifier"] == event["Records"][0]["messageId"]
    events.unregister("before-call.sqs.SendMessage", refuse)
    for _ in range(2):
        assert jobs.api.invoke("run_dead_letters", event) == NONE_FAILED
    assert len(parked(jobs.aws)) == 2
    assert jobs.get(process)["failure_message"] == "An unexpected error occurred"


def test_a_process_of_which_no_run_could_begin_waits_for_the_sweeper_and_fails_only_after_hours(
    jobs: Jobs, clock: Clock
) -> None:
    process = jobs.submit()
    jobs.aws.messages("sidereal-pipeline")
    assert jobs.api.invoke("run_dead_letters", dead_letter({"process_id": process})) == NONE_FAILED
    assert (jobs.get(process)["status"], parked(jobs.aws)) == ("pending", [])
    clock.advance(1000)
    assert resend_stuck_processes() == 1
    assert len(jobs.aws.messages("sidereal-pipeline")) == 1
    clock.advance(UNBEGUN_FOR_S)
    assert jobs.api.invoke("run_dead_letters", dead_letter({"process_id": process})) == NONE_FAILED
    assert (jobs.get(process)["status"], len(parked(jobs.aws))) == ("failed", 1)


def test_a_process_that_cannot_be_failed_keeps_its_message(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    event = dead_letter({"process_id": jobs.submit()})
    monkeypatch.setenv("TELESCOPE_TABLE", "no-such-table")
    get_settings.cache_clear()
    assert len(jobs.api.invoke("run_dead_letters", event)["batchItemFailures"]) == 1
    assert parked(jobs.aws) == []


@pytest.mark.parametrize(
    "body", ["no json", "[]", '{"process_id": 1, "version": 2}', '{"process_id": 0}', "{}", '{"kind": "film"}']
)
def test_what_is_no_message_of_ours_is_parked(api: Api, aws: Aws, body: str) -> None:
    assert api.invoke("run_dead_letters", dead_letter(body)) == NONE_FAILED
    ((text, told),) = parked(aws)
    assert (text, told["reason"]) == (body, functions.UNREADABLE)


@pytest.mark.parametrize("queue", ["pipeline", "timelapse", "renditions"])
def test_what_is_no_message_of_ours_is_parked_without_a_wait(
    aws: Aws, deliver: Callable[..., list[Any]], queue: str
) -> None:
    url = aws.sqs.get_queue_url(QueueName=aws.name(f"sidereal-{queue}"))["QueueUrl"]
    aws.sqs.send_message(QueueUrl=url, MessageBody=f'{{"secret": "{SECRET}"}}')
    for _ in range(3):  # the clock stands still, and yet it is there again
        (answer,) = deliver(queue)
        assert len(answer["batchItemFailures"]) == 1
    assert deliver(queue) == []  # asking once more is what moves it
    assert deliver("dead-letters") == [NONE_FAILED]
    assert [told["reason"] for _, told in parked(aws)] == [functions.UNREADABLE]
    assert aws.messages(DEAD_LETTER_QUEUE) == []


def test_a_body_that_fills_its_message_is_parked_without_anything_else(aws: Aws) -> None:
    limit = 262_144
    url = queues.queue_url(get_settings().given_up_queue)
    aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"MaximumMessageSize": str(limit)})
    queues.park("é" * (limit // 2), "because", "an-id", None)
    assert parked(aws) == [("é" * (limit // 2), {})]
