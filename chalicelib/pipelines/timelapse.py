"""The timelapse pipeline: FITS frames in order of time become a film.

The imaging modules are imported where they are used: the API reads the flags of this class and must not load numpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

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
from chalicelib.pipelines.left_out import GONE, MIN_FRAMES, WRONG_SIZE, WRONG_SUFFIX, too_few_frames_message
from chalicelib.pipelines.sequence import FrameSequence, SequenceFrame, key_files

if TYPE_CHECKING:
    from chalicelib.imaging.align import Aligner, Sight
    from chalicelib.imaging.fits import FrameHeader
    from chalicelib.imaging.rendering import FrameRenderer
    from chalicelib.imaging.stretch import Stretch

_STRETCH_FRAMES = 9

_SEQUENCE_FILE = "sequence.json"
_SPOOL_FILE = "frames.raw"


class TimelapseOptions(PipelineOptions):
    """How a timelapse looks; a deployment sets its defaults by `TIMELAPSE_FORMAT` and so on."""

    format: Literal["gif", "mp4", "webm"] = Field("gif", description="Format of the film")
    fps: float = Field(10, ge=0.01, le=60, title="FPS", description="Frames per second")
    # A film of 2048 x 2048 with every flag takes 0.75 GB of the function's 2 GB; one twice as wide would take 2.4.
    size: int = Field(500, ge=16, le=2048, description="Longest side, pixels; frames are never enlarged")
    crop_scale: float = Field(0.5, gt=0, le=1, description="Fraction of each side that the flag `crop` keeps")
    colours: Literal["cubehelix", "heat", "ice", "negative"] = Field(
        "cubehelix", description="The colours of the flag `colour_map`"
    )


class TimelapsePipeline(PipelineProcess):
    """Make a film of the frames of a target, oldest first.

    A frame that cannot be used is left out and named in the log; the run fails only if fewer than two remain. Frames
    are read one at a time, so memory does not grow with their number. A run whose time gets short hands over what it has
    rendered; the film of several runs is that of one.
    """

    short_name = "tl"
    runs_on = "timelapse"
    allowed_suffixes = (".fits", ".fz", ".fits.gz")
    options_model = TimelapseOptions
    options: TimelapseOptions
    flags: ClassVar = {
        "normalise_background": {"default": False, "long_name": "Subtract the sky and show all frames alike"},
        "crop": {"default": False, "long_name": "Keep only the central part"},
        "clean_cosmics": {"default": False, "long_name": "Remove cosmic rays"},
        "align": {"default": False, "long_name": "Keep the stars in their places"},
        "annotate": {"default": False, "long_name": "Write time, name, scale and directions on the frames"},
        "colour_map": {"default": False, "long_name": "Show brightness in false colours"},
    }

    def check_suffixes(self) -> None:
        """Let every name pass: a wrong one costs its frame, not the run."""

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> Iterable[Output]:
        """Order the frames, then render and append one after the other.

        Parameters
        ----------
        tmpdir : path
            Where the film is written.
        **flags : bool
            `normalise_background`: subtract the sky of each frame, gradient included, and give all frames one stretch.
            `crop`: keep the fraction `crop_scale` of each side around the middle. `clean_cosmics`: remove cosmic-ray
            hits. `align`: lay the frames on the one in the middle of the sequence. `annotate`: write on them.
            `colour_map`: false colours.

        Raises
        ------
        AsyncError
            If fewer than two frames can be used, or nothing can be seen in any.
        HandOver
            If the time gets short.
        """
        from chalicelib.imaging.film import open_film
        from chalicelib.imaging.memory import keep_freed_memory
        from chalicelib.imaging.spool import FrameSpool

        self._folder = Path(tmpdir)
        self._flags = {name: flags.get(name, False) for name in self.flags}
        self._files = key_files(self.input_files)
        self._headers: dict[tuple[str, int], FrameHeader] = {}
        self._sequence = FrameSequence()
        state: dict[str, Any] = {}
        if self.checkpoint is None:
            self.log("Sorting frames")
        else:
            state = dict(self.checkpoint.state)
            self._sequence = FrameSequence.load(self.checkpoint.path(_SEQUENCE_FILE))
        if not self._sequence.is_sorted:
            self._sort_frames()
        frames = self._sequence.frames
        self._require_frames(len(frames))
        keep_freed_memory()
        renderer = self._renderer(frames[0].size, state.get("look"))
        film = self._folder / f"t.{self.options.format}"
        writer = open_film(film, self.options.format, self.options.fps, self._palette())
        with writer, FrameSpool(self._folder / _SPOOL_FILE) as spool:
            done = int(state.get("done", 0))
            self._blank = int(state.get("blank", 0))
            for indices in self._rendered_before(renderer, state):
                writer.add(indices)
                spool.add(indices)
                self.progress(done, len(frames))
            for number, frame in enumerate(frames[done:], start=done + 1):
                self.log(f"Processing frame {number}/{len(frames)}")
                indices = self._render(renderer, frame)
                if indices is not None:
                    writer.add(indices)
                    spool.add(indices)
                self.progress(number, len(frames))
                if number < len(frames) and self.is_time_short():
                    spool.flush()
                    counts = {"done": number, "frames": writer.frames, "blank": self._blank}
                    self._hand_over({**counts, "look": _keep_look(renderer)}, spool.path)
        self._require_frames(writer.frames)
        if self._blank == writer.frames:
            raise AsyncError("Every frame is blank")
        self.log("Finished")
        return [PipelineOutput(film, DataProduct, "timelapse", {"frames": writer.frames})]

    def _sort_frames(self) -> None:
        """Find the frames that may be used, oldest first; equal times stay in the order of the input."""
        from chalicelib.imaging.headers import FrameError

        for key, file in self._files.items():
            if key in self._sequence.seen:
                continue
            self._sequence.seen.add(key)
            if not self.allows(file.name):
                self._leave_out(file.name, WRONG_SUFFIX)
                continue
            try:
                self._sequence.frames.append(SequenceFrame.of_header(key, self._header(key)))
            except FrameError as error:
                self._leave_out(file.name, error.reason)
            except InputGoneError:
                self._leave_out(file.name, GONE)
            # Fetching many large files takes long: report, so that a cancelled run stops here too.
            self.progress(0, len(self.input_files))
            if self.is_time_short():
                self._hand_over({})
        self._sequence.sort()
        self._keep_usual_size()
        for line in (self._sequence.describe_dates(), self._sequence.describe_filters()):
            if line is not None:
                self.log(line)

    def _keep_usual_size(self) -> None:
        if not self._sequence.frames:
            return
        usual = self._sequence.usual_size()
        kept = []
        for frame in self._sequence.frames:
            if frame.size == usual:
                kept.append(frame)
            else:
                sizes = "{} x {} from the usual {} x {} pixels".format(*frame.size, *usual)
                self._leave_out(frame.key[0], f"{WRONG_SIZE}: {sizes}")
        self._sequence.frames = kept

    def _header(self, key: tuple[str, int]) -> FrameHeader:
        from chalicelib.imaging.fits import read_frame_header

        if key not in self._headers:
            file = self._file(key)
            self._headers[key] = read_frame_header(file.path, file.name)
        return self._headers[key]

    def _file(self, key: tuple[str, int]) -> InputFile:
        file = self._files.get(key)
        if file is None:  # deleted between two runs
            raise InputGoneError(f"Input file '{key[0]}' is no longer there")
        return file

    def _palette(self) -> bytes:
        from chalicelib.imaging.colours import colour_palette, grey_palette
        from chalicelib.imaging.stretch import LEVELS

        colours = colour_palette(self.options.colours, LEVELS) if self._flags["colour_map"] else grey_palette(LEVELS)
        if self._flags["annotate"]:
            from chalicelib.imaging.annotate import ink_palette

            colours += ink_palette()
        return colours

    def _renderer(self, size: tuple[int, int], look: dict[str, Any] | None) -> FrameRenderer:
        """Return what renders the frames; `look` is what an earlier run has found out about them."""
        from chalicelib.imaging.rendering import FrameRenderer
        from chalicelib.imaging.stretch import LEVELS
        from chalicelib.imaging.view import View

        crop_scale = self.options.crop_scale if self._flags["crop"] else 1
        # films in mp4 and webm have even sides, and none is to be longer than asked for
        size_px = self.options.size if self.options.format == "gif" else self.options.size // 2 * 2
        view = View.of_frames(*size, size_px, crop_scale)
        renderer = FrameRenderer(view, clean_cosmics=self._flags["clean_cosmics"])
        if self._flags["align"]:
            renderer.aligner = _restore_aligner(look, size) if look else self._choose_reference()
        if self._flags["normalise_background"]:
            renderer.stretch = _restore_stretch(look) if look else self._measure_stretch(renderer)
        if self._flags["annotate"] and not view.is_empty:
            from chalicelib.imaging.annotate import Annotator

            renderer.annotator = Annotator(*view.film_size, LEVELS, self.target.name)
        return renderer

    def _measure_stretch(self, renderer: FrameRenderer) -> Stretch:
        """Measure one stretch for the whole film, on frames spread over the sequence."""
        from chalicelib.imaging.headers import FrameError
        from chalicelib.imaging.stretch import measure_sequence_stretch

        frames = self._sequence.frames
        count = min(_STRETCH_FRAMES, len(frames))
        samples = []
        for index in spread(count, len(frames)):
            self.progress(0, len(frames))
            try:
                header = self._header(frames[index].key)
                samples.append(renderer.sample_sky(self._file(frames[index].key).path, header))
            except (FrameError, InputGoneError):
                continue  # named when its turn comes
        return measure_sequence_stretch(samples)

    def _choose_reference(self) -> Aligner:
        from chalicelib.imaging.align import Aligner, choose_reference

        frames = self._sequence.frames
        return Aligner(choose_reference(len(frames), lambda index: self._sight(frames[index])))

    def _sight(self, frame: SequenceFrame) -> Sight:
        from chalicelib.imaging.align import Sight
        from chalicelib.imaging.fits import read_pixels
        from chalicelib.imaging.headers import FrameError

        self.progress(0, len(self._sequence.frames))
        try:
            header = self._header(frame.key)
            return Sight.of_frame(read_pixels(self._file(frame.key).path, header), header.keywords)
        except (FrameError, InputGoneError):
            return Sight.blind(*frame.size)  # named when its turn comes

    def _rendered_before(self, renderer: FrameRenderer, state: dict[str, Any]) -> Iterator[Any]:
        """Yield the frames that earlier runs have rendered."""
        from chalicelib.imaging.spool import read_spool

        if self.checkpoint is not None and state.get("frames"):
            yield from read_spool(self.checkpoint.path(_SPOOL_FILE), renderer.view.film_size)

    def _render(self, renderer: FrameRenderer, frame: SequenceFrame) -> Any:
        """Return a frame of the film, or None if it was left out."""
        from chalicelib.imaging.headers import FrameError
        from chalicelib.imaging.rendering import IS_BLANK

        name = frame.key[0]
        try:
            header = self._header(frame.key)
            indices, remarks = renderer.render(self._file(frame.key).path, header)
        except FrameError as error:
            self._leave_out(name, error.reason)
            return None
        except InputGoneError:
            self._leave_out(name, GONE)
            return None
        if header.planes > 1:
            self.log(f"Using the first of {header.planes} planes of '{name}'")
        self._blank += IS_BLANK in remarks
        for remark in remarks:
            self.log(f"Frame '{name}' {remark}")
        return indices

    def _hand_over(self, state: dict[str, Any], *files: Path) -> None:
        sequence = self._folder / _SEQUENCE_FILE
        self._sequence.save(sequence)
        self.hand_over(state, [sequence, *files])

    def _leave_out(self, name: str, reason: str) -> None:
        self._sequence.left_out.append((name, reason))
        self.log(f"Left out '{name}': {reason}")

    def _require_frames(self, count: int) -> None:
        if count < MIN_FRAMES:
            raise AsyncError(too_few_frames_message(count, self._sequence.left_out, self.suffix_message))


def spread(count: int, length: int) -> list[int]:
    """Return `count` indices, the first and the last among them, evenly spread over `length`; `count` is at least 2."""
    return [round(step * (length - 1) / (count - 1)) for step in range(count)]


def _keep_look(renderer: FrameRenderer) -> dict[str, Any]:
    """Return as JSON what was found out about the frames, exactly."""
    kept: dict[str, Any] = {}
    if renderer.stretch is not None:
        kept["stretch"] = [renderer.stretch.black, renderer.stretch.white, renderer.stretch.softening]
    if renderer.aligner is not None:
        kept["align"] = renderer.aligner.to_json()
    return kept


def _restore_stretch(look: dict[str, Any]) -> Stretch:
    from chalicelib.imaging.stretch import Stretch

    return Stretch(*look["stretch"])


def _restore_aligner(look: dict[str, Any], size: tuple[int, int]) -> Aligner:
    from chalicelib.imaging.align import Aligner

    return Aligner.from_json(look["align"], *size)
