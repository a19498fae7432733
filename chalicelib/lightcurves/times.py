"""The time in the middle of an exposure, as clocks on Earth show it and as a clock at rest in the solar system would."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MJD_OF_JD = 2400000.5
_UNIX_EPOCH_MJD = 40587.0
_DAY_S = 86400.0

_LATITUDE = ("SITELAT", "LATITUDE", "LAT-OBS")
_LONGITUDE = ("SITELONG", "LONGITUD", "LONG-OBS")
_HEIGHT = ("SITEELEV", "HEIGHT", "ALT-OBS")
_LOWEST_M, _HIGHEST_M = -500.0, 10_000.0


@dataclass(frozen=True)
class Site:
    """Where a telescope stands.

    Parameters
    ----------
    latitude_deg, longitude_deg : float
        North and east are positive.
    height_m : float
        Above the sea.
    """

    latitude_deg: float
    longitude_deg: float
    height_m: float


def exposure_of(keywords: Mapping[str, object]) -> float | None:
    """Return the exposure time in seconds, or None if the header gives none, or one that no frame has.

    No exposure is longer than a day: what says so counts in other units, or is damaged.
    """
    for keyword in ("EXPTIME", "EXPOSURE"):
        value = number(keywords, keyword)
        if value is not None and 0 < value <= _DAY_S:
            return value
    return None


def mjd_of_middle(start: datetime, exposure_s: float) -> float:
    """Return the Modified Julian Date, UTC, of the middle of an exposure.

    Parameters
    ----------
    start : datetime
        When it began; aware.
    exposure_s : float
        How long it lasted.
    """
    # Numbers are added, as dates end with the year 9999.
    return _UNIX_EPOCH_MJD + (start.timestamp() + exposure_s / 2) / _DAY_S


def find_site(keywords: Mapping[str, object]) -> Site | None:
    """Return where the header says that the telescope stands, or None if it does not.

    Some observatories count longitudes to the west. Nothing tells which do; barycentric times differ by 0.04 seconds
    at most. A height at which no telescope stands counts as 0, which costs less still.
    """
    latitude, longitude = (_first(keywords, names) for names in (_LATITUDE, _LONGITUDE))
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 360:
        return None
    height = _first(keywords, _HEIGHT) or 0.0
    return Site(latitude, longitude, height if _LOWEST_M <= height <= _HIGHEST_M else 0.0)


def to_bjd_tdb(mjd_utc: Floats, ra_deg: float, dec_deg: float, site: Site | None) -> Floats:
    """Return barycentric Julian Dates in dynamical time (Eastman, Siverd & Gaudi 2010, PASP 122, 935).

    Nothing is downloaded: the ephemeris is the one built into ERFA (good to a millisecond), and the turning of the
    Earth comes from the tables that were installed.

    Parameters
    ----------
    mjd_utc : ndarray, shape (n,)
        Modified Julian Dates, UTC.
    ra_deg, dec_deg : float
        Where the star is, ICRS.
    site : Site or None
        Where the telescope is; the middle of the Earth if it is not known, which is wrong by 21 ms at most.
    """
    from astropy import units
    from astropy.coordinates import EarthLocation, SkyCoord
    from astropy.utils import iers

    # Outside the dates of the tables an error of some milliseconds is no reason to fail, or to warn anyone.
    with (
        warnings.catch_warnings(action="ignore"),
        iers.conf.set_temp("auto_download", False),
        iers.conf.set_temp("auto_max_age", None),
        iers.conf.set_temp("iers_degraded_accuracy", "ignore"),
    ):
        from astropy.time import Time

        if site is None:
            location = EarthLocation.from_geocentric(0, 0, 0, unit=units.m)
        else:
            location = EarthLocation.from_geodetic(site.longitude_deg, site.latitude_deg, site.height_m)
        times = Time(mjd_utc, format="mjd", scale="utc", location=location)
        star = SkyCoord(ra_deg, dec_deg, unit="deg")
        # Two numbers each, so that the sum keeps its last digits.
        barycentric = times.tdb + times.light_travel_time(star, kind="barycentric", ephemeris="builtin")
        return np.asarray(barycentric.jd, dtype=np.float64)


def number(keywords: Mapping[str, Any], keyword: str) -> float | None:
    """Return the finite number that a header card holds, if it does; observatories also write numbers as text."""
    value = keywords.get(keyword)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if np.isfinite(found) else None


def _first(keywords: Mapping[str, object], names: tuple[str, ...]) -> float | None:
    return next((value for name in names if (value := number(keywords, name)) is not None), None)
