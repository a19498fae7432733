"""One way to write a film, whatever its format."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

FilmFormat = Literal["gif", "mp4", "webm"]


class FilmWriter(Protocol):
    """Takes the frames of a film; used as a context manager, the film is whole when the context ends."""

    frames: int
    """How many it has taken."""

    def add(self, indices: npt.NDArray[np.uint8]) -> None:
        """Append a frame, shape (height, width): index into the palette of every pixel, first row on top."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def open_film(path: Path, kind: FilmFormat, fps: float, palette: Sequence[int]) -> FilmWriter:
    """Return the writer of a film.

    Parameters
    ----------
    path : path
        The file to write.
    kind : {"gif", "mp4", "webm"}
        The format.
    fps : float
        Frames per second, above 0.
    palette : sequence of int
        Red, green, blue from 0 to 255 of up to 256 colours.
    """
    # Each takes its own library: 0.1 s for that of videos, which a gif need not pay.
    if kind == "gif":
        from chalicelib.imaging.gif import GifWriter

        return GifWriter(path, fps, palette)
    from chalicelib.imaging.video import VideoWriter

    return VideoWriter(path, kind, fps, palette)
