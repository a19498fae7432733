"""Kinds of fields that the telescope API's bodies share."""

from typing import Annotated

from pydantic import BeforeValidator, Field


def _refuse_boolean(value: object) -> object:
    """Refuse true and false where a number is meant: Python takes them for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("A valid number is required.")
    return value


MAX_ID = 10**15 - 1
RecordId = Annotated[int, BeforeValidator(_refuse_boolean), Field(ge=1, le=MAX_ID)]
"""The id of a record; texts of digits are taken, too, as forms send them."""

RightAscension = Annotated[float, BeforeValidator(_refuse_boolean), Field(ge=0, lt=360, allow_inf_nan=False)]
"""Degrees."""

Declination = Annotated[float, BeforeValidator(_refuse_boolean), Field(ge=-90, le=90, allow_inf_nan=False)]
"""Degrees."""
