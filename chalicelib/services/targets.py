"""Targets: changes that touch more than one record."""

import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from chalicelib import clock
from chalicelib.errors import NotFoundError, UnavailableError
from chalicelib.models.targets import Target, TargetChange
from chalicelib.services.processes import delete_process, delete_product
from chalicelib.storage import artefacts, data_products, processes, reduced_data, targets
from chalicelib.storage.targets import TargetChangedError

CHANGE_TRIES = 20
DELETION_S = 20.0
"""Seconds for which one request deletes; an API function has 29."""


def change_target(target_id: int, change: TargetChange) -> Target:
    """Set what is given, and return the target; `extra_fields` is merged at its top level.

    Raises
    ------
    NotFoundError
        If there is no such target.
    InvalidInputError
        If the name is in use, or a sidereal target would be left without a position.
    """
    given = {
        field: getattr(change, field) for field in ("name", "type", "ra", "dec") if field in change.model_fields_set
    }
    for _ in range(CHANGE_TRIES):
        old = targets.get(target_id)
        # Later than what was read, whatever this machine's clock says: `modified` tells whether somebody else was faster.
        modified = max(clock.now(), clock.from_text(old.modified) + timedelta(microseconds=1))
        new = replace(
            old, **given, extra_fields={**old.extra_fields, **change.extra_fields}, modified=clock.to_text(modified)
        )
        new.check_position()
        try:
            targets.replace(old, new)
        except TargetChangedError:
            continue
        return new
    raise UnavailableError("Too many changes of the same target at once; try again.")


def delete_target(target_id: int) -> None:
    """Delete a target with its processes, data products and files, itself last; an interrupted deletion can be repeated.

    Raises
    ------
    NotFoundError
        If there is no such target.
    UnavailableError
        If there is more than can be deleted in one request, or something was added a moment ago: another try goes on.
    """
    target = targets.mark_going(target_id)
    end = time.monotonic() + DELETION_S
    for process_id in processes.ids_of_target(target_id):
        _check_time(end)
        with suppress(NotFoundError):  # another deletion of the target was faster
            delete_process(processes.get(process_id))
    for product in data_products.read_all(target_id):
        _check_time(end)
        delete_product(product)
    data_products.drop_list(target_id)
    reduced_data.drop_count(target_id)
    for folder in ("products", "uploads"):  # of uploads that were never completed
        artefacts.delete(artefacts.list_keys(f"{folder}/{target_id}/"))
    targets.delete(target)


def _check_time(end: float) -> None:
    if time.monotonic() > end:
        raise UnavailableError("The target is being deleted; ask again to go on.")
