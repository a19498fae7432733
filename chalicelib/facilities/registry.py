"""The facilities that observations can be asked of, by name."""

from functools import cache

from chalicelib.errors import NotFoundError
from chalicelib.facilities.base import Facility


def find_facility(name: str) -> Facility:
    """Return the facility of this name.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    facility = _facilities().get(name)
    if facility is None:
        raise NotFoundError("Facility not found.")
    return facility


@cache
def _facilities() -> dict[str, Facility]:
    from chalicelib.facilities.lco import LcoFacility

    return {LcoFacility.name: LcoFacility()}


def forget() -> None:
    """Drop the facilities with what they have cached; for tests."""
    _facilities.cache_clear()
