"""Where a point of the sky lies on a frame."""

import warnings
from collections.abc import Mapping

from chalicelib.imaging.headers import Value

_PREFIXES = ("CTYPE", "CUNIT", "CRVAL", "CRPIX", "CDELT", "CROTA", "CD1_", "CD2_", "PC1_", "PC2_", "A_", "B_")
_WHOLE = ("RADESYS", "RADECSYS", "EQUINOX", "LONPOLE", "LATPOLE")


def has_wcs(keywords: Mapping[str, Value]) -> bool:
    """Say whether a header describes where its frame lies in the sky."""
    # Numbers only: of "02:04:10" astropy reads the 2.
    return all(
        isinstance(keywords.get(f"CTYPE{axis}"), str) and isinstance(keywords.get(f"CRVAL{axis}"), int | float)
        for axis in (1, 2)
    )


def pixel_of(keywords: Mapping[str, Value], ra_deg: float, dec_deg: float) -> tuple[float, float] | None:
    """Return the 0-based pixel of a position by the coordinates that a header describes, distortions (SIP) included.

    Parameters
    ----------
    keywords : mapping
        The header.
    ra_deg, dec_deg : float
        ICRS.

    Returns
    -------
    tuple of float, or None
        None if the header describes no coordinates that can be used. NaN if the position is behind the projection.
    """
    from astropy.coordinates import SkyCoord
    from astropy.io.fits import Header
    from astropy.wcs import WCS, NoConvergence
    from astropy.wcs.utils import skycoord_to_pixel

    if not has_wcs(keywords):
        return None
    header = Header()
    for keyword, value in keywords.items():
        if keyword.startswith(_PREFIXES) or keyword in _WHOLE:
            header[keyword] = value
    star = SkyCoord(ra_deg, dec_deg, unit="deg")
    with warnings.catch_warnings():
        # astropy mends headers and tells so; what it cannot mend it raises.
        warnings.simplefilter("ignore")
        try:
            wcs = WCS(header, naxis=2)
            if not wcs.has_celestial:
                return None
            try:
                x, y = skycoord_to_pixel(star, wcs, mode="all")
            except NoConvergence:
                # Far outside of the frame the polynomials of the distortion mean nothing.
                x, y = skycoord_to_pixel(star, wcs, mode="wcs")
        except Exception:  # noqa: BLE001 - wcslib raises a dozen kinds for headers that make no sense
            return None
    return float(x), float(y)
