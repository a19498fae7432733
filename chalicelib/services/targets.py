"""Targets: changes that touch more than one record."""

import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from chalicelib import clock
from chalicelib.errors import NotFoundError, UnavailableError
from chalicelib.models.observations import Observation
from chalicelib.models.targets import Target, TargetChange
from chalicelib.services.observation_templates import delete_template
from chalicelib.services.processes import delete_process, delete_product
from chalicelib.storage import (
    alert_timelapses,
    alerts,
    artefacts,
    data_products,
    frames,
    observation_templates,
    observations,
    processes,
    reduced_data,
    targets,
)
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
    """Delete a target with all that belongs to it, itself last; an interrupted deletion can be repeated.

    Its observations are forgotten here; at their facility they go on. A submission of which nobody knows whether it has
    arrived is left to the schedule, which cancels what would be seen by nobody.

    Raises
    ------
    NotFoundError
        If there is no such target.
    UnavailableError
        If there is more than can be deleted in one request, or something was added a moment ago: another try goes on.
    """
    target = targets.mark_going(target_id)
    end = time.monotonic() + DELETION_S
    for template_id in observation_templates.ids_of_target(target_id):
        _check_time(end)
        with suppress(NotFoundError):  # another deletion was faster
            delete_template(template_id)
    # before what their alerts have made: then nobody works on that any more
    for observation in observations.read_all(target_id):
        _check_time(end)
        _delete_observation(observation)
    observations.drop_list(target_id)
    alert_timelapses.forget(target_id)
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


def _delete_observation(observation: Observation) -> None:
    """Delete an observation with its alert and what is known about its frames; their files are the target's."""
    frames.delete_all(observation.id)
    observations.delete(observation, [alerts.removal(observation.id)])


def _check_time(end: float) -> None:
    if time.monotonic() > end:
        raise UnavailableError("The target is being deleted; ask again to go on.")
