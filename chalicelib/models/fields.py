"""Kinds of fields that the telescope API's bodies share."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema


def refuse_boolean(value: object) -> object:
    """Refuse true and false where a number is meant: Python takes them for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("A valid number is required.")
    return value


def _flush_to_zero(angle: float) -> float:
    """Return 0.0 for what is no angle that anybody could measure: DynamoDB takes no number below 1e-130, and no -0.0."""
    return 0.0 if abs(angle) < 1e-100 else angle


def or_text(number: dict[str, Any]) -> WithJsonSchema:
    """Return the description of a number that is also taken as a text, as forms send it."""
    pattern = r"^[0-9]+$" if number["type"] == "integer" else r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$"
    return WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": pattern}]}, mode="validation")


MAX_ID = 10**15 - 1

RecordId = Annotated[
    int,
    Field(ge=1, le=MAX_ID),
    BeforeValidator(refuse_boolean),
    or_text({"type": "integer", "minimum": 1, "maximum": MAX_ID}),
]
"""The id of a record."""

ParameterId = Annotated[int, Field(ge=1, le=MAX_ID)]
"""The id of a record as a parameter of an address, which is text in any case."""

FileSize = Annotated[int, Field(ge=1), BeforeValidator(refuse_boolean), or_text({"type": "integer", "minimum": 1})]
"""Bytes."""

RightAscension = Annotated[
    float,
    Field(ge=0, lt=360, allow_inf_nan=False),
    BeforeValidator(refuse_boolean),
    AfterValidator(_flush_to_zero),
    or_text({"type": "number", "minimum": 0, "exclusiveMaximum": 360}),
]
"""Degrees."""

Declination = Annotated[
    float,
    Field(ge=-90, le=90, allow_inf_nan=False),
    BeforeValidator(refuse_boolean),
    AfterValidator(_flush_to_zero),
    or_text({"type": "number", "minimum": -90, "maximum": 90}),
]
"""Degrees."""
