"""Which part of a frame a film shows, how large, and where another frame's pixels belong in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from chalicelib.imaging.shrink import box_factor, crop_bounds, fitted_size, shrink_to

if TYPE_CHECKING:
    from chalicelib.imaging.register import Transform

Floats = npt.NDArray[np.float64]

# A frame that covers less of the film than this shows something else.
_LEAST_COVER = 0.1
_GRID = 9

# The interpolation reaches two pixels of the film beyond the edge.
_MARGIN_FILM_PX = 3
_FINER = 2


@dataclass(frozen=True)
class Region:
    """A rectangle of pixels: the first column and row, and those behind the last."""

    left: int
    bottom: int
    right: int
    top: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.top - self.bottom

    def cut(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return that part of a frame; row 0 of `pixels` is FITS row 1."""
        return pixels[self.bottom : self.top, self.left : self.right]


@dataclass(frozen=True)
class View:
    """What a film shows of the frame, or of the reference frame if the others are laid on one.

    Parameters
    ----------
    width_px, height_px : int
        Size of the frames.
    window : Region
        The part that is shown; empty if cropping leaves nothing.
    size_px : int
        Longest side of the film; it is not enlarged.
    """

    width_px: int
    height_px: int
    window: Region
    size_px: int

    @classmethod
    def of_frames(cls, width_px: int, height_px: int, size_px: int, crop_scale: float = 1) -> View:
        """Return the view of frames of this size, of which the fraction `crop_scale` of each side is shown."""
        if crop_scale == 1:
            return cls(width_px, height_px, Region(0, 0, width_px, height_px), size_px)
        (left, right), (bottom, top) = (crop_bounds(length, crop_scale) for length in (width_px, height_px))
        return cls(width_px, height_px, Region(left, bottom, right, top), size_px)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is shown."""
        return not (self.window.width and self.window.height)

    @property
    def film_size(self) -> tuple[int, int]:
        """Width and height of the film."""
        return fitted_size(self.window.width, self.window.height, self.size_px)

    @property
    def frame_px_per_film_px(self) -> float:
        """How many pixels of the frame a pixel of the film is wide."""
        return _covered(self.window, self.film_size)[0] / self.film_size[0]

    def find_region(self, transform: Transform) -> Region | None:
        """Return the part of a frame that the film shows.

        Parameters
        ----------
        transform : Transform
            From the pixels of the frame to those of the reference frame.

        Returns
        -------
        Region or None
            With a margin for the interpolation; None if the frame shows hardly anything of what the film shows.
        """
        back = transform.inverse()
        edges = [np.linspace(low, high, _GRID) - 0.5 for low, high in self._window_edges]
        grid = back.apply(np.stack(np.meshgrid(*edges), axis=-1).reshape(-1, 2))
        size = np.array([self.width_px, self.height_px])
        inside = ((grid > -0.5) & (grid < size - 0.5)).all(axis=1)
        if np.count_nonzero(inside) < _LEAST_COVER * len(grid):
            return None
        margin = _MARGIN_FILM_PX * self.frame_px_per_film_px
        low = np.clip(np.floor(grid.min(axis=0) - margin), 0, size - 1).astype(int)
        high = np.clip(np.ceil(grid.max(axis=0) + margin), low + 1, size).astype(int)
        return Region(int(low[0]), int(low[1]), int(high[0]), int(high[1]))

    def shrink(self, pixels: npt.NDArray[Any], region: Region) -> npt.NDArray[np.float32]:
        """Shrink part of a frame, already cut out, to the scale of the film; the last row shows the first FITS row."""
        return shrink_to(pixels, self._shrunk_size(region))

    def lay_over(
        self, small: npt.NDArray[np.float32], region: Region, transform: Transform, fill: float
    ) -> npt.NDArray[np.float32]:
        """Move a shrunken frame to where it lies on the reference frame, to a fraction of a pixel.

        Parameters
        ----------
        small : ndarray, float32
            From `shrink`.
        region : Region
            The part of the frame that it shows.
        transform : Transform
            From the pixels of the frame to those of the reference frame.
        fill : float
            Counts where the frame has no pixels.

        Returns
        -------
        ndarray, shape of the film, float32
        """
        # Pillow's own bicubic transform (a = -1) misplaces stars by up to a tenth of a pixel; its resize (a = -0.5) does
        # not, and on an image of twice the size linear interpolation blurs hardly at all.
        width, height = self._shrunk_size(region)
        doubled = Image.fromarray(_double(np.ascontiguousarray(small)))
        film = _to_corners(self.window, self.film_size)
        shrunk = _to_corners(region, (width, height)) @ np.diag([1 / _FINER, 1 / _FINER, 1])
        # A pixel's number is its middle here, but its edge for Pillow.
        middles = _affine(np.eye(2), np.array([0.5, 0.5]))
        there = middles @ _affine(transform.matrix, transform.shift) @ np.linalg.inv(middles)
        step = np.linalg.inv(shrunk) @ np.linalg.inv(there) @ film
        moved = doubled.transform(
            self.film_size,
            Image.Transform.AFFINE,
            tuple(step[:2].ravel()),
            resample=Image.Resampling.BILINEAR,
            fillcolor=fill,
        )
        return np.array(moved, dtype=np.float32)

    @property
    def _window_edges(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return (self.window.left, self.window.right), (self.window.bottom, self.window.top)

    def _shrunk_size(self, region: Region) -> tuple[int, int]:
        if region == self.window:
            return self.film_size
        scale = 1 / self.frame_px_per_film_px
        return max(1, round(region.width * scale)), max(1, round(region.height * scale))


def _double(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Enlarge an image twice; nothing gets darker than its darkest neighbour, as it would around saturated stars."""
    height, width = pixels.shape
    fine = Image.fromarray(pixels).resize((_FINER * width, _FINER * height), Image.Resampling.BICUBIC)
    darkest = _least_of_three(_least_of_three(pixels).T).T
    blocks = np.asarray(fine).reshape(height, _FINER, width, _FINER)
    raised = np.maximum(blocks, darkest[:, None, :, None])
    return np.asarray(raised.reshape(_FINER * height, _FINER * width), dtype=np.float32)


def _least_of_three(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the least of each pixel and those above and below it."""
    least = pixels.copy()
    np.minimum(least[1:], pixels[:-1], out=least[1:])
    np.minimum(least[:-1], pixels[1:], out=least[:-1])
    return least


def _covered(region: Region, size: tuple[int, int]) -> tuple[int, int]:
    """Return how many columns and rows of a region its shrunken image shows."""
    factor = box_factor(region.width, region.height, size)
    return region.width // factor * factor, region.height // factor * factor


def _to_corners(region: Region, size: tuple[int, int]) -> Floats:
    """Return the matrix from a shrunken image, rows counted downwards, to the frame; both count pixel edges."""
    width, height = _covered(region, size)
    scale = np.array([[width / size[0], 0], [0, -height / size[1]]])
    return _affine(scale, np.array([region.left, region.bottom + height]))


def _affine(matrix: Floats, shift: Floats) -> Floats:
    full = np.eye(3)
    full[:2, :2], full[:2, 2] = matrix, shift
    return full
