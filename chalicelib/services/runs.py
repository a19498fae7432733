"""One run of a process: claim it, run its pipeline, publish the outputs, end it. Job functions and tests call this."""

import math
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chalicelib import clock
from chalicelib.errors import (
    ClaimLostError,
    InvalidInputError,
    NotFoundError,
    ProcessBusyError,
    ProcessEndedError,
    ProcessExhaustedError,
)
from chalicelib.models.data_products import DataProduct, Group
from chalicelib.models.processes import Process
from chalicelib.observability import logger
from chalicelib.pipelines import base
from chalicelib.pipelines.registry import find_pipeline
from chalicelib.services.inputs import stored_inputs
from chalicelib.services.processes import delete_product, discard_outputs, give_up_process
from chalicelib.services.reports import RunReporter
from chalicelib.settings import get_settings
from chalicelib.storage import artefacts, data_products, groups, process_moves, processes, targets

TIMELAPSE = "timelapse"
MAX_OUTPUTS = 80
"""Of one run: each may add an entry to the transaction that ends it, which has room for 100 actions."""


def run_process(process_id: int, time_left_s: Callable[[], float] = lambda: math.inf) -> None:
    """Run a process that waits; do nothing if it has ended or is being run.

    Parameters
    ----------
    time_left_s : callable, optional
        Returns the seconds that are left of the function's time; a run that is not done before then fails in order.

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
    logger.append_keys(process_id=process.id, attempt=process.attempt)
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
    note = processes.describe_note(process, f"Attempt {process.attempt} failed unexpectedly")
    try:
        process_moves.release(process, token, note)
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
            if process.attempt > 1:
                reporter.log(_opening(process))
            outputs = _pipeline(process, Path(folder), reporter).run(scratch, process.flags)
            reporter.flush()
            _publish(process, token, outputs)
        except base.AsyncError as error:
            reporter.flush()
            process_moves.fail(process, clock.to_text(clock.now()), str(error), token)
            discard_outputs(process)


def _opening(process: Process) -> str:
    was_given_back = process.released_attempt == process.attempt - 1 or process.tries == 1
    reason = "" if was_given_back else f"the worker of attempt {process.attempt - 1} died; "
    return f"Attempt {process.attempt}: {reason}starting from the beginning\n"


def _pipeline(process: Process, folder: Path, reporter: RunReporter) -> base.PipelineProcess:
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
        _options(name, pipeline),
    )


def _options(name: str, pipeline: type[base.PipelineProcess]) -> dict[str, Any]:
    """Return the options that settings set: `TIMELAPSE_FPS` is the option `fps` of the pipeline `Timelapse`."""
    settings = get_settings()
    named = {option: f"{name.lower()}_{option}" for option in pipeline.default_options}
    return {option: getattr(settings, setting) for option, setting in named.items() if hasattr(settings, setting)}


def _publish(process: Process, token: str, outputs: Sequence[base.PipelineOutput]) -> None:
    """Keep the outputs, and then end the process: who sees `created` sees the outputs, too."""
    if any(output.output_type is not base.DataProduct for output in outputs):
        raise base.AsyncError("A pipeline's outputs must be data products")
    if len(outputs) > MAX_OUTPUTS:
        raise base.AsyncError(f"The pipeline made {len(outputs)} outputs; at most {MAX_OUTPUTS} can be kept")
    files = {f"{process.identifier}_{Path(output.path).name}": output for output in outputs}
    if len(files) < len(outputs):
        names = Counter(Path(output.path).name for output in outputs)
        raise base.AsyncError(f"The pipeline made more than one output named '{names.most_common(1)[0][0]}'")
    ended = clock.to_text(clock.now())
    if not files:
        process_moves.succeed(process, token, ended, None, [])
        return
    ids = dict(zip(files, data_products.next_ids(len(files)), strict=True))
    ids, group_id = process_moves.reserve_outputs(process, token, ids, groups.next_id())
    _delete_outputs_of_earlier_attempts([each for name, each in ids.items() if name not in files])
    group = Group(group_id, f"{process.identifier}_outputs", ended)
    cards = []
    for name, output in files.items():
        product = _product(process, ids[name], name, output, group_id, ended)
        artefacts.put_file(product.key, Path(output.path))
        try:
            data_products.publish_output(product, process_moves.holds_claim(process.id, token))
        except InvalidInputError as error:
            raise base.AsyncError(f"Output '{name}' could not be kept: {error}") from None
        if product.timelapse_card:
            cards.append(
                processes.put_timelapse_card(process.target_id, product.timelapse_card, _entry(product, output, ended))
            )
    process_moves.succeed(process, token, ended, group, cards)
    if process.attempt > 1:
        current = f"processes/{process.id}/{process.attempt}/"
        stale = [key for key in artefacts.list_keys(f"processes/{process.id}/") if not key.startswith(current)]
        artefacts.delete(stale)


def _delete_outputs_of_earlier_attempts(product_ids: Sequence[int]) -> None:
    """Delete what an attempt that died had kept and this one has not made again."""
    for product in data_products.get_many(product_ids).values():
        delete_product(product)


def _product(
    process: Process, product_id: int, name: str, output: base.PipelineOutput, group_id: int, ended: str
) -> DataProduct:
    is_timelapse = output.data_product_type == TIMELAPSE
    return DataProduct(
        id=product_id,
        target_id=process.target_id,
        name=name,
        data_product_type=output.data_product_type,
        size=Path(output.path).stat().st_size,
        key=artefacts.output_key(process.id, process.attempt, name),
        folder=process.target_folder,
        created=ended,
        groups=(group_id,),
        process_id=process.id,
        timelapse_card=processes.timelapse_card(ended, product_id) if is_timelapse else None,
    )


def _entry(product: DataProduct, output: base.PipelineOutput, ended: str) -> dict[str, Any]:
    data = output.data if isinstance(output.data, dict) else {}
    return {
        "name": product.name,
        "format": Path(product.name).suffix.lstrip("."),
        "url": product.url,
        "created": ended,
        "frames": int(data.get("frames", 0)),
        "product_id": product.id,
    }


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
    mine = artefacts.list_keys(f"processes/{process.id}/{process.attempt}/")
    artefacts.delete([key for key in mine if key not in kept])
