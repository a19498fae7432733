"""Observation templates: what is saved has been checked against the form of its facility."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from chalicelib import clock
from chalicelib.errors import FieldError, InvalidInputError, NotFoundError, UnavailableError
from chalicelib.facilities.registry import find_facility
from chalicelib.models.observation_templates import (
    MAX_FIELDS_BYTES,
    ObservationTemplate,
    TemplateChange,
    TemplateInput,
)
from chalicelib.models.validation import location
from chalicelib.storage import observation_templates as storage
from chalicelib.storage.freeform import check_size, pack
from chalicelib.storage.observation_templates import TemplateChangedError
from chalicelib.storage.requests import Write

CHANGE_TRIES = 20
FIXED_FIELDS = ("target_id", "facility")
"""What a template is for: its form may not say it once more, or otherwise."""


def create_template(
    given: TemplateInput, seal: Callable[[ObservationTemplate], Sequence[Write]] = lambda _: ()
) -> ObservationTemplate:
    """Keep a new template, together with what `seal` writes of it, and return it.

    Raises
    ------
    InvalidInputError
        If target or facility does not exist, the facility's form refuses a field, or the name is in use.
    UpstreamError, UnavailableError
        If the facility cannot say what its form is.
    """
    _check_fields(given.facility, given.fields)
    now = clock.to_text(clock.now())
    template = ObservationTemplate(storage.next_id(), given.name, given.target, given.facility, given.fields, now, now)
    storage.create(template, seal(template))
    return template


def change_template(template_id: int, change: TemplateChange) -> ObservationTemplate:
    """Set what is given, and return the template; `fields` is replaced as a whole.

    Raises
    ------
    NotFoundError
        If there is no such template.
    InvalidInputError
        If it would come to another target or facility, the facility's form refuses a field, or the name is in use.
    UpstreamError, UnavailableError
        If the facility cannot say what its form is.
    """
    given = {field: getattr(change, field) for field in ("name", "fields") if field in change.model_fields_set}
    is_checked = False
    for _ in range(CHANGE_TRIES):
        old = storage.get(template_id)
        _check_staying(old, change)
        if not given:
            return old
        if "fields" in given and not is_checked:
            _check_fields(old.facility, change.fields)
            is_checked = True
        # Later than what was read, whatever this machine's clock says: `modified` tells whether somebody else was faster.
        modified = max(clock.now(), clock.from_text(old.modified) + timedelta(microseconds=1))
        new = replace(old, **given, modified=clock.to_text(modified))
        try:
            storage.replace(old, new)
        except TemplateChangedError:
            continue
        return new
    raise _too_busy()


def delete_template(template_id: int) -> None:
    """Delete a template; what was observed with it stays.

    Raises
    ------
    NotFoundError
        If there is no such template.
    """
    for _ in range(CHANGE_TRIES):
        try:
            storage.delete(storage.get(template_id))
        except TemplateChangedError:
            continue
        return
    raise _too_busy()


def _check_fields(facility: str, fields: Mapping[str, Any]) -> None:
    packed = pack(dict(fields))
    check_size("fields", *packed.keys(), *packed.values(), limit=MAX_FIELDS_BYTES)  # before anybody works on it
    faults = [
        FieldError(("fields", field), "A template is for one target and facility: this belongs beside `fields`.")
        for field in FIXED_FIELDS
        if field in fields
    ]
    try:
        find_facility(facility).check_fields({field: fields[field] for field in fields if field not in FIXED_FIELDS})
    except NotFoundError as error:
        raise InvalidInputError.of("facility", str(error)) from None
    except InvalidInputError as error:
        faults += [replace(fault, loc=location(("fields", *fault.loc)) if fault.loc else ()) for fault in error.fields]
    if faults:
        raise InvalidInputError(faults)


def _check_staying(old: ObservationTemplate, change: TemplateChange) -> None:
    faults = [
        FieldError((field,), "A template stays with its target and facility; make another one.")
        for field, kept in (("target", old.target_id), ("facility", old.facility))
        if field in change.model_fields_set and getattr(change, field) != kept
    ]
    if faults:
        raise InvalidInputError(faults)


def _too_busy() -> UnavailableError:
    return UnavailableError("Too many changes of the same template at once; try again.")
