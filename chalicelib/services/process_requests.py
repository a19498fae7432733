"""Processes that are asked for by a message instead of over HTTP: made once, however often the message comes."""

import hashlib
import json

from chalicelib import clock
from chalicelib.errors import InvalidInputError, NotFoundError
from chalicelib.models.messages import StartProcess
from chalicelib.models.processes import Process, ProcessInput
from chalicelib.models.validation import validate_telescope
from chalicelib.observability import logger
from chalicelib.services.processes import UNEXPECTED, give_up_process, submit_process
from chalicelib.storage import process_requests, processes, queues
from chalicelib.storage.process_requests import ProcessRequest

USER = "queue message"
"""Who starts such a process, as its record says: SQS does not tell who has sent a message."""

KEPT_S = 30 * 86_400
"""For how long a request is known; a queue keeps messages for 14 days, and the one of those given up for 14 more."""

MAX_REFUSAL = 1_000


def start_process(message: StartProcess) -> None:
    """Start the process that a message asks for, unless that was done.

    What the API would answer with 400 is kept as the refusal of the request: whoever asked finds it there.

    Raises
    ------
    UnavailableError
        If the queue does not take the process, which is kept as failed then.
    """
    request = _request_of(message)
    if request.digest != _digest(message):
        logger.warning("another request has this name already", extra={"process_id": request.process_id})
        return
    process = _find(request.process_id)
    if process is not None:
        if not process.is_ended:  # whoever made it may have died before it was sent; sent twice does no harm
            queues.send_run_process(process.queue, process.id)
        return
    if request.refusal is not None:
        if request.refusal != UNEXPECTED:
            return
        process_requests.reopen(message.request)  # it was given up, and is tried again
    try:
        given = validate_telescope(ProcessInput, message.model_extra or {})
        submit_process(given, USER, request.process_id)
    except InvalidInputError as error:
        # a fault may quote the message, and the name of a field that is none of ours may be anything
        fields = {fault.loc[0] for fault in error.fields} & ProcessInput.model_fields.keys()
        about = {"process_id": request.process_id, "fields": sorted(fields), "faults": len(error.fields)}
        logger.info("a process was refused", extra=about)
        process_requests.refuse(message.request, str(error)[:MAX_REFUSAL])


def give_up_request(message: StartProcess) -> None:
    """Fail the process that a message asked for in vain, or say that there will be none."""
    request = _request_of(message)
    if _find(request.process_id) is not None:
        give_up_process(request.process_id)
    elif request.refusal is None:
        process_requests.refuse(message.request, UNEXPECTED)


def _request_of(message: StartProcess) -> ProcessRequest:
    """Return what is kept of a request; the first to ask reserves the id of its process."""
    moment = clock.now()
    now = moment.timestamp()
    known = process_requests.find(message.request, now)
    if known is not None:
        return known
    new = ProcessRequest(processes.next_id(), _digest(message), clock.to_text(moment), int(now) + KEPT_S)
    return process_requests.keep(message.request, new, now)


def _digest(message: StartProcess) -> str:
    return hashlib.sha256(json.dumps(message.model_dump(), sort_keys=True).encode()).hexdigest()


def _find(process_id: int) -> Process | None:
    try:
        return processes.get(process_id)
    except NotFoundError:
        return None
