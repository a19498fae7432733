"""The functions behind the queues and the schedule.

Chalice calls these without `app.py`: nothing that is set up there is at hand here, and nothing here must slow its import.
"""

import time
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from chalice import Blueprint, Rate
from chalice.app import CloudWatchEvent, SQSEvent

from chalicelib.observability import logger, metrics
from chalicelib.settings import get_settings
from chalicelib.storage.schema import DEAD_LETTER_QUEUE, MAX_DELIVERIES

blueprint = Blueprint(__name__)

# Names at packaging time only: the deployment template puts the stack's own queues in their place.
TIMELAPSE_QUEUE = "sidereal-timelapse"
PIPELINE_QUEUE = "sidereal-pipeline"


@blueprint.on_sqs_message(queue=TIMELAPSE_QUEUE, batch_size=1, name="run_timelapse")
def run_timelapse(event: SQSEvent) -> dict[str, Any]:
    """Run the processes that the messages of the timelapse queue name."""
    return _run_each(event)


@blueprint.on_sqs_message(queue=PIPELINE_QUEUE, batch_size=1, name="run_pipeline")
def run_pipeline(event: SQSEvent) -> dict[str, Any]:
    """Run the processes that the messages of the pipeline queue name."""
    return _run_each(event)


@blueprint.on_sqs_message(queue=DEAD_LETTER_QUEUE, batch_size=1, name="run_dead_letters")
def run_dead_letters(event: SQSEvent) -> dict[str, Any]:
    """Fail the processes whose messages were delivered in vain; what is no message of ours stays where it is."""
    return _each_record(event, _give_up)


@blueprint.schedule(Rate(1, unit=Rate.MINUTES), name="sweep")
def sweep(_event: CloudWatchEvent) -> dict[str, int]:
    """Send the messages of processes again that wait without one, or whose worker died."""
    from chalicelib.services.processes import resend_stuck_processes

    resent = resend_stuck_processes()
    metrics.add_metric("ProcessesResent", MetricUnit.Count, resent)
    metrics.flush_metrics()
    return {"resent": resent}


def _run_each(event: SQSEvent) -> dict[str, Any]:
    context: Any = event.context
    return _each_record(event, lambda record: _run(record, lambda: context.get_remaining_time_in_millis() / 1000))


def _run(record: SQSRecord, time_left_s: Callable[[], float]) -> None:
    from chalicelib.models.messages import RunProcess
    from chalicelib.services.runs import run_process
    from chalicelib.storage import queues

    started = time.perf_counter()
    try:
        run_process(RunProcess.model_validate_json(record.body).process_id, time_left_s)
    except Exception:
        logger.exception("job failed", extra={"deliveries": record.attributes.approximate_receive_count})
        metrics.add_metric("JobErrors", MetricUnit.Count, 1)
        if int(record.attributes.approximate_receive_count) < MAX_DELIVERIES:
            # the queue's own time-out covers the longest run; a failure need not wait for it
            queues.set_visibility(record.event_source_arn, record.receipt_handle, get_settings().job_retry_delay_s)
        else:
            queues.set_visibility(record.event_source_arn, record.receipt_handle, 0)
        raise
    finally:
        metrics.add_metric("JobSeconds", MetricUnit.Seconds, time.perf_counter() - started)
        metrics.flush_metrics()
        logger.remove_keys(["process_id", "attempt"])


def _give_up(record: SQSRecord) -> None:
    from chalicelib.models.messages import RunProcess
    from chalicelib.services.processes import give_up_process

    give_up_process(RunProcess.model_validate_json(record.body).process_id)


def _each_record(event: SQSEvent, handle: Callable[[SQSRecord], None]) -> dict[str, Any]:
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    answer = process_partial_response(event=event.to_dict(), record_handler=handle, processor=processor)
    return dict(answer)
