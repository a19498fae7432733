"""Which texts may name a record."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_NAME_LENGTH = 200
_FORBIDDEN = "/\\%?#"


def _check_name(name: str) -> str:
    """Refuse a name that could not stand in a path segment, or in a folder's name, as it is."""
    if not name:
        raise ValueError("must not be empty")
    if len(name) > MAX_NAME_LENGTH:
        raise ValueError(f"must have at most {MAX_NAME_LENGTH} characters")
    if name != name.strip():
        raise ValueError("must not begin or end with white space")
    if name in (".", ".."):
        raise ValueError("must not be a path")
    _check_printable(name)
    bad = sorted(set(name) & set(_FORBIDDEN))
    if bad:
        raise ValueError(f"must not contain {' '.join(bad)}")
    return name


def _check_title(title: str) -> str:
    """Refuse a title that people could not read; unlike a name it may hold any printable character."""
    title = title.strip()
    if not title:
        raise ValueError("This field may not be blank.")
    if len(title) > MAX_TITLE_LENGTH:
        raise ValueError(f"Ensure this field has no more than {MAX_TITLE_LENGTH} characters.")
    _check_printable(title)
    return title


def _check_printable(text: str) -> None:
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise ValueError("must not contain control characters")


MAX_TITLE_LENGTH = 100

# What the checks above take, for the description of the API: in the patterns that Python and ECMAScript share.
_CONTROLS = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
_SPACES = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_BLANK = rf"[{_SPACES}\u0009-\u000d\u001c-\u001f\u0085\u2028\u2029]*"
_NAME_END = rf"[^{_CONTROLS}{_SPACES}/\\%?#]"
_TITLE_END = rf"[^{_CONTROLS}{_SPACES}]"

NAME_SCHEMA = {
    "minLength": 1,
    "maxLength": MAX_NAME_LENGTH,
    "pattern": rf"^(?!\.\.?$){_NAME_END}([^{_CONTROLS}/\\%?#]*{_NAME_END})?$",
}
_TITLE_PATTERN = rf"^{_BLANK}{_TITLE_END}([^{_CONTROLS}]{{0,{MAX_TITLE_LENGTH - 2}}}{_TITLE_END})?{_BLANK}$"

Name = Annotated[str, AfterValidator(_check_name), Field(json_schema_extra=NAME_SCHEMA)]
"""A name that stands in addresses: of an event or a production. At most 200 characters, no `/ \\ % ? #`."""

Title = Annotated[str, AfterValidator(_check_title), Field(json_schema_extra={"pattern": _TITLE_PATTERN})]
"""A name that people read: of a target or a group. At most 100 characters; `C/2020 F3 (NEOWISE)` is one."""
