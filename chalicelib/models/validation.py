"""From pydantic's findings to the field errors of the two published APIs."""

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from chalicelib.errors import FieldError, InvalidInputError

Model = TypeVar("Model", bound=BaseModel)

MAX_FAULTS = InvalidInputError.MAX_FIELDS
"""Faults of one body that are told; an answer may not grow with what was sent."""

_MAX_KEY_SHOWN = 200

# pydantic's name for a fault -> the words and the name under which the asimov document's clients know it
_ASIMOV = {
    "missing": ("field required", "value_error.missing"),
    "extra_forbidden": ("extra fields not permitted", "value_error.extra"),
    "string_type": ("str type expected", "type_error.str"),
    "dict_type": ("value is not a valid dict", "type_error.dict"),
    "list_type": ("value is not a valid list", "type_error.list"),
}
# ... and the words of Django REST framework, which the telescope API's clients know
_TELESCOPE = {
    "missing": "This field is required.",
    "extra_forbidden": "Unknown field.",
    "string_type": "Not a valid string.",
    "string_too_short": "This field may not be blank.",
    "int_type": "A valid integer is required.",
    "int_parsing": "A valid integer is required.",
    "int_from_float": "A valid integer is required.",
    "float_type": "A valid number is required.",
    "float_parsing": "A valid number is required.",
    "finite_number": "A valid number is required.",
    "bool_type": "Must be a valid boolean.",
    "bool_parsing": "Must be a valid boolean.",
    "dict_type": "Expected a dictionary of items.",
    "list_type": "Expected a list of items.",
}


def validate_asimov(model: type[Model], body: dict[str, Any]) -> Model:
    """Return `body` as a `model`.

    Raises
    ------
    InvalidInputError
        With one `FieldError` for each fault, worded as the asimov document words them.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise InvalidInputError([_asimov_fault(fault) for fault in _faults(error)]) from None


def validate_telescope(model: type[Model], body: dict[str, Any]) -> Model:
    """Return `body` as a `model`; faults are worded as Django REST framework words them.

    Raises
    ------
    InvalidInputError
        With one `FieldError` for each fault.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise InvalidInputError([_telescope_fault(fault) for fault in _faults(error)]) from None


def telescope_faults(error: ValidationError, field: str, value: Any) -> list[FieldError]:
    """Return what is wrong with the `value` of a `field` that has a model of its own, worded as by `validate_telescope`."""
    faults = [{**fault, "loc": (field, *_existing(fault["loc"], value))} for fault in _faults(error)]
    return [_telescope_fault(fault) for fault in faults if not _is_aftermath(fault, faults)]


def _is_aftermath(fault: Any, faults: Sequence[Any]) -> bool:
    """Say whether a list only counts as too short because pydantic does not count the members that are wrong."""
    loc = fault["loc"]
    return fault["type"] == "too_short" and any(
        len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in faults
    )


def _existing(path: Sequence[str | int], value: Any) -> tuple[str | int, ...]:
    """Return a path as far as the value has it, and one step beyond: pydantic also names the members of a union."""
    steps: list[str | int] = []
    for step in path:
        is_there = step in value if isinstance(value, dict) else isinstance(value, list) and step in range(len(value))
        if not (is_there or isinstance(value, (dict, list))):
            break
        steps.append(step)
        if not is_there:
            break
        value = value[step]
    return tuple(steps)


def location(path: Sequence[str | int]) -> tuple[str | int, ...]:
    """Return the path to a field as it is told: a key that the caller made up may be absurdly long, and is cut."""
    return tuple(step[:_MAX_KEY_SHOWN] if isinstance(step, str) else step for step in path)


def _faults(error: ValidationError) -> list[Any]:
    # The caller's input is not repeated in the answer.
    faults = error.errors(include_url=False, include_context=False, include_input=True)[:MAX_FAULTS]
    return [{**fault, "loc": location(fault["loc"])} for fault in faults]


def _asimov_fault(fault: Any) -> FieldError:
    if fault["input"] is None and fault["type"].endswith("_type"):
        return FieldError(fault["loc"], "none is not an allowed value", "type_error.none.not_allowed")
    msg, kind = _ASIMOV.get(fault["type"], (_plain(fault), f"value_error.{fault['type']}"))
    return FieldError(fault["loc"], msg, "value_error" if fault["type"] == "value_error" else kind)


def _telescope_fault(fault: Any) -> FieldError:
    if fault["input"] is None and fault["type"].endswith("_type"):
        return FieldError(fault["loc"], "This field may not be null.")
    return FieldError(fault["loc"], _TELESCOPE.get(fault["type"], _plain(fault)))


def _plain(fault: Any) -> str:
    text = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] in ("too_short", "too_long"):  # JSON has no tuples
        return text.replace("Tuple", "List").replace(" after validation", "")
    return text
