"""Processes that a message asks for: `{"kind": "process", "request": ..., "target": ..., ...}`."""

from typing import Any

import pytest

from chalicelib.errors import UnavailableError
from chalicelib.services import process_requests as service
from chalicelib.storage import processes, queues
from tests.conftest import Api, Aws, Clock, sqs_event
from tests.jobs.conftest import Jobs

NONE_FAILED: dict[str, Any] = {"batchItemFailures": []}


class Asked:
    """One message, as a program of somebody's sends it, and what became of it."""

    def __init__(self, jobs: Jobs, **fields: Any) -> None:
        self.jobs = jobs
        self.body = {
            "version": 1,
            "kind": "process",
            "request": "monday's film",
            "target": jobs.target,
            "pipeline": "Scripted",
            "products": [jobs.product],
            **fields,
        }

    def deliver(self, function: str = "run_pipeline", deliveries: int = 1) -> dict[str, Any]:
        """Hand the message to its function."""
        queue = self.jobs.aws.name("sidereal-pipeline")
        return self.jobs.api.invoke(function, sqs_event(self.body, queue=queue, deliveries=deliveries))

    @property
    def record(self) -> dict[str, Any]:
        """What the table says of the request."""
        key = {"pk": {"S": f"REQUEST#{self.body['request']}"}, "sk": {"S": "REQUEST"}}
        return self.jobs.aws.dynamodb.get_item(TableName=self.jobs.aws.name("sidereal-telescope"), Key=key)["Item"]

    @property
    def process(self) -> int:
        """The id of its process."""
        return int(self.record["process_id"]["N"])


@pytest.fixture
def asked(jobs: Jobs) -> Asked:
    return Asked(jobs, request="monday")


def started(jobs: Jobs) -> list[Any]:
    return list(jobs.api.get(f"/api/async/status/{jobs.target}/").json["processes"])


def test_a_message_starts_a_process_as_the_api_does(asked: Asked, jobs: Jobs, aws: Aws) -> None:
    assert asked.deliver() == NONE_FAILED
    process = jobs.get(asked.process)
    assert (process["status"], process["target"], process["pipeline"]) == ("pending", jobs.target, "Scripted")
    [message] = aws.messages("sidereal-pipeline")
    assert message["Body"] == f'{{"version":1,"process_id":{asked.process}}}'
    assert jobs.run(asked.process) == NONE_FAILED
    assert jobs.get(asked.process)["status"] == "created"


def test_a_message_that_comes_twice_starts_one_process(asked: Asked, jobs: Jobs, aws: Aws) -> None:
    asked.deliver()
    asked.deliver()
    assert len(started(jobs)) == 1
    jobs.run(asked.process)
    asked.deliver()
    assert jobs.runs == 1
    # the second was sent in case the first had died before it sent its own; after the end nothing is sent
    assert len(aws.messages("sidereal-pipeline")) == 2


def test_of_two_that_reserve_at_once_one_gives_the_id(
    asked: Asked, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.storage.process_requests.find", lambda token, now: None)  # both looked before
    asked.deliver()
    first = asked.process
    asked.deliver()
    assert asked.process == first
    assert len(started(jobs)) == 1


def test_a_worker_that_dies_before_it_sends_the_process_is_made_good_by_the_next_delivery(
    asked: Asked, jobs: Jobs, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(queue: str, process_id: int) -> None:
        raise KeyError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(queues, "send_run_process", die)
        assert asked.deliver()["batchItemFailures"]
    assert aws.messages("sidereal-pipeline") == []
    assert asked.deliver() == NONE_FAILED
    assert len(aws.messages("sidereal-pipeline")) == 1
    assert len(started(jobs)) == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"target": 999}, 'target: Invalid pk "999" - object does not exist.'),
        ({"products": [999]}, 'products: Invalid pk "999" - object does not exist.'),
        ({"pipeline": "Nonsense"}, "pipeline: "),
        ({"flags": {"nonsense": True}}, "flags: Unknown flag 'nonsense'."),
        ({"group": 1}, "products: Name the inputs either by `products` or by `group`."),
        ({"target": 0}, "target: Input should be greater than or equal to 1"),
        ({"target": None}, "target: This field may not be null."),
        ({"products": [-1]}, "products.0: Input should be greater than or equal to 1"),
        ({"products": list(range(1, 3000))}, "products: List should have at most 2000 items, not 2999"),
        ({"flags": {"f" * 101: True}}, f"flags.{'f' * 101}.[key]: String should have at most 100 characters"),
        ({"process_id": 1}, "process_id: Unknown field."),
    ],
)
def test_what_the_api_would_refuse_is_refused_with_the_reason_in_the_record(
    jobs: Jobs, fields: dict[str, Any], reason: str
) -> None:
    asked = Asked(jobs, **{"request": "refused", **fields})
    assert asked.deliver() == NONE_FAILED
    assert asked.record["refusal"]["S"].startswith(reason)
    assert asked.deliver() == NONE_FAILED
    assert started(jobs) == []


def test_a_request_refused_once_stays_refused(jobs: Jobs, api: Api) -> None:
    asked = Asked(jobs, request="early", products=[jobs.product + 1])
    asked.deliver()
    assert api.upload(jobs.target, "late.fits", b"SIMPLE  = T" + b" " * 2869).json["id"] == jobs.product + 1
    asked.deliver()
    assert "refusal" in asked.record
    assert started(jobs) == []


def test_another_request_of_the_same_name_starts_nothing(asked: Asked, jobs: Jobs) -> None:
    asked.deliver()
    asked.body["flags"] = {"other": True}
    assert asked.deliver() == NONE_FAILED
    assert len(started(jobs)) == 1
    assert "refusal" not in asked.record


def test_a_name_may_be_used_again_when_it_is_forgotten(asked: Asked, jobs: Jobs, clock: Clock) -> None:
    asked.deliver()
    first = asked.process
    clock.advance(service.KEPT_S + 1)
    asked.deliver()
    assert asked.process != first
    assert len(started(jobs)) == 2


def test_a_request_given_up_is_refused_and_may_be_sent_again(
    asked: Asked, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise UnavailableError("the table does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(processes, "create", fail)
        assert asked.deliver()["batchItemFailures"]
    assert asked.deliver("run_dead_letters") == NONE_FAILED
    assert asked.record["refusal"]["S"] == "An unexpected error occurred"
    assert asked.deliver() == NONE_FAILED
    assert "refusal" not in asked.record
    assert jobs.get(asked.process)["status"] == "pending"


def test_giving_up_a_request_fails_the_process_that_it_has(asked: Asked, jobs: Jobs) -> None:
    asked.deliver()
    asked.deliver("run_dead_letters")
    assert jobs.get(asked.process)["status"] == "failed"
    assert "refusal" not in asked.record
