"""The portal's trees of errors, as faults of the form's fields.

A tree mirrors the body that it speaks of: objects by field, lists by position, texts at the leaves.
None of that is relied on.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from chalicelib.errors import FieldError, InvalidInputError

MAX_TEXT = 500
"""Characters of one text that are told."""

_MAX_DEPTH = 20
_NO_FIELD = ("non_field_errors", "detail")

_FIELDS = {
    ("name",): "name",
    ("proposal",): "proposal",
    ("ipp_value",): "ipp_value",
    ("observation_type",): "observation_mode",
    ("requests", "windows"): "end",
    ("requests", "windows", "start"): "start",
    ("requests", "windows", "end"): "end",
    ("requests", "location", "telescope_class"): "instrument_type",
    ("requests", "configurations", "instrument_type"): "instrument_type",
    ("requests", "configurations", "constraints", "max_airmass"): "max_airmass",
    ("requests", "configurations", "constraints", "min_lunar_distance"): "min_lunar_distance",
    ("requests", "configurations", "constraints", "max_lunar_phase"): "max_lunar_phase",
    ("requests", "configurations", "instrument_configs", "mode"): "readout_mode",
}
"""Path in the request group, without positions -> field of the form."""

_TARGET = ("requests", "configurations", "target")
_INSTRUMENT_CONFIG = ("requests", "configurations", "instrument_configs")

Path = tuple[str | int, ...]


def refusal(tree: Any, filters: Sequence[str]) -> InvalidInputError:
    """Return what a tree says as one error.

    Parameters
    ----------
    tree : object
        What the portal told.
    filters : sequence of str
        Codes of the filters, in the order of the configurations that were sent.
    """
    faults: dict[FieldError, None] = {}  # each filter's configuration repeats what is wrong with what they share
    for path, text in _leaves(tree, (), 0):
        faults[_fault(path, text, filters)] = None
        if len(faults) == InvalidInputError.MAX_FIELDS:
            break
    unsaid = FieldError((), "The telescope portal refused the request and did not say why.")
    return InvalidInputError(list(faults) or [unsaid])


def summary(tree: Any) -> str:
    """Return what a tree says as one text."""
    said = "; ".join(text for _, text in _leaves(tree, (), 0))
    return _cut(said) or "The telescope portal did not say why."


def _leaves(tree: Any, path: Path, depth: int) -> Iterator[tuple[Path, str]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, (*path, key), depth + 1)
    elif isinstance(tree, list):
        for position, value in enumerate(tree):
            # a list of texts says several things of one place
            place = path if isinstance(value, str) else (*path, position)
            yield from _leaves(value, place, depth + 1)
    elif tree is not None and str(tree).strip():
        yield path, str(tree).strip()


def _fault(path: Path, text: str, filters: Sequence[str]) -> FieldError:
    names = tuple(step for step in path if isinstance(step, str) and step not in _NO_FIELD)
    if names in _FIELDS:
        return FieldError((_FIELDS[names],), _cut(text))
    code = _filter(path, filters)
    if names[:3] == _TARGET:
        return FieldError(("target",), _cut(": ".join([*names[3:], text])))
    if code is not None and names[:3] == _INSTRUMENT_CONFIG and names[3:] in (("exposure_time",), ("exposure_count",)):
        return FieldError((f"{code}_{names[3]}",), _cut(text))
    rest = names[1:] if names[:1] == ("requests",) else names  # there is one request only
    if code is not None:
        rest = (f"filter {code}", *(name for name in rest if name not in ("configurations", "instrument_configs")))
    where = ".".join(rest)
    return FieldError((), _cut(f"{where}: {text}" if where else text))


def _filter(path: Path, filters: Sequence[str]) -> str | None:
    """Return the filter whose configuration a path leads to."""
    if len(path) > 3 and path[0] == "requests" and path[2] == "configurations":
        position = path[3]
        if isinstance(position, int) and position < len(filters):
            return filters[position]
    return None


def _cut(text: str) -> str:
    """Return a text as it may be shown: of a length that people read, and without what is no character of one line."""
    text = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return "".join(one if one.isprintable() else " " if one.isspace() else "\N{REPLACEMENT CHARACTER}" for one in text)
