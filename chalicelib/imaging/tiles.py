"""What has to be done for tile-compressed images because cfitsio does not: blank pixels, and damaged gzip tiles.

A compressed image is a binary table with one row for each tile (FITS standard 4.0, section 10).
"""

import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chalicelib.imaging.headers import Hdu

# Blank is -2147483648 (astropy) or -2147483647 (cfitsio); data never come near either. The rest of this margin is the
# rounding of 32-bit floats.
_LARGEST_BLANK = -2147480000

_COLUMN_BYTES = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8, "P": 8, "Q": 16}
_COLUMN_TYPES = {"D": ">f8", "P": ">i4", "Q": ">i8"}
_FORM = re.compile(r"(\d*)([LBIJKEDPQ])")
_GZIP_WINDOW = 31
_LARGEST_PIXEL_BYTES = 8


@dataclass(frozen=True)
class _Column:
    offset: int
    kind: str


def mark_blanks(pixels: npt.NDArray[Any], path: Path, hdu: Hdu) -> None:
    """Set the blank pixels of floats that were rounded to integers for compression to NaN, in place.

    cfitsio replaces them only if it is asked to, which fitsio never does: they come out as counts like -3e8.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx)
        The image, or the first plane, as fitsio has read it.
    path : path
        The file; not gzipped as a whole.
    hdu : Hdu
        The header of the image.

    Notes
    -----
    A tile's counts are ``ZZERO + ZSCALE * integer`` (section 10.2); lossless tiles have ZSCALE 0.
    """
    columns = _columns(hdu)
    if not {"ZSCALE", "ZZERO"} <= set(columns):
        return
    scale, zero = (_read_column(path, hdu, columns[name])[:, 0] for name in ("ZSCALE", "ZZERO"))
    height, width = pixels.shape
    tile_width, tile_height = _tile_size(hdu, width)
    across, down = -(-width // tile_width), -(-height // tile_height)
    if len(scale) < across * down:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        limits = zero + scale * _LARGEST_BLANK
        limits[~(scale > 0)] = -np.inf
        grid = limits[: across * down].reshape(down, across).astype(pixels.dtype)
    per_row = np.repeat(grid, tile_height, axis=0)[:height]
    # Usually a tile is a row, and one limit serves all its columns.
    pixels[pixels <= (per_row if across == 1 else np.repeat(per_row, tile_width, axis=1)[:, :width])] = np.nan


def check_gzip_tiles(path: Path, hdu: Hdu) -> None:
    """Unpack the gzip tiles of an image once: cfitsio never returns from one that is cut short.

    Parameters
    ----------
    path : path
        The file; not gzipped as a whole.
    hdu : Hdu
        The header of the image. Nothing is read if it uses no gzip.

    Raises
    ------
    ValueError, zlib.error
        If a tile is damaged.
    """
    columns = _columns(hdu)
    gzipped = [column for name, column in columns.items() if name == "GZIP_COMPRESSED_DATA"]
    if str(hdu.keywords.get("ZCMPTYPE", "")).startswith("GZIP") and "COMPRESSED_DATA" in columns:
        gzipped.append(columns["COMPRESSED_DATA"])
    table_bytes = int(hdu.keywords["NAXIS1"]) * int(hdu.keywords["NAXIS2"])
    heap = hdu.data_start + int(hdu.keywords.get("THEAP", table_bytes))
    tile_width, tile_height = _tile_size(hdu, int(hdu.keywords["ZNAXIS1"]))
    most_bytes = tile_width * tile_height * int(hdu.keywords.get("ZTILE3", 1)) * _LARGEST_PIXEL_BYTES
    with path.open("rb") as file:
        for column in gzipped:
            if column.kind not in "PQ":
                raise ValueError("a column of tiles has a wrong type")
            for length, offset in _read_column(path, hdu, column):
                if length == 0:
                    continue
                if length < 0 or offset < 0 or heap + offset + length > hdu.data_end:
                    raise ValueError("a tile lies outside the file")
                file.seek(heap + int(offset))
                unpacker = zlib.decompressobj(_GZIP_WINDOW)
                unpacker.decompress(file.read(int(length)), most_bytes + 1)
                if not unpacker.eof:
                    raise ValueError("a tile is cut short")


def _tile_size(hdu: Hdu, width_px: int) -> tuple[int, int]:
    width, height = int(hdu.keywords.get("ZTILE1", width_px)), int(hdu.keywords.get("ZTILE2", 1))
    if width < 1 or height < 1:
        raise ValueError("a tile without pixels")
    return width, height


def _columns(hdu: Hdu) -> dict[str, _Column]:
    """Return where the columns of the table lie in a row; ValueError if they do not add up."""
    found: dict[str, _Column] = {}
    position = 0
    for number in range(1, int(hdu.keywords.get("TFIELDS", 0)) + 1):
        form = _FORM.match(str(hdu.keywords.get(f"TFORM{number}", "")))
        if form is None:
            raise ValueError("a column of an unknown type")
        name = str(hdu.keywords.get(f"TTYPE{number}", "")).strip().upper()
        found[name] = _Column(position, form[2])
        position += int(form[1] or 1) * _COLUMN_BYTES[form[2]]
    if position != hdu.keywords["NAXIS1"]:
        raise ValueError("the columns do not fill the rows")
    return found


def _read_column(path: Path, hdu: Hdu, column: _Column) -> npt.NDArray[Any]:
    """Return a column, shape (rows, 1), or (rows, 2) for descriptors: length and offset."""
    values = (_COLUMN_TYPES[column.kind], (2 if column.kind in "PQ" else 1,))
    row = np.dtype(
        {
            "names": ["value"],
            "formats": [values],
            "offsets": [column.offset],
            "itemsize": int(hdu.keywords["NAXIS1"]),
        }
    )
    rows = np.fromfile(path, dtype=row, count=int(hdu.keywords["NAXIS2"]), offset=hdu.data_start)
    return np.asarray(rows["value"])
