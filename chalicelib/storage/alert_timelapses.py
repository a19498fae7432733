"""The timelapse that the alerts of a target share: `pk=TARGET#<id>, sk=ALERTTIMELAPSE` names its process.

That sort key lies before all ranges of the target's partition that others read.
"""

from dataclasses import asdict, dataclass

from chalicelib.errors import ClaimLostError, NotFoundError
from chalicelib.settings import get_settings
from chalicelib.storage import requests, targets
from chalicelib.storage.requests import ConditionFailedError, Key, Write

_PROCESS = {"#process": "process_id"}


@dataclass(frozen=True)
class Pointer:
    """Which process makes, or has made, the newest timelapse for alerts; `repeats` says how often it was tried before."""

    process_id: int
    repeats: int = 0


class PointerMovedError(Exception):
    """Raised when somebody else has reserved another process for the target's timelapse meanwhile."""


@dataclass(frozen=True)
class Entry:
    """A timelapse of a target, as the target's partition holds it."""

    product_id: int
    name: str
    url: str


def key(target_id: int) -> Key:
    """Return the key of the pointer."""
    return {"pk": f"TARGET#{target_id}", "sk": "ALERTTIMELAPSE"}


def find(target_id: int) -> Pointer | None:
    """Return what the pointer says. One GetItem."""
    item = requests.get(_table(), key(target_id))
    return Pointer(item["process_id"], item.get("repeats", 0)) if item else None


def reserve(target_id: int, seen: Pointer | None, new: Pointer, claim: Write) -> None:
    """Let the next timelapse be that of a process which is yet to be made. One transaction.

    Parameters
    ----------
    seen : Pointer or None
        What `find` returned.
    claim : Write
        The condition that the worker still holds its alert.

    Raises
    ------
    ClaimLostError
        If it does not.
    NotFoundError
        If the target does not exist, or is being deleted.
    PointerMovedError
        If somebody else was faster.
    """
    if seen is None:
        put = requests.put(_table(), key(target_id), asdict(new), "attribute_not_exists(pk)")
    else:
        values = {":seen": seen.process_id}
        put = requests.put(_table(), key(target_id), asdict(new), "#process = :seen", names=_PROCESS, values=values)
    try:
        requests.transact([claim, targets.exists(target_id), put])
    except ConditionFailedError as error:
        if error.failed[0]:
            raise ClaimLostError("the claim on the alert no longer stands") from None
        if error.failed[1]:
            raise NotFoundError("Target not found.") from None
        raise PointerMovedError from None


def forget(target_id: int) -> None:
    """Remove the pointer, with its target. One DeleteItem."""
    requests.run(requests.delete(_table(), key(target_id)))


def entries(target_id: int) -> list[Entry]:
    """Return the timelapses of a target, oldest first. One Query of its partition per MB."""
    items = requests.query(_table(), f"TARGET#{target_id}", between=("TIMELAPSE#", "TIMELAPSE#~"))
    return [Entry(item["product_id"], item["name"], item["url"]) for item in items]


def _table() -> str:
    return get_settings().telescope_table
