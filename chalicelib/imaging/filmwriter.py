"""What all writers of films have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

COLOURS = 256


class FilmWriter(ABC):
    """Takes the frames of a film; used as a context manager, the film is whole when the context ends without an error.

    Parameters
    ----------
    fps : float
        Frames per second, above 0.
    palette : sequence of int
        Red, green, blue from 0 to 255 of up to 256 colours.

    Raises
    ------
    ValueError
        If `fps` is not above 0 or the palette has a wrong length.
    """

    def __init__(self, fps: float, palette: Sequence[int]) -> None:
        if not fps > 0:
            raise ValueError(f"fps must be above 0, not {fps}")
        if len(palette) % 3 or not 0 < len(palette) <= 3 * COLOURS:
            raise ValueError("a palette has three values for each of up to 256 colours")
        self.frames = 0
        """How many it has taken."""
        self._size: tuple[int, int] | None = None

    def add(self, indices: npt.NDArray[np.uint8]) -> None:
        """Append a frame.

        Parameters
        ----------
        indices : ndarray, shape (height, width), uint8
            Index into the palette of every pixel, first row on top.

        Raises
        ------
        ValueError
            If the frame has another size than the first.
        """
        height, width = indices.shape
        if self._size is None:
            self._size = width, height
            self._begin(width, height)
        if self._size != (width, height):
            raise ValueError(f"a frame of {width} x {height} in a film of {self._size[0]} x {self._size[1]}")
        self._write(indices)
        self.frames += 1

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    @abstractmethod
    def _begin(self, width: int, height: int) -> None:
        """Write what comes before the first frame."""

    @abstractmethod
    def _write(self, indices: npt.NDArray[np.uint8]) -> None:
        """Write a frame of the right size."""
