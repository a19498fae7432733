"""The timelapse pipeline: FITS frames in order of time become a film.

The imaging modules are imported where they are used: the API reads the flags of this class and must not load numpy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from chalicelib.pipelines.base import (
    AsyncError,
    DataProduct,
    InputFile,
    InputGoneError,
    Output,
    PipelineOptions,
    PipelineOutput,
    PipelineProcess,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from chalicelib.imaging.fits import FrameHeader

MESSAGE_LENGTH = 255
_MIN_FRAMES = 2
_WRONG_SUFFIX = "its name does not end in an allowed suffix"
_WRONG_SIZE = "its size differs"
_GONE = "it has been deleted meanwhile"


class TimelapseOptions(PipelineOptions):
    """How a timelapse looks; a deployment sets its defaults by `TIMELAPSE_FORMAT` and so on."""

    format: Literal["gif"] = Field("gif", description="Format of the film")
    fps: float = Field(10, gt=0, le=60, title="FPS", description="Frames per second")
    size: int = Field(500, ge=16, le=4096, description="Longest side, pixels; frames are never enlarged")
    crop_scale: float = Field(0.5, gt=0, le=1, description="Fraction of each side that the flag `crop` keeps")


class TimelapsePipeline(PipelineProcess):
    """Make an animated gif of the frames of a target, oldest first.

    A frame that cannot be used is left out and named in the log; the run fails only if fewer than two remain. Frames
    are read one at a time, so memory does not grow with their number.
    """

    short_name = "tl"
    runs_on = "timelapse"
    allowed_suffixes = (".fits", ".fz", ".fits.gz")
    options_model = TimelapseOptions
    options: TimelapseOptions
    flags: ClassVar = {
        "crop": {"default": False, "long_name": "Keep only the central part"},
    }

    def check_suffixes(self) -> None:
        """Let every name pass: a wrong one costs its frame, not the run."""

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> Iterable[Output]:
        """Order the frames, then shrink, stretch and append one after the other.

        Parameters
        ----------
        tmpdir : path
            Where the film is written.
        **flags : bool
            `crop`: keep the fraction `crop_scale` of each side around the middle.

        Raises
        ------
        AsyncError
            If fewer than two frames can be used.
        """
        from chalicelib.imaging.gif import GifWriter, grey_palette
        from chalicelib.imaging.headers import FrameError
        from chalicelib.imaging.memory import keep_freed_memory
        from chalicelib.imaging.stretch import LEVELS

        self._left_out: list[tuple[str, str]] = []
        self.log("Sorting frames")
        frames = self._sort_frames()
        self._require_frames(len(frames))
        keep_freed_memory()
        film = Path(tmpdir) / f"t.{self.options.format}"
        with GifWriter(film, self.options.fps, grey_palette(LEVELS)) as writer:
            for number, (file, header) in enumerate(frames, start=1):
                self.log(f"Processing frame {number}/{len(frames)}")
                try:
                    writer.add(self._render(file, header, crop=flags.get("crop", False)))
                except FrameError as error:
                    self._leave_out(file.name, error.reason)
                except InputGoneError:
                    self._leave_out(file.name, _GONE)
                self.progress(number, len(frames))
        self._require_frames(writer.frames)
        self.log("Finished")
        return [PipelineOutput(film, DataProduct, "timelapse", {"frames": writer.frames})]

    def _sort_frames(self) -> list[tuple[InputFile, FrameHeader]]:
        """Return the frames that may be used, oldest first; equal times stay in the order of the input."""
        from chalicelib.imaging.fits import read_frame_header
        from chalicelib.imaging.headers import FrameError

        frames: list[tuple[InputFile, FrameHeader]] = []
        for file in self.input_files:
            if not self.allows(file.name):
                self._leave_out(file.name, _WRONG_SUFFIX)
                continue
            try:
                frames.append((file, read_frame_header(file.path, file.name)))
            except FrameError as error:
                self._leave_out(file.name, error.reason)
            except InputGoneError:
                self._leave_out(file.name, _GONE)
            # Fetching many large files takes long: report, so that a cancelled run stops here too.
            self.progress(0, len(self.input_files))
        frames.sort(key=lambda frame: frame[1].time)
        return self._of_one_size(frames)

    def _of_one_size(self, frames: list[tuple[InputFile, FrameHeader]]) -> list[tuple[InputFile, FrameHeader]]:
        if not frames:
            return frames
        # Of sizes that are equally common the one that comes first in time.
        usual = Counter(header.size for _, header in frames).most_common(1)[0][0]
        kept = []
        for file, header in frames:
            if header.size == usual:
                kept.append((file, header))
            else:
                sizes = f"{header.width_px} x {header.height_px} from the usual {usual[0]} x {usual[1]} pixels"
                self._leave_out(file.name, f"{_WRONG_SIZE}: {sizes}")
        return kept

    def _render(self, file: InputFile, header: FrameHeader, *, crop: bool) -> npt.NDArray[np.uint8]:
        from chalicelib.imaging.fits import read_pixels
        from chalicelib.imaging.headers import FrameError
        from chalicelib.imaging.shrink import crop_bounds, shrink
        from chalicelib.imaging.stretch import apply_stretch, measure_stretch

        pixels = read_pixels(file.path, header)
        if header.planes > 1:
            self.log(f"Using the first of {header.planes} planes of '{file.name}'")
        if crop:
            (top, bottom), (left, right) = (crop_bounds(n, self.options.crop_scale) for n in pixels.shape)
            if top == bottom or left == right:
                raise FrameError(file.name, "nothing is left of it after cropping")
            pixels = pixels[top:bottom, left:right]
        small = shrink(pixels, self.options.size)
        indices = apply_stretch(small, measure_stretch(small))
        if not indices.any():
            self.log(f"Frame '{file.name}' is blank")
        return indices

    def _leave_out(self, name: str, reason: str) -> None:
        self._left_out.append((name, reason))
        self.log(f"Left out '{name}': {reason}")

    def _require_frames(self, count: int) -> None:
        if count < _MIN_FRAMES:
            raise AsyncError(too_few_frames_message(count, self._left_out, self.suffix_message))


def too_few_frames_message(
    usable: int, left_out: Sequence[tuple[str, str]], suffix_message: Callable[[str], str]
) -> str:
    """Say why there are not enough frames, in at most 255 characters.

    Parameters
    ----------
    usable : int
        How many frames could be used.
    left_out : sequence of (str, str)
        Name and reason of each frame that could not.
    suffix_message : function of str to str
        Gives the text that refuses a file of this name.
    """
    if not left_out:
        return f"A timelapse needs at least two frames, this one has {usable}"
    kinds = {reason.split(":", 1)[0] for _, reason in left_out}
    name, reason = left_out[0]
    if kinds == {_WRONG_SUFFIX}:
        return _fit(suffix_message, name)
    if kinds == {_WRONG_SIZE}:
        return "Invalid parameters. Are all images the same size?"
    if len(kinds) == 1:
        return _fit(lambda shown: f"Error in file '{shown}': {reason}", name)
    text = f"Fewer than two usable frames ({usable} of {usable + len(left_out)}): "
    return _shorten(text + "; ".join(f"'{name}': {reason}" for name, reason in left_out), MESSAGE_LENGTH)


def _fit(message: Callable[[str], str], name: str) -> str:
    """Put a name into a message; a name that is too long loses its middle, so that the reason stays readable."""
    text = message(name)
    excess = len(text) - MESSAGE_LENGTH
    if excess <= 0:
        return text
    keep = max(len(name) - excess - 1, 2)
    return message(f"{name[: keep - keep // 2]}…{name[-(keep // 2) :]}")


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
