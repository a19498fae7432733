"""Read one frame: which HDU holds the image, when it was taken, and its pixels."""

import gzip
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, cast

import numpy.typing as npt
from fitsio.fitslib import FITS

from chalicelib.imaging.dates import ObservationTime, find_observation_time
from chalicelib.imaging.headers import BLOCK_BYTES, DamagedFileError, FrameError, Hdu, Value, padded, walk_hdus
from chalicelib.imaging.tiles import check_gzip_tiles, mark_blanks

NO_DATE = "could not find observation date in FITS header 'DATE-OBS'"

# fitsio has no type hints.
_open_fits: Callable[[str], Any] = FITS

# Larger than any single detector in use; keeps a small file that claims a huge image from filling the memory.
MAX_PIXELS = 250_000_000

_GZIP_MAGIC = b"\x1f\x8b"

# Images that go with an image: masks, weights, errors. Taken only if there is nothing else.
_COMPANIONS = {"BPM", "MASK", "DQ", "ERR", "ERROR", "VAR", "VARIANCE", "WHT", "WEIGHT", "IVAR", "UNCERT"}

# Every other character may mean something in cfitsio's extended file names: a[1:100,1:100], a(copy), mem:, a+2, ...
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/-]{1,500}")


@dataclass(frozen=True)
class ImageHeader:
    """What a file says about the image in it; read without touching its pixels.

    Parameters
    ----------
    name : str
        The file as its owner knows it.
    width_px, height_px : int
        Lengths along NAXIS1 and NAXIS2.
    planes : int
        Number of images of this size behind each other; 1 for a plain image.
    bitpix : int
        Bits of a stored pixel, negative for floats: 8, 16, 32, 64, -32, -64.
    image : Hdu
        The header of that HDU.
    gzipped : bool
        Whether the whole file is gzip data, whatever its name.
    keywords : mapping of str to str, int, float or bool
        What the header says of time, instrument and coordinates: that of the image, else that of the primary HDU.
    """

    name: str
    width_px: int
    height_px: int
    planes: int
    bitpix: int
    image: Hdu
    gzipped: bool
    keywords: Mapping[str, Value]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width_px, self.height_px


@dataclass(frozen=True)
class FrameHeader(ImageHeader):
    """The header of an image that can be put in order.

    Parameters
    ----------
    time : datetime
        Start of the observation; aware, UTC.
    has_time : bool
        Whether the header gives the time of day; `time` is midnight otherwise.
    """

    time: datetime
    has_time: bool


def read_frame_header(path: Path, name: str | None = None) -> FrameHeader:
    """Find the image of a file and the time it was taken.

    The image is the first HDU whose axes, those of length 1 left aside, are two or more; masks and weights are passed
    over. The time is that of the image's own header, or else of the first HDU that gives one; a date alone counts only
    where no HDU gives a time.

    Parameters
    ----------
    path : path
        A local file: FITS, tile-compressed FITS, or either of them gzipped.
    name : str, optional
        How to name it in errors; the file's own name by default.

    Raises
    ------
    FrameError
        If the file is no FITS file, is cut short, holds no image, or gives no time.
    """
    header, time = _read_header(path, path.name if name is None else name)
    if time is None:
        raise FrameError(header.name, NO_DATE)
    return FrameHeader(**vars(header), time=time.start, has_time=time.has_time)


def read_image_header(path: Path, name: str | None = None) -> ImageHeader:
    """Find the image of a file, whether or not it says when it was taken.

    Parameters
    ----------
    path, name
        As for `read_frame_header`.

    Raises
    ------
    FrameError
        If the file is no FITS file, is cut short, or holds no image.
    """
    header, _ = _read_header(path, path.name if name is None else name)
    return header


def _read_header(path: Path, shown: str) -> tuple[ImageHeader, ObservationTime | None]:
    try:
        with _open_unzipped(path) as (stream, gzipped):
            hdus, image = _find_image(walk_hdus(stream))
            if image is None:
                raise FrameError(shown, _why_no_image(hdus, None if gzipped else path.stat().st_size))
            if not gzipped and path.stat().st_size < image.data_end:
                raise FrameError(shown, "the file is cut short")
            axes = image.image_axes
            pixels = axes[0] * axes[1]
            if pixels > MAX_PIXELS:
                raise FrameError(shown, f"an image of {axes[0]} x {axes[1]} pixels is too large")
            times = [found for hdu in (image, *hdus) if (found := find_observation_time(hdu.keywords))]
            time = next((found for found in times if found.has_time), times[0] if times else None)
            planes = math.prod(axes[2:])
            keywords = {**hdus[0].keywords, **image.keywords}
            header = ImageHeader(shown, axes[0], axes[1], planes, image.bitpix, image, gzipped, keywords)
            return header, time
    except DamagedFileError as error:
        raise FrameError(shown, str(error)) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FrameError(shown, "its gzip data are damaged or cut short") from error


def read_pixels(path: Path, header: ImageHeader) -> npt.NDArray[Any]:
    """Read the image of a file; of several planes the first.

    Parameters
    ----------
    path : path
        The file that `header` was read from.
    header : ImageHeader
        Its header.

    Returns
    -------
    ndarray, shape (height_px, width_px)
        In the type the file stores them in, scaling applied; row 0 is FITS row 1. Bad pixels of floats are NaN.

    Raises
    ------
    FrameError
        If the pixels are damaged.
    """
    try:
        with _cfitsio_path(path, header) as plain:
            if header.image.compressed:
                check_gzip_tiles(Path(plain), header.image)
            with _open_fits(plain) as fits:
                pixels = _first_plane(fits[header.image.index], header.planes)
            pixels = pixels.reshape(header.height_px, header.width_px)
            if header.image.compressed and pixels.dtype.kind == "f":
                mark_blanks(pixels, Path(plain), header.image)
            return pixels
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError, ValueError, RuntimeError, LookupError, TypeError) as error:
        if header.gzipped and isinstance(error, (EOFError, zlib.error, gzip.BadGzipFile)):
            raise FrameError(header.name, "its gzip data are damaged or cut short") from error
        # fitsio raises all of these for damaged data; its texts are dumps of cfitsio's error stack.
        raise FrameError(header.name, "its pixels cannot be read, the file is damaged") from error


def _first_plane(hdu: Any, planes: int) -> npt.NDArray[Any]:
    if planes == 1:
        pixels = hdu.read()
    else:
        lead = len(hdu.get_dims()) - 2
        pixels = hdu[(*(slice(0, 1) for _ in range(lead)), slice(None), slice(None))]
    if pixels is None:
        raise ValueError("fitsio found no data")
    return cast(npt.NDArray[Any], pixels)


def _find_image(walk: Iterator[Hdu]) -> tuple[list[Hdu], Hdu | None]:
    """Return the HDUs read on the way and the image's; reads on behind the image only if no time was found so far."""
    hdus: list[Hdu] = []
    image: Hdu | None = None
    fallback: Hdu | None = None
    try:
        for hdu in walk:
            hdus.append(hdu)
            if image is None and len(hdu.image_axes) >= 2:
                if hdu.name not in _COMPANIONS:
                    image = hdu
                elif fallback is None:
                    fallback = hdu
            times = (find_observation_time(seen.keywords) for seen in hdus)
            if image is not None and any(time is not None and time.has_time for time in times):
                break
    except (DamagedFileError, EOFError, zlib.error):
        # Damage behind the image does not make the image unusable.
        if image is None and fallback is None:
            raise
    return hdus, image or fallback


def _why_no_image(hdus: list[Hdu], file_bytes: int | None) -> str:
    if file_bytes is not None and file_bytes < hdus[-1].data_end:
        return "the file is cut short"
    if any(hdu.data_bytes for hdu in hdus):
        return "it holds no image, only tables or other data"
    return "it holds no image, only a header"


@contextmanager
def _open_unzipped(path: Path) -> Iterator[tuple[BinaryIO, bool]]:
    with path.open("rb") as stream:
        gzipped = stream.read(2) == _GZIP_MAGIC
        stream.seek(0)
        if gzipped:
            with gzip.GzipFile(fileobj=stream) as unzipped:
                yield cast(BinaryIO, unzipped), True
        else:
            yield stream, False


@contextmanager
def _cfitsio_path(path: Path, header: ImageHeader) -> Iterator[str]:
    """Give a path that cfitsio takes as it stands, to a file that holds whole blocks up to the end of the image.

    cfitsio answers nonsense for gzip data that are cut short, so they are unzipped here, with their checks, and no
    further than the image reaches. It also refuses an image whose last block is not filled up, which is harmless.
    """
    absolute = str(path.absolute())
    whole = header.gzipped or path.stat().st_size < padded(header.image.data_end)
    if not whole and _PLAIN_PATH.fullmatch(absolute) and ".imh" not in absolute.lower():
        yield absolute
        return
    with TemporaryDirectory(prefix="frame-") as folder:
        plain = Path(folder, "frame.fits")
        if whole:
            with _open_unzipped(path) as (stream, _), plain.open("wb") as copy:
                _copy(stream, copy, header.image.data_end)
        else:
            plain.symlink_to(absolute)
        yield str(plain)


def _copy(stream: BinaryIO, copy: BinaryIO, length: int) -> None:
    left = length
    while left:
        data = stream.read(min(left, 256 * BLOCK_BYTES))
        if not data:
            raise EOFError
        copy.write(data)
        left -= len(data)
    copy.write(bytes(padded(length) - length))
