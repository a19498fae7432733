"""Make a frame small before anything else is done to it: all later steps then cost next to nothing."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

# No camera counts this far; files that mark bad pixels by a huge number do.
_LARGEST_COUNT = 1e30


def crop_bounds(length_px: int, scale: float) -> tuple[int, int]:
    """Return the first and the last-but-one index of the central part of an axis (TOM Education, crop_image).

    Parameters
    ----------
    length_px : int
        Length of the axis.
    scale : float
        Fraction to keep, above 0 and up to 1.

    Returns
    -------
    tuple of int
        `start` and `stop`, an even number of pixels apart: 1024 -> 512 pixels, 101 -> 50 pixels at scale 0.5. They are
        equal where nothing would be left.
    """
    middle = length_px // 2
    half = int(length_px * 0.5 * scale)
    return middle - half, middle + half


def shrink(pixels: npt.NDArray[Any], size_px: int) -> npt.NDArray[np.float32]:
    """Shrink an image to fit a square and turn it the way it is looked at.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx)
        Counts of any type; row 0 is FITS row 1. Pixels that are not finite are filled with the median of the others.
    size_px : int
        Longest side of the result. An image that is smaller is not enlarged.

    Returns
    -------
    ndarray, shape (height, width), float32
        Mean counts, all finite; the last row shows FITS row 1, which belongs at the bottom. 0 everywhere if no pixel
        was finite.
    """
    height, width = pixels.shape
    return shrink_to(pixels, fitted_size(width, height, size_px))


def fitted_size(width_px: int, height_px: int, size_px: int) -> tuple[int, int]:
    """Return width and height of an image shrunk to fit a square; it is not enlarged."""
    scale = min(1.0, size_px / max(height_px, width_px))
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))


def box_factor(width_px: int, height_px: int, size: tuple[int, int]) -> int:
    """Return the side of the boxes that are averaged first; at the far ends what fills no box is left out."""
    return min(width_px // size[0], height_px // size[1])


def shrink_to(pixels: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Shrink an image to a given width and height, neither larger than its own; else as `shrink`."""
    height, width = pixels.shape
    out_width, out_height = size
    factor = box_factor(width, height, size)
    with np.errstate(over="ignore", invalid="ignore"):
        small = _box_mean(pixels, factor)
        # A bad pixel spoils its whole box, so the small image shows whether the large one has any.
        if not (np.abs(small) < _LARGEST_COUNT).all():
            small = _box_mean(_fill_bad(pixels), factor)
    if small.shape != (out_height, out_width):
        # What is left is a ratio below 2. Hamming has no negative lobes: no dark rings around stars, unlike Lanczos.
        image = Image.fromarray(small).resize((out_width, out_height), Image.Resampling.HAMMING)
        small = np.asarray(image, dtype=np.float32)
    return small[::-1]


def _box_mean(pixels: npt.NDArray[Any], factor: int) -> npt.NDArray[np.float32]:
    """Average boxes of factor x factor pixels; up to factor - 1 rows and columns at the far ends are dropped."""
    height, width = pixels.shape[0] // factor * factor, pixels.shape[1] // factor * factor
    # Slices added up: several times faster than numpy's mean over reshaped axes, and no full-size copy in float.
    rows = pixels[0:height:factor].astype(np.float32)
    for offset in range(1, factor):
        rows += pixels[offset:height:factor]
    boxes = rows[:, 0:width:factor].copy()
    for offset in range(1, factor):
        boxes += rows[:, offset:width:factor]
    if factor > 1:
        boxes /= factor * factor
    return boxes


def _fill_bad(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    counts = pixels.astype(np.float32)
    good = np.abs(counts) < _LARGEST_COUNT
    counts[~good] = np.median(counts[good]) if good.any() else 0
    return counts
