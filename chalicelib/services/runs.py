"""One run of a process: claim it, run its pipeline, publish the outputs, end it or hand it over.

Job functions and tests call this.
"""

import math
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

from chalicelib import clock
from chalicelib.errors import (
    ClaimLostError,
    NotFoundError,
    ProcessBusyError,
    ProcessEndedError,
    ProcessExhaustedError,
)
from chalicelib.metrics import Metric
from chalicelib.models.processes import Process
from chalicelib.observability import logger, metrics, note
from chalicelib.pipelines import base
from chalicelib.pipelines.options import options_of_run
from chalicelib.pipelines.registry import find_pipeline
from chalicelib.services.handover import Checkpoint, find_checkpoint, hand_over
from chalicelib.services.inputs import stored_inputs
from chalicelib.services.processes import discard_outputs, give_up_process
from chalicelib.services.publishing import publish
from chalicelib.services.reports import RunReporter
from chalicelib.settings import get_settings
from chalicelib.storage import artefacts, checkpoints, data_products, process_moves, processes, targets

SAID_NOTHING = "The pipeline failed without saying why"


def run_process(process_id: int, time_left_s: Callable[[], float] = lambda: math.inf) -> None:
    """Run a process that waits; do nothing if it has ended or is being run.

    Parameters
    ----------
    time_left_s : callable, optional
        Returns the seconds that are left of the function's time; a run that is not done before then hands over, if its
        pipeline knows how to, and else fails in order.

    A pipeline that knows why it cannot go on fails the process. Anything else that goes wrong is raised, after the process
    was given back: the message is to be delivered again. A worker whose process is no longer its own just stops.
    """
    token = uuid.uuid4().hex
    try:
        process = process_moves.claim(process_id, token, clock.now().timestamp())
    except (NotFoundError, ProcessEndedError, ProcessBusyError) as error:
        logger.info("nothing to run", extra={"process_id": process_id, "reason": str(error)})
        return
    except ProcessExhaustedError as error:
        logger.error("process exhausted", extra={"process_id": process_id, "reason": str(error)})
        give_up_process(process_id)
        return
    note(process_id=process.id, attempt=process.attempt, request_id=process.request_id)
    logger.info("run begins", extra={"pipeline": process.pipeline})
    try:
        _run_claimed(process, token, time_left_s)
    except ClaimLostError:
        _clean_up_after_loss(process)
    except Exception:
        logger.exception("run failed unexpectedly")
        if _give_back(process, token):
            raise


def _give_back(process: Process, token: str) -> bool:
    """Let another delivery claim the process; False if it was not this worker's any more."""
    try:
        process_moves.release(process, token, f"Attempt {process.attempt} failed unexpectedly")
    except ClaimLostError:
        _clean_up_after_loss(process)
        return False
    return True


def _run_claimed(process: Process, token: str, time_left_s: Callable[[], float]) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="sidereal-") as folder,
        RunReporter(process, token, time_left_s) as reporter,
    ):
        scratch = Path(folder) / "outputs"
        scratch.mkdir()
        try:
            checkpoint, beginning = find_checkpoint(process, Path(folder) / "checkpoint")
            if process.attempt > 1:
                reporter.log(_opening(process, beginning))
            pipeline = _pipeline(process, Path(folder), reporter, checkpoint)
            try:
                outputs = pipeline.run(scratch, process.flags)
            except base.HandOver as ending:
                hand_over(process, token, reporter, ending, checkpoint)
                return
            reporter.flush()
            publish(process, token, outputs)
            logger.info("process created", extra={"frames": reporter.done})
            metrics.add(Metric.PROCESSES_CREATED)
            metrics.add(Metric.FRAMES, reporter.done)
        except base.AsyncError as error:
            reporter.flush()
            process_moves.fail(process, clock.to_text(clock.now()), _words_of(error), token)
            logger.info("process failed", extra={"reason": _words_of(error)})
            metrics.add(Metric.PROCESSES_FAILED)
            discard_outputs(process)


def _words_of(error: base.AsyncError) -> str:
    """Return what users are told; half a surrogate pair, as odd file names have, cannot be kept."""
    return str(error).encode("utf-8", "replace").decode().strip() or SAID_NOTHING


def _opening(process: Process, beginning: str) -> str:
    was_given_back = process.released_attempt == process.attempt - 1 or process.tries == 1
    reason = "" if was_given_back else f"the worker of attempt {process.attempt - 1} died; "
    return f"Attempt {process.attempt}: {reason}{beginning}\n"


def _pipeline(
    process: Process, folder: Path, reporter: RunReporter, checkpoint: Checkpoint | None
) -> base.PipelineProcess:
    try:
        target = targets.get(process.target_id)
        name, pipeline = find_pipeline(process.pipeline)
    except NotFoundError as error:
        text = "Process must have an associated target" if str(error) == "Not found." else str(error)
        raise base.AsyncError(text) from None
    found = data_products.get_many(process.product_ids)
    inputs = [found[each] for each in process.product_ids if each in found]
    for each in process.product_ids:
        if each not in found:
            reporter.log(f"Data product {each} is no longer there: left out\n")
    return pipeline(
        base.Target(target.id, target.name, target.ra, target.dec, target.extra_fields),
        stored_inputs(inputs, folder / "inputs", get_settings().job_disk_bytes),
        reporter,
        process.identifier,
        options_of_run(name, pipeline, process.options),
        checkpoint,
    )


def _clean_up_after_loss(process: Process) -> None:
    """Delete what this run had made, if the process was cancelled; what another worker's attempt made is left alone."""
    logger.info("run stopped: the claim no longer stands")
    try:
        current = processes.get(process.id)
    except NotFoundError:
        artefacts.delete(artefacts.list_keys(f"processes/{process.id}/"))
        return
    if current.is_ended and current.attempt == process.attempt and current.group_id is None:
        discard_outputs(current)
        return
    kept = {product.key for product in data_products.get_many(list(current.output_ids.values())).values()}
    checkpoint = checkpoints.find(process.id)
    if checkpoint is not None:
        kept |= {checkpoint.file_key(name) for name in checkpoint.files}
    mine = artefacts.list_keys(f"processes/{process.id}/{process.attempt}/")
    artefacts.delete([key for key in mine if key not in kept])
