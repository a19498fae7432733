"""The photometry pipeline: frames of one field become the light curve of a star in it.

The libraries are imported where they are used: the API reads flags and options of this class and must not load numpy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from chalicelib.pipelines.base import (
    FIRST_MJD,
    LAST_MJD,
    AsyncError,
    InputFile,
    InputGoneError,
    Output,
    PipelineOutput,
    PipelineProcess,
)
from chalicelib.pipelines.left_out import GONE, MIN_FRAMES, NO_TIME, WRONG_SIZE, WRONG_SUFFIX, shorten
from chalicelib.pipelines.photometry_options import PhotometryOptions
from chalicelib.pipelines.sequence import FrameSequence, SequenceFrame, key_files

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from chalicelib.imaging.fits import FrameHeader
    from chalicelib.imaging.register import Transform
    from chalicelib.lightcurves.study import Study
    from chalicelib.pipelines.photometry_results import Results

_SEQUENCE_FILE = "sequence.json"
_TABLE_FILE = "measured.npz"


class PhotometryPipeline(PipelineProcess):
    """Measure how bright the target is in each frame, against other stars of the field.

    A frame that cannot be used is left out and named in the log. Frames are read one at a time, so memory does not grow
    with their number. A run whose time gets short hands over what it has measured; the result of several runs is that
    of one.
    """

    short_name = "phot"
    runs_on = "pipeline"
    allowed_suffixes = (".fits", ".fz", ".fits.gz")
    options_model = PhotometryOptions
    options: PhotometryOptions
    flags: ClassVar = {
        "period": {"default": False, "long_name": "Look for a period"},
        "transit": {"default": False, "long_name": "Look for a transit"},
    }

    def check_suffixes(self) -> None:
        """Let every name pass: a wrong one costs its frame, not the run."""

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> Iterable[Output]:
        """Order the frames, measure them one after the other, and compare the target with other stars.

        Parameters
        ----------
        tmpdir : path
            Where the outputs are written.
        **flags : bool
            `period`: look for a period. `transit`: look for a transit.

        Raises
        ------
        AsyncError
            If no light curve can be made.
        HandOver
            If the time gets short.
        """
        results = self.measure(tmpdir)
        outputs = [results.reduced_data(), results.table(), *results.light_curve(), *self._finder_chart(results)]
        if flags.get("period"):
            outputs += self._say(*results.period(self.options.shortest_period, self.options.longest_period))
        if flags.get("transit"):
            outputs += self._say(*results.transit())
        self.log("Finished")
        return outputs

    def measure(self, tmpdir: Path) -> Results:
        """Do all that has to be done before anything is written or drawn; `do_pipeline` says what may go wrong.

        Parameters
        ----------
        tmpdir : path
            Where the results will be written.
        """
        from chalicelib.imaging.memory import keep_freed_memory
        from chalicelib.lightcurves.table import Table

        self._folder = Path(tmpdir)
        self._files = key_files(self.input_files)
        self._sequence = FrameSequence()
        self._table = Table()
        self._study: Study | None = None
        self._transform: Transform | None = None
        done = 0
        if self.checkpoint is None:
            self.log("Sorting frames")
        else:
            self._sequence = FrameSequence.load(self.checkpoint.path(_SEQUENCE_FILE))
            done = self._resume(self.checkpoint.state, self.checkpoint.path(_TABLE_FILE))
        if not self._sequence.is_sorted:
            self._sort_frames()
        keep_freed_memory()
        self._measure_frames(done)
        return self._compare()

    # Frames in order

    def _sort_frames(self) -> None:
        """Find the frames that may be used, oldest first, all of one size and taken through one filter."""
        from chalicelib.imaging.fits import read_frame_header
        from chalicelib.imaging.headers import FrameError

        count = len(self._files)
        for key, file in self._files.items():
            if key in self._sequence.seen:
                continue
            self._sequence.seen.add(key)
            if self.allows(file.name):
                try:
                    header = read_frame_header(file.path, file.name)
                    reason = _reason_of_time(header)
                    if reason is None:
                        self._sequence.frames.append(SequenceFrame.of_header(key, header))
                    else:
                        self._leave_out(file.name, reason)
                except FrameError as error:
                    self._leave_out(file.name, error.reason)
                except InputGoneError:
                    self._leave_out(file.name, GONE)
            else:
                self._leave_out(file.name, WRONG_SUFFIX)
            # Fetching many large files takes long: report, so that a cancelled run stops here too.
            self.progress(len(self._sequence.seen), 2 * count)
            if len(self._sequence.seen) < count and self.is_time_short():
                self._hand_over(0)
        self._sequence.sort()
        self._keep_filter()
        self._keep_usual_size()
        self._require_frames(len(self._sequence.frames))

    def _keep_filter(self) -> None:
        filters = Counter(frame.filter for frame in self._sequence.frames)
        if not filters:
            return
        wanted = self.options.filter
        shown = ", ".join(f"{_filter_words(name)} ({count})" for name, count in filters.most_common())
        if wanted is None:
            chosen = filters.most_common(1)[0][0]
        else:
            chosen = next((name for name in filters if name.casefold() == wanted.strip().casefold()), "")
            if not chosen:
                raise AsyncError(shorten(f"No frame was taken through filter '{wanted}'; there are: {shown}"))
        if len(filters) > 1:
            self.log(f"The frames were taken through {len(filters)} filters: {shown}")
            self.log(f"Measuring {_filter_words(chosen)}; the option filter chooses another one")
        self._keep(
            lambda frame: frame.filter == chosen, lambda frame: f"it was taken through {_filter_words(frame.filter)}"
        )

    def _keep_usual_size(self) -> None:
        if not self._sequence.frames:
            return
        usual = self._sequence.usual_size()
        self._keep(
            lambda frame: frame.size == usual,
            lambda frame: f"{WRONG_SIZE}: {'{} x {} from the usual {} x {} pixels'.format(*frame.size, *usual)}",
        )

    def _keep(self, is_kept: Callable[[SequenceFrame], bool], reason: Callable[[SequenceFrame], str]) -> None:
        for frame in self._sequence.frames:
            if not is_kept(frame):
                self._leave_out(frame.key[0], reason(frame))
        self._sequence.frames = [frame for frame in self._sequence.frames if is_kept(frame)]

    # Frame by frame

    def _measure_frames(self, done: int) -> None:
        frames = self._sequence.frames
        self.update_status("Measuring stars")
        for number, frame in enumerate(frames[done:], start=done + 1):
            self.log(f"Measuring frame {number}/{len(frames)}")
            self._measure(frame)
            self.progress(len(self._files) + number, len(self._files) + len(frames))
            if number < len(frames) and self.is_time_short():
                self._hand_over(number)
        if self._study is None:
            raise AsyncError("Fewer than two stars can be seen in any of the frames")
        self._require_frames(len(self._table))

    def _measure(self, frame: SequenceFrame) -> None:
        """Measure one frame, or leave it out."""
        import numpy as np

        from chalicelib.imaging.apertures import as_image
        from chalicelib.imaging.field import FieldError, measure_field
        from chalicelib.imaging.fits import read_frame_header, read_pixels
        from chalicelib.imaging.headers import FrameError
        from chalicelib.imaging.register import Transform
        from chalicelib.lightcurves.times import exposure_of, mjd_of_middle, number

        name = frame.key[0]
        try:
            file = self._file(frame.key)
            header = read_frame_header(file.path, file.name)
            pixels = as_image(read_pixels(file.path, header))
        except FrameError as error:
            self._leave_out(name, error.reason)
            return
        except InputGoneError:
            self._leave_out(name, GONE)
            return
        if header.planes > 1:
            self.log(f"Using the first of {header.planes} planes of '{name}'")
        if self._study is None:
            try:
                self._study = self._begin_study(frame.key, pixels, header.keywords)
            except FieldError as error:
                raise AsyncError(shorten(str(error))) from None
            if self._study is None:
                self._leave_out(name, "fewer than two stars can be seen in it")
                return
        guesses = [Transform.identity()] if self._transform is None else [self._transform, Transform.identity()]
        found = measure_field(pixels, self._study.field, guesses)
        if found is None:
            self._leave_out(name, "the stars of the first frame cannot be found in it")
            return
        measured, self._transform = found
        exposure_s = exposure_of(header.keywords)
        if exposure_s is None:
            self.log(f"The header of '{name}' gives no exposure time: its start stands for its middle")
        airmass = number(header.keywords, "AIRMASS")
        self._table.add(
            name,
            mjd_of_middle(header.time, exposure_s or 0.0),
            np.nan if exposure_s is None else exposure_s,
            np.nan if airmass is None else airmass,
            measured,
        )

    def _begin_study(self, key: tuple[str, int], pixels: npt.NDArray[np.float32], keywords: Any) -> Study | None:
        """Decide on the first frame what is measured; None if there are no stars in it.

        Raises
        ------
        FieldError
            If the target cannot be measured there.
        """
        import numpy as np

        from chalicelib.imaging import field
        from chalicelib.lightcurves.camera import Camera, find_ceiling
        from chalicelib.lightcurves.study import Study
        from chalicelib.lightcurves.times import find_site

        stars = field.all_stars(pixels)
        if len(stars) < 2:
            return None
        camera = Camera.from_keywords(keywords)
        top = float(np.max(pixels, initial=0, where=np.isfinite(pixels)))
        tops = np.array([np.count_nonzero(pixels == top)])
        ceiling, _ = find_ceiling(self.options.saturation, camera, np.array([top]), tops)
        fwhm_px = field.typical_fwhm(stars, pixels, ceiling)
        self.log(f"First frame: '{key[0]}' with {len(stars)} stars, {fwhm_px:.1f} pixels wide (FWHM)")
        rings = field.choose_rings(fwhm_px, self.options.aperture, self.options.sky_inner, self.options.sky_outer)
        target = field.find_star(pixels, stars, self._target_position(keywords), fwhm_px, rings)
        self.log(f"Target at x {target[0]:.1f}, y {target[1]:.1f}")
        others = field.choose_candidates(pixels, stars, target, fwhm_px, ceiling)
        if self.options.comparison_positions is not None:
            named = field.find_comparisons(pixels, stars, target, self.options.comparison_positions, fwhm_px, rings)
            # The others tell how noisy the frames are, and one of them is the check star.
            others = np.vstack([named, field.without(others, named)])
        if not len(others):
            raise field.FieldError("There is no star in the field to compare the target with that is not saturated")
        chosen = field.Field(stars.xy, np.vstack([target, others]), fwhm_px, rings)
        return Study(key, chosen, camera, find_site(keywords))

    def _target_position(self, keywords: Any) -> tuple[float, float]:
        """Return where the target is on the first frame, to some pixels."""
        import math

        from chalicelib.imaging.field import FieldError
        from chalicelib.lightcurves.positions import pixel_of

        if self.options.x is not None and self.options.y is not None:
            return self.options.x, self.options.y
        if self.target.ra is None or self.target.dec is None:
            raise FieldError(
                "The target has no RA and Dec: give its position on the first frame by the options x and y"
            )
        place = pixel_of(keywords, self.target.ra, self.target.dec)
        if place is None:
            raise FieldError(
                "The first frame has no coordinates (WCS): give the target's position on it by the options x and y"
            )
        if not all(math.isfinite(value) for value in place):
            raise FieldError("The target is outside of the frame: on the other side of the sky")
        return place

    # What comes of it

    def _compare(self) -> Results:
        """Make the light curve of what was measured."""
        from chalicelib.lightcurves.differential import Choices, NoLightCurveError, make_light_curve
        from chalicelib.pipelines.photometry_results import Results

        assert self._study is not None  # noqa: S101 - `_measure_frames` has made sure
        self.update_status("Comparing stars")
        named = len(self.options.comparison_positions or ())
        choices = Choices(self.options.comparisons, named, self.options.saturation)
        try:
            curve = make_light_curve(self._table, self._study.field.rings, self._study.camera, choices)
        except NoLightCurveError as error:
            raise AsyncError(shorten(str(error))) from None
        for name, reason in curve.dropped:
            self._leave_out(name, reason)
        results = Results(self._folder, self.target, self._sequence.frames[0].filter, self._study, self._table, curve)
        for line in results.describe(len(self.input_files)):
            self.log(line)
        return results

    def _finder_chart(self, results: Results) -> list[PipelineOutput]:
        from chalicelib.imaging.apertures import as_image
        from chalicelib.imaging.fits import read_frame_header, read_pixels
        from chalicelib.imaging.headers import FrameError

        assert self._study is not None  # noqa: S101 - the results rest on it
        try:
            file = self._file(self._study.reference)
            pixels = as_image(read_pixels(file.path, read_frame_header(file.path, file.name)))
        except (FrameError, InputGoneError):
            self.log("There is no finder chart: the first frame has been deleted meanwhile")
            return []
        return [results.finder_chart(pixels)]

    def _say(self, line: str, outputs: list[PipelineOutput]) -> list[PipelineOutput]:
        self.log(line)
        return outputs

    # Handing over

    def _hand_over(self, done: int) -> None:
        sequence, table = self._folder / _SEQUENCE_FILE, self._folder / _TABLE_FILE
        self._sequence.save(sequence)
        state: dict[str, Any] = {"done": done}
        arrays: dict[str, Any] = {}
        if self._study is not None:
            state["study"], arrays = self._study.to_state()
        if self._transform is not None:
            state["transform"] = [self._transform.matrix.tolist(), self._transform.shift.tolist()]
        self._table.save(table, **arrays)
        self.hand_over(state, [sequence, table])

    def _resume(self, state: Mapping[str, Any], table: Path) -> int:
        """Take over what an earlier run has measured; return how many frames it was done with."""
        import numpy as np

        from chalicelib.imaging.register import Transform
        from chalicelib.lightcurves.study import Study
        from chalicelib.lightcurves.table import Table

        self._table, arrays = Table.load(table)
        if "study" in state:
            self._study = Study.from_state(state["study"], arrays)
        if "transform" in state:
            matrix, shift = (np.array(values) for values in state["transform"])
            self._transform = Transform(matrix, shift)
        return int(state["done"])

    # Small things

    def _file(self, key: tuple[str, int]) -> InputFile:
        file = self._files.get(key)
        if file is None:  # deleted between two runs
            raise InputGoneError(f"Input file '{key[0]}' is no longer there")
        return file

    def _leave_out(self, name: str, reason: str) -> None:
        self._sequence.left_out.append((name, reason))
        self.log(f"Left out '{name}': {reason}")

    def _require_frames(self, count: int) -> None:
        if count >= MIN_FRAMES:
            return
        reasons = "; ".join(f"'{name}': {reason}" for name, reason in self._sequence.left_out)
        text = f"A light curve needs at least two frames that can be used, this one has {count}"
        raise AsyncError(shorten(f"{text}: {reasons}" if reasons else text))


def _reason_of_time(header: FrameHeader) -> str | None:
    """Return why no point of a light curve can be made of a frame of this time, or None if one can."""
    from chalicelib.lightcurves.times import exposure_of, mjd_of_middle

    if not header.has_time:
        return NO_TIME
    if not FIRST_MJD <= mjd_of_middle(header.time, exposure_of(header.keywords) or 0.0) <= LAST_MJD:
        return f"its date, {header.time:%Y-%m-%d}, is too far off"
    return None


def _filter_words(name: str) -> str:
    return f"filter '{name}'" if name else "a filter that the header does not name"
