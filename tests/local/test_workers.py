"""Queue workers and the schedule: the events they build, and what they do with the answers."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.settings import get_settings
from local import schedule, workers
from local.context import LambdaContext
from local.workers import QueueWorker, function_names, is_failed, load_function, make_event


class Function:
    """A job function that keeps its events and answers what it is told to."""

    def __init__(self, failures: list[str] | None = None, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error
        self.events: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        self.events.append(event)
        if self.error:
            raise self.error
        record = event["Records"][0]
        failures = [record["messageId"] if each == "it" else each for each in self.failures or []]
        return {"batchItemFailures": [{"itemIdentifier": failure} for failure in failures]}


def queue() -> str:
    return get_settings().timelapse_queue


def send(aws: Any, body: str = "{}", **arguments: Any) -> None:
    url = aws.sqs.get_queue_url(QueueName=queue())["QueueUrl"]
    aws.sqs.send_message(QueueUrl=url, MessageBody=body, **arguments)


def left(aws: Any) -> int:
    url = aws.sqs.get_queue_url(QueueName=queue())["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


def test_an_event_has_the_shape_that_lambda_sends(aws: Any) -> None:
    send(aws, '{"version":1,"process_id":7}', MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
    function = Function()

    assert QueueWorker(queue(), "run_timelapse", function).poll(wait_s=0) is True

    (record,) = function.events[0]["Records"]
    assert record["body"] == '{"version":1,"process_id":7}'
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].endswith(f":{queue()}")
    assert record["awsRegion"] == "us-east-1"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"]["a"]["stringValue"] == "b"
    assert record["messageId"]
    assert record["receiptHandle"]


def test_a_message_that_was_handled_is_deleted(aws: Any) -> None:
    send(aws)

    QueueWorker(queue(), "run_timelapse", Function()).poll(wait_s=0)

    assert left(aws) == 0


@pytest.mark.parametrize(
    "function", [Function(failures=["it"]), Function(failures=[""]), Function(error=RuntimeError())]
)
def test_a_message_that_failed_stays_in_the_queue(aws: Any, function: Function) -> None:
    send(aws)

    QueueWorker(queue(), "run_timelapse", function).poll(wait_s=0)

    assert left(aws) == 1


def test_messages_come_one_by_one(aws: Any) -> None:
    send(aws)
    send(aws)
    function = Function()
    worker = QueueWorker(queue(), "run_timelapse", function)

    assert [worker.poll(wait_s=0) for _ in range(3)] == [True, True, False]
    assert [len(event["Records"]) for event in function.events] == [1, 1]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, False),
        ({}, False),
        ({"batchItemFailures": []}, False),
        ({"batchItemFailures": [{"itemIdentifier": "m"}]}, True),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, True),
        ({"batchItemFailures": [{}]}, True),
    ],
)
def test_what_counts_as_a_failure(answer: Any, expected: bool) -> None:
    assert is_failed(answer, "m") is expected


def test_every_queue_has_a_job_function_that_takes_lambda_events() -> None:
    event = make_event({"MessageId": "m", "ReceiptHandle": "r", "Body": "not json"}, "arn:aws:sqs:us-east-1:0:q")

    assert list(function_names().values()) == ["run_timelapse", "run_pipeline", "make_rendition", "run_dead_letters"]
    for name in function_names().values():
        assert callable(load_function(name))
    assert event["Records"][0]["messageAttributes"] == {}


def test_the_schedule_sends_a_scheduled_event() -> None:
    events: list[dict[str, Any]] = []

    assert schedule.call_once("sweep", lambda event, context: events.append(event)) is True

    assert events[0]["detail-type"] == "Scheduled Event"
    assert events[0]["source"] == "aws.events"
    assert events[0]["resources"][0].endswith(":rule/sweep")
    assert schedule.make_event(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))["time"] == "2026-01-02T03:04:05Z"


def test_the_schedule_survives_a_function_that_raises() -> None:
    def function(event: dict[str, Any], context: LambdaContext) -> None:
        raise RuntimeError

    assert schedule.call_once("sweep", function) is False


@pytest.mark.parametrize("begin", [lambda: workers.work("queue", "run_pipeline"), lambda: schedule.run("sweep")])
def test_what_functions_log_is_written_by_their_own_logger_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], begin: Callable[[], None]
) -> None:
    """It scrubs its lines; a handler of all loggers would write them again as they are."""

    def end(*_: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.getLogger("local"), "handlers", [])
    for module in (workers, schedule):
        for name in ("end_with_parent", "end_on_sigterm"):
            monkeypatch.setattr(module, name, lambda: None)
        monkeypatch.setattr(module, "load_function", lambda _: end)
    monkeypatch.setattr(workers, "QueueWorker", end)
    with pytest.raises(SystemExit):
        begin()
    workers.log.warning("ours")
    assert logging.root.handlers == []
    assert capsys.readouterr().err.splitlines()[-1].endswith("local.workers WARNING ours")


@pytest.mark.parametrize("name", schedule.SCHEDULES)
def test_every_scheduled_function_runs_on_the_scheduled_event(aws: Any, name: str) -> None:
    assert schedule.call_once(name, load_function(name)) is True


def test_every_function_that_is_deployed_with_a_schedule_is_called_here_too() -> None:
    from chalice.app import ScheduledEventConfig

    from app import app

    deployed = {each.name for each in app.event_sources if isinstance(each, ScheduledEventConfig)}

    assert deployed == set(schedule.SCHEDULES)


@pytest.mark.parametrize("name", schedule.SCHEDULES)
@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "1e9"])
def test_a_senseless_interval_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    variable = schedule.SCHEDULES[name].variable
    monkeypatch.setenv(variable, text)

    with pytest.raises(SystemExit, match=variable):
        schedule.SCHEDULES[name].interval_s()


def test_each_schedule_has_an_interval_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_SWEEP_INTERVAL_S", raising=False)
    monkeypatch.setenv("LOCAL_ALERT_INTERVAL_S", "2.5")

    assert schedule.SCHEDULES["sweep"].interval_s() == 10
    assert schedule.SCHEDULES["process_alerts"].interval_s() == 2.5
