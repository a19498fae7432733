import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from chalicelib.imaging.fits import read_frame_header
from chalicelib.pipelines.base import AsyncError, DataProduct, Target
from chalicelib.pipelines.timelapse import TimelapseOptions, TimelapsePipeline
from tests.factories_frames import LocalFile, RecordingReporter, read_film, star_pixels, write_frame

START = datetime(2026, 1, 10, 2, 30)  # noqa: DTZ001 - FITS times carry no zone


@pytest.fixture
def night(tmp_path):
    """Make frames, one a minute, the star one pixel farther right in each."""

    def make(count, **options):
        dates = [(START + timedelta(minutes=i)).isoformat() for i in range(count)]
        return [
            write_frame(tmp_path / f"f{i}.fits", star_pixels(x=3 + i), date, **options) for i, date in enumerate(dates)
        ]

    return make


@pytest.fixture
def run(tmp_path):
    """Run the pipeline on paths or inputs; return the outputs and the reporter."""
    folder = tmp_path / "out"
    folder.mkdir()

    def run(files, reporter=None, options=None, **flags):
        reporter = reporter or RecordingReporter()
        inputs = [LocalFile(file) if isinstance(file, Path) else file for file in files]
        chosen = TimelapseOptions(**options or {})
        outputs = TimelapsePipeline(Target(1, "M 42"), inputs, reporter, "tl_1_20260110023000", chosen).run(
            folder, flags
        )
        return outputs, reporter

    return run


def star_columns(path):
    """Return the column of the brightest pixel of every frame."""
    with Image.open(path) as film:
        columns = []
        for number in range(film.n_frames):
            film.seek(number)
            pixels = np.asarray(film.convert("L"))
            columns.append(int(np.unravel_index(pixels.argmax(), pixels.shape)[1]))
    return columns


def failure(run, files, **flags):
    with pytest.raises(AsyncError) as caught:
        run(files, **flags)
    return str(caught.value)


def test_the_output_is_one_timelapse_that_says_how_many_frames_it_has(run, night, tmp_path):
    (output,), _ = run(night(3))
    assert (output.path, output.output_type) == (tmp_path / "out" / "t.gif", DataProduct)
    assert (output.data_product_type, output.data) == ("timelapse", {"frames": 3})


def test_the_log_tells_each_step(run, night):
    _, reporter = run(night(2))
    assert reporter.text == "Sorting frames\nProcessing frame 1/2\nProcessing frame 2/2\nFinished\n"


def test_progress_is_reported_after_every_frame(run, night):
    _, reporter = run(night(3))
    assert reporter.steps == [(0, 3), (0, 3), (0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_stop_of_the_reporter_ends_the_run(run, night):
    class StoppedError(Exception):
        pass

    class Stopping(RecordingReporter):
        def progress(self, done, total):
            if done == 1:
                raise StoppedError

    with pytest.raises(StoppedError):
        run(night(3), Stopping())


def test_frames_come_in_order_of_time_whatever_the_order_of_the_files(run, night):
    first, second, third = night(3)
    (output,), _ = run([third, first, second])
    assert star_columns(output.path) == [3, 4, 5]


def test_time_zones_count_in_the_order(run, tmp_path):
    late = write_frame(tmp_path / "a.fits", star_pixels(x=9), "2026-01-10T00:10:00-0700")
    early = write_frame(tmp_path / "b.fits", star_pixels(x=2), "2026-01-10T07:00:00")
    (output,), _ = run([late, early])
    assert star_columns(output.path) == [2, 9]


def test_frames_of_equal_time_keep_the_order_of_the_files(run, tmp_path):
    files = [write_frame(tmp_path / f"{x}.fits", star_pixels(x=x)) for x in (7, 2, 9, 4)]
    (output,), _ = run(files)
    assert star_columns(output.path) == [7, 2, 9, 4]


def test_the_film_shows_the_first_fits_row_at_the_bottom(run, tmp_path):
    files = [write_frame(tmp_path / f"{i}.fits", star_pixels(x=2, y=1)) for i in range(2)]
    (output,), _ = run(files)
    with Image.open(output.path) as film:
        pixels = np.asarray(film.convert("L"))
    assert np.unravel_index(pixels.argmax(), pixels.shape) == (10, 2)


def test_the_film_has_the_rate_and_size_of_the_options(run, night):
    (output,), _ = run(night(2), options={"fps": 4, "size": 16})
    with Image.open(output.path) as film:
        assert (film.info["duration"], film.size) == (250, (16, 10))


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_a_film_with_even_sides_is_no_longer_than_asked_for(run, night, kind):
    import av

    (output,), _ = run(night(2), options={"format": kind, "size": 17})
    with av.open(str(output.path)) as film:
        assert (film.streams.video[0].width, film.streams.video[0].height) == (16, 10)


@pytest.mark.parametrize(("scale", "size"), [(0.5, (10, 6)), (0.25, (4, 2)), (1, (20, 12))])
def test_crop_keeps_the_central_part(run, night, scale, size):
    (output,), _ = run(night(2), options={"crop_scale": scale}, crop=True)
    with Image.open(output.path) as film:
        assert film.size == size


def test_crop_is_centred(run, tmp_path):
    # Columns 5 to 14 and rows 3 to 8 are kept, so the star at 8, 4 comes to column 3, second row from below.
    files = [write_frame(tmp_path / f"{i}.fits", star_pixels(x=8, y=4)) for i in range(2)]
    (output,), _ = run(files, crop=True)
    with Image.open(output.path) as film:
        pixels = np.asarray(film.convert("L"))
    assert np.unravel_index(pixels.argmax(), pixels.shape) == (4, 3)


def test_a_frame_too_small_to_crop_is_left_out(run, tmp_path):
    files = [write_frame(tmp_path / f"{i}.fits", star_pixels()) for i in range(2)]
    message = failure(run, files, options={"crop_scale": 0.1}, crop=True)
    assert message == "Error in file '0.fits': nothing is left of it after cropping"


def test_unusable_files_are_left_out_and_named_each_in_one_line(run, night, tmp_path):
    empty = tmp_path / "empty.fits"
    empty.touch()
    undated = write_frame(tmp_path / "undated.fits", star_pixels(), None)
    (output,), reporter = run([empty, *night(2), undated, LocalFile(night(1)[0], "holiday.jpg")])
    assert output.data == {"frames": 2}
    assert [line for line in reporter.lines if line.startswith("Left out")] == [
        "Left out 'empty.fits': the file is empty",
        "Left out 'undated.fits': could not find observation date in FITS header 'DATE-OBS'",
        "Left out 'holiday.jpg': its name does not end in an allowed suffix",
    ]


def test_a_frame_whose_pixels_turn_out_damaged_is_left_out_of_the_count(run, night, tmp_path):
    noise = np.random.default_rng(1).integers(0, 9999, (12, 20)).astype(np.int16)
    damaged = write_frame(tmp_path / "damaged.fits.fz", noise, compress="gzip")
    data = bytearray(damaged.read_bytes())
    end = read_frame_header(damaged).image.data_end
    data[end - 200 : end] = bytes(200)
    damaged.write_bytes(data)
    (output,), reporter = run([damaged, *night(2)])
    assert output.data == {"frames": 2}
    assert "Left out 'damaged.fits.fz': its pixels cannot be read, the file is damaged" in reporter.lines
    assert reporter.lines[-2:] == ["Processing frame 3/3", "Finished"]


def test_the_size_that_most_frames_have_wins(run, night, tmp_path):
    other = write_frame(tmp_path / "other.fits", star_pixels(shape=(8, 10)), "2026-01-09T00:00:00")
    (output,), reporter = run([other, *night(2)])
    assert output.data == {"frames": 2}
    text = "Left out 'other.fits': its size differs: 10 x 8 from the usual 20 x 12 pixels"
    assert text in reporter.lines


def test_frames_with_a_date_and_no_time_stay_in_the_film_and_are_named_in_one_line(run, night, tmp_path):
    odd = [write_frame(tmp_path / f"{i}.fits", star_pixels(), "2026-01-10") for i in range(7)]
    (output,), reporter = run([*odd, *night(2)])
    assert output.data == {"frames": 9}
    assert [line for line in reporter.lines if "date only" in line] == [
        "The header gives the date only, no time; taken as midnight UTC: "
        "'0.fits', '1.fits', '2.fits', '3.fits', '4.fits' and 2 more"
    ]


def test_a_blank_frame_stays_in_the_film_and_is_named(run, night, tmp_path):
    blank = write_frame(tmp_path / "blank.fits", np.full((12, 20), np.nan, dtype=np.float32))
    (output,), reporter = run([blank, *night(2)])
    assert output.data == {"frames": 3}
    assert "Frame 'blank.fits' is blank" in reporter.lines


@pytest.mark.parametrize("flags", [(), ("crop", "normalise_background", "annotate")])
@pytest.mark.parametrize("values", [(np.nan, np.nan), (7, 7), (7, 900), (np.inf, -np.inf), (0, np.nan)])
def test_a_film_in_which_nothing_can_be_seen_is_refused(run, tmp_path, values, flags):
    frames = [
        write_frame(tmp_path / f"{i}.fits", np.full((12, 20), value, dtype=np.float32))
        for i, value in enumerate(values)
    ]
    assert failure(run, frames, **dict.fromkeys(flags, True)) == "Every frame is blank"


def test_of_a_cube_the_first_plane_is_used_and_the_log_says_so(run, night, tmp_path):
    cube = np.stack([star_pixels(x=9), star_pixels(x=1), star_pixels(x=1)])
    (output,), reporter = run([write_frame(tmp_path / "cube.fits", cube, "2026-01-09T00:00:00"), *night(1)])
    assert star_columns(output.path) == [9, 3]
    assert "Using the first of 3 planes of 'cube.fits'" in reporter.lines


@pytest.mark.parametrize("name", ["A.FITS", "a.Fits", "a.fits.fz", "a.FZ", "a.fits.gz", "a.FITS.GZ"])
def test_suffixes_are_matched_in_upper_and_lower_case(run, night, name):
    first, second = night(2)
    (output,), _ = run([LocalFile(first, name), second])
    assert output.data == {"frames": 2}


def test_one_frame_is_not_enough(run, night):
    assert failure(run, night(1)) == "A timelapse needs at least two frames, this one has 1"


def test_no_input_at_all_fails_the_run(run):
    assert failure(run, []) == "No input files to process"


def test_if_no_name_is_allowed_the_suffix_text_is_the_failure(run, night):
    files = [LocalFile(path, f"{i}.jpg") for i, path in enumerate(night(2))]
    text = "Error running pipeline File '0.jpg' does not end an allowed filename suffix (.fits, .fz, .fits.gz)"
    assert failure(run, files) == text


def test_if_no_frame_has_a_date_the_date_text_is_the_failure(run, tmp_path):
    files = [write_frame(tmp_path / f"{i}.fits", star_pixels(), None) for i in range(3)]
    text = "Error in file '0.fits': could not find observation date in FITS header 'DATE-OBS'"
    assert failure(run, files) == text


def test_if_only_sizes_differ_the_size_text_is_the_failure(run, tmp_path):
    files = [write_frame(tmp_path / f"{n}.fits", star_pixels(shape=(12, n))) for n in (20, 21)]
    assert failure(run, files) == "Invalid parameters. Are all images the same size?"


def test_if_reasons_differ_the_failure_names_them(run, night, tmp_path):
    empty = tmp_path / "empty.fits"
    empty.touch()
    undated = write_frame(tmp_path / "undated.fits", star_pixels(), None)
    assert failure(run, [empty, *night(1), undated]) == (
        "Fewer than two usable frames (1 of 3): 'empty.fits': the file is empty; "
        "'undated.fits': could not find observation date in FITS header 'DATE-OBS'"
    )


@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("kind", ["undated", "suffix", "mixed"])
def test_a_failure_message_fits_into_255_characters(run, tmp_path, kind, count):
    undated = write_frame(tmp_path / "a.fits", star_pixels(), None)
    files = [LocalFile(undated, f"{i}{'n' * 300}.{'jpg' if kind == 'suffix' else 'fits'}") for i in range(count)]
    if kind == "mixed":
        (tmp_path / "empty.fits").touch()
        files.append(LocalFile(tmp_path / "empty.fits"))
    text = failure(run, files)
    assert 100 < len(text) <= 255
    ending = {"undated": "'DATE-OBS'", "suffix": "(.fits, .fz, .fits.gz)", "mixed": "…"}[kind]
    assert text.endswith(ending)


def test_files_are_fetched_one_at_a_time_and_only_if_their_name_is_allowed(run, night):
    fetched = []

    class Remote:
        def __init__(self, path, name=None):
            self._path, self.name = path, name or path.name

        @property
        def path(self):
            fetched.append(self.name)
            return self._path

    first, second = night(2)
    run([Remote(second), Remote(first), Remote(first, "a.jpg")])
    assert fetched == ["f1.fits", "f0.fits", "f0.fits", "f1.fits"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("fps", value) for value in (0, -1, 0.009, 60.1, 1000, float("nan"), "10")),
        *(("size", value) for value in (0, 15, 2049, 500.5)),
        *(("crop_scale", value) for value in (0, -0.1, 1.01)),
        *(("format", value) for value in ("avi", "GIF", "", None)),
        *(("colours", value) for value in ("viridis", "", None)),
        ("quality", 3),
    ],
)
def test_options_out_of_range_are_refused_by_their_names(option, value):
    with pytest.raises(ValidationError) as caught:
        TimelapseOptions(**{option: value})
    assert [error["loc"] for error in caught.value.errors()] == [(option,)]


@pytest.mark.parametrize("options", [{"fps": 0.01}, {"fps": 60}, {"size": 16}, {"size": 2048}, {"crop_scale": 1}])
@pytest.mark.parametrize("kind", ["gif", "mp4", "webm"])
def test_options_at_their_limits_make_a_film(run, night, kind, options):
    (output,), _ = run(night(2), options={"format": kind, **options}, crop=True)
    assert len(read_film(output.path)) == 2


def test_every_flag_has_a_default_and_a_name_for_people():
    assert set(TimelapsePipeline.flags) >= {"normalise_background", "crop"}
    for flag in TimelapsePipeline.flags.values():
        assert flag["default"] is False
        assert 10 < len(flag["long_name"]) < 80


@pytest.mark.parametrize(("kind", "is_needed"), [("gif", False), ("mp4", True)])
def test_the_library_of_videos_is_imported_for_videos_only(night, tmp_path, kind, is_needed):
    code = (
        "import sys; from pathlib import Path; from chalicelib.pipelines.base import Target; "
        "from chalicelib.pipelines.timelapse import TimelapseOptions, TimelapsePipeline; "
        "from tests.factories_frames import LocalFile, RecordingReporter; "
        "files = [LocalFile(Path(name)) for name in sys.argv[3:]]; "
        "options = TimelapseOptions(format=sys.argv[1]); "
        "TimelapsePipeline(Target(1, 'x'), files, RecordingReporter(), '', options).run(Path(sys.argv[2]), {}); "
        "print('av' in sys.modules, 'sep' in sys.modules, 'scipy' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    arguments = [sys.executable, "-c", code, kind, str(tmp_path), *map(str, night(2))]
    done = subprocess.run(arguments, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == f"{is_needed} False False\n"


def test_asking_the_class_for_its_flags_loads_no_image_library():
    code = (
        "import sys; from chalicelib.pipelines.timelapse import TimelapseOptions, TimelapsePipeline as T; "
        "assert 'crop' in T.flags and T.allowed_suffixes and T.short_name == 'tl'; "
        "print([name for name in ('numpy', 'fitsio', 'PIL') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
