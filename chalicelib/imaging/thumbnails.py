"""A small picture of any file that holds one: FITS frames, pictures, films."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from chalicelib.imaging.fits import read_image_header, read_pixels
from chalicelib.imaging.headers import FrameError
from chalicelib.imaging.shrink import shrink
from chalicelib.imaging.stretch import apply_stretch, measure_stretch

SIZE_PX = 256
MAX_PIXELS = 100_000_000
"""Larger images do not fit into the memory of the function; a few bytes may claim any size."""

MAGIC_BYTES = 16
"""How much of a file tells what it is."""

UNKNOWN = (
    "A thumbnail is made of FITS files, png, jpeg and gif pictures, and mp4 and webm films; this file is none of them"
)

_PICTURES = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF87a": "GIF", b"GIF89a": "GIF"}
_LEVELS = 256

# Pillow raises all of these for damaged files.
_DAMAGED = (
    *(OSError, SyntaxError, ValueError, LookupError, TypeError, EOFError),
    *(UnidentifiedImageError, struct.error, zlib.error),
)

Reader = Callable[[Path, str], Image.Image]


def find_reader(start: bytes) -> Reader | None:
    """Return what reads a file that begins with these bytes, None if it holds no picture. Names may say anything."""
    if start.startswith((b"SIMPLE  =", b"\x1f\x8b")):
        return _read_fits
    if start.startswith(tuple(_PICTURES)):
        return _read_picture
    # ISO base media files name their brand in a first box `ftyp`; a webm file is a Matroska file, which is EBML.
    if start[4:8] == b"ftyp":
        return lambda path, name: _read_film(path, name, "mp4")
    if start.startswith(b"\x1a\x45\xdf\xa3"):
        return lambda path, name: _read_film(path, name, "matroska")
    return None


def make_thumbnail(path: Path, name: str, size_px: int = SIZE_PX) -> bytes:
    """Make a small picture of a file.

    Parameters
    ----------
    path : path
        A local file: whatever `read_image_header` reads, dated or not; png, jpeg, gif; mp4, webm. Of a sequence the first.
    name : str
        How to name it in errors.
    size_px : int
        Longest side. A picture that is smaller is not enlarged.

    Returns
    -------
    bytes
        PNG.

    Raises
    ------
    FrameError
        If it holds no picture, is damaged, or is too large.
    """
    with path.open("rb") as file:
        read = find_reader(file.read(MAGIC_BYTES))
    if read is None:
        raise FrameError(name, UNKNOWN)
    picture = read(path, name)
    picture.thumbnail((size_px, size_px), Image.Resampling.LANCZOS, reducing_gap=3.0)
    packed = io.BytesIO()
    picture.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def _read_fits(path: Path, name: str) -> Image.Image:
    header = read_image_header(path, name)
    _check_size(name, *header.size)
    small = shrink(read_pixels(path, header), SIZE_PX)
    return Image.fromarray(apply_stretch(small, measure_stretch(small), _LEVELS))


def _read_picture(path: Path, name: str) -> Image.Image:
    try:
        with Image.open(path, formats=sorted(set(_PICTURES.values()))) as picture:
            _check_size(name, *picture.size)
            picture.draft("RGB", (SIZE_PX, SIZE_PX))  # jpeg is unpacked at the size that is needed
            picture.load()
            if picture.mode.startswith("I;16"):
                counts = np.asarray(picture)
                return Image.fromarray((counts >> 8).astype(np.uint8))
            is_see_through = picture.has_transparency_data
            upright = ImageOps.exif_transpose(picture)
            return upright.convert("RGBA" if is_see_through else "L" if picture.mode in ("1", "L") else "RGB")
    except Image.DecompressionBombError:
        raise FrameError(name, "the picture is too large") from None
    except _DAMAGED as error:
        raise FrameError(name, "the picture is damaged") from error


def _read_film(path: Path, name: str, container: str) -> Image.Image:
    import av

    try:
        # The format is named, so that a play list in disguise is not followed to other files.
        with av.open(str(path), format=container) as film:
            stream = film.streams.video[0]
            _check_size(name, stream.codec_context.width, stream.codec_context.height)
            picture = next(film.decode(stream)).to_image()
    except (av.FFmpegError, ValueError, LookupError, StopIteration) as error:
        raise FrameError(name, "the film is damaged, or holds no picture") from error
    return picture


def _check_size(name: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise FrameError(name, f"an image of {width} x {height} pixels is too large for a thumbnail")
