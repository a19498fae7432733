"""What the demonstration insists on."""

import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

STALL_S = 120.0
"""What does not come for this long has failed the demonstration."""

POLL_S = 0.25

Found = TypeVar("Found")


class DemoError(Exception):
    """Raised when the demonstration does not come to its end; says why."""


def check_film(film: Path) -> tuple[int, int, int]:
    """Return width, height and number of frames of a gif that plays.

    Raises
    ------
    DemoError
        If it cannot be read to its end, or has fewer than two frames.
    """
    from PIL import Image

    try:
        with Image.open(film) as image:
            count = int(getattr(image, "n_frames", 1))
            image.seek(count - 1)
            image.load()
            width, height = image.size
    except (OSError, EOFError, SyntaxError, ValueError, struct.error) as error:
        raise DemoError(f"{film} cannot be read: {error}") from error
    if count < 2:
        raise DemoError(f"{film} has {count} frame only")
    return width, height, count


def wait_for(what: str, find: Callable[[], Found | None], timeout_s: float = STALL_S) -> Found:
    """Ask until there is an answer, and return it.

    Raises
    ------
    DemoError
        If there is none in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        found = find()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise DemoError(f"{what} did not come within {timeout_s:g} s")
        time.sleep(POLL_S)
