"""Which stars of a field are measured, where they are in each frame, and what is measured of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chalicelib.imaging.apertures import Image, centre_stars, measure_sky, sum_apertures
from chalicelib.imaging.register import Transform, match_stars
from chalicelib.imaging.stars import Stars, find_stars

Floats = npt.NDArray[np.float64]

MOST_CANDIDATES = 80
_MOST_STARS = 1000
_MOST_ANCHORS = 200
_STARS_FOR_FWHM = 50
_RADII_FWHM = (0.8, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0)
_SMALLEST_RADIUS_PX = 1.5
_SKY_INNER_FWHM = 4.0
_MIN_SKY_AREA_PX = 600
_SEARCH_FWHM = 2.0
_SEARCH_PX = 5.0
_FAINTEST_SIGMA = 5.0
_CROWDED_SIGMA = 20.0
_ISOLATION_FWHM = 3.0
_NEIGHBOUR_SHARE = 0.02
_FEW_STARS = 8
_FOLLOW_PX = 12.0
_AGREE_PX = 2.0


class FieldError(Exception):
    """Raised with words for the user when a field cannot be measured."""


@dataclass(frozen=True)
class Rings:
    """The circles that are laid around each star.

    Parameters
    ----------
    radii_px : ndarray, shape (n_radii,)
        Apertures to be tried, smallest first.
    sky_inner_px, sky_outer_px : float
        Radii of the ring in which the sky is measured.
    """

    radii_px: Floats
    sky_inner_px: float
    sky_outer_px: float


@dataclass(frozen=True)
class Field:
    """What is to be measured, in pixels of the first frame (0-based, integers at pixel centres).

    Parameters
    ----------
    anchors : ndarray, shape (n, 2)
        All stars found, brightest first: what other frames are laid on.
    xy : ndarray, shape (n_stars, 2)
        The stars to measure: the target first, then those it may be compared with, brightest first.
    fwhm_px : float
        Of the stars.
    rings : Rings
        Apertures and sky.
    """

    anchors: Floats
    xy: Floats
    fwhm_px: float
    rings: Rings

    @property
    def threshold_sigma(self) -> float:
        """How far stars must rise above the noise to be looked for: a crowded field has enough bright ones."""
        return _CROWDED_SIGMA if len(self.anchors) >= _MOST_ANCHORS else _FAINTEST_SIGMA


@dataclass(frozen=True)
class Measured:
    """What one frame shows of the stars of a field; NaN for what cannot be measured.

    Parameters
    ----------
    xy : ndarray, shape (n_stars, 2)
        Where the stars are in this frame.
    counts : ndarray, shape (n_stars, n_radii)
        In the apertures, sky included.
    sky, sky_noise, sky_pixels : ndarray, shape (n_stars,)
        Counts per pixel in the ring, their standard deviation, and how many pixels were used.
    peak : ndarray, shape (n_stars,)
        Highest counts of a pixel of the star.
    fwhm_px : float
        Median of the stars of this frame.
    top : float
        Highest counts of the frame.
    tops : int
        How many pixels have exactly these.
    """

    xy: Floats
    counts: Floats
    sky: Floats
    sky_noise: Floats
    sky_pixels: Floats
    peak: Floats
    fwhm_px: float
    top: float
    tops: int


def choose_rings(
    fwhm_px: float,
    aperture_px: float | None = None,
    sky_inner_px: float | None = None,
    sky_outer_px: float | None = None,
) -> Rings:
    """Choose apertures and the ring of the sky by the width of the stars, where nobody has named them.

    Apertures from about the half-light radius to where the light ends are tried; the sky begins beyond them.
    """
    fwhm_px = max(fwhm_px, 1.0)
    tried = [aperture_px] if aperture_px else [max(factor * fwhm_px, _SMALLEST_RADIUS_PX) for factor in _RADII_FWHM]
    radii = np.unique(np.round(tried, 2))
    inner = sky_inner_px or max(_SKY_INNER_FWHM * fwhm_px, float(radii[-1]) + 2)
    outer = sky_outer_px or max(float(np.sqrt(inner**2 + _MIN_SKY_AREA_PX / np.pi)), inner * 1.5)
    if inner < radii[-1]:
        raise FieldError(f"The sky ring ({inner:g} pixels) begins inside of the aperture ({radii[-1]:g} pixels)")
    return Rings(radii, float(inner), float(outer))


def typical_fwhm(stars: Stars, pixels: Image, ceiling: float | None) -> float:
    """Return the median width of the brighter stars, those at the `ceiling` of the counts left aside."""
    widths = stars.fwhm_px[~_is_saturated(stars.xy, pixels, ceiling)][:_STARS_FOR_FWHM]
    return float(np.median(widths if len(widths) else stars.fwhm_px))


def find_star(
    pixels: Image, stars: Stars, xy: tuple[float, float], fwhm_px: float, rings: Rings, what: str = "The target"
) -> Floats:
    """Return the centre of the star at a position that is good to some pixels.

    Raises
    ------
    FieldError
        If the position is outside of the frame, or no star is there.
    """
    height, width = pixels.shape
    place = f"x {xy[0]:.1f}, y {xy[1]:.1f}"
    if not (-0.5 <= xy[0] <= width - 0.5 and -0.5 <= xy[1] <= height - 0.5):
        raise FieldError(f"{what} is outside of the frame: {place} of {width} x {height} pixels")
    search = max(_SEARCH_PX, _SEARCH_FWHM * fwhm_px)
    distances = np.hypot(*(stars.xy - xy).T)
    if len(distances) and distances.min() <= search:
        return np.asarray(stars.xy[int(distances.argmin())])
    # Fainter than what a search of the whole frame may report, but known to be here.
    start = np.array([xy])
    sky = measure_sky(pixels, start, rings.sky_inner_px, rings.sky_outer_px)
    centre, _ = centre_stars(pixels, start, sky.level, fwhm_px)
    counts = sum_apertures(pixels, centre, np.array([fwhm_px]))[0, 0]
    area = np.pi * fwhm_px**2
    if not counts - sky.level[0] * area > _FAINTEST_SIGMA * sky.noise[0] * np.sqrt(area):
        raise FieldError(f"{what} cannot be seen: there is no star within {search:.0f} pixels of {place}")
    return np.asarray(centre[0])


def find_comparisons(
    pixels: Image, stars: Stars, target_xy: Floats, named: Sequence[tuple[float, float]], fwhm_px: float, rings: Rings
) -> Floats:
    """Return the centres of the comparison stars that the user has named, shape (n, 2).

    Raises
    ------
    FieldError
        If one cannot be seen, is the target itself, or is named twice.
    """
    found: list[Floats] = []
    for number, xy in enumerate(named, start=1):
        star = find_star(pixels, stars, xy, fwhm_px, rings, f"Comparison star {number}")
        if np.hypot(*(star - target_xy)) < 1:
            raise FieldError(f"Comparison star {number} is the target itself")
        same = [other for other, before in enumerate(found, start=1) if np.hypot(*(star - before)) < 1]
        if same:
            raise FieldError(f"Comparison stars {same[0]} and {number} are the same star")
        found.append(star)
    return np.array(found)


def choose_candidates(pixels: Image, stars: Stars, target_xy: Floats, fwhm_px: float, ceiling: float | None) -> Floats:
    """Return the stars that the target may be compared with: bright, not saturated, and by themselves.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx), float32
        The first frame.
    stars : Stars
        All of its stars.
    target_xy : ndarray, shape (2,)
        Where the target is.
    fwhm_px : float
        Width of the stars.
    ceiling : float or None
        Counts from which on a pixel is saturated, if that is known.

    Returns
    -------
    ndarray, shape (n, 2)
        Brightest first.
    """
    xy, flux = stars.xy, stars.flux
    distances = np.hypot(xy[:, None, 0] - xy[None, :, 0], xy[:, None, 1] - xy[None, :, 1])
    near = (distances < _ISOLATION_FWHM * fwhm_px) & (distances > 0)
    crowded = (near & (flux[None, :] > _NEIGHBOUR_SHARE * flux[:, None])).any(axis=1)
    is_target = np.hypot(*(xy - target_xy).T) < max(_ISOLATION_FWHM * fwhm_px, 2.0)
    usable = ~crowded & ~is_target & ~_is_saturated(xy, pixels, ceiling)
    return np.asarray(xy[usable][:MOST_CANDIDATES])


def without(xy: Floats, others: Floats) -> Floats:
    """Return the positions, shape (n, 2), that are not among others."""
    distances = np.hypot(xy[:, None, 0] - others[None, :, 0], xy[:, None, 1] - others[None, :, 1])
    return np.asarray(xy[(distances >= 1).all(axis=1)])


def measure_field(pixels: Image, field: Field, guesses: list[Transform]) -> tuple[Measured, Transform] | None:
    """Find the stars of a field in a frame and measure them.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx), float32
        Counts.
    field : Field
        What to measure.
    guesses : list of Transform
        Where this frame may lie on the first one, the best guess first.

    Returns
    -------
    tuple of Measured and Transform, or None
        Transform from this frame's pixels to the first frame's; None if the frame cannot be laid on it.
    """
    stars = find_stars(pixels, threshold_sigma=field.threshold_sigma, most=_MOST_ANCHORS)
    transform = _lay(stars.xy, field.anchors[:_MOST_ANCHORS], guesses)
    if transform is None:
        return None
    expected = transform.inverse().apply(field.xy)
    rings = field.rings
    sky = measure_sky(pixels, expected, rings.sky_inner_px, rings.sky_outer_px)
    centres, peak = centre_stars(pixels, expected, sky.level, field.fwhm_px)
    # Where the light is too faint to tell, the other stars know better.
    xy = np.where(np.isfinite(centres), centres, expected)
    top = float(np.max(pixels, initial=-np.inf, where=np.isfinite(pixels)))
    measured = Measured(
        xy,
        sum_apertures(pixels, xy, rings.radii_px),
        sky.level,
        sky.noise,
        sky.pixels,
        peak,
        float(np.median(stars.fwhm_px[:_STARS_FOR_FWHM])),
        top,
        int(np.count_nonzero(pixels == top)),
    )
    return measured, transform


def all_stars(pixels: Image) -> Stars:
    """Return the stars of the first frame."""
    return find_stars(pixels, threshold_sigma=_FAINTEST_SIGMA, most=_MOST_STARS)


def _is_saturated(xy: Floats, pixels: Image, ceiling: float | None) -> npt.NDArray[np.bool_]:
    if ceiling is None:
        return np.zeros(len(xy), dtype=bool)
    _, peak = centre_stars(pixels, xy, np.zeros(len(xy)), 2.0)
    return np.asarray(peak >= ceiling)


def _lay(xy: Floats, anchors: Floats, guesses: list[Transform]) -> Transform | None:
    found = match_stars(xy, anchors, guesses[0] if guesses else None)
    if found is None and min(len(xy), len(anchors)) <= _FEW_STARS:
        # Too few stars to rule out chance: believe that the field has stayed about where it was.
        return next((near for guess in guesses if (near := _follow(xy, anchors, guess)) is not None), None)
    return found


def _follow(xy: Floats, anchors: Floats, guess: Transform) -> Transform | None:
    """Return the guess with the shift on which at least two stars agree, or None."""
    if not len(xy) or not len(anchors):
        return None
    offsets = (anchors[None, :, :] - guess.apply(xy)[:, None, :]).reshape(-1, 2)
    offsets = offsets[np.hypot(*offsets.T) <= _FOLLOW_PX]
    if not len(offsets):
        return None
    agree = np.hypot(*(offsets[:, None, :] - offsets[None, :, :]).transpose(2, 0, 1)) <= _AGREE_PX
    best = agree[int(agree.sum(axis=1).argmax())]
    if best.sum() < 2:
        return None
    return Transform(guess.matrix, guess.shift + offsets[best].mean(axis=0), int(best.sum()))
