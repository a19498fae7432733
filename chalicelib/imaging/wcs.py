"""World coordinates of a frame: the tangent plane that most headers describe.

Calabretta & Greisen 2002 (A&A 395, 1077), sections 2 and 5; Greisen & Calabretta 2002 (A&A 395, 1061) for the keywords.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, degrees, isfinite, pi, radians, sin
from typing import Self

import numpy as np
import numpy.typing as npt

from chalicelib.imaging.register import Transform

Floats = npt.NDArray[np.float64]

_DEGREES_IN = {
    "": 1.0,
    "DEG": 1.0,
    "DEGREE": 1.0,
    "DEGREES": 1.0,
    "ARCMIN": 1 / 60,
    "ARCSEC": 1 / 3600,
    "RAD": 180 / pi,
}
_GRID = 9
_LARGEST_STEP_DEG = 90.0
_FIRST_FK5_EQUINOX = 1980.0


@dataclass(frozen=True, eq=False)
class TangentPlane:
    """A gnomonic projection (TAN) and how the pixels lie on it.

    Distortions (SIP and others) are left out; they come to a few pixels at most in the corners of a wide field. The
    frame of reference is taken as ICRS; FK5 (J2000) differs from it by far less than a pixel.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Where the plane touches the sky.
    x_px, y_px : float
        The pixel that lies there, 0-based, integers at pixel centres.
    matrix : ndarray, shape (2, 2), float64
        Degrees on the plane towards east and north for a pixel along x and along y.
    """

    ra_deg: float
    dec_deg: float
    x_px: float
    y_px: float
    matrix: Floats

    @classmethod
    def from_keywords(cls, keywords: Mapping[str, object]) -> Self | None:
        """Read it from header cards.

        Parameters
        ----------
        keywords : mapping
            `CTYPE`, `CRVAL`, `CRPIX` and `CDi_j`, or `CDELT` with `PCi_j` or `CROTA2`, for axes 1 and 2.

        Returns
        -------
        TangentPlane or None
            None if there are no such cards, they describe another projection or another equinox, or cannot be used.
        """
        types = [str(keywords.get(f"CTYPE{axis}", "")).strip().upper() for axis in (1, 2)]
        kinds = [name.removesuffix("-SIP") for name in types]
        if sorted(kinds) != ["DEC--TAN", "RA---TAN"] or not _is_j2000(keywords):
            return None
        numbers = _numbers(keywords)
        units = [_DEGREES_IN.get(str(keywords.get(f"CUNIT{axis}", "")).strip().upper()) for axis in (1, 2)]
        if numbers is None or None in units:
            return None
        factors = np.array(units, dtype=np.float64)
        values = np.array([numbers["CRVAL1"], numbers["CRVAL2"]]) * factors
        matrix = _pixel_matrix(numbers) * factors[:, None]
        if kinds[0] == "DEC--TAN":
            values, matrix = values[::-1], matrix[::-1]
        if abs(values[1]) > 90 or np.abs(matrix).max() > _LARGEST_STEP_DEG:
            return None
        # LONPOLE turns the plane about the point where it touches; on the north pole its default is 0 (section 2.4).
        turn = radians(180 - numbers.get("LONPOLE", 180.0 if values[1] < 90 else 0.0))
        matrix = np.array([[cos(turn), -sin(turn)], [sin(turn), cos(turn)]]) @ matrix
        if not abs(np.linalg.det(matrix)) > 1e-9 * float(np.hypot(*matrix).max()) ** 2 > 0:
            return None
        return cls(float(values[0]) % 360, float(values[1]), numbers["CRPIX1"] - 1, numbers["CRPIX2"] - 1, matrix)

    @property
    def scale_arcsec_px(self) -> float:
        """Side of a square that covers as much sky as a pixel."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix)))) * 3600

    @property
    def north_angle_deg(self) -> float:
        """Direction of north at the reference pixel: counter-clockwise from +x towards +y, y counted upwards."""
        return self._angle(1)

    @property
    def east_angle_deg(self) -> float:
        """Direction of east, given as `north_angle_deg` is; 90 degrees more, or less if the frame is a mirror image."""
        return self._angle(0)

    def _angle(self, axis: int) -> float:
        x, y = np.linalg.inv(self.matrix)[:, axis]
        return degrees(float(np.arctan2(y, x)))

    def to_sky(self, xy: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return right ascension, 0 to 360, and declination in degrees of pixels, shape (n, 2) or (2,)."""
        offsets = np.asarray(xy, dtype=np.float64) - (self.x_px, self.y_px)
        east, north = np.moveaxis(np.radians(offsets @ self.matrix.T), -1, 0)
        sine, cosine = sin(radians(self.dec_deg)), cos(radians(self.dec_deg))
        # The point (1, east, north) in the plane, turned from the tangent point to the equator and meridian.
        forward = cosine - north * sine
        dec = np.arctan2(sine + north * cosine, np.hypot(forward, east))
        return (self.ra_deg + np.degrees(np.arctan2(east, forward))) % 360, np.degrees(dec)

    def to_pixels(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> Floats:
        """Return pixels, shape (n, 2) or (2,), of positions; NaN for the half of the sky behind the plane."""
        ra = np.radians(np.asarray(ra_deg, dtype=np.float64) - self.ra_deg)
        dec = np.radians(np.asarray(dec_deg, dtype=np.float64))
        sine, cosine = sin(radians(self.dec_deg)), cos(radians(self.dec_deg))
        towards = np.sin(dec) * sine + np.cos(dec) * cosine * np.cos(ra)
        towards = np.where(towards > 0, towards, np.nan)
        east = np.cos(dec) * np.sin(ra) / towards
        north = (np.sin(dec) * cosine - np.cos(dec) * sine * np.cos(ra)) / towards
        plane = np.degrees(np.stack([east, north], axis=-1))
        return np.asarray(plane @ np.linalg.inv(self.matrix).T + (self.x_px, self.y_px))

    def transform_to(self, other: "TangentPlane", width_px: int, height_px: int) -> Transform | None:
        """Return the affine transform nearest to going through the sky to another frame's pixels.

        Parameters
        ----------
        other : TangentPlane
            That of the reference frame.
        width_px, height_px : int
            Size of this frame.

        Returns
        -------
        Transform or None
            `matched` is 0, `rms_px` what no affine transform can follow. None if the frames look away from each other.
        """
        steps = np.linspace(0, 1, _GRID)
        grid = np.stack(np.meshgrid(steps * (width_px - 1), steps * (height_px - 1)), axis=-1).reshape(-1, 2)
        goals = other.to_pixels(*self.to_sky(grid))
        if not np.isfinite(goals).all():
            return None
        middle = grid.mean(axis=0)
        terms = np.column_stack([grid - middle, np.ones(len(grid))])
        solution = np.linalg.lstsq(terms, goals, rcond=None)[0]
        rest = goals - terms @ solution
        matrix = solution[:2].T
        rms = float(np.sqrt(np.mean(np.sum(rest**2, axis=1))))
        return Transform(matrix, solution[2] - matrix @ middle, 0, rms)


def _is_j2000(keywords: Mapping[str, object]) -> bool:
    """Tell whether positions are ICRS or FK5: those of B1950 lie half a degree off."""
    system = str(keywords.get("RADESYS", keywords.get("RADECSYS", ""))).strip().upper()
    if system:
        return system in ("ICRS", "FK5", "GAPPT")
    equinox = keywords.get("EQUINOX", 2000.0)
    return not isinstance(equinox, int | float) or equinox >= _FIRST_FK5_EQUINOX


def _numbers(keywords: Mapping[str, object]) -> dict[str, float] | None:
    """Return the cards that are needed or given, or None if one is no number."""
    names = [f"{name}{axis}" for name in ("CRVAL", "CRPIX", "CDELT") for axis in (1, 2)]
    names += [f"{name}{i}_{j}" for name in ("CD", "PC") for i in (1, 2) for j in (1, 2)] + ["LONPOLE", "CROTA2"]
    found: dict[str, float] = {}
    for name in names:
        value = keywords.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            return None
        found[name] = float(value)
    required = {"CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2"}
    return found if required <= found.keys() else None


def _pixel_matrix(numbers: Mapping[str, float]) -> Floats:
    """Return the matrix from pixels to the plane; zeros if the header gives no scale."""
    cd = [[f"CD{i}_{j}" for j in (1, 2)] for i in (1, 2)]
    if any(name in numbers for row in cd for name in row):
        return np.array([[numbers.get(name, 0.0) for name in row] for row in cd])
    turned = any(f"PC{i}_{j}" in numbers for i in (1, 2) for j in (1, 2))
    # The standard's default step, a degree, makes sense only where PC holds the scale.
    steps = np.array([numbers.get(f"CDELT{axis}", float(turned)) for axis in (1, 2)])
    if turned:
        turn = np.array([[numbers.get(f"PC{i}_{j}", float(i == j)) for j in (1, 2)] for i in (1, 2)])
        return np.asarray(steps[:, None] * turn)
    angle = radians(numbers.get("CROTA2", 0.0))
    # The older convention scales first: Greisen & Calabretta, equation 189.
    return np.asarray(np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]]) * steps)
