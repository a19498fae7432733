"""One way to write a film, whatever its format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from chalicelib.imaging.filmwriter import FilmWriter

FilmFormat = Literal["gif", "mp4", "webm"]


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
