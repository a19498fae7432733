"""Measure stars at known places: the sky around them, their centres, and the counts inside circles."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sep

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]

# No camera counts this far; files that mark bad pixels by a huge number do.
_LARGEST_COUNT = 1e30
_CLIP_SIGMA = 3.0
_CLIP_ROUNDS = 5
_MIN_SKY_PIXELS = 30
_CENTRING_ROUNDS = 15
_CENTRED_PX = 0.002
_FWHM_OF_SIGMA = 2.3548


@dataclass(frozen=True)
class Sky:
    """The sky around each star.

    Parameters
    ----------
    level : ndarray, shape (n_stars,)
        Counts per pixel; NaN where too few pixels are left to tell.
    noise : ndarray, shape (n_stars,)
        Standard deviation of a pixel, counts.
    pixels : ndarray, shape (n_stars,)
        How many pixels were used.
    """

    level: Floats
    noise: Floats
    pixels: Floats


def as_image(pixels: npt.NDArray[Any]) -> Image:
    """Return pixels of any type and byte order as the functions here take them; bad ones become NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        image = np.ascontiguousarray(pixels, dtype=np.float32)
        if not -_LARGEST_COUNT < float(image.min()) <= float(image.max()) < _LARGEST_COUNT:
            image = np.where(np.abs(image) < _LARGEST_COUNT, image, np.float32(np.nan))
    return image


def measure_sky(pixels: Image, xy: Floats, inner_px: float, outer_px: float) -> Sky:
    """Measure the sky in a ring around each position, other stars clipped away.

    The level is the mean of what is left, not the median: that of whole counts is a whole count, and half a count of
    error in each of a hundred pixels would spoil a light curve.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx), float32
        Counts; what is not finite is passed over.
    xy : ndarray, shape (n_stars, 2)
        0-based positions, integers at pixel centres.
    inner_px, outer_px : float
        Radii of the ring.
    """
    values = _around(pixels, xy, *_ring(inner_px, outer_px))
    with np.errstate(invalid="ignore"):
        for _ in range(_CLIP_ROUNDS):
            middle = _nan_median(values)
            # The spread comes from the quartiles: a single star in the ring leaves them where they are.
            spread = 1.4826 * _nan_median(np.abs(values - middle[:, None]))
            # Rounded counts have a spread of 0 where the sky is nearly noiseless.
            limit = _CLIP_SIGMA * np.maximum(spread, 0.5)[:, None]
            outliers = np.abs(values - middle[:, None]) > limit
            if not outliers.any():
                break
            values[outliers] = np.nan
    used = np.isfinite(values)
    count = used.sum(axis=1).astype(np.float64)
    enough = count >= _MIN_SKY_PIXELS
    divisor = np.where(enough, count, np.nan)
    level = np.where(used, values, 0).sum(axis=1) / divisor
    residuals = np.where(used, values - level[:, None], 0)
    noise = np.sqrt((residuals**2).sum(axis=1) / (divisor - 1))
    return Sky(level, noise, count)


def centre_stars(pixels: Image, xy: Floats, sky: Floats, fwhm_px: float) -> tuple[Floats, Floats]:
    """Find the centres of stars near the given positions: means of the light under a Gaussian window that follows.

    The window has the width of the stars, which is nearly as exact as fitting their profile (the windowed positions
    of SExtractor, Bertin & Arnouts 1996, A&AS 117, 393, manual of version 2.5, section 10).

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx), float32
        Counts.
    xy : ndarray, shape (n_stars, 2)
        Where to begin, within about one FWHM of the star.
    sky : ndarray, shape (n_stars,)
        Counts per pixel.
    fwhm_px : float
        Of the stars.

    Returns
    -------
    xy : ndarray, shape (n_stars, 2)
        The centres; NaN where there is no light, or where the window ran away by more than one FWHM (2 pixels at
        least).
    peak : ndarray, shape (n_stars,)
        Highest counts of a pixel within a FWHM of the start, sky included; -inf where no pixel is finite.
    """
    reach = max(2, int(np.ceil(1.5 * fwhm_px)))
    offsets = _disc(reach)
    values = _around(pixels, xy, *offsets)
    near = np.hypot(*offsets) <= max(fwhm_px, 1.5)
    peak = np.max(np.where(np.isfinite(values[:, near]), values[:, near], -np.inf), axis=1)
    light = np.where(np.isfinite(values), values - sky[:, None], 0)
    corner = _nearest_pixel(xy)
    columns = corner[:, :1] + offsets[0]
    rows = corner[:, 1:] + offsets[1]
    found = xy.copy()
    width2 = 2 * (fwhm_px / _FWHM_OF_SIGMA) ** 2
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for _ in range(_CENTRING_ROUNDS):
            dx, dy = columns - found[:, :1], rows - found[:, 1:]
            weighted = np.exp(-(dx**2 + dy**2) / width2) * light
            total = weighted.sum(axis=1)
            # Twice the mean offset: the window of the star's own width halves it.
            step = 2 * np.stack([(weighted * dx).sum(axis=1), (weighted * dy).sum(axis=1)], axis=1) / total[:, None]
            step[total <= 0] = np.nan
            found = found + step
            if not (np.abs(step) > _CENTRED_PX).any():
                break
        lost = ~(np.hypot(*(found - xy).T) <= max(fwhm_px, 2.0))
    found[lost] = np.nan
    return found, peak


def sum_apertures(pixels: Image, xy: Floats, radii_px: Floats) -> Floats:
    """Add up the counts inside circles, pixels on the edge by the exact share that lies inside.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx), float32
        Counts.
    xy : ndarray, shape (n_stars, 2)
        Centres.
    radii_px : ndarray, shape (n_radii,)
        Radii.

    Returns
    -------
    ndarray, shape (n_stars, n_radii)
        Counts, sky included; NaN where a circle reaches over the edge of the frame or holds a bad pixel.
    """
    sums = np.full((len(xy), len(radii_px)), np.nan)
    known = np.isfinite(xy).all(axis=1)
    if not known.any():
        return sums
    height, width = pixels.shape
    bad = None if np.isfinite(pixels.sum(dtype=np.float64)) else ~np.isfinite(pixels)
    x, y = np.ascontiguousarray(xy[known, 0]), np.ascontiguousarray(xy[known, 1])
    for index, radius in enumerate(radii_px):
        counts, _, flags = sep.sum_circle(pixels, x, y, float(radius), mask=bad, subpix=0)
        # sep cuts a circle at the frame's edge without saying so where less than a pixel is lost.
        inside = (
            (x - radius >= -0.5) & (y - radius >= -0.5) & (x + radius <= width - 0.5) & (y + radius <= height - 0.5)
        )
        sums[known, index] = np.where(inside & (flags & (sep.APER_HASMASKED | sep.APER_TRUNC) == 0), counts, np.nan)
    return sums


def _disc(radius_px: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    return _ring(-1.0, radius_px)


def _ring(inner_px: float, outer_px: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the offsets in x and y of the pixels whose centres lie farther than `inner_px` and within `outer_px`."""
    reach = int(outer_px)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    distance = np.hypot(x, y)
    chosen = (distance > inner_px) & (distance <= outer_px)
    return x[chosen], y[chosen]


def _nearest_pixel(xy: Floats) -> npt.NDArray[np.intp]:
    # What is no position is put far outside.
    nearest: npt.NDArray[np.intp] = np.rint(np.where(np.isfinite(xy), np.clip(xy, -1e6, 1e6), -1e6)).astype(np.intp)
    return nearest


def _around(pixels: Image, xy: Floats, dx: npt.NDArray[np.intp], dy: npt.NDArray[np.intp]) -> Floats:
    """Return the counts at the offsets from the pixel nearest to each position; NaN outside the frame."""
    nearest = _nearest_pixel(xy)
    columns, rows = nearest[:, :1] + dx, nearest[:, 1:] + dy
    height, width = pixels.shape
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    values: Floats = pixels[np.where(inside, rows, 0), np.where(inside, columns, 0)].astype(np.float64)
    values[~inside | ~np.isfinite(values)] = np.nan
    return values


def _nan_median(values: Floats) -> Floats:
    """Return the median of each row without its NaNs; several times faster than numpy's, which loops over the rows."""
    ordered = np.sort(values, axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(ordered))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, ordered.shape[1] - 1)
    return np.asarray(np.where(count > 0, (ordered[rows, low] + ordered[rows, high]) / 2, np.nan))
