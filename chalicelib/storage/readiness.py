"""What requests depend on in AWS, asked as cheaply as can be, and with the rights that requests have anyway."""

from collections.abc import Callable
from functools import partial

from chalicelib.settings import get_settings
from chalicelib.storage import clients, requests
from chalicelib.storage.circuits import circuit_state
from chalicelib.storage.queues import queue_name

PORTAL = "telescope portal"
_NOWHERE = {"pk": "READINESS", "sk": "READINESS"}

Question = Callable[[], object]


def questions() -> dict[str, Question]:
    """Return a question for each thing, one request each; it raises where the answer is no.

    That of the operations table returns the state of the portal's circuit.
    """
    settings = get_settings()
    clients.dynamodb()  # the clients are made here: several threads must not make one at the same time
    sqs = clients.sqs()
    return {
        "ledger_table": partial(requests.get, settings.ledger_table, _NOWHERE),
        "telescope_table": partial(requests.get, settings.telescope_table, _NOWHERE),
        "operations_table": partial(circuit_state, PORTAL),
        "idempotency_table": partial(requests.get, settings.idempotency_table, {"id": "READINESS"}),
        "bucket": partial(clients.s3().head_bucket, Bucket=settings.bucket),
        "timelapse_queue": partial(sqs.get_queue_url, QueueName=queue_name(settings.timelapse_queue)),
        "pipeline_queue": partial(sqs.get_queue_url, QueueName=queue_name(settings.pipeline_queue)),
        "rendition_queue": partial(sqs.get_queue_url, QueueName=queue_name(settings.rendition_queue)),
    }
