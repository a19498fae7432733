"""Write mp4 and webm films frame by frame, so that memory does not grow with the number of frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, cast

import av
import numpy as np
import numpy.typing as npt

from chalicelib.imaging.filmwriter import COLOURS, FilmWriter

_KEYFRAME_S = 5
_MAX_KEYFRAME_FRAMES = 120

# ITU-R BT.709 (2015), table 4: shares of red and blue in the luma, and its 8-bit range.
_RED, _BLUE = 0.2126, 0.0722
_BT709 = 1  # ITU-T H.273: the number of BT.709 for primaries, transfer and matrix alike
_LIMITED = 1  # libavutil's AVCOL_RANGE_MPEG


@dataclass(frozen=True)
class _Codec:
    name: str
    options: Mapping[str, str]
    container: Mapping[str, str]


# Frames of noise gain little from looking ahead and from B-frames, which cost a third of the time and hold many frames in
# memory. One thread each: what is paid for is the CPU time. "bitexact" keeps versions and random numbers out of the file.
_CODECS = {
    "mp4": _Codec(
        "libx264",
        {"preset": "veryfast", "crf": "21", "x264-params": "bframes=0:rc-lookahead=0:mbtree=0:sync-lookahead=0"},
        {"movflags": "+faststart", "fflags": "+bitexact"},
    ),
    "webm": _Codec(
        "libvpx-vp9",
        {"deadline": "realtime", "cpu-used": "7", "crf": "26", "b": "0", "lag-in-frames": "0"},
        {"fflags": "+bitexact"},
    ),
}


class VideoWriter(FilmWriter):
    """A film that every browser plays: H.264 in mp4, its index in front, or VP9 in webm; 4:2:0, BT.709, limited range.

    Use as a context manager; the file is whole when the context ends without an error. Both sides are even: an odd one
    grows by its last row or column. Without any frame no valid film comes out.

    Parameters
    ----------
    path : path
        The file to write.
    kind : {"mp4", "webm"}
        The form of the film.
    fps : float
        Frames per second, above 0.
    palette : sequence of int
        Red, green, blue from 0 to 255 of up to 256 colours.

    Raises
    ------
    ValueError
        If `fps` is not above 0 or the palette has a wrong length.
    """

    def __init__(self, path: Path, kind: Literal["mp4", "webm"], fps: float, palette: Sequence[int]) -> None:
        super().__init__(fps, palette)
        # 29.97 is 2997/100: a float would be a fraction of 2**45 and more than a container can hold.
        self._rate = Fraction(str(fps)).limit_denominator(10_000) or Fraction(1, 10_000)
        self._codec = _CODECS[kind]
        self._luma, self._chroma = _convert_palette(palette)
        self._has_colour = bool((self._chroma != 128).any())
        self._planes = np.empty((0, 0), dtype=np.uint8)
        self._container = av.open(str(path), "w", format=kind, container_options=dict(self._codec.container))
        self._stream: av.VideoStream | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._container:
            if kind is None and self._stream is not None:
                self._container.mux(self._stream.encode())

    def _begin(self, width: int, height: int) -> None:
        self._stream = self._open_stream(width + width % 2, height + height % 2)

    def _write(self, indices: npt.NDArray[np.uint8]) -> None:
        assert self._stream is not None  # noqa: S101 - `_begin` comes first
        self._fill_planes(indices)
        frame = av.VideoFrame.from_ndarray(self._planes, format="yuv420p")
        frame.pts = self.frames
        frame.time_base = 1 / self._rate
        self._container.mux(self._stream.encode(frame))

    def _open_stream(self, width: int, height: int) -> av.VideoStream:
        added = self._container.add_stream(self._codec.name, rate=self._rate, options=dict(self._codec.options))
        stream = cast(av.VideoStream, added)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.thread_count = 1
        context.gop_size = min(max(round(_KEYFRAME_S * self._rate), 1), _MAX_KEYFRAME_FRAMES)
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED
        # The planes behind each other: luma, then both halves of the chroma, which stay neutral where there is no colour.
        self._planes = np.full((height * 3 // 2, width), 128, dtype=np.uint8)
        return stream

    def _fill_planes(self, indices: npt.NDArray[np.uint8]) -> None:
        height, width = indices.shape
        rows, columns = height + height % 2, width + width % 2
        if (rows, columns) != (height, width):
            indices = np.pad(indices, ((0, rows - height), (0, columns - width)), mode="edge")
        np.take(self._luma, indices, out=self._planes[:rows], mode="clip")
        if self._has_colour:
            chroma = self._planes[rows:].reshape(2, rows // 2, columns // 2)
            for plane, table in zip(chroma, self._chroma, strict=True):
                pixels = table[indices]
                four = pixels[::2, ::2] + pixels[1::2, ::2] + pixels[::2, 1::2] + pixels[1::2, 1::2]
                plane[:] = (four + 2) // 4


def _convert_palette(palette: Sequence[int]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
    """Return luma, shape (256,), and both chroma components, shape (2, 256), of each colour (ITU-R BT.709, 3 and 4)."""
    colours = np.zeros((COLOURS, 3))
    given = np.array(list(palette)).reshape(-1, 3) / 255
    colours[: len(given)] = given
    red, _, blue = colours.T
    luma = colours @ (_RED, 1 - _RED - _BLUE, _BLUE)
    differences = np.stack([(blue - luma) / (2 * (1 - _BLUE)), (red - luma) / (2 * (1 - _RED))])
    return np.rint(16 + 219 * luma).astype(np.uint8), np.rint(128 + 224 * differences).astype(np.uint16)
