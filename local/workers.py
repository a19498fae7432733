"""One queue's worker: what Lambda's event source mapping does, on one machine.

It polls the queue, hands each message to the job function in an event of one record, and deletes the message unless the
function reports it as failed. What failed comes back when its visibility timeout ends, and goes to the dead-letter queue
after too many deliveries, as on AWS.
"""

import importlib
import logging
import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import boto3
from botocore.config import Config

from chalicelib.storage import schema
from local.context import LambdaContext
from local.orphan import end_with_parent

JOBS_MODULE = "chalicelib.handlers.jobs"

POLL_S = 10
"""Length of one long poll; an idle worker asks this seldom."""

MAX_INVOCATIONS = 500
"""After so many invocations the supervisor starts a fresh process: Lambda does not keep them for ever either."""

LONGEST_WAIT_S = 10.0

Function = Callable[[dict[str, Any], LambdaContext], dict[str, Any] | None]

log = logging.getLogger("local.workers")


def function_names() -> dict[str, str]:
    """Return the job function of each queue, by the queue's name."""
    from chalicelib.settings import get_settings

    settings = get_settings()
    return {
        settings.timelapse_queue: "run_timelapse",
        settings.pipeline_queue: "run_pipeline",
        settings.rendition_queue: "make_rendition",
        schema.DEAD_LETTER_QUEUE: "run_dead_letters",
    }


def job_worker_count() -> int:
    """Return the number of processes that work on each queue: LOCAL_JOB_WORKERS, else one."""
    text = os.environ.get("LOCAL_JOB_WORKERS", "")
    if not text:
        return 1
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise SystemExit(f"LOCAL_JOB_WORKERS must be a number from 1 to 64, not {text!r}")
    return int(text)


def load_function(name: str) -> Function:
    """Return a job function as Lambda would load it: without `app.py`."""
    function: Function = getattr(importlib.import_module(JOBS_MODULE), name)
    return function


def make_event(message: dict[str, Any], queue_arn: str) -> dict[str, Any]:
    """Return the event of one record that Lambda makes of an SQS message."""
    attributes = {
        name: {
            "stringValue": attribute.get("StringValue"),
            "binaryValue": attribute.get("BinaryValue"),
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": attribute["DataType"],
        }
        for name, attribute in message.get("MessageAttributes", {}).items()
    }
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": dict(message.get("Attributes", {})),
                "messageAttributes": attributes,
                "md5OfBody": message.get("MD5OfBody", ""),
                "eventSource": "aws:sqs",
                "eventSourceARN": queue_arn,
                "awsRegion": queue_arn.split(":")[3],
            }
        ]
    }


def is_failed(result: dict[str, Any] | None, message_id: str) -> bool:
    """Say whether a function's answer keeps this message in the queue (ReportBatchItemFailures).

    An identifier that is not in the batch, or none, fails the whole batch, as Lambda documents it.
    """
    failures = (result or {}).get("batchItemFailures") or []
    if not failures:
        return False
    identifiers = [failure.get("itemIdentifier") for failure in failures]
    return message_id in identifiers or any(not known or known != message_id for known in identifiers)


class QueueWorker:
    """Runs one job function for one queue.

    Parameters
    ----------
    queue_name : str
        The queue.
    function_name : str
        The function, as it would be deployed.
    function : callable
        Called with the event and a context.
    """

    def __init__(self, queue_name: str, function_name: str, function: Function) -> None:
        # A client of its own: the functions' one gives up before a long poll ends.
        self._sqs = boto3.client("sqs", config=Config(read_timeout=POLL_S + 20))
        self._url = self._sqs.get_queue_url(QueueName=queue_name.rpartition("/")[2])["QueueUrl"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        self._arn = answer["Attributes"]["QueueArn"]
        self._function_name = function_name
        self._function = function

    def poll(self, wait_s: int = POLL_S) -> bool:
        """Wait for one message and handle it; says whether there was one."""
        answer: Any = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=wait_s,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        for message in answer.get("Messages", []):
            self._handle(message)
        return bool(answer.get("Messages"))

    def _handle(self, message: dict[str, Any]) -> None:
        try:
            result = self._function(make_event(message, self._arn), LambdaContext(self._function_name))
        except Exception:
            # Lambda leaves the messages of a function that raises in the queue.
            log.exception("%s raised", self._function_name)
            return
        if is_failed(result, message["MessageId"]):
            log.warning("%s reported message %s as failed", self._function_name, message["MessageId"])
            return
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])


def work(queue_name: str, function_name: str) -> None:
    """Work on a queue until SIGTERM, or until it is time for a fresh process."""
    end_with_parent()
    end_on_sigterm()
    log_to_stderr()
    worker = QueueWorker(queue_name, function_name, load_function(function_name))
    invocations = failures = 0
    while invocations < MAX_INVOCATIONS:
        try:
            invocations += worker.poll()
            failures = 0
        except Exception:
            # The queue does not answer: the emulator may be starting again.
            failures += 1
            log.exception("polling %s failed", queue_name)
            time.sleep(min(LONGEST_WAIT_S, 0.5 * 2 ** min(failures, 10)))


def log_to_stderr() -> None:
    """Let what this package logs be written; the functions' own logger writes its lines itself, and scrubs them."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.getLogger("local").addHandler(handler)


def end_on_sigterm() -> None:
    """Let SIGTERM unwind the main thread, in the middle of a job too: temporary files go, the lease runs out by itself."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
