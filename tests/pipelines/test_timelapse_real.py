import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chalicelib.imaging.fits import read_frame_header, read_pixels
from chalicelib.imaging.stars import find_stars
from chalicelib.pipelines.base import Target
from chalicelib.pipelines.timelapse import TimelapseOptions, TimelapsePipeline
from tests.factories_frames import LocalFile, RecordingReporter, centroid, read_film

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / os.environ.get("SIDEREAL_DATA", "../shared/data")

pytestmark = [
    pytest.mark.frames,
    pytest.mark.skipif(not DATA.is_dir(), reason="no real frames: SIDEREAL_DATA names no folder"),
]


def frames_of(folder):
    return sorted(path for path in (DATA / folder).iterdir() if path.suffix not in (".md", ".json"))


EVERY_FLAG = dict.fromkeys(TimelapsePipeline.flags, True)


def run(files, folder, options=None, **flags):
    reporter = RecordingReporter()
    inputs = [LocalFile(path) for path in files]
    chosen = TimelapseOptions(**options or {})
    (output,) = TimelapsePipeline(Target(1, "x"), inputs, reporter, "", chosen).run(folder, flags)
    return output, reporter


def left_out(reporter):
    return dict(line[10:].split("': ", 1) for line in reporter.lines if line.startswith("Left out '"))


def greys(path, number):
    with Image.open(path) as film:
        film.seek(number)
        return np.asarray(film.convert("L"))


def test_of_33_awkward_files_those_that_fit_together_are_used_and_the_others_named(tmp_path, capfd):
    output, reporter = run(frames_of("awkward-frames"), tmp_path)
    no_date = "could not find observation date in FITS header 'DATE-OBS'"
    assert left_out(reporter) == {
        "04_smaller.fits": "its size differs: 150 x 120 from the usual 200 x 200 pixels",
        "05_no_date_obs.fits": no_date,
        "08_nonsense_date.fits": no_date,
        "21_fits_named_jpg.jpg": "its name does not end in an allowed suffix",
        "22_truncated.fits": "the file is cut short",
        "23_truncated_header.fits": "the file is cut short inside its header",
        "24_truncated.fits.fz": "the file is cut short",
        "25_empty.fits": "the file is empty",
        "26_error_page.fits": "not a FITS file",
        "27_header_only.fits": "it holds no image, only a header",
        "28_table_only.fits": "it holds no image, only tables or other data",
        "31_local_time_with_offset.FITS": "its size differs: 650 x 500 from the usual 200 x 200 pixels",
        "32_lco_cpt1m012-fl10-20151216-0073-e00.fits.fz": (
            "its size differs: 1040 x 1024 from the usual 200 x 200 pixels"
        ),
        "33_lco_coj1m011-kb05-20150219-0125-e90.fits.fz": "its size differs: 2027 x 5 from the usual 200 x 200 pixels",
    }
    assert output.data == {"frames": 19}
    assert "Frame '11_all_nan.fits' is blank" in reporter.lines
    assert "Frame '12_all_zero.fits' is blank" in reporter.lines
    assert "Using the first of 3 planes of '15_cube.fits'" in reporter.lines
    assert capfd.readouterr() == ("", "")
    with Image.open(output.path) as film:
        assert (film.n_frames, film.size) == (19, (200, 200))


def test_the_transit_of_hat_p_32_plays_in_order_of_time(tmp_path):
    files = frames_of("hat-p-32-transit")
    # DATE-OBS is local time with an offset; the file names are UTC.
    times = [read_frame_header(path).time for path in files]
    assert [f"{time:%Y%m%d%H%M}"[2:] for time in times] == [path.stem[-12:-2] for path in files]
    assert all(earlier < later for earlier, later in pairwise(times))
    output, _ = run(files[::-1], tmp_path)
    with Image.open(output.path) as film:
        assert (film.n_frames, film.size, film.info["duration"]) == (71, (500, 385), 100)
    start = tmp_path / "start"
    start.mkdir()
    forward, _ = run(files[:2], start)
    assert np.array_equal(greys(output.path, 0), greys(forward.path, 0))


def test_hat_p_32_is_where_its_readme_says(tmp_path):
    # x 423.1, y 286.0 of 650 x 500 become 423.6 / 1.3 - 0.5 = 325 and (500 - 286.5) / 1.3 - 0.5 = 164 from the top.
    output, _ = run(frames_of("hat-p-32-transit")[:2], tmp_path)
    around = greys(output.path, 0)[159:170, 320:331]
    y, x = np.unravel_index(around.argmax(), around.shape)
    assert abs(x - 5) <= 1
    assert abs(y - 5) <= 1
    assert around.max() == 255


def test_the_asteroid_sequence_keeps_its_spoilt_frame_and_a_dark_sky(tmp_path):
    output, reporter = run(frames_of("2713-luxembourg-fz"), tmp_path)
    assert output.data == {"frames": 22}
    assert not [line for line in reporter.lines if line.startswith("Left out")]
    for number in range(22):
        pixels = greys(output.path, number)
        assert np.median(pixels) < 60
        assert pixels.max() == 255


def test_crop_of_a_real_frame_keeps_half_of_each_side(tmp_path):
    output, _ = run(frames_of("2713-luxembourg-fz")[:2], tmp_path, crop=True)
    with Image.open(output.path) as film:
        assert film.size == (274, 260)


# Stars of the asteroid sequence, x and y in the first frame: C1, C2, and two that the README does not name.
LUXEMBOURG_STARS = ((429, 117), (221, 224))


def test_a_normalised_background_of_the_asteroid_sequence_is_even_and_keeps_the_stars(tmp_path):
    files = frames_of("2713-luxembourg-fz")
    spoilt = 7
    films = {}
    for flag in (False, True):
        folder = tmp_path / f"{flag}"
        folder.mkdir()
        output, reporter = run(files, folder, normalise_background=flag)
        films[flag] = [frame[..., 0].astype(float) for frame in read_film(output.path)]
    assert len(films[True]) == 22
    spreads = {flag: np.std([np.median(frame) for frame in film]) for flag, film in films.items()}
    assert spreads[False] > 0.3
    assert spreads[True] <= spreads[False] / 10
    # The gradient goes as well.
    slopes = {
        flag: [abs(np.median(frame[:100]) - np.median(frame[-100:])) for n, frame in enumerate(film) if n != spoilt]
        for flag, film in films.items()
    }
    assert max(slopes[True]) <= max(slopes[False]) / 5
    first = films[True][0]
    for x, y in LUXEMBOURG_STARS:
        column, row = round((x + 0.5) / 1.1 - 0.5), round((520 - y - 0.5) / 1.1 - 0.5)
        assert first[row - 3 : row + 4, column - 3 : column + 4].max() > np.median(first) + 100
    # Someone's torch is neither a flash nor a hole.
    assert abs(films[True][spoilt].mean() - np.mean([frame.mean() for frame in films[True]])) < 10
    assert "Frame 'luxembourg-20181018-0020.fits.fz' is much noisier than the others" in reporter.text


def test_clouds_dim_the_stars_of_a_normalised_film(tmp_path):
    files = frames_of("2713-luxembourg-fz")
    chosen = [files[number] for number in (0, 1, 5, 9, 11, 15)]
    output, _ = run(chosen, tmp_path, {"size": 550}, normalise_background=True, align=True)
    lights = []
    for frame in read_film(output.path):
        grey = frame[..., 0].astype(float)
        lights.append(np.count_nonzero(grey > np.median(grey) + 100))
    assert min(lights) > 500
    # Its README: the star counts rise by a factor of 2.4 between the first frame and the twelfth.
    assert 1.1 < lights[4] / lights[0] < 2.5


def test_the_stars_of_hat_p_32_stand_still_when_aligned_and_drift_when_not(tmp_path):
    files = frames_of("hat-p-32-transit")[::10]
    tracks = {}
    for flag in (False, True):
        folder = tmp_path / f"{flag}"
        folder.mkdir()
        output, reporter = run(files, folder, {"size": 650}, align=flag)
        assert left_out(reporter) == {}
        tracks[flag] = [frame[..., 0] for frame in read_film(output.path)]
    middle = (len(files) - 1) // 2
    stars = find_stars(read_pixels(files[middle], read_frame_header(files[middle])))
    inside = [(x, 499 - y) for x, y in stars.xy if 250 < x < 420 and 120 < y < 380][:8]
    positions = np.array([[centroid(frame, place, 4) for place in inside] for frame in tracks[True]])
    assert positions.shape == (len(files), 8, 2)
    assert np.median(positions.std(axis=0), axis=0).max() < 0.3
    assert np.median(np.abs(positions - np.array(inside)), axis=(0, 1)).max() < 0.5
    likeness = {
        flag: [np.corrcoef(film[middle].ravel(), frame.ravel())[0, 1] for frame in (film[0], film[-1])]
        for flag, film in tracks.items()
    }
    assert min(likeness[True]) > 0.35
    assert max(likeness[False]) < 0.1


@pytest.mark.parametrize("kind", ["gif", "mp4", "webm"])
def test_awkward_files_with_every_flag_make_a_film_or_are_named(tmp_path, kind, capfd):
    output, reporter = run(frames_of("awkward-frames"), tmp_path, {"format": kind}, **EVERY_FLAG)
    names = left_out(reporter)
    assert output.data["frames"] + len(names) == 33
    assert output.data["frames"] >= 15
    for name in ("11_all_nan.fits", "12_all_zero.fits"):
        assert names[name].startswith("it cannot be aligned: ")
    film = read_film(output.path)
    assert len(film) == output.data["frames"]
    # No frame is black: all show stars on a sky.
    for frame in film:
        middle = frame[10:-30, 5:-5].max(axis=2)
        assert middle.max() > 150
        assert middle.mean() > 5
    assert capfd.readouterr() == ("", "")


def test_awkward_files_with_every_flag_but_align_keep_their_frames(tmp_path):
    output, _ = run(frames_of("awkward-frames"), tmp_path, **{**EVERY_FLAG, "align": False})
    assert output.data == {"frames": 19}


def test_every_flag_on_hat_p_32_keeps_every_frame(tmp_path):
    output, reporter = run(frames_of("hat-p-32-transit")[::14], tmp_path, {"format": "mp4"}, **EVERY_FLAG)
    assert left_out(reporter) == {}
    assert output.data == {"frames": 6}
