"""Which instruments and filters the portal offers."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.errors import UnavailableError, UpstreamError
from chalicelib.facilities.budget import time_budget
from chalicelib.facilities.http import JsonClient
from chalicelib.observability import logger

FRESH_S = 600.0
"""Seconds for which the list is taken as it is."""

RETRY_S = 30.0
"""Seconds after which a list that could not be renewed is asked for again."""

BUDGET_S = 5.0

_MAX_TEXT = 200


@dataclass(frozen=True)
class Instrument:
    """One instrument type; filters are names by code."""

    telescope_class: str
    filters: Mapping[str, str]
    readout_modes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Instruments:
    """All instrument types by code."""

    by_code: Mapping[str, Instrument]
    filters: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        every = {code: name for one in self.by_code.values() for code, name in one.filters.items()}
        object.__setattr__(self, "filters", every)

    def filter_name(self, code: str) -> str:
        """Return what people call a filter."""
        return self.filters.get(code, code)


class InstrumentList:
    """The portal's list, kept for a while; an old copy is better than none while the portal is away."""

    def __init__(self) -> None:
        self._kept: Instruments | None = None
        self._fresh_until = 0.0

    def get(self, portal: JsonClient) -> Instruments:
        """Return the list.

        Raises
        ------
        UnavailableError, UpstreamError
            If it was never read and cannot be read now.
        """
        kept = self._kept
        if kept is not None and time.monotonic() < self._fresh_until:
            return kept
        try:
            with time_budget(BUDGET_S):
                kept = parse_instruments(portal.get("/api/instruments/", is_open=True).object())
        except (UnavailableError, UpstreamError) as error:
            if kept is None:
                raise
            logger.warning("the list of instruments is old", extra={"reason": str(error)})
            self._fresh_until = time.monotonic() + RETRY_S
            return kept
        self._kept = kept
        self._fresh_until = time.monotonic() + FRESH_S
        return kept


def parse_instruments(answer: dict[str, Any]) -> Instruments:
    """Return what the portal's answer lists; entries that make no sense are left out.

    Raises
    ------
    UpstreamError
        If no entry makes sense.
    """
    entries = [(code, _instrument(entry)) for code, entry in answer.items() if _is_text(code)]
    found = {code: one for code, one in entries if one is not None}
    if not found:
        raise UpstreamError("The telescope portal lists no instruments.")
    return Instruments(found)


def _instrument(entry: Any) -> Instrument | None:
    telescope_class = _member(entry, "class")
    if not _is_text(telescope_class):
        return None
    filters = {
        one["code"]: one["name"] if _is_text(one.get("name")) else one["code"]
        for one in _entries(_member(entry, "optical_elements", "filters"))
    }
    modes = frozenset(one["code"] for one in _entries(_member(entry, "modes", "readout", "modes")))
    return Instrument(telescope_class, filters, modes)


def _member(value: Any, *path: str) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _entries(value: Any) -> list[dict[str, Any]]:
    """Return those entries of a list that have a code and can be asked for."""
    entries = value if isinstance(value, list) else []
    return [
        one for one in entries if isinstance(one, dict) and _is_text(one.get("code")) and one.get("schedulable", True)
    ]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and value.isprintable()
