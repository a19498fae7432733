import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chalicelib.imaging.fits import read_frame_header
from chalicelib.pipelines.base import Target
from chalicelib.pipelines.timelapse import TimelapsePipeline
from tests.factories_frames import LocalFile, RecordingReporter

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / os.environ.get("SIDEREAL_DATA", "../shared/data")

pytestmark = [
    pytest.mark.frames,
    pytest.mark.skipif(not DATA.is_dir(), reason="no real frames: SIDEREAL_DATA names no folder"),
]


def frames_of(folder):
    return sorted(path for path in (DATA / folder).iterdir() if path.suffix not in (".md", ".json"))


def run(files, folder, **flags):
    reporter = RecordingReporter()
    inputs = [LocalFile(path) for path in files]
    (output,) = TimelapsePipeline(Target(1, "x"), inputs, reporter).run(folder, flags)
    return output, reporter


def greys(path, number):
    with Image.open(path) as film:
        film.seek(number)
        return np.asarray(film.convert("L"))


def test_of_33_awkward_files_those_that_fit_together_are_used_and_the_others_named(tmp_path, capfd):
    output, reporter = run(frames_of("awkward-frames"), tmp_path)
    left_out = dict(line[10:].split("': ", 1) for line in reporter.lines if line.startswith("Left out '"))
    no_date = "could not find observation date in FITS header 'DATE-OBS'"
    assert left_out == {
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
