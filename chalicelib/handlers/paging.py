"""The parameters `limit` and `next` that every list takes."""

from chalicelib.errors import InvalidInputError
from chalicelib.handlers.http import Request

MAX_LIMIT = 500
"""Members of a list answered at once; a list asked for without `limit` ends here, too, and says `next`."""


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
