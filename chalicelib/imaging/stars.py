"""Find the stars of a frame: where they are, how bright and how wide."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sep

Floats = npt.NDArray[np.float64]

# No camera counts this far; files that mark bad pixels by a huge number do.
_LARGEST_COUNT = 1e30
_MESH_PX = 64
_MIN_AREA_PX = 3
_BORDER_PX = 3
_LEAST_SHARE = 0.15

# sep keeps the pixels above the threshold in a buffer of its own and gives up when it is full. Making the largest one
# takes longer than finding the stars of a small frame.
_BUFFER_SHARE = 1 / 8
_SMALLEST_BUFFER_PX, _LARGEST_BUFFER_PX = 10_000, 1_000_000
_TRIES = 5


@dataclass(frozen=True)
class Stars:
    """Stars of one frame, brightest first.

    Parameters
    ----------
    x_px, y_px : ndarray, shape (n,), float64
        0-based positions along NAXIS1 and NAXIS2, integers at pixel centres.
    flux : ndarray, shape (n,), float64
        Counts above the sky.
    fwhm_px : ndarray, shape (n,), float64
        Full width at half maximum of a Gaussian with the star's half-light radius.
    """

    x_px: Floats
    y_px: Floats
    flux: Floats
    fwhm_px: Floats

    def __len__(self) -> int:
        return len(self.x_px)

    @property
    def xy(self) -> Floats:
        """Positions, shape (n, 2)."""
        return np.stack([self.x_px, self.y_px], axis=1)


def find_stars(pixels: npt.NDArray[Any], *, threshold_sigma: float = 5.0, most: int = 200) -> Stars:
    """Find the brightest stars above a sky that may vary across the frame.

    Hot pixels, cosmic rays and what touches the border are left out.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx)
        Counts of any type and byte order; what is not finite is ignored.
    threshold_sigma : float
        How far a star must rise above the noise of the sky, after smoothing.
    most : int
        How many to return at most.

    Returns
    -------
    Stars
        None at all for a frame that is blank, nothing but noise, or smaller than a star.
    """
    counts, bad = _prepare(pixels)
    if counts is None:
        return _none()
    sky = sep.Background(counts, mask=bad, bw=_MESH_PX, bh=_MESH_PX)
    if not sky.globalrms > 0:
        return _none()
    sky.subfrom(counts)
    found = _extract(counts, threshold_sigma * sky.globalrms, bad)
    return _measure(counts, found, most)


def _none() -> Stars:
    empty = np.empty(0)
    return Stars(empty, empty, empty, empty)


def _prepare(pixels: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32] | None, npt.NDArray[np.bool_] | None]:
    """Return a copy that sep takes, and a mask of the bad pixels if there are any."""
    if min(pixels.shape) < 2 * _BORDER_PX + 3:
        return None, None
    with np.errstate(over="ignore", invalid="ignore"):
        counts = np.array(pixels, dtype=np.float32, order="C")
        good = np.abs(counts) < _LARGEST_COUNT
    if good.all():
        return counts, None
    if not good.any():
        return None, None
    counts[~good] = np.median(counts[good])
    return counts, ~good


def _extract(counts: npt.NDArray[np.float32], threshold: float, bad: npt.NDArray[np.bool_] | None) -> npt.NDArray[Any]:
    buffer_px = int(np.clip(counts.size * _BUFFER_SHARE, _SMALLEST_BUFFER_PX, _LARGEST_BUFFER_PX))
    for _ in range(_TRIES):
        sep.set_extract_pixstack(buffer_px)
        try:
            return np.asarray(sep.extract(counts, threshold, mask=bad, minarea=5, deblend_nthresh=16))
        except Exception as error:
            # sep raises a bare Exception for everything; these are full buffers, which a higher threshold empties.
            if "buffer" not in str(error) and "overflow" not in str(error) and "limit" not in str(error):
                raise
            if buffer_px < _LARGEST_BUFFER_PX:
                buffer_px = _LARGEST_BUFFER_PX
            else:
                threshold *= 3
    return np.empty(0, dtype=[("x", float)])


def _measure(counts: npt.NDArray[np.float32], found: npt.NDArray[Any], most: int) -> Stars:
    height, width = counts.shape
    if not len(found):
        return _none()
    inside = (
        (found["xmin"] >= _BORDER_PX - 1)
        & (found["ymin"] >= _BORDER_PX - 1)
        & (found["xmax"] <= width - _BORDER_PX)
        & (found["ymax"] <= height - _BORDER_PX)
    )
    found = found[inside & (found["tnpix"] >= _MIN_AREA_PX) & (found["flux"] > 0) & (found["b"] > 0.5)]
    found = found[~_is_hit(counts, found)]
    found = found[np.argsort(-found["flux"], kind="stable")][:most]
    if not len(found):
        return _none()
    x, y, flag = sep.winpos(counts, found["x"], found["y"], np.sqrt(found["a"] * found["b"]))
    moved = np.hypot(x - found["x"], y - found["y"]) > 1
    x, y = np.where(moved | (flag != 0), found["x"], x), np.where(moved | (flag != 0), found["y"], y)
    radius, _ = sep.flux_radius(counts, x, y, 4.0 * found["a"], 0.5, subpix=5)
    return Stars(x, y, np.asarray(found["flux"], dtype=np.float64), 2 * radius)


def _is_hit(counts: npt.NDArray[np.float32], found: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which sources are sharper than any optics draw.

    A star, wherever its centre, gives at least four pixels a good share of its light; the track of a cosmic ray has
    three in a row, and a hot pixel is alone.
    """
    x, y = found["xpeak"], found["ypeak"]
    boxes = np.stack([counts[y + j, x + i] for j in (-1, 0, 1) for i in (-1, 0, 1)], axis=1)
    return np.asarray(np.partition(boxes, 5, axis=1)[:, 5] < _LEAST_SHARE * boxes[:, 4])
