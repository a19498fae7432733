"""Sending job messages."""

import json
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.errors import UnavailableError
from chalicelib.settings import get_settings
from chalicelib.storage import clients, queues
from tests.conftest import Aws


def test_a_message_goes_to_the_queue_that_is_named(aws: Aws) -> None:
    queues.send_run_process("timelapse", 1)
    queues.send_run_process("pipeline", 2)
    sent = {
        name: [json.loads(each["Body"]) for each in aws.messages(f"sidereal-{name}")]
        for name in ("timelapse", "pipeline")
    }
    assert sent == {
        "timelapse": [{"version": 1, "process_id": 1}],
        "pipeline": [{"version": 1, "process_id": 2}],
    }


def test_a_queue_may_be_named_by_its_address(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    url = aws.sqs.get_queue_url(QueueName=aws.name("sidereal-timelapse"))["QueueUrl"]
    monkeypatch.setenv("TIMELAPSE_QUEUE", url)
    get_settings.cache_clear()
    queues.send_run_process("timelapse", 1)
    assert queues.queue_url(url) == url
    assert len(aws.messages()) == 1


def test_a_queue_that_does_not_exist_is_unavailable(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMELAPSE_QUEUE", "no-such-queue")
    get_settings.cache_clear()
    with pytest.raises(UnavailableError, match="Failed to submit job"):
        queues.send_run_process("timelapse", 1)


def test_an_address_that_could_not_be_found_is_asked_for_again(aws: Aws) -> None:
    def refuse(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://sqs")

    events = clients.sqs().meta.events
    events.register("before-call.sqs.GetQueueUrl", refuse)
    with pytest.raises(UnavailableError):
        queues.send_run_process("timelapse", 1)
    events.unregister("before-call.sqs.GetQueueUrl", refuse)
    queues.send_run_process("timelapse", 1)
    assert len(aws.messages()) == 1


def test_a_message_can_be_made_visible_again(aws: Aws) -> None:
    queues.send_run_process("timelapse", 1)
    (message,) = aws.messages()
    assert aws.messages() == []
    arn = f"arn:aws:sqs:us-east-1:123456789012:{aws.name('sidereal-timelapse')}"
    queues.set_visibility(arn, message["ReceiptHandle"], 0)
    assert len(aws.messages()) == 1
