"""Remove cosmic-ray hits, and hot pixels with them, from a frame.

The idea is that of L.A.Cosmic (van Dokkum 2001, PASP 113, 1420): a hit has sharper edges than optics can draw. The
Laplacian finds edges, and its ratio to the fine structure tells a hit from the core of a sharp star. Here the Laplacian
is taken in closed form instead of on an enlarged image, and medians are taken around candidates only.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

# A pixel is hit if it rises this far above the median of its surroundings, has so strong an edge, in units of the
# noise, and the edge is so much stronger than the fine structure. A star with a FWHM of 1.6 pixels comes to 2.
_EXCESS_SIGMA, _EDGE_SIGMA = 5.0, 3.5
_CONTRAST = 3.0
# Pixels next to a hit are likely to be hit as well.
_NEXT_EXCESS_SIGMA, _NEXT_EDGE_SIGMA = 3.0, 2.0
_ROUNDS = 12

# Saturated stars: above this part of the highest counts; in no sensible frame are more pixels so bright.
_PLATEAU = 0.7
_MOST_BRIGHT = 0.02

_STRIP_ROWS = 64
_BATCH = 20_000
_NOISE_SAMPLES = 100_000
# Standard deviation of what is left of a Gaussian clipped at 3 sigma.
_CLIPPED_SPREAD = 0.9866
_AROUND = np.array([(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if row or column])


def clean_cosmics(pixels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], int]:
    """Replace the pixels that were hit by the median of those around them.

    Stars keep their light as long as they are at least about 1.6 pixels wide (FWHM), and saturated stars the columns
    that their charge has spilt into. Hits on top of a star stay as a rule, and so do those of the four corner pixels.
    Memory: a copy of the frame and two bytes per pixel.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx)
        Counts of any type, before anything smooths them; what is not finite is left alone.

    Returns
    -------
    cleaned : ndarray, shape (ny, nx)
        A copy of the same type, in native byte order.
    count : int
        How many pixels were replaced.
    """
    cleaned = pixels.astype(pixels.dtype.newbyteorder("="))
    noise = _measure_noise(cleaned)
    if not noise > 0:
        return cleaned, 0
    hit = np.zeros(cleaned.shape, dtype=np.bool_)
    kept = _protect_saturated(cleaned)
    rows, columns = _find_hits(cleaned, kept, noise)
    for _ in range(_ROUNDS):
        if not len(rows):
            break
        hit[rows, columns] = True
        # Without its brightest pixels a track shows those that hid between them.
        cleaned[rows, columns] = _medians_around(cleaned, hit, rows, columns)
        rows, columns = _neighbours(hit, rows, columns)
        grown = _are_hit(cleaned, rows, columns, noise, _NEXT_EXCESS_SIGMA, _NEXT_EDGE_SIGMA)
        grown &= ~kept[rows, columns]
        rows, columns = rows[grown], columns[grown]
    rows, columns = np.nonzero(hit)
    cleaned[rows, columns] = _medians_around(pixels, hit, rows, columns)
    return cleaned, len(rows)


def _measure_noise(pixels: npt.NDArray[Any]) -> float:
    """Return the standard deviation of a pixel, from differences of neighbours: blind to gradients and to most stars."""
    step = min(max(1, pixels.size // _NOISE_SAMPLES), pixels.shape[0])
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.abs(np.diff(pixels[step // 2 :: step].astype(np.float32), axis=1))
    differences = np.sort(steps[np.isfinite(steps)])
    if not len(differences):
        return 0.0
    # Begin with the smaller half, then take in what lies within 3 sigma. Whole counts would make quantiles coarse.
    limit = max(4.5 * float(differences[len(differences) // 2]), 1e-30)
    noise = 0.0
    for _ in range(4):
        inner = differences[: np.searchsorted(differences, limit, side="right")].astype(np.float64)
        noise = float(np.sqrt(np.mean(inner**2)))
        limit = max(3 * noise, 1e-30)
    return noise / (_CLIPPED_SPREAD * 2**0.5)


def _protect_saturated(pixels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which pixels belong to stars that fill their pixels to the brim: their edges are as sharp as hits.

    Such a star is a plateau near the highest counts, with all that is as bright and touches it, such as the columns
    that its charge spills into, and the pixels next to these.
    """
    kept = np.zeros(pixels.shape, dtype=np.bool_)
    highest = float(np.fmax.reduce(pixels, axis=None))
    with np.errstate(over="ignore", invalid="ignore"):
        sky = float(np.nanmedian(pixels[:: max(1, pixels.shape[0] // 16), :: max(1, pixels.shape[1] // 64)]))
        limit = sky + _PLATEAU * (highest - sky)
        rows, columns = np.nonzero(pixels > limit)
    if not len(rows) or len(rows) > _MOST_BRIGHT * pixels.size:
        return kept
    core = np.median(_patches(pixels, rows, columns, 1), axis=1) > limit
    bright = np.zeros_like(kept)
    bright[rows, columns] = True
    rows, columns = rows[core], columns[core]
    while len(rows):
        kept[rows, columns] = True
        rows, columns = _neighbours(kept, rows, columns)
        touching = bright[rows, columns]
        rows, columns = rows[touching], columns[touching]
    rows, columns = _neighbours(kept, *np.nonzero(kept))
    kept[rows, columns] = True
    return kept


def _find_hits(pixels: npt.NDArray[Any], kept: npt.NDArray[np.bool_], noise: float) -> tuple[Indices, Indices]:
    """Return rows and columns of the pixels that are hit beyond doubt, those to be kept left aside."""
    height, width = pixels.shape
    padded = np.empty((_STRIP_ROWS + 2, width + 2), dtype=np.float32)
    found = []
    for start in range(0, height, _STRIP_ROWS):
        stop = min(start + _STRIP_ROWS, height)
        strip = padded[: stop - start + 2]
        with np.errstate(over="ignore", invalid="ignore"):
            strip[:, 1:-1] = pixels[np.arange(start - 1, stop + 1).clip(0, height - 1)]
            strip[:, 0], strip[:, -1] = strip[:, 1], strip[:, -2]
            rows, columns = np.nonzero(_steepest_edges(strip) > 2 * _EDGE_SIGMA * noise)
        rows += start
        hit = _are_hit(pixels, rows, columns, noise, _EXCESS_SIGMA, _EDGE_SIGMA) & ~kept[rows, columns]
        found.append((rows[hit], columns[hit]))
    return np.concatenate([rows for rows, _ in found]), np.concatenate([columns for _, columns in found])


def _steepest_edges(strip: Floats) -> Floats:
    """Return twice an upper limit of `_edges` for all but the outermost pixels: half the work."""
    middle = strip[1:-1, 1:-1]
    lower = np.minimum(strip[1:-1, :-2], strip[1:-1, 2:])
    lower += np.minimum(strip[:-2, 1:-1], strip[2:, 1:-1])
    np.subtract(middle, lower, out=lower)
    lower += middle
    return lower


def _are_hit(
    pixels: npt.NDArray[Any], rows: Indices, columns: Indices, noise: float, excess_sigma: float, edge_sigma: float
) -> npt.NDArray[np.bool_]:
    """Tell which of some pixels are hit."""
    hit = np.zeros(len(rows), dtype=np.bool_)
    for start in range(0, len(rows), _BATCH):
        batch = slice(start, start + _BATCH)
        with np.errstate(over="ignore", invalid="ignore"):
            hit[batch] = _judge(pixels, rows[batch], columns[batch], noise, excess_sigma, edge_sigma)
    return hit


def _judge(
    pixels: npt.NDArray[Any], rows: Indices, columns: Indices, noise: float, excess_sigma: float, edge_sigma: float
) -> npt.NDArray[np.bool_]:
    near = _patches(pixels, rows, columns, 1)
    edges = _edges(near)
    verdict = edges > edge_sigma * noise
    left = np.flatnonzero(verdict)
    wide = np.sort(_patches(pixels, rows[left], columns[left], 3), axis=1)
    around = wide[:, 24]
    # In the wings of a star or in a galaxy, the spread takes the place of the noise; other hits and stars nearby are
    # in its brighter half.
    spread = np.maximum(noise, (around - wide[:, 12]) / 0.6745)
    # Of the light of a star, even the sharpest and wherever its centre, at least four pixels have a good share; a track
    # has three in a row, and its ends fewer.
    fine = np.partition(near[left], 5, axis=1)[:, 5] - around
    verdict[left] = (
        (near[left, 4] - around > excess_sigma * spread)
        & (edges[left] > edge_sigma * spread)
        & (edges[left] > _CONTRAST * (np.maximum(fine, 0) + 0.5 * spread))
    )
    return verdict


def _edges(near: Floats) -> Floats:
    """Return the Laplacian of the middle of 3 x 3 pixels, in counts above its neighbours.

    That of an image enlarged twofold, its negative parts set to 0, averaged over the four parts of the pixel: each part
    has one neighbour beside it and one above or below it in other pixels.
    """
    up, left, middle, right, down = (near[:, k] for k in (1, 3, 4, 5, 7))
    parts = [np.maximum(2 * middle - beside - above, 0) for beside in (left, right) for above in (up, down)]
    return np.asarray((parts[0] + parts[1] + parts[2] + parts[3]) / 8)


def _patches(pixels: npt.NDArray[Any], rows: Indices, columns: Indices, reach: int) -> Floats:
    """Return the square around each pixel, shape (n, (2 reach + 1)^2); beyond the frame its edge is repeated."""
    offsets = np.arange(-reach, reach + 1)
    row_index = (rows[:, None] + offsets).clip(0, pixels.shape[0] - 1)
    column_index = (columns[:, None] + offsets).clip(0, pixels.shape[1] - 1)
    patches = pixels[row_index[:, :, None], column_index[:, None, :]]
    return np.asarray(patches, dtype=np.float32).reshape(len(rows), len(offsets) ** 2)


def _medians_around(
    pixels: npt.NDArray[Any], hit: npt.NDArray[np.bool_], rows: Indices, columns: Indices
) -> npt.NDArray[Any]:
    """Return the medians of those of the 5 x 5 pixels around that are not hit; the pixel itself where there are none."""
    values = np.empty(len(rows), dtype=pixels.dtype.newbyteorder("="))
    for start in range(0, len(rows), _BATCH):
        batch = slice(start, start + _BATCH)
        row, column = rows[batch], columns[batch]
        around = _patches(pixels, row, column, 2)
        around[_patches(hit, row, column, 2) > 0] = np.nan
        around.sort(axis=1)
        count = np.count_nonzero(~np.isnan(around), axis=1)
        medians = around[np.arange(len(row)), np.maximum(count - 1, 0) // 2]
        values[batch] = np.where(count > 0, medians, pixels[row, column])
    return values


def _neighbours(hit: npt.NDArray[np.bool_], rows: Indices, columns: Indices) -> tuple[Indices, Indices]:
    """Return the pixels next to some pixels, each once, that are not hit yet."""
    height, width = hit.shape
    row, column = ((values[:, None] + _AROUND[:, k]).ravel() for k, values in enumerate((rows, columns)))
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    flat = np.unique(row[inside] * width + column[inside])
    flat = flat[~hit.ravel()[flat]]
    return flat // width, flat % width
