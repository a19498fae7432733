"""Kinds of fields that the telescope API's bodies share."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema


def refuse_boolean(value: object) -> object:
    """Refuse true and false where a number is meant: Python takes them for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("A valid number is required.")
    return value


def _flush_to_zero(angle: float) -> float:
    """Return 0.0 for what is no angle that anybody could measure: DynamoDB takes no number below 1e-130, and no -0.0."""
    return 0.0 if abs(angle) < 1e-100 else angle


MAX_ID = 10**15 - 1
_WHOLE = {"type": "integer", "minimum": 1, "maximum": MAX_ID}

RecordId = Annotated[
    int,
    BeforeValidator(refuse_boolean),
    Field(ge=1, le=MAX_ID),
    WithJsonSchema({"anyOf": [_WHOLE, {"type": "string", "pattern": "^[0-9]+$"}]}, mode="validation"),
]
"""The id of a record; texts of digits are taken, too, as forms send them."""

ParameterId = Annotated[int, Field(ge=1, le=MAX_ID)]
"""The id of a record as a parameter of an address, which is text in any case."""

RightAscension = Annotated[
    float,
    BeforeValidator(refuse_boolean),
    Field(ge=0, lt=360, allow_inf_nan=False),
    AfterValidator(_flush_to_zero),
]
"""Degrees."""

Declination = Annotated[
    float,
    BeforeValidator(refuse_boolean),
    Field(ge=-90, le=90, allow_inf_nan=False),
    AfterValidator(_flush_to_zero),
]
"""Degrees."""
