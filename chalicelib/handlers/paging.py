"""The parameters `limit` and `next` that every list takes, and `target` of those that belong to one."""

from typing import Annotated

from pydantic import Field

from chalicelib.errors import InvalidInputError
from chalicelib.handlers.operations import Parameter
from chalicelib.handlers.request import Request
from chalicelib.models.fields import MAX_ID, ParameterId

MAX_LIMIT = 500
"""Members of a list answered at once; a list asked for without `limit` ends here, too, and says `next`."""

LIMIT = Parameter("limit", "Members of one page.", Annotated[int, Field(ge=1, le=MAX_LIMIT)])
NEXT = Parameter("next", "Where to go on: from the `next` or `previous` of an earlier page.")
TARGET = Parameter("target", "Id of the target whose members are listed.", ParameterId, is_required=True)


def limit_of(request: Request, default: int = MAX_LIMIT) -> int:
    """Return the parameter `limit`.

    Raises
    ------
    InvalidInputError
        If it is not a number from 1 to `MAX_LIMIT`.
    """
    text = request.query.get("limit")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_LIMIT):
        raise InvalidInputError.of("limit", f"must be a number from 1 to {MAX_LIMIT}", "value_error.limit")
    return int(text)


def target_of(request: Request) -> int:
    """Return the parameter `target`.

    Raises
    ------
    InvalidInputError
        If it is missing, or no id.
    """
    target_id = id_of(request, "target")
    if target_id is None:
        raise InvalidInputError.of("target", "This parameter is required.")
    return target_id


def id_of(request: Request, parameter: str) -> int | None:
    """Return a parameter that is the id of a record, None where it is not given.

    Raises
    ------
    InvalidInputError
        If it is no id.
    """
    text = request.query.get(parameter, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID)) and int(text) > 0):
        raise InvalidInputError.of(parameter, "A valid integer is required.")
    return int(text)
