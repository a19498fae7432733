"""Walk the headers of a FITS file without touching a pixel.

Written in plain Python because it costs a fraction of opening the file with a FITS library, cannot crash on damaged
files, and knows where every data block ends: a file that is shorter than its header says is found before it is read.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from chalicelib.errors import SiderealError
from chalicelib.imaging.dates import DATE_KEYWORDS

BLOCK_BYTES = 2880
CARD_BYTES = 80
MAX_HEADER_BLOCKS = 4000

Value = str | int | float | bool

_STRUCTURE = (
    *("SIMPLE", "XTENSION", "EXTNAME", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "GROUPS"),
    *("TFIELDS", "THEAP", "ZIMAGE", "ZCMPTYPE", "ZBITPIX", "ZNAXIS"),
)
OBSERVATION_KEYWORDS = (
    *("OBJECT", "FILTER", "FILTER1", "FILTERS", "INSTRUME", "TELESCOP", "SITEID", "RA", "DEC", "OBJCTRA", "OBJCTDEC"),
    *("EXPTIME", "EXPOSURE", "GAIN", "EGAIN", "RDNOISE", "SATURATE", "MAXLIN", "AIRMASS", "XBINNING", "YBINNING"),
    *("LATITUDE", "LONGITUD", "HEIGHT", "SITELAT", "SITELONG", "SITEELEV", "LAT-OBS", "LONG-OBS", "ALT-OBS"),
    *("PIXSCALE", "SCALE", "IM_SCALE", "SECPIX"),
)
"""What the header says of the instrument and the sky, apart from the time; kept as it stands."""

_WCS_KEYWORDS = ("RADESYS", "RADECSYS", "EQUINOX", "LONPOLE", "LATPOLE", "WCSAXES", "A_ORDER", "B_ORDER")
_WANTED = {
    keyword.ljust(8).encode() for keyword in (*_STRUCTURE, *DATE_KEYWORDS, *OBSERVATION_KEYWORDS, *_WCS_KEYWORDS)
}
_NUMBERED = re.compile(
    rb"(?:(?:Z?NAXIS|ZTILE|TTYPE|TFORM)[1-9]\d{0,2}"
    # coordinates of the first two axes (FITS standard 4.0, section 8), with distortions in the SIP convention
    rb"|(?:CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)[12]|(?:CD|PC)[12]_[12]|[AB]_\d_\d) *$"
)
_STRING = re.compile(r"\s*'((?:[^']|'')*)'")


class FrameError(SiderealError):
    """Raised when a file cannot be used as a frame.

    Parameters
    ----------
    name : str
        The file as its owner knows it.
    reason : str
        Why, in a few words.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Error in file '{name}': {reason}")
        self.name = name
        self.reason = reason


class DamagedFileError(Exception):
    """Raised by the walk with a short reason; readers turn it into a `FrameError` with the file's name."""


@dataclass(frozen=True)
class Hdu:
    """One header and where its data lie.

    Parameters
    ----------
    index : int
        0 for the primary HDU.
    keywords : mapping of str to str, int, float or bool
        The keywords of structure, time, instrument and coordinates; the others are not kept.
    data_start : int
        Offset of the first data byte in the (uncompressed) file.
    data_bytes : int
        Length of the data without padding.
    """

    index: int
    keywords: Mapping[str, Value]
    data_start: int
    data_bytes: int

    @property
    def data_end(self) -> int:
        """Offset just behind the last data byte."""
        return self.data_start + self.data_bytes

    @property
    def next_start(self) -> int:
        """Offset at which the next HDU begins."""
        return self.data_start + padded(self.data_bytes)

    @property
    def name(self) -> str:
        """EXTNAME in upper case, or ``""``."""
        return str(self.keywords.get("EXTNAME", "")).strip().upper()

    @property
    def bitpix(self) -> int:
        """Bits of a pixel as FITS writes them: -32 for 32-bit float; that of the image inside if compressed."""
        return _integer(self.keywords, f"{self._prefix}BITPIX")

    @property
    def image_axes(self) -> tuple[int, ...]:
        """Lengths of the image's axes, x first, those of length 1 dropped; fewer than two if there is no image."""
        if not self.compressed and self._kind not in ("IMAGE", "IUEIMAGE"):
            return ()
        axes = _axes(self.keywords, self._prefix)
        return () if 0 in axes else tuple(length for length in axes if length != 1)

    @property
    def compressed(self) -> bool:
        """Whether the image is stored as a table of compressed tiles."""
        return self._kind == "BINTABLE" and self.keywords.get("ZIMAGE") is True

    @property
    def _kind(self) -> str:
        return str(self.keywords.get("XTENSION", "")).strip() if self.index else "IMAGE"

    @property
    def _prefix(self) -> str:
        return "Z" if self.compressed else ""


def padded(length: int) -> int:
    """Round a length in bytes up to whole FITS blocks."""
    return -(-length // BLOCK_BYTES) * BLOCK_BYTES


def walk_hdus(stream: BinaryIO) -> Iterator[Hdu]:
    """Yield the HDUs of a FITS file in order; stops quietly where the file ends or something else follows.

    Parameters
    ----------
    stream : binary file
        At the start of an uncompressed FITS file, or a gzip reader of one.

    Raises
    ------
    DamagedFileError
        If the file is empty, is no FITS file or is damaged in a header.
    """
    position = 0
    index = 0
    while position <= sys.maxsize:  # a header may claim more data than any file can have
        stream.seek(position)
        first = stream.read(BLOCK_BYTES)
        if index == 0 and not first:
            raise DamagedFileError("the file is empty")
        if index == 0 and not first.startswith(b"SIMPLE  ="):
            raise DamagedFileError("not a FITS file")
        if index > 0 and not first.startswith(b"XTENSION="):
            return
        keywords, header_bytes = _read_header(stream, first)
        hdu = Hdu(index, keywords, position + header_bytes, _data_bytes(keywords))
        yield hdu
        position = hdu.next_start
        index += 1


def _read_header(stream: BinaryIO, block: bytes) -> tuple[dict[str, Value], int]:
    keywords: dict[str, Value] = {}
    for number in range(1, MAX_HEADER_BLOCKS + 1):
        if len(block) < BLOCK_BYTES:
            raise DamagedFileError("the file is cut short inside its header")
        for offset in range(0, BLOCK_BYTES, CARD_BYTES):
            keyword = block[offset : offset + 8]
            if keyword == b"END     ":
                return keywords, number * BLOCK_BYTES
            if keyword in _WANTED or _NUMBERED.match(keyword):
                card = block[offset : offset + CARD_BYTES].decode("latin-1")
                if card[8] == "=":
                    # The first of two equal keywords counts, as in cfitsio.
                    keywords.setdefault(card[:8].strip(), parse_value(card[9:]))
        block = stream.read(BLOCK_BYTES)
    raise DamagedFileError("the header has no end")


def parse_value(text: str) -> Value:
    """Return the value of a header card from the text behind its equals sign; what is no number stays text."""
    quoted = _STRING.match(text)
    if quoted:
        return quoted[1].replace("''", "'").rstrip()
    bare = text.split("/", 1)[0].strip()
    if bare in ("T", "F"):
        return bare == "T"
    for kind in (int, float):
        try:
            return kind(bare)
        except ValueError:
            continue
    return bare


def _integer(keywords: Mapping[str, Value], keyword: str, default: int | None = None) -> int:
    value = keywords.get(keyword, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DamagedFileError(f"{keyword} in its header is not a whole number")
    return value


def _axes(keywords: Mapping[str, Value], prefix: str = "") -> list[int]:
    axes = [_integer(keywords, f"{prefix}NAXIS{i}") for i in range(1, _integer(keywords, f"{prefix}NAXIS") + 1)]
    if any(length < 0 for length in axes):
        raise DamagedFileError("an axis in its header has a negative length")
    return axes


def _data_bytes(keywords: Mapping[str, Value]) -> int:
    """Return the length of the data, FITS standard 4.0, section 4.4.1 (and 6 for random groups)."""
    axes = _axes(keywords)
    if axes[:1] == [0] and keywords.get("GROUPS") is True:
        axes = axes[1:]
    if not axes:
        return 0
    elements = 1
    for length in axes:
        elements *= length
    parameters, groups = _integer(keywords, "PCOUNT", 0), _integer(keywords, "GCOUNT", 1)
    size = abs(_integer(keywords, "BITPIX")) // 8 * groups * (parameters + elements)
    if size < 0:
        raise DamagedFileError("its header gives a negative length")
    return size
