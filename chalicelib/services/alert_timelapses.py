"""The timelapse that shows the frames of an alert: shared by all alerts of a target, made once."""

from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from chalicelib import clock
from chalicelib.errors import ConflictError, InvalidInputError, NotFoundError
from chalicelib.models.alerts import Alert, FrameRecord
from chalicelib.models.data_products import DataProduct
from chalicelib.models.processes import MAX_INPUTS, Process, ProcessInput
from chalicelib.observability import logger
from chalicelib.pipelines.left_out import MIN_FRAMES
from chalicelib.services.alert_claims import AlertClaim, TargetGoneError
from chalicelib.services.frames import is_timelapse_input
from chalicelib.services.processes import NOT_SUBMITTED, UNEXPECTED, delete_product, retry_process, submit_process
from chalicelib.settings import get_settings
from chalicelib.states import ProcessStatus
from chalicelib.storage import alert_timelapses, alerts, data_products, processes
from chalicelib.storage.alert_timelapses import Pointer, PointerMovedError

PIPELINE = "Timelapse"
USER = "observation alert"
"""Who starts such a process, as its record says."""

MAX_REPEATS = 2
"""Of a timelapse that failed by nobody's act and, for all that is known, not by its data."""


class Progress(Enum):
    """How far the timelapse of an alert is."""

    IDLE = auto()
    """There is nothing to be shown, or all of it is shown."""
    FAILED = auto()
    """It failed, and is not repeated unless somebody does that, or there are further frames."""
    WAITING = auto()
    """Frames wait to be shown."""
    RUNNING = auto()
    """A timelapse of the target is being made."""


@dataclass
class Step:
    """What a look at the timelapse of an alert came to."""

    alert: Alert
    progress: Progress = Progress.IDLE
    started: int = 0


def advance(alert: Alert, claim: AlertClaim, *, may_start: bool) -> Step:
    """Bring the timelapse of an alert one step forward.

    Parameters
    ----------
    may_start : bool
        Whether the frames that are there make a timelapse worth while: all of them, or none came for long.

    Raises
    ------
    ClaimLostError
        If the claim no longer stands.
    TargetGoneError
        If the target is gone, or going.
    UnavailableError
        If the queue does not take the process.
    """
    has_failed = False
    if alert.process_id is not None and alert.process_id != alert.settled_id:
        process = _find(alert.process_id)
        if process is not None and not process.is_ended:
            return Step(alert, Progress.RUNNING)
        if process is not None and process.status == ProcessStatus.CREATED:
            alert = _settle(alert, process, claim)
        elif process is not None:
            has_failed = True
    if alert.has_new_data and not may_start:
        return Step(alert, Progress.WAITING)
    return _attach(alert, claim) if alert.has_new_data or has_failed else Step(alert)


def is_worth_while(alert: Alert, frames: list[FrameRecord], expected: int) -> bool:
    """Say whether the frames that are there should be shown: all that were asked for, or none came for long.

    What comes when a timelapse was started already is late, or a repetition; nobody knows how much more there is.
    """
    if not alert.covered and sum(frame.is_there for frame in frames) >= expected:
        return True
    if alert.last_frame_at is None:
        return False
    silence = clock.now() - clock.from_text(alert.last_frame_at)
    return silence.total_seconds() >= get_settings().alert_quiet_s


def _settle(alert: Alert, process: Process, claim: AlertClaim) -> Alert:
    """Delete the timelapses that are older than a new one, and note that this was done."""
    made = set(process.output_ids.values())
    entries = alert_timelapses.entries(alert.target_id)
    newest = max((index for index, entry in enumerate(entries) if entry.product_id in made), default=0)
    older = [entry.product_id for entry in entries[:newest]]
    for product in data_products.get_many(older).values():
        claim.go_on()
        delete_product(product)
        logger.info("an older timelapse was deleted", extra={"product_id": product.id, "process_id": process.id})
    return alerts.change(alert.id, claim.token, {"settled_id": process.id})


def _attach(alert: Alert, claim: AlertClaim) -> Step:
    """Find or start the process that shows the frames of an alert."""
    seen = alert_timelapses.find(alert.target_id)
    process = None if seen is None else _find(seen.process_id)
    repeats = 0
    if seen is not None and process is not None and _shows(process, alert):
        if process.failure_message != UNEXPECTED or seen.repeats >= MAX_REPEATS:
            return _attached(alert, process, claim)
        repeats = seen.repeats + 1
    if process is not None and not process.is_ended:
        return Step(alert, Progress.RUNNING)  # without these frames; the next one will have them
    inputs = _inputs(alert)
    if len(inputs) < MIN_FRAMES:
        logger.info("too few frames for a timelapse", extra={"target_id": alert.target_id, "frames": len(inputs)})
        return Step(alert)
    pointer = seen
    if pointer is None or process is not None:
        pointer = Pointer(processes.next_id(), repeats)
        try:
            with TargetGoneError.instead():
                alert_timelapses.reserve(alert.target_id, seen, pointer, alerts.holds_claim(alert.id, claim.token))
        except PointerMovedError:
            return Step(alert, Progress.WAITING)
    shown = [product.id for product in inputs[-MAX_INPUTS:]]
    process = _start(alert, pointer.process_id, shown, len(inputs))
    if not alert.product_ids & set(shown) <= set(process.product_ids):
        return Step(alert, Progress.WAITING)  # another alert was faster, and had other frames
    step = _attached(alert, process, claim)
    step.started = 1
    return step


def _shows(process: Process, alert: Alert) -> bool:
    """Say whether a process is asked for all frames of an alert, or for as many as it takes."""
    is_own = process.id == alert.process_id and not alert.has_new_data
    return is_own or alert.product_ids <= set(process.product_ids)


def _attached(alert: Alert, process: Process, claim: AlertClaim) -> Step:
    has_failed = process.status == ProcessStatus.FAILED
    if process.failure_message == NOT_SUBMITTED:
        has_failed = False
        with suppress(ConflictError):  # another alert was faster
            retry_process(process.id, USER)
    if process.id != alert.process_id or alert.has_new_data:
        values = {"process_id": process.id, "covered": len(alert.product_ids)}
        alert = alerts.change(alert.id, claim.token, values)
    return Step(alert, Progress.FAILED if has_failed else Progress.RUNNING)


def _inputs(alert: Alert) -> list[DataProduct]:
    """Return the frames of the target, oldest file first.

    The index in which the target's products are listed may lag behind: the alert's own are asked for by their ids.
    """
    found = {product.id: product for product in data_products.read_all(alert.target_id)}
    found |= data_products.get_many([each for each in alert.product_ids if each not in found])
    inputs = [product for product in found.values() if is_timelapse_input(product)]
    return sorted(inputs, key=lambda product: (product.created, product.id))


def _start(alert: Alert, process_id: int, shown: list[int], count: int) -> Process:
    """Start the process under its reserved id; done already is done."""
    wish = ProcessInput(target=alert.target_id, pipeline=PIPELINE, products=shown)
    is_cut = count > len(shown)
    note_text = f"The target has {count} frames; the newest {len(shown)} are shown" if is_cut else ""
    try:
        process = submit_process(wish, USER, process_id, note_text=note_text)
    except InvalidInputError as error:
        if error.fields[0].loc == ("target",):
            raise TargetGoneError from None
        raise
    logger.info("timelapse started", extra={"process_id": process.id, "frames": len(shown)})
    return process


def _find(process_id: int) -> Process | None:
    try:
        return processes.get(process_id)
    except NotFoundError:
        return None
