"""How long a target can be seen: its way across the sky of each site. The Sun and the Moon are left out."""

import math

from local.portal.instruments import SITES

SIDEREAL_DAY_H = 23.9345


def hours_above(dec_deg: float, latitude_deg: float, max_airmass: float) -> float:
    """Return the hours of a day for which a declination is above the altitude of an airmass.

    Parameters
    ----------
    dec_deg, latitude_deg : float
        Declination of the target, latitude of the site, degrees.
    max_airmass : float
        At least 1; the airmass is taken as 1 / sin(altitude).

    Returns
    -------
    float
        0 if it never rises so high, a sidereal day if it never sinks below.
    """
    dec, latitude = math.radians(dec_deg), math.radians(latitude_deg)
    scale = math.cos(latitude) * math.cos(dec)
    rest = 1 / max_airmass - math.sin(latitude) * math.sin(dec)
    if scale < 1e-12 or abs(rest) >= scale:
        return SIDEREAL_DAY_H if rest < 0 else 0.0
    return 2 * math.degrees(math.acos(rest / scale)) / 360 * SIDEREAL_DAY_H


def longest_visibility_s(dec_deg: float, max_airmass: float, window_s: float) -> float:
    """Return for how many seconds at a stretch some site can see a target within a window."""
    hours = max(hours_above(dec_deg, latitude, max_airmass) for latitude, _ in SITES.values())
    return min(hours * 3600, window_s)
