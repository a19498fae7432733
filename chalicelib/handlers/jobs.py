"""The functions behind the queues and the schedule.

Chalice calls these without `app.py`: nothing that is set up there is at hand here, and nothing here must slow its import.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from chalice import Blueprint, Rate
from chalice.app import CloudWatchEvent, SQSEvent
from pydantic import ValidationError

from chalicelib import clock
from chalicelib.metrics import Metric
from chalicelib.observability import invocation, log_keys, logger, metrics
from chalicelib.settings import get_settings
from chalicelib.storage.schema import DEAD_LETTER_QUEUE, MAX_DELIVERIES

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

    from chalicelib.models.messages import MakeArchive, MakeThumbnail, RunProcess, StartProcess

Message = TypeVar("Message")

blueprint = Blueprint(__name__)

# Names at packaging time only: the deployment template puts the stack's own queues in their place.
TIMELAPSE_QUEUE = "sidereal-timelapse"
PIPELINE_QUEUE = "sidereal-pipeline"
RENDITION_QUEUE = "sidereal-renditions"

FAILED = "failed three times"
UNREADABLE = "no message of this project"

_ALERT_METRICS = {
    "alerts": Metric.ALERTS_PROCESSED,
    "errors": Metric.ALERT_ERRORS,
    "closed": Metric.ALERTS_CLOSED,
    "frames_fetched": Metric.FRAMES_FETCHED,
    "frames_failed": Metric.FRAME_ERRORS,
    "timelapses_started": Metric.TIMELAPSES_STARTED,
    "timelapses_failed": Metric.TIMELAPSE_ERRORS,
    "mails_sent": Metric.MAILS_SENT,
    "mails_failed": Metric.MAIL_ERRORS,
    "facility_failures": Metric.FACILITY_ERRORS,
}


class UnreadableMessageError(Exception):
    """Raised when a queue carries something that no job function understands."""


@blueprint.on_sqs_message(queue=TIMELAPSE_QUEUE, batch_size=1, name="run_timelapse")
def run_timelapse(event: SQSEvent) -> dict[str, Any]:
    """Run the processes that the messages of the timelapse queue name, or start those that they ask for."""
    return _run_each(event)


@blueprint.on_sqs_message(queue=PIPELINE_QUEUE, batch_size=1, name="run_pipeline")
def run_pipeline(event: SQSEvent) -> dict[str, Any]:
    """Run the processes that the messages of the pipeline queue name, or start those that they ask for."""
    return _run_each(event)


@blueprint.on_sqs_message(queue=RENDITION_QUEUE, batch_size=1, name="make_rendition")
def make_rendition(event: SQSEvent) -> dict[str, Any]:
    """Make the thumbnails and archives that the messages of the rendition queue ask for."""
    from chalicelib.models.messages import read_make_rendition

    context: Any = event.context
    return _each_record(event, lambda record: _work(record, read_make_rendition, _make, context))


@blueprint.on_sqs_message(queue=DEAD_LETTER_QUEUE, batch_size=1, name="run_dead_letters")
def run_dead_letters(event: SQSEvent) -> dict[str, Any]:
    """Give up what messages asked for in vain, then hand them on to the queue where people find them.

    Processes fail, renditions count as impossible for a while. What is no message of ours is only handed on. A message is
    deleted last: whatever dies in between, it comes again, and may then be handed on twice. That of a process of which no
    run has begun, because Lambda had no room for it, goes: the sweeper sends the process again.
    """
    return _each_record(event, _give_up)


@blueprint.schedule(Rate(1, unit=Rate.MINUTES), name="sweep")
def sweep(event: CloudWatchEvent) -> dict[str, int]:
    """Send the messages of processes again that wait without one, or whose worker died."""
    from chalicelib.services.processes import resend_stuck_processes

    with invocation(event.context):
        resent = resend_stuck_processes()
        metrics.add(Metric.PROCESSES_RESENT, resent)
    return {"resent": resent}


@blueprint.schedule(Rate(5, unit=Rate.MINUTES), name="process_alerts")
def process_alerts(event: CloudWatchEvent) -> dict[str, int]:
    """Settle submissions that nobody waits for, then bring every open observation alert forward.

    The deployment's parameter `AlertRate` takes the place of the rate.
    """
    from chalicelib.services.alerts import process_alerts as process_open_alerts
    from chalicelib.services.observing import settle_submissions

    context: Any = event.context

    def time_left_s() -> float:
        return float(context.get_remaining_time_in_millis() / 1000)

    with invocation(context):
        started = time.perf_counter()
        try:
            settle_submissions(time_left_s)
        except Exception:  # noqa: BLE001 - the alerts have their turn all the same
            metrics.add(Metric.SETTLE_ERRORS)
            logger.exception("submissions could not be settled")
        counts = process_open_alerts(time_left_s)
        for name, count in counts.items():
            metrics.add(_ALERT_METRICS[name], count)
        metrics.add(Metric.ALERT_SECONDS, time.perf_counter() - started)
    return counts


def _run_each(event: SQSEvent) -> dict[str, Any]:
    from chalicelib.models.messages import read_process_message

    context: Any = event.context
    return _each_record(event, lambda record: _work(record, read_process_message, _run, context))


def _run(message: "RunProcess | StartProcess", time_left_s: Callable[[], float]) -> None:
    from chalicelib.models.messages import StartProcess

    if isinstance(message, StartProcess):
        from chalicelib.services.process_requests import start_process

        start_process(message)
        return
    from chalicelib.services.runs import run_process

    run_process(message.process_id, time_left_s)


def _make(message: "MakeThumbnail | MakeArchive", time_left_s: Callable[[], float]) -> None:
    from chalicelib.models.messages import MakeThumbnail
    from chalicelib.services.archives import make_archive
    from chalicelib.services.thumbnails import make_thumbnail

    if isinstance(message, MakeThumbnail):
        make_thumbnail(message.product_id)
    else:
        make_archive(message.group_id, time_left_s)


def _work(
    record: "SQSRecord",
    read: Callable[[str], Message],
    work: Callable[[Message, Callable[[], float]], None],
    context: Any,
) -> None:
    """Do the work that a message asks for; what fails comes again before the queue's own time-out ends."""
    from chalicelib.storage import queues

    try:
        message = _read(record, read)
    except UnreadableMessageError as error:
        # Nothing would be else the next time: with no delay it is soon among the dead letters.
        logger.warning("no message of this project", extra={"reason": str(error)})
        queues.set_visibility(record.event_source_arn, record.receipt_handle, 0)
        raise
    try:
        work(message, lambda: context.get_remaining_time_in_millis() / 1000)
    except Exception:
        # the queue's own time-out covers the longest run; a failure need not wait for it
        delay_s = get_settings().job_retry_delay_s if _deliveries(record) < MAX_DELIVERIES else 0
        queues.set_visibility(record.event_source_arn, record.receipt_handle, delay_s)
        raise


def _read(record: "SQSRecord", read: Callable[[str], Message]) -> Message:
    try:
        return read(record.body)
    except ValidationError as error:
        # without the error itself, which quotes what the message holds
        raise UnreadableMessageError(f"{error.error_count()} faults") from None


def _give_up(record: "SQSRecord") -> None:
    from chalicelib.models.messages import RunProcess, StartProcess, read_job
    from chalicelib.services.process_requests import give_up_request
    from chalicelib.services.processes import give_up_process, waits_for_room
    from chalicelib.services.renditions import give_up_message
    from chalicelib.storage import queues

    try:
        message = _read(record, read_job)
    except UnreadableMessageError:
        reason = UNREADABLE
    else:
        reason = FAILED
        if isinstance(message, RunProcess):
            if waits_for_room(message.process_id):
                logger.warning("left to the sweeper", extra={"process_id": message.process_id})
                return
            give_up_process(message.process_id)
        elif isinstance(message, StartProcess):
            give_up_request(message)
        else:
            give_up_message(message)
    queues.park(record.body, reason, record.message_id, record.attributes.dead_letter_queue_source_arn)
    metrics.add(Metric.MESSAGES_GIVEN_UP)
    logger.error("message given up", extra={"reason": reason})


def _each_record(event: SQSEvent, handle: Callable[["SQSRecord"], None]) -> dict[str, Any]:
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    with invocation(event.context):
        answer = process_partial_response(
            event=event.to_dict(), record_handler=lambda record: _handle(record, handle), processor=processor
        )
    return dict(answer)


def _handle(record: "SQSRecord", handle: Callable[["SQSRecord"], None]) -> None:
    """Handle a message; what is logged meanwhile names it, and what is measured is about it."""
    started = time.perf_counter()
    with log_keys(message_id=record.message_id, deliveries=_deliveries(record)):
        sent_ms = record.attributes.get("SentTimestamp")
        if sent_ms and _deliveries(record) == 1:  # of another one the wait is mostly ours
            metrics.add(Metric.QUEUE_SECONDS, max(0.0, clock.now().timestamp() - int(sent_ms) / 1000))
        try:
            handle(record)
        except UnreadableMessageError:
            raise
        except Exception:
            logger.exception("job failed")
            metrics.add(Metric.JOB_ERRORS)
            raise
        finally:
            metrics.add(Metric.JOB_SECONDS, time.perf_counter() - started)


def _deliveries(record: "SQSRecord") -> int:
    return int(record.attributes.approximate_receive_count)
