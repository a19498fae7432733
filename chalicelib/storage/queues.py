"""Sending job messages, and parking those that were given up."""

from functools import cache
from typing import Any

from chalicelib.errors import UnavailableError
from chalicelib.models.messages import MakeArchive, MakeThumbnail, RunProcess
from chalicelib.observability import logger
from chalicelib.settings import get_settings
from chalicelib.storage.clients import sqs

_ROOMY_BYTES = 200_000
"""A body below this leaves room for attributes: a queue takes 262,144 bytes or more, unless somebody set it lower."""


def send_run_process(queue: str, process_id: int) -> None:
    """Ask the function behind `queue` ("timelapse" or "pipeline") to run a process. One SendMessage.

    Raises
    ------
    UnavailableError
        If SQS does not take the message.
    """
    settings = get_settings()
    name = settings.timelapse_queue if queue == "timelapse" else settings.pipeline_queue
    _send(name, RunProcess(process_id=process_id))


def send_make_rendition(message: MakeThumbnail | MakeArchive) -> None:
    """Ask for a thumbnail or an archive. One SendMessage.

    Raises
    ------
    UnavailableError
        If SQS does not take the message.
    """
    _send(get_settings().rendition_queue, message)


def set_visibility(queue_arn: str, receipt_handle: str, seconds: int) -> None:
    """Let a message that is being worked on be delivered again after so many seconds. One ChangeMessageVisibility."""
    url = queue_url(queue_arn.rpartition(":")[2])
    sqs().change_message_visibility(QueueUrl=url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds)


def park(body: str, reason: str, message_id: str, source_arn: str | None) -> None:
    """Hand a message that was given up to the queue where people find it. One SendMessage.

    Parameters
    ----------
    reason : str
        Why; the attribute `reason`.
    message_id : str
        What SQS called it, for finding it in the log; the attribute `message_id`.
    source_arn : str or None
        The queue from which SQS took it, if SQS says so; the last part of it is the attribute `queue`.
    """
    told = {"reason": reason, "message_id": message_id, "queue": (source_arn or "").rpartition(":")[2]}
    attributes: Any = {
        name: {"DataType": "String", "StringValue": value}
        for name, value in told.items()
        # A body that fills a message leaves no room for anything else; it must get away from the dead letters all the same.
        if value and len(body.encode()) < _ROOMY_BYTES
    }
    url = queue_url(get_settings().given_up_queue)
    sqs().send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)


def _send(queue: str, message: RunProcess | MakeThumbnail | MakeArchive) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        sqs().send_message(QueueUrl=queue_url(queue), MessageBody=message.model_dump_json())
    except (BotoCoreError, ClientError) as error:
        logger.exception("sending a job failed", extra={"job": message.model_dump()})
        raise UnavailableError("Failed to submit job") from error


@cache
def queue_url(name: str) -> str:
    """Return the URL of a queue; asks SQS once for each name."""
    return name if name.startswith(("http://", "https://")) else sqs().get_queue_url(QueueName=name)["QueueUrl"]


def queue_name(name: str) -> str:
    """Return the name of a queue that is given by its name or its URL."""
    return name.rpartition("/")[2]
