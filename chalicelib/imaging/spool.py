"""Keep the rendered frames of a film in a file, so that another run can go on where this one ends."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt


class FrameSpool:
    """Frames behind each other, a byte per pixel, as they are: packing noise costs ten times what it saves.

    Use as a context manager; nothing is read back before `flush` or the end of the context.

    Parameters
    ----------
    path : path
        The file to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, indices: npt.NDArray[np.uint8]) -> None:
        """Append a frame, shape (height, width)."""
        self._file.write(np.ascontiguousarray(indices).data)

    def flush(self) -> None:
        """Make the file hold every frame that was added."""
        self._file.flush()


def read_spool(path: Path, size: tuple[int, int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the frames of a spool, all of this width and height."""
    width, height = size
    with path.open("rb") as file:
        while data := file.read(width * height):
            yield np.frombuffer(data, dtype=np.uint8).reshape(height, width)
