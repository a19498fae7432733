"""Which texts may name a record."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

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

Name = Annotated[str, AfterValidator(_check_name)]
"""A name that stands in addresses: of an event or a production. At most 200 characters, no `/ \\ % ? #`."""

Title = Annotated[str, AfterValidator(_check_title)]
"""A name that people read: of a target or a group. At most 100 characters; `C/2020 F3 (NEOWISE)` is one."""
