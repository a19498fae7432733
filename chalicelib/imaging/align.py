"""Lay the frames of a sequence on one of them: by their stars, by their coordinates, or by both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from chalicelib.imaging.headers import FrameError, Value
from chalicelib.imaging.register import Transform, match_stars
from chalicelib.imaging.stars import find_stars
from chalicelib.imaging.wcs import TangentPlane

Floats = npt.NDArray[np.float64]

# With so many stars in either frame, coordinates that the stars contradict are not believed.
_ENOUGH_STARS = 8
_FEWEST_STARS = 3

_CANDIDATES = 9
_ENOUGH_AGREE = 0.5

TOO_FEW_STARS = "it cannot be aligned: too few stars"
NO_MATCH = "it cannot be aligned: its stars do not match those of the other frames"


@dataclass(frozen=True, eq=False)
class Sight:
    """What of a frame tells where it looks.

    Parameters
    ----------
    width_px, height_px : int
        Size of the frame.
    xy : ndarray, shape (n, 2), float64
        Positions of its stars, brightest first.
    plane : TangentPlane or None
        Its coordinates, if the header tells.
    """

    width_px: int
    height_px: int
    xy: Floats
    plane: TangentPlane | None

    @classmethod
    def of_frame(cls, pixels: npt.NDArray[Any], keywords: Mapping[str, Value]) -> Self:
        """Find the stars of a frame and read its coordinates."""
        height, width = pixels.shape
        return cls(width, height, find_stars(pixels).xy, TangentPlane.from_keywords(keywords))

    @classmethod
    def blind(cls, width_px: int, height_px: int) -> Self:
        """Return the sight of a frame of which nothing is known."""
        return cls(width_px, height_px, np.empty((0, 2)), None)

    @property
    def is_usable(self) -> bool:
        """Whether another frame could be laid on this one at all."""
        return len(self.xy) >= _FEWEST_STARS or self.plane is not None

    def find_transform(self, other: "Sight", guess: Transform | None = None) -> Transform | None:
        """Return how this frame lies on another, or None if that cannot be told.

        The coordinates of both are where the search among the stars begins; they alone count where there are few stars.

        Parameters
        ----------
        other : Sight
            The reference frame.
        guess : Transform, optional
            Where to begin if there are no coordinates.
        """
        by_sky = None
        if self.plane is not None and other.plane is not None:
            by_sky = self.plane.transform_to(other.plane, self.width_px, self.height_px)
        by_stars = match_stars(self.xy, other.xy, guess if by_sky is None else by_sky)
        if by_stars is None and min(len(self.xy), len(other.xy)) < _ENOUGH_STARS:
            return by_sky
        return by_stars


class Aligner:
    """Lays one frame after the other on a reference frame; the last one tells where to begin with the next.

    Parameters
    ----------
    reference : Sight
        The frame that the others are laid on.
    last : Transform, optional
        That of the frame before.
    """

    def __init__(self, reference: Sight, last: Transform | None = None) -> None:
        self.reference = reference
        self.last = last

    def align(self, name: str, pixels: npt.NDArray[Any], keywords: Mapping[str, Value]) -> Transform:
        """Return how a frame lies on the reference frame.

        Raises
        ------
        FrameError
            If that cannot be told.
        """
        sight = Sight.of_frame(pixels, keywords)
        found = sight.find_transform(self.reference, self.last)
        if found is None:
            raise FrameError(name, NO_MATCH if len(sight.xy) >= _FEWEST_STARS else TOO_FEW_STARS)
        self.last = found
        return found

    def to_json(self) -> dict[str, Any]:
        """Return what another run needs to go on exactly like this one."""
        plane, last = self.reference.plane, self.last
        return {
            "xy": self.reference.xy.tolist(),
            "plane": plane and [plane.ra_deg, plane.dec_deg, plane.x_px, plane.y_px, plane.matrix.tolist()],
            "last": last and [last.matrix.tolist(), last.shift.tolist()],
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any], width_px: int, height_px: int) -> Self:
        """Return the aligner of frames of this size that `to_json` was told about."""
        xy = np.array(kept["xy"], dtype=np.float64).reshape(-1, 2)
        plane, last = None, None
        if kept["plane"]:
            ra_deg, dec_deg, x_px, y_px, matrix = kept["plane"]
            plane = TangentPlane(ra_deg, dec_deg, x_px, y_px, np.array(matrix))
        if kept["last"]:
            matrix, shift = kept["last"]
            last = Transform(np.array(matrix), np.array(shift))
        return cls(Sight(width_px, height_px, xy, plane), last)


def choose_reference(count: int, look_at: Callable[[int], Sight]) -> Sight:
    """Return the frame nearest to the middle of a sequence on which others can be laid.

    Of the frames beside it and half-way to either end, half must fit: a spoilt frame is no reference. If there is none
    like that near the middle, the one that most others fit is taken.

    Parameters
    ----------
    count : int
        Number of frames.
    look_at : function of int to Sight
        Called once at most for each frame, and for few of them.
    """
    sights = cache(look_at)
    last = count - 1
    best, best_share = 0, -1.0
    for index in sorted(range(count), key=lambda each: abs(each - last / 2))[:_CANDIDATES]:
        if not sights(index).is_usable:
            continue
        near = {index - 1, index + 1, last // 4, last - last // 4} - {index}
        others = [other for each in sorted(near) if 0 <= each <= last and (other := sights(each)).is_usable]
        fitting = [other for other in others if other.find_transform(sights(index)) is not None]
        share = len(fitting) / max(len(others), 1)
        if share > best_share:
            best, best_share = index, share
        if share >= _ENOUGH_AGREE:
            break
    return sights(best)
