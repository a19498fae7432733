"""The life of a process outside its run: submit, cancel, retry, and what is done about those that got stuck."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from chalicelib import clock
from chalicelib.errors import (
    ConflictError,
    FieldError,
    InvalidInputError,
    NotFoundError,
    ProcessBusyError,
    ProcessEndedError,
    UnavailableError,
)
from chalicelib.metrics import Metric
from chalicelib.models.data_products import DataProduct, segment_of
from chalicelib.models.processes import MAX_INPUTS, MAX_OPTIONS_BYTES, Process, ProcessInput
from chalicelib.models.renditions import thumbnail_of
from chalicelib.models.validation import telescope_faults
from chalicelib.observability import logger, metrics, note, request_id
from chalicelib.pipelines.base import PipelineProcess
from chalicelib.pipelines.options import deployed_options, merge_options
from chalicelib.pipelines.registry import find_pipeline
from chalicelib.settings import get_settings
from chalicelib.states import ProcessStatus
from chalicelib.storage import (
    artefacts,
    data_products,
    groups,
    process_moves,
    process_wishes,
    processes,
    queues,
    reduced_data,
    renditions,
    targets,
)
from chalicelib.storage.freeform import check_size, pack
from chalicelib.storage.processes import IdentifierTakenError, ProcessExistsError
from chalicelib.storage.requests import Write

UNEXPECTED = "An unexpected error occurred"
NOT_SUBMITTED = "Failed to submit job"
IDENTIFIER_TRIES = 50

UNBEGUN_FOR_S = 6 * 3600
"""Seconds for which a process waits whose messages end as dead letters before any run has begun."""


Seal = Callable[[Process], Sequence[Write]]
"""What is written together with a process, given what it is in the end."""


def submit_process(
    given: ProcessInput, user: str, process_id: int | None = None, seal: Seal = lambda _: (), note_text: str = ""
) -> Process:
    """Keep a new process and ask for its run.

    Parameters
    ----------
    process_id : int, optional
        An id that was reserved: asked for twice, the process is only made once, and returned as it is.
    seal : callable, optional
        Returns what is written in the same moment. If the message is not taken, it is for the caller to undo that.
    note_text : str
        The first line of its log, if there is to be one.

    Raises
    ------
    InvalidInputError
        If the pipeline, a flag, the target, or an input does not exist, or an option is not what the pipeline takes.
    UnavailableError
        If the queue does not take the message; the process is kept as failed.
    """
    try:
        name, pipeline = find_pipeline(given.pipeline)
    except NotFoundError as error:
        raise InvalidInputError.of("pipeline", str(error)) from None
    unknown = [flag for flag in given.flags if flag not in (pipeline.flags or {})]
    if unknown:
        raise InvalidInputError([FieldError(("flags",), f"Unknown flag '{flag}'.") for flag in unknown])
    _check_options(name, pipeline, given.options)
    try:
        target = targets.get(given.target)
    except NotFoundError:
        raise InvalidInputError.of("target", f'Invalid pk "{given.target}" - object does not exist.') from None
    product_ids = _check_inputs(given)
    moment = clock.now()
    stem = f"{pipeline.short_name}_{target.id}_{moment:%Y%m%d%H%M%S}"
    process = Process(
        id=processes.next_id() if process_id is None else process_id,
        identifier=stem,
        target_id=target.id,
        target_folder=segment_of(target.name),
        pipeline=name,
        process_type=pipeline.__name__,
        queue=pipeline.runs_on,
        created=clock.to_text(moment),
        flags=dict(given.flags),
        options=dict(given.options),
        product_ids=tuple(product_ids),
        user=user,
        request_id=request_id(),
    )
    try:
        process = _create_with_free_identifier(process, stem, moment.timestamp(), seal, note_text)
    except ProcessExistsError:
        return processes.get(process.id)
    metrics.add(Metric.PROCESSES_SUBMITTED)
    note(process_id=process.id)
    _send(process)
    return process


def cancel_process(process_id: int, user: str) -> Process:
    """Fail a process with the message `Cancelled by <user>`; a worker that runs it stops at its next step.

    Raises
    ------
    NotFoundError, ConflictError
        If there is none; if it has ended.
    """
    process = processes.get(process_id)
    try:
        cancelled = process_wishes.cancel(process, clock.to_text(clock.now()), f"Cancelled by {user}")
    except ProcessEndedError:
        raise ConflictError("The process has ended already.") from None
    discard_outputs(cancelled)  # those of a worker that died; one that lives removes its own
    return processes.get(process_id)


def retry_process(process_id: int, user: str) -> Process:
    """Let a failed process begin again, under the same record.

    Raises
    ------
    NotFoundError, ConflictError
        If there is none; if it has not failed.
    UnavailableError
        If the queue does not take the message; the process is failed again.
    """
    note(process_id=process_id)
    process = process_wishes.restart(processes.get(process_id), clock.now().timestamp(), f"Retried by {user}")
    _send(process)
    return process


def waits_for_room(process_id: int) -> bool:
    """Say whether no run of a process has begun yet, though it is not long since it was submitted.

    Then its messages were only throttled, or nobody could take them: the sweeper sends it another one.
    """
    try:
        process = processes.get(process_id)
    except NotFoundError:
        return False
    is_recent = clock.to_unix(process.created) > clock.now().timestamp() - UNBEGUN_FOR_S
    return process.tries == 0 and process.terminal_timestamp is None and is_recent


def give_up_process(process_id: int) -> None:
    """Fail a process whose message was delivered as often as is allowed, unless somebody alive holds it, or it ended."""
    try:
        process = processes.get(process_id)
        process_moves.fail(process, clock.to_text(clock.now()), UNEXPECTED, now=clock.now().timestamp())
    except (NotFoundError, ProcessEndedError):
        logger.info("nothing to give up", extra={"process_id": process_id})
    except ProcessBusyError:
        logger.warning("a dead letter's process is being run", extra={"process_id": process_id})
    else:
        about = {"process_id": process_id, "attempt": process.attempt, "request_id": process.request_id}
        logger.error("process given up", extra=about)
        metrics.add(Metric.PROCESSES_FAILED)
        discard_outputs(process)


def resend_stuck_processes() -> int:
    """Send every process again that waits without a message, or whose worker died; return how many.

    A message too many does no harm: the second delivery finds the claim, or the end, and stops.
    """
    now = clock.now().timestamp()
    resent = 0
    for process, sent_at, claimed_until in processes.open_processes():
        is_dead = claimed_until is not None and claimed_until < now and sent_at < now - get_settings().job_lease_s
        is_forgotten = claimed_until is None and sent_at < now - get_settings().job_resend_after_s
        if (is_dead or is_forgotten) and processes.mark_sent(process, sent_at, now):
            try:
                queues.send_run_process(process.queue, process.id)
            except UnavailableError:
                continue  # its turn comes again; the others may have another queue
            logger.warning("process sent again", extra={"process_id": process.id, "worker_died": is_dead})
            resent += 1
    return resent


def discard_outputs(process: Process) -> None:
    """Delete what a process that failed, or was cancelled, had made up to this attempt: data products, files, reduced data.

    It may have been started again meanwhile: what a later attempt makes is left alone.
    """
    current = processes.get(process.id)
    folders = tuple(f"processes/{process.id}/{attempt}/" for attempt in range(1, process.attempt + 1))
    if current.status == ProcessStatus.CREATED or not folders:
        return
    for product in data_products.get_many(list(current.output_ids.values())).values():
        if product.key.startswith(folders):
            delete_product(product)
    keys = artefacts.list_keys(f"processes/{process.id}/")
    artefacts.delete([key for key in keys if key.startswith(folders)])
    reduced_data.discard(process.id, process.attempt)


def delete_product(product: DataProduct) -> None:
    """Delete a data product: the files first, the record last, so that an interrupted deletion can be repeated."""
    thumbnail = thumbnail_of(product)
    artefacts.delete([product.key, renditions.file_key(thumbnail)])
    data_products.delete(product, [renditions.removal(thumbnail)])


def delete_process(process: Process) -> None:
    """Delete a process with its log, files and reduced data; one that runs is cancelled by it.

    Its data products are the target's.
    """
    with suppress(ProcessEndedError):  # then there is nobody to stop
        process_moves.fail(process, clock.to_text(clock.now()), "Deleted with its target")
    reduced_data.delete(processes.get(process.id))
    artefacts.delete(artefacts.list_keys(f"processes/{process.id}/"))
    processes.delete(process)


def _check_options(name: str, pipeline: type[PipelineProcess], given: dict[str, Any]) -> None:
    packed = pack(given)
    check_size("options", *packed.keys(), *packed.values(), limit=MAX_OPTIONS_BYTES)
    try:
        merge_options(name, pipeline, given)
    except ValidationError as error:
        faults = telescope_faults(error, "options", given)
        # what the deployment has set wrong is not the caller's fault: the run says so
        deployed = deployed_options(name, pipeline).keys() - given.keys()
        faults = [fault for fault in faults if (fault.loc[1] not in deployed if len(fault.loc) > 1 else given)]
        if faults:
            raise InvalidInputError(faults) from None
    except Exception as error:  # noqa: BLE001 - a validator of somebody else's may raise anything
        logger.exception("the options could not be checked", extra={"pipeline": name})
        text = f"The options could not be checked ({type(error).__name__}); the log says why."
        raise InvalidInputError.of("options", text) from None


def _check_inputs(given: ProcessInput) -> Sequence[int]:
    """Return the ids of the inputs, which must be data products of the target."""
    if (given.products is None) == (given.group is None):
        raise InvalidInputError.of("products", "Name the inputs either by `products` or by `group`.")
    field, wanted = "products", given.products or []
    if given.group is not None:
        field = "group"
        try:
            _, wanted = groups.get(given.group)
            if len(wanted) > MAX_INPUTS:
                raise InvalidInputError.of("group", f"Ensure this group has no more than {MAX_INPUTS} products.")
        except NotFoundError:
            raise InvalidInputError.of("group", f'Invalid pk "{given.group}" - object does not exist.') from None
    found = data_products.get_many(wanted)
    faults = []
    for each in wanted:
        if each not in found:
            faults.append(FieldError((field,), f'Invalid pk "{each}" - object does not exist.'))
        elif found[each].target_id != given.target:
            faults.append(FieldError((field,), f"Data product {each} belongs to another target."))
    if faults:
        raise InvalidInputError(faults)
    return list(dict.fromkeys(wanted))


def _create_with_free_identifier(
    process: Process, stem: str, enqueued_at: float, seal: Seal, note_text: str
) -> Process:
    for number in range(1, IDENTIFIER_TRIES + 1):
        named = process if number == 1 else replace(process, identifier=f"{stem}_{number}")
        try:
            processes.create(named, enqueued_at, seal(named), note_text)
        except IdentifierTakenError:
            continue
        return named
    raise UnavailableError("Too many processes of this target are started at once; try again.")


def _send(process: Process) -> None:
    try:
        queues.send_run_process(process.queue, process.id)
    except UnavailableError:
        with suppress(ProcessEndedError):  # cancelled meanwhile: the caller is told of the queue all the same
            process_moves.fail(process, clock.to_text(clock.now()), NOT_SUBMITTED)
        raise
