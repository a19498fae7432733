"""The groups in which operations are shown: one for each module of views, in the order in which to read about them."""

import sys
from typing import NamedTuple

from chalicelib.handlers.http import View

ORDER = (
    "health",
    "events",
    "productions",
    "streams",
    "targets",
    "data_products",
    "renditions",
    "processes",
    "reduced_data",
    "observation_templates",
    "observing",
    "observations",
    "pages",
    "description",
)
"""Names of modules, and of the package of pages."""


class Tag(NamedTuple):
    """A group of operations, and what there is to say of it."""

    name: str
    description: str


def place_of(view: View) -> int:
    """Return where the group of a view stands."""
    return ORDER.index(_module_of(view))


def tag_of(view: View) -> Tag:
    """Return the group of a view."""
    name = _module_of(view)
    noun = name.replace("_", " ").capitalize()
    if name == "pages":
        return Tag(noun, "For people with a browser.")
    owner = getattr(view, "__self__", None)
    text = (sys.modules[view.__module__].__doc__ or "").partition("\n")[0]
    return Tag(owner.spelled(noun) if owner else noun, text)


def _module_of(view: View) -> str:
    package, _, name = view.__module__.rpartition(".")
    return "pages" if package.endswith(".pages") else name
