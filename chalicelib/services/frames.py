"""New frames of an observation: from the archive into the bucket, once each, resumable.

A frame is reserved with the id of its data product, streamed to the key that follows from it, and then kept in one
transaction. Wherever this ends early, the next run finds the reservation and writes the same file again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from chalicelib import clock
from chalicelib.errors import InvalidInputError, UnavailableError, UpstreamError
from chalicelib.facilities.base import Facility, Frame, FrameUnavailableError
from chalicelib.models.alerts import Alert, FrameRecord, FrameState, Watch
from chalicelib.models.data_products import (
    FITS_FILE,
    FITS_MAGIC_BYTES,
    DataProduct,
    check_file_name,
    default_type,
    is_fits_start,
    segment_of,
)
from chalicelib.models.targets import Target
from chalicelib.observability import logger
from chalicelib.services.alert_claims import AlertClaim, OutOfTimeError, TargetGoneError
from chalicelib.storage import artefacts, data_products, frames, targets
from chalicelib.storage.streaming import BucketWriter

MAX_FRAMES = 2000
"""Of one observation, in the archive: what a timelapse takes, and a partition holds with ease."""

MAX_TRIES = 5
FIRST_PAUSE = timedelta(minutes=5)
"""Between two tries of a frame; four times as long with each: five of them outlast seven hours."""

FAIR_SHARE_S = 120.0
"""A frame that could not be fetched in this time has had its chance, where the function's time ends."""

_INPUT_SUFFIXES = (".fits", ".fits.fz")
_RAW_SUFFIX = "e00.fits.fz"


@dataclass
class FetchCounts:
    """What became of the frames of one look; `is_changed` says whether any was touched."""

    is_changed: bool = False
    fetched: int = 0
    failed: int = 0


def is_timelapse_input(product: DataProduct) -> bool:
    """Say whether a timelapse that alerts start shows a data product: FITS frames, raw ones left out."""
    name = product.name.lower()
    is_frame = product.data_product_type == FITS_FILE and name.endswith(_INPUT_SUFFIXES)
    return is_frame and not name.endswith(_RAW_SUFFIX)


def fetch_new_frames(alert: Alert, watch: Watch, facility: Facility, claim: AlertClaim, counts: FetchCounts) -> None:
    """Fetch what the archive has of an observation and the target has not, and count it.

    Raises
    ------
    UnavailableError, UpstreamError
        If the archive does not answer, or makes no sense. What one broken frame does is noted with the frame.
    OutOfTimeError
        If the function's time is nearly up: the next run goes on.
    TargetGoneError
        If the target is gone, or going.
    ClaimLostError
        If the claim no longer stands.
    """
    found = list(islice(facility.frames(watch.observation.observation_id), MAX_FRAMES + 1))
    # archives list the newest first; names of one telescope are in the order of exposure
    listed = {frame.id: frame for frame in sorted(found[:MAX_FRAMES], key=lambda frame: frame.name)}
    claim.go_on()
    new = [frame for frame in listed.values() if frame.id not in watch.frames and frame.url is not None]
    room = max(0, MAX_FRAMES - len(watch.frames))
    if len(found) > MAX_FRAMES or len(new) > room:
        logger.warning("frames are left out: the observation has too many", extra={"kept_at_most": MAX_FRAMES})
    new = new[:room]
    now = clock.to_text(clock.now())
    waiting = [each for each in watch.frames.values() if each.is_outstanding and each.due_at <= now]
    if not new and not waiting:
        return
    counts.is_changed = True
    target = _target(alert.target_id)
    _Fetcher(alert, target, facility, claim, counts).fetch([*waiting, *_reserve(alert, new, claim)], listed)


def _target(target_id: int) -> Target:
    with TargetGoneError.instead():
        return targets.get(target_id)


def _reserve(alert: Alert, new: Sequence[Frame], claim: AlertClaim) -> list[FrameRecord]:
    if not new:
        return []
    ids = data_products.next_ids(len(new))
    reserved = [
        FrameRecord(frame.id, _file_name(frame.name), product_id) for frame, product_id in zip(new, ids, strict=True)
    ]
    with TargetGoneError.instead():
        frames.reserve(alert.id, alert.target_id, claim.token, reserved)
    return reserved


def _file_name(name: str) -> str:
    """Return the name under which a frame can be kept, "" where it can not."""
    try:
        return check_file_name(name)
    except ValueError:
        return ""


class _Fetcher:
    """Fetches frames of one alert, one after the other.

    A try is noted before it begins, so that a frame at which runs die does not keep the others from their turn. Nobody
    fetches a frame that has had all its tries: only then its file may be deleted, for a worker whose claim was taken over
    meanwhile must not delete what another one has kept.
    """

    def __init__(
        self, alert: Alert, target: Target, facility: Facility, claim: AlertClaim, counts: FetchCounts
    ) -> None:
        self._alert = alert
        self._target = target
        self._facility = facility
        self._claim = claim
        self._counts = counts

    def fetch(self, wanted: Sequence[FrameRecord], listed: dict[str, Frame]) -> None:
        """Fetch frames; those that are broken cost a try each, those that the archive does not give now wait a little."""
        trouble: UnavailableError | UpstreamError | None = None
        for record in wanted:
            self._claim.go_on()
            if record.tries >= MAX_TRIES:
                self._end(record, FrameState.GIVEN_UP, "a run died at its last try")
                continue
            tried = replace(record, tries=record.tries + 1)
            self._change(tried, tries=tried.tries, due_at=clock.to_text(_pause_end(clock.now(), tried.tries)))
            try:
                self._fetch_one(tried, listed.get(record.id))
            except FrameUnavailableError as error:
                self._fail(tried, str(error))
            except (UnavailableError, UpstreamError) as error:
                due_at = clock.to_text(clock.now() + FIRST_PAUSE)  # the others come first next time
                self._change(record, tries=record.tries, due_at=due_at)
                if trouble is not None:
                    raise  # twice in a row: it is the archive, not the frame
                trouble = error
                continue
            trouble = None
        if trouble is not None:
            raise trouble

    def _fetch_one(self, record: FrameRecord, frame: Frame | None) -> None:
        if frame is None:
            raise FrameUnavailableError("the archive does not list it any more")
        if not record.name:
            raise FrameUnavailableError("its name cannot be that of a file")
        if frame.url is None:
            raise FrameUnavailableError("the archive has no file of it any more")
        product = self._product(record)
        time_left_s = self._claim.time_left_s()
        try:
            size = self._copy(frame, product)
        except OutOfTimeError:
            if time_left_s - self._claim.time_left_s() > FAIR_SHARE_S:
                self._fail(record, "it could not be fetched in time")
            else:
                self._change(record, tries=record.tries - 1, due_at="")
            raise
        self._keep(record, replace(product, size=size, created=clock.to_text(clock.now())))

    def _copy(self, frame: Frame, product: DataProduct) -> int:
        """Stream a frame into the bucket; return its size in bytes."""
        start = b""
        must_be_fits = product.data_product_type == FITS_FILE
        with self._facility.open_frame(frame) as pieces, BucketWriter(product.key) as file:
            for piece in pieces:
                if len(start) < FITS_MAGIC_BYTES:
                    start += piece[: FITS_MAGIC_BYTES - len(start)]
                    if must_be_fits and len(start) == FITS_MAGIC_BYTES and not is_fits_start(start):
                        raise FrameUnavailableError("it is not a FITS file")
                file.write(piece)
                self._claim.go_on()
            if not start or (must_be_fits and not is_fits_start(start)):
                raise FrameUnavailableError("it is not a FITS file" if start else "it is empty")
        return file.size

    def _keep(self, record: FrameRecord, product: DataProduct) -> None:
        now, is_input = clock.now(), is_timelapse_input(product)
        try:
            frames.keep(self._alert.id, self._claim.token, record, product, now, is_input=is_input)
        except InvalidInputError as error:
            fault = error.fields[0]
            if fault.loc == ("target",):
                artefacts.delete([product.key])  # no record will ever name it
                raise TargetGoneError from None
            if fault.type == data_products.UPLOAD_PENDING:
                raise FrameUnavailableError("a file of this name is being uploaded") from None
            self._end(record, FrameState.THERE, "the target has a file of this name")
            logger.info("a frame was there already", extra={"frame_id": record.id, "product_id": product.id})
            return
        self._counts.fetched += 1
        logger.info("frame kept", extra={"frame_id": record.id, "product_id": product.id, "bytes": product.size})

    def _fail(self, record: FrameRecord, reason: str) -> None:
        """Note that fetching a frame failed; after some tries it is given up."""
        self._counts.failed += 1
        is_over = record.tries >= MAX_TRIES or not record.name
        extra = {"frame_id": record.id, "tries": record.tries, "reason": reason, "given_up": is_over}
        logger.warning("a frame could not be fetched", extra=extra)
        if is_over:
            self._end(record, FrameState.GIVEN_UP, reason)
        else:
            self._change(record, reason=reason[:200])

    def _end(self, record: FrameRecord, state: FrameState, reason: str) -> None:
        """Take a frame out of those that are to be fetched, with the file that a try may have left; can be repeated."""
        self._change(record, tries=MAX_TRIES, due_at="", reason=reason[:200])  # from now on nobody fetches it
        artefacts.delete([self._product(record).key])
        self._change(record, state=state.value)

    def _change(self, record: FrameRecord, **values: str | int) -> None:
        frames.change(self._alert.id, self._claim.token, record, **values)

    def _product(self, record: FrameRecord) -> DataProduct:
        return DataProduct(
            id=record.product_id,
            target_id=self._target.id,
            name=record.name,
            data_product_type=default_type(record.name),
            size=0,
            key=artefacts.product_key(self._target.id, record.product_id, record.name),
            folder=segment_of(self._target.name),
            created=clock.to_text(clock.now()),
        )


def _pause_end(now: datetime, tries: int) -> datetime:
    pause: timedelta = FIRST_PAUSE * 4 ** (tries - 1)
    return now + pause
