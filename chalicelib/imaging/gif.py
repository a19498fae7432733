"""Write an animated gif frame by frame, so that memory does not grow with the number of frames."""

import struct
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
from PIL import Image

from chalicelib.imaging.filmwriter import COLOURS, FilmWriter

# Browsers play anything shorter at 10 frames per second.
_SHORTEST_DELAY_CS = 2
_LONGEST_DELAY_CS = 65535


class GifWriter(FilmWriter):
    """A gif that plays for ever, every frame complete, all with one palette (CompuServe GIF89a specification).

    Use as a context manager; the file is whole when the context ends. Without any frame no valid gif comes out.

    Parameters
    ----------
    path : path
        The file to write.
    fps : float
        Frames per second, above 0. A gif counts in hundredths of a second: 30 becomes 33.3; 50 is the most.
    palette : sequence of int
        Red, green, blue from 0 to 255 of up to 256 colours.

    Raises
    ------
    ValueError
        If `fps` is not above 0 or the palette has a wrong length.
    """

    def __init__(self, path: Path, fps: float, palette: Sequence[int]) -> None:
        super().__init__(fps, palette)
        self._delay_cs = round(min(max(100 / fps, _SHORTEST_DELAY_CS), _LONGEST_DELAY_CS))
        self._palette = bytes(palette).ljust(3 * COLOURS, b"\0")
        self._file = path.open("wb")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._file:
            self._file.write(b";")

    def _begin(self, width: int, height: int) -> None:
        self._file.write(self._header(width, height))

    def _write(self, indices: npt.NDArray[np.uint8]) -> None:
        height, width = indices.shape
        # Graphic control extension: the frame stays until the next covers it; no transparency.
        self._file.write(struct.pack("<3sBHBB", b"!\xf9\x04", 0x04, self._delay_cs, 0, 0))
        # Image descriptor: the whole screen, no palette of its own; then the bits of a pixel and the packed pixels.
        self._file.write(struct.pack("<sHHHHBB", b",", 0, 0, width, height, 0, 8))
        self._file.write(Image.fromarray(np.ascontiguousarray(indices)).tobytes("gif", "L"))
        self._file.write(b"\0")

    def _header(self, width: int, height: int) -> bytes:
        # 0xF7: one palette for all frames, 8 bits per colour, 256 colours. The loop count 0 means for ever.
        screen = struct.pack("<6sHHBBB", b"GIF89a", width, height, 0xF7, 0, 0)
        return screen + self._palette + b"!\xff\x0bNETSCAPE2.0" + struct.pack("<BBHB", 3, 1, 0, 0)
