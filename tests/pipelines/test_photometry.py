"""The photometry pipeline on frames of which everything is known."""

import csv
import json
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import fitsio
import numpy as np
import pytest
from PIL import Image

from chalicelib.imaging.fits import read_frame_header, read_pixels
from chalicelib.pipelines.base import AsyncError, HandOver, InputGoneError, ReducedDatum, Target
from chalicelib.pipelines.photometry import PhotometryPipeline
from chalicelib.pipelines.photometry_options import PhotometryOptions
from chalicelib.pipelines.sequence import SequenceFrame
from local.frames import make_frames, plan_field
from tests.factories_frames import LocalFile, RecordingReporter, write_frame

PLAN = {"size_px": 192, "seed": 40, "star_count": 70, "cadence_s": 300}
SINUSOID = {**PLAN, "count": 24, "light_curve": "sinusoid"}
TRANSIT = {**PLAN, "count": 36, "light_curve": "transit"}
# Where the variable star is by the coordinates of the frames.
RA, DEC = 31.0454163, 46.6869284
START_MJD = 61050 + 2.5 / 24


@dataclass
class Reporter(RecordingReporter):
    """Takes status words, too, and says that time is short after some frames."""

    words: list[str] = field(default_factory=list)
    short_after: int = 10**6

    def update_status(self, status):
        self.words.append(status)

    def is_time_short(self):
        return len(self.steps) >= self.short_after


class Stored:
    """A checkpoint as the next run is given it: through JSON, and files by their names."""

    def __init__(self, ending):
        self.state = json.loads(json.dumps(ending.state))
        self._files = {path.name: path for path in ending.files}

    def path(self, name):
        return self._files[name]


@dataclass
class Run:
    outputs: list
    reporter: Reporter
    folder: Path

    @property
    def points(self):
        return self.outputs[0].data

    @property
    def magnitudes(self):
        return np.array([point[1] for point in self.points])

    @property
    def errors(self):
        return np.array([point[2] for point in self.points])

    def json(self, name):
        return json.loads((self.folder / name).read_text())


@pytest.fixture(scope="module")
def sinusoid(tmp_path_factory):
    return make_frames(tmp_path_factory.mktemp("sinusoid"), **SINUSOID)


@pytest.fixture(scope="module")
def transit(tmp_path_factory):
    return make_frames(tmp_path_factory.mktemp("transit"), **TRANSIT)


@pytest.fixture
def photometry(tmp_path_factory):
    """Make a pipeline on paths or inputs, and a folder."""

    def make(files, target=None, reporter=None, checkpoint=None, **options):
        inputs = [LocalFile(file) if isinstance(file, Path) else file for file in files]
        chosen = PhotometryOptions.model_validate_json(json.dumps(options))
        target = target or Target(1, "V1", RA, DEC)
        pipeline = PhotometryPipeline(target, inputs, reporter or Reporter(), "phot_1", chosen, checkpoint)
        return pipeline, tmp_path_factory.mktemp("out")

    return make


@pytest.fixture
def measure(photometry):
    """Measure frames, without drawing anything."""

    def run(*args, reporter=None, **kwargs):
        reporter = reporter or Reporter()
        pipeline, folder = photometry(*args, reporter=reporter, **kwargs)
        results = pipeline.measure(folder)
        return Run([results.reduced_data(), results.table()], reporter, folder)

    return run


@pytest.fixture
def run_whole(photometry):
    """Run the pipeline to its end."""

    def run(*args, reporter=None, flags=(), **kwargs):
        reporter = reporter or Reporter()
        pipeline, folder = photometry(*args, reporter=reporter, **kwargs)
        return Run(pipeline.run(folder, dict.fromkeys(flags, True)), reporter, folder)

    return run


def failure(measure, *args, **kwargs):
    with pytest.raises(AsyncError) as caught:
        measure(*args, **kwargs)
    assert len(str(caught.value)) <= 255
    return str(caught.value)


def left_out(run):
    return dict(line[10:].split("': ", 1) for line in run.reporter.lines if line.startswith("Left out '"))


def rewrite(source, path, cards=None, change=lambda pixels: pixels, without=()):
    """Write a frame again with other cards or pixels, uncompressed."""
    header = fitsio.read_header(str(source), ext=1)
    kept = {name: header[name] for name in _CARDS if name in header and name not in without}
    pixels = change(fitsio.read(str(source), ext=1).astype(np.float32))
    return write_frame(path, pixels, None, cards={**kept, **(cards or {})})


_CARDS = (
    *("DATE-OBS", "EXPTIME", "FILTER", "GAIN", "RDNOISE", "SATURATE", "AIRMASS"),
    *(
        "CTYPE1",
        "CTYPE2",
        "CUNIT1",
        "CUNIT2",
        "CRVAL1",
        "CRVAL2",
        "CRPIX1",
        "CRPIX2",
        "CD1_1",
        "CD1_2",
        "CD2_1",
        "CD2_2",
    ),
)


@pytest.fixture(scope="module")
def whole(sinusoid, tmp_path_factory):
    """One run with everything, looked at by many tests."""
    folder = tmp_path_factory.mktemp("whole")
    reporter = Reporter()
    pipeline = PhotometryPipeline(Target(1, "V1 <$&>", RA, DEC), [LocalFile(path) for path in sinusoid], reporter)
    return Run(pipeline.run(folder, {"period": True, "transit": True}), reporter, folder)


# What is measured


def test_each_frame_gives_the_true_brightness_within_its_error(whole):
    factors = np.array([frame.variable_factor for frame in plan_field(**SINUSOID).frames])
    residuals = whole.magnitudes + 2.5 * np.log10(factors)
    residuals -= np.median(residuals)
    assert len(residuals) == 24
    chi_squared = np.sum((residuals / whole.errors) ** 2) / 23
    assert 0.3 < chi_squared < 2
    assert np.median(whole.errors) < 0.008


def test_the_magnitude_is_that_of_the_target_over_all_comparison_stars_together(whole):
    plan = plan_field(**SINUSOID)
    places = [re.search(r"C\d+ at x ([\d.]+), y ([\d.]+)", line) for line in whole.reporter.lines]
    named = np.array([[float(value) for value in place.groups()] for place in places if place])
    stars = np.array([(star.x_px, star.y_px) for star in plan.stars])
    fluxes = [plan.stars[int(np.hypot(*(stars - place).T).argmin())].flux_e for place in named]
    assert len(fluxes) >= 3
    factors = np.array([frame.variable_factor for frame in plan.frames])
    expected = -2.5 * np.log10(plan.stars[plan.variable].flux_e * factors / sum(fluxes))
    assert np.median(whole.magnitudes - expected) == pytest.approx(0, abs=0.01)


def test_the_period_and_amplitude_are_found(run_whole, sinusoid, tmp_path):
    files = []
    for cycle, start in enumerate(("02:30:00", "04:25:00", "06:20:00")):
        moment = datetime.fromisoformat(f"2026-01-10T{start}")
        for i in range(0, 23, 3):
            date = {"DATE-OBS": (moment + timedelta(seconds=300 * i)).isoformat()}
            files.append(rewrite(sinusoid[i], tmp_path / f"{cycle}-{i}.fits", date))
    run = run_whole(files, flags=["period"])
    found = run.json("period.json")
    assert found["significant"]
    assert abs(found["period_d"] - 23 * 300 / 86400) < 3 * found["period_error_d"]
    # A sine of the flux by 30 per cent is 0.33 magnitudes from crest to mean to trough.
    assert found["amplitude_mag"] == pytest.approx(2.5 / 2 * np.log10(1.3 / 0.7), abs=0.02)
    assert any(line.startswith("Period: 0.0") for line in run.reporter.lines)


def test_what_was_not_seen_to_repeat_is_no_period(whole):
    found = whole.json("period.json")
    assert found["significant"] is False
    assert found["cycles_covered"] < 2
    assert {found[name] for name in ("period_d", "period_error_d", "period_h", "amplitude_mag", "time_of_maximum")} == {
        None
    }
    assert "Period: no period can be told: the frames cover only 1.0 cycles of the strongest one" in whole.reporter.text


def test_the_log_says_below_which_period_none_was_tried(run_whole, sinusoid):
    run = run_whole(sinusoid, flags=("period",), shortest_period=0.001)
    assert run.json("period.json")["shortest_period_tried_d"] == pytest.approx(600 / 86400, rel=1e-4)
    (line,) = (line for line in run.reporter.lines if line.startswith("Period: "))
    assert line.endswith(". Periods below 0.1667 h were not tried: the frames are too far apart or too long for them")


def test_periods_that_the_frames_cannot_show_are_refused_in_words(run_whole, sinusoid):
    run = run_whole(sinusoid[:8], flags=("period",), longest_period=0.05)
    assert run.json("period.json") == {"significant": False, "clock": "BJD_TDB"}
    assert (
        "Period: none of those asked for can be seen in these frames, which show periods from 0.1667 h on"
        in run.reporter.lines
    )


def test_no_transit_is_reported_where_there_is_none(whole):
    found = whole.json("transit.json")
    assert found["significant"] is False
    assert {value for name, value in found.items() if name.startswith(("mid_", "depth", "duration"))} == {None}
    assert "Transit: none found" in whole.reporter.text


def test_depth_and_middle_of_a_transit_are_found_within_their_errors(run_whole, transit):
    run = run_whole(transit, flags=["transit"])
    found = run.json("transit.json")
    middle_jd = START_MJD + 2400000.5 + (35 / 2 * 300 + 30) / 86400
    assert found["significant"]
    assert abs(found["mid_transit_jd_utc"] - middle_jd) < 3 * found["mid_transit_error_d"]
    assert abs(found["depth"] - 0.05) < 3 * found["depth_error"]
    assert found["depth_error"] < 0.004
    assert found["scatter_out_of_transit"] < 0.01


def test_times_are_those_of_the_middle_of_the_exposure(whole):
    mjd, _, _, name, more = whole.points[3]
    assert mjd == pytest.approx(START_MJD + (3 * 300 + 30) / 86400, abs=1e-7)
    assert name == "tst1m001-fa01-20260110-0004-e91.fits.fz"
    # In January a star at 2h is behind the Sun's side of the orbit by less than 499 s; 69 s lie between UTC and TDB.
    assert abs(more["bjd_tdb"] - mjd - 2400000.5) * 86400 < 499 + 70
    assert more == {"bjd_tdb": more["bjd_tdb"], "filter": "rp", "airmass": 1.2, "exposure_s": 60.0}


# What comes out


def test_the_outputs_are_values_a_table_and_pictures(whole):
    assert [(output.path and output.path.name, output.data_product_type) for output in whole.outputs] == [
        (None, "photometry"),
        ("photometry.csv", "photometry"),
        ("light_curve.png", "plot"),
        ("light_curve.svg", "image_file"),
        ("finder_chart.png", "image_file"),
        ("period.json", ""),
        ("phases.png", "image_file"),
        ("transit.json", ""),
        ("transit.png", "image_file"),
    ]
    assert whole.outputs[0].output_type is ReducedDatum


def test_the_table_names_units_and_has_the_values_of_the_reduced_data(whole):
    with (whole.folder / "photometry.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [point[3] for point in whole.points]
    for row, (mjd, magnitude, error, _, more) in zip(rows, whole.points, strict=True):
        assert float(row["mjd_utc_mid (d)"]) == pytest.approx(mjd, abs=1e-8)
        assert float(row["bjd_tdb_mid (d)"]) == pytest.approx(more["bjd_tdb"], abs=1e-8)
        assert float(row["magnitude (mag)"]) == pytest.approx(magnitude, abs=1e-5)
        assert float(row["error (mag)"]) == pytest.approx(error, abs=1e-5)
        assert (row["filter"], row["airmass"], row["exposure (s)"]) == ("rp", "1.2000", "60")


def test_the_svg_has_no_script_and_no_date_and_the_target_name_does_no_harm(whole):
    text = (whole.folder / "light_curve.svg").read_text()
    assert text.count("<svg") == 1
    assert not re.search(r"<script|javascript:|\bon\w+=|dc:date|href=.https?:", text)


def test_the_same_frames_give_the_same_bytes(whole, run_whole, sinusoid):
    again = run_whole(sinusoid, Target(1, "V1 <$&>", RA, DEC), flags=["period", "transit"])
    for first, second in zip(whole.outputs[1:], again.outputs[1:], strict=True):
        assert first.path.read_bytes() == second.path.read_bytes(), first.path.name


def test_the_finder_chart_has_the_target_in_its_own_colour(whole):
    with Image.open(whole.folder / "finder_chart.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(maxcolors=2**24)}
    # orange target, blue comparison stars, green check star
    assert {(213, 94, 0), (0, 114, 178), (0, 158, 115)} <= colours


def test_progress_and_status_words_tell_how_far_it_is(whole):
    done = [step[0] for step in whole.reporter.steps]
    assert done == list(range(1, 49))
    assert {step[1] for step in whole.reporter.steps} == {48}
    assert whole.reporter.words == ["Measuring stars", "Comparing stars"]


# Where the target is


def test_x_and_y_name_the_target_where_there_are_no_coordinates(measure, sinusoid, tmp_path, whole):
    plain = [rewrite(path, tmp_path / f"{i:02d}.fits", without=_CARDS[7:]) for i, path in enumerate(sinusoid)]
    run = measure(plain, Target(1, "V1"), x=77, y=89)
    assert run.magnitudes == pytest.approx(whole.magnitudes, abs=1e-3)
    assert "bjd_tdb" not in run.points[0][4]
    assert "bjd_tdb_mid (d)" not in (run.folder / "photometry.csv").read_text()
    assert "there is no BJD_TDB" in run.reporter.text


def test_x_and_y_go_before_the_coordinates(measure, sinusoid):
    run = measure(sinusoid[:4], x=90, y=55)
    assert "Target at x 89.9, y 55.3" in run.reporter.lines


def test_a_target_without_position_is_asked_for_one(measure, sinusoid, tmp_path):
    text = "The target has no RA and Dec: give its position on the first frame by the options x and y"
    assert failure(measure, sinusoid[:3], Target(1, "V1")) == text
    plain = [rewrite(path, tmp_path / f"{i}.fits", without=("CTYPE1",)) for i, path in enumerate(sinusoid[:3])]
    text = "The first frame has no coordinates (WCS): give the target's position on it by the options x and y"
    assert failure(measure, plain) == text


def test_a_target_outside_of_the_frames_is_refused(measure, sinusoid):
    assert failure(measure, sinusoid[:3], Target(1, "V1", RA + 1, DEC)).startswith(
        "The target is outside of the frame: x -"
    )
    assert "other side of the sky" in failure(measure, sinusoid[:3], Target(1, "V1", RA + 180, -DEC))
    text = "The target is outside of the frame: x 300.0, y 10.0 of 192 x 192 pixels"
    assert failure(measure, sinusoid[:3], x=300, y=10) == text


def test_where_there_is_no_star_none_is_measured(measure, sinusoid):
    assert failure(measure, sinusoid[:3], x=67, y=163) == (
        "The target cannot be seen: there is no star within 7 pixels of x 67.0, y 163.0"
    )


def test_frames_that_the_target_has_drifted_out_of_are_left_out(measure, tmp_path, sinusoid):
    def cut(number):
        left = 75 if number > 3 else 40
        return lambda pixels: pixels[:, left : left + 110]

    frames = [rewrite(path, tmp_path / f"{i}.fits", change=cut(i)) for i, path in enumerate(sinusoid[:7])]
    run = measure(frames, x=39.3, y=87, aperture=9)
    assert left_out(run) == {f"{i}.fits": "the target is at the edge of the frame or on a bad pixel" for i in (4, 5, 6)}
    assert len(run.points) == 4


# Comparison stars


def test_comparison_stars_may_be_named(measure, sinusoid, whole):
    run = measure(sinusoid, comparison_positions=[[89.9, 55.3], [122.5, 153]])
    assert [line.rpartition(",")[0] for line in run.reporter.lines if line.startswith("Comparison star C")] == [
        "Comparison star C1 at x 89.9, y 55.3",
        "Comparison star C2 at x 121.7, y 154.1",
    ]
    assert np.std(run.magnitudes - whole.magnitudes) < 0.006
    # The check star is one that was not named.
    assert "Check star K at x 23.2, y 165.6" in run.reporter.text


def test_a_named_comparison_star_must_be_there_and_be_another(measure, sinusoid):
    files = sinusoid[:3]
    assert failure(measure, files, comparison_positions=[[121.7, 154.1], [67, 163]]).startswith(
        "Comparison star 2 cannot be seen"
    )
    assert failure(measure, files, comparison_positions=[[400, 89]]).startswith(
        "Comparison star 1 is outside of the frame"
    )
    assert failure(measure, files, comparison_positions=[[79, 87]]) == "Comparison star 1 is the target itself"
    same = [[121.7, 154.1], [122, 153]]
    assert failure(measure, files, comparison_positions=same) == "Comparison stars 1 and 2 are the same star"


def test_a_variable_star_is_no_comparison_star(measure, sinusoid):
    # The target is now the steady star beside; the variable one is the brightest left.
    run = measure(sinusoid, x=89.9, y=55.3)
    assert "Rejected as variable: the star at x 79.3, y 87.0" in run.reporter.lines
    assert np.std(run.magnitudes) < 0.008


def test_a_field_with_fewer_than_two_stars_is_refused(measure, tmp_path):
    y, x = np.mgrid[:80, :100]
    noise = np.random.default_rng(1).normal(100, 3, (4, 80, 100))
    star = 4000 * np.exp(-((x - 40) ** 2 + (y - 30) ** 2) / 4)
    frames = [
        write_frame(tmp_path / f"{i}.fits", (noise[i] + star).astype(np.float32), f"2026-01-10T02:3{i}:00")
        for i in range(4)
    ]
    assert failure(measure, frames, x=40, y=30) == "Fewer than two stars can be seen in any of the frames"


def test_two_stars_are_enough(measure, tmp_path):
    y, x = np.mgrid[:80, :100]
    rng = np.random.default_rng(1)
    frames = []
    for i in range(6):
        drift = 1.5 * i
        shapes = [np.exp(-((x - cx - drift) ** 2 + (y - cy) ** 2) / 4) for cx, cy in ((40, 30), (65, 55))]
        pixels = rng.normal(100, 3, x.shape) + 4000 * shapes[0] + 8000 * shapes[1]
        frames.append(write_frame(tmp_path / f"{i}.fits", pixels.astype(np.float32), f"2026-01-10T02:3{i}:00"))
    run = measure(frames, Target(1, "V1"), x=40, y=30)
    assert run.magnitudes == pytest.approx(np.full(6, 2.5 * np.log10(2)), abs=0.02)
    assert "There is only one comparison star: should it vary, nobody can tell" in run.reporter.lines


# Saturation


def test_frames_in_which_the_target_is_saturated_are_left_out(measure, sinusoid):
    peaks = [read_pixels(path, read_frame_header(path)).astype(float) for path in sinusoid[:12]]
    truth = plan_field(**SINUSOID)
    star = truth.stars[truth.variable]
    tops = []
    for pixels, frame in zip(peaks, truth.frames, strict=False):
        x, y = round(star.x_px + frame.drift_x_px), round(star.y_px + frame.drift_y_px)
        tops.append(pixels[y - 2 : y + 3, x - 2 : x + 3].max())
    limit = float(np.median(tops))
    run = measure(sinusoid[:12], saturation=limit)
    expected = {sinusoid[i].name for i, top in enumerate(tops) if top >= limit}
    assert left_out(run) == dict.fromkeys(expected, "the target is saturated")
    assert len(run.points) == 12 - len(expected)


def test_a_target_that_is_saturated_in_all_frames_is_refused(measure, sinusoid):
    assert failure(measure, sinusoid[:5], saturation=2000) == (
        "The target is saturated in all frames: it reaches 2000 counts. Use shorter exposures"
    )


# Frames


def test_frames_of_another_filter_are_left_out_and_the_log_says_so(measure, sinusoid, tmp_path):
    blue = [rewrite(path, tmp_path / f"b{i}.fits", {"FILTER": "B"}) for i, path in enumerate(sinusoid[5:8])]
    run = measure([*blue, *sinusoid[:5]])
    assert "The frames were taken through 2 filters: filter 'rp' (5), filter 'B' (3)" in run.reporter.lines
    assert left_out(run) == {f"b{i}.fits": "it was taken through filter 'B'" for i in range(3)}
    assert {point[4]["filter"] for point in run.points} == {"rp"}
    run = measure([*blue, *sinusoid[:5]], filter="b")
    assert {point[4]["filter"] for point in run.points} == {"B"}
    assert len(run.points) == 3
    text = failure(measure, [*blue, *sinusoid[:5]], filter="V")
    assert text == "No frame was taken through filter 'V'; there are: filter 'rp' (5), filter 'B' (3)"


def test_unusable_frames_are_left_out_and_named(measure, sinusoid, tmp_path):
    (tmp_path / "empty.fits").touch()
    noise = np.random.default_rng(1).normal(600, 25, (192, 192)).astype(np.float32)
    cloudy = write_frame(tmp_path / "cloudy.fits", noise, "2026-01-10T02:41:00", cards={"FILTER": "rp"})
    small = write_frame(tmp_path / "small.fits", noise[:99], "2026-01-10T02:42:00", cards={"FILTER": "rp"})
    other = LocalFile(sinusoid[1], "holiday.jpg")
    run = measure([tmp_path / "empty.fits", cloudy, small, other, *sinusoid[:5]])
    assert left_out(run) == {
        "empty.fits": "the file is empty",
        "cloudy.fits": "the stars of the first frame cannot be found in it",
        "small.fits": "its size differs: 192 x 99 from the usual 192 x 192 pixels",
        "holiday.jpg": "its name does not end in an allowed suffix",
    }
    assert len(run.points) == 5
    assert "5 of 9 frames are in the light curve" in run.reporter.lines


def test_a_frame_with_a_date_and_no_time_is_left_out_and_named(measure, sinusoid, tmp_path):
    odd = rewrite(sinusoid[0], tmp_path / "odd.fits", {"DATE-OBS": "10/01/26"})
    run = measure([odd, *sinusoid[1:4]])
    assert left_out(run) == {"odd.fits": "its header gives the date only, no time"}
    assert len(run.points) == 3


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"FILTER": "V", "FILTER1": "R"}, "V"),
        ({"FILTER": " ", "FILTERS": "R"}, "R"),
        ({"FILTER1": "I"}, "I"),
        ({"FILTER": 3}, ""),
    ],
)
def test_the_filter_is_the_first_card_that_names_one(tmp_path, cards, expected):
    header = read_frame_header(write_frame(tmp_path / "a.fits", np.zeros((4, 4)), cards=cards))
    assert SequenceFrame.of_header(("a.fits", 0), header).filter == expected


def test_a_blank_first_frame_is_left_out_and_the_next_one_is_the_first(measure, sinusoid, tmp_path):
    blank = rewrite(sinusoid[0], tmp_path / "blank.fits", change=lambda pixels: pixels * 0 + 7)
    run = measure([blank, *sinusoid[1:6]])
    assert left_out(run) == {"blank.fits": "fewer than two stars can be seen in it"}
    assert len(run.points) == 5


def test_a_sequence_of_unusable_frames_fails_with_the_reason(measure, run_whole, sinusoid, tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.fits").touch()
    assert failure(measure, sorted(tmp_path.glob("*.fits"))) == (
        "A light curve needs at least two frames that can be used, this one has 0: '0.fits': the file is empty; "
        "'1.fits': the file is empty; '2.fits': the file is empty"
    )
    assert failure(measure, sinusoid[:1]) == "A light curve needs at least two frames that can be used, this one has 1"
    assert failure(run_whole, []) == "No input files to process"


def test_a_header_without_exposure_time_gives_the_start_and_a_line_in_the_log(measure, sinusoid, tmp_path):
    frames = [rewrite(path, tmp_path / f"{i}.fits", without=("EXPTIME",)) for i, path in enumerate(sinusoid[:3])]
    run = measure(frames)
    assert run.points[0][0] == pytest.approx(START_MJD, abs=1e-7)
    assert "The header of '0.fits' gives no exposure time: its start stands for its middle" in run.reporter.lines


def test_a_frame_whose_date_no_measurement_can_have_is_left_out_and_named(measure, sinusoid, tmp_path):
    dates = {"last.fits": "9999-12-31T23:59:59", "old.fits": "1585-01-30T12:00:00"}
    odd = [rewrite(sinusoid[0], tmp_path / name, {"DATE-OBS": date}) for name, date in dates.items()]
    run = measure([*odd, *sinusoid[1:4]])
    assert left_out(run) == {name: f"its date, {date[:10]}, is too far off" for name, date in dates.items()}
    assert len(run.points) == 3


def test_an_absurd_exposure_time_is_as_if_it_were_not_given(measure, sinusoid, tmp_path):
    frames = [
        rewrite(path, tmp_path / f"{value:g}.fits", {"EXPTIME": value})
        for path, value in zip(sinusoid, (1e12, 1e300), strict=False)
    ]
    run = measure([*frames, *sinusoid[2:4]])
    assert run.points[0][0] == pytest.approx(START_MJD, abs=1e-7)
    assert len(run.points) == 4
    assert [line for line in run.reporter.lines if "gives no exposure time" in line] == [
        f"The header of '{name}' gives no exposure time: its start stands for its middle"
        for name in ("1e+12.fits", "1e+300.fits")
    ]


def test_an_absurd_site_costs_nothing_but_the_height(run_whole, sinusoid, tmp_path):
    odd = {"LATITUDE": 31.68, "LONGITUD": -110.88, "HEIGHT": 1e300}
    run = run_whole([rewrite(path, tmp_path / path.name, odd) for path in sinusoid[:3]])
    assert all(abs(point[4]["bjd_tdb"] - point[0] - 2400000.5) < 0.01 for point in run.points)


def test_without_a_finite_barycentric_time_the_clock_is_that_of_the_earth(run_whole, sinusoid, monkeypatch):
    results = "chalicelib.pipelines.photometry_results.to_bjd_tdb"
    monkeypatch.setattr(results, lambda mjd, *_: np.full_like(mjd, np.nan))
    run = run_whole(sinusoid[:3])
    assert not any("bjd_tdb" in point[4] for point in run.points)
    assert "Times are mid-exposure, MJD UTC; there is no BJD_TDB, as it cannot be computed" in run.reporter.lines


def test_bad_pixels_on_the_target_cost_its_frame_only(measure, sinusoid, tmp_path):
    def spoil(pixels):
        pixels[60:110, 60:110] = np.nan
        return pixels

    bad = rewrite(sinusoid[2], tmp_path / "bad.fits", change=spoil)
    run = measure([*sinusoid[:2], bad, *sinusoid[3:6]])
    assert left_out(run) == {"bad.fits": "the target is at the edge of the frame or on a bad pixel"}
    assert len(run.points) == 5


def test_a_file_deleted_meanwhile_is_left_out(measure, sinusoid):
    class Gone:
        name = "gone.fits"

        @property
        def path(self):
            raise InputGoneError("gone")

    run = measure([Gone(), *sinusoid[:3]])
    assert left_out(run) == {"gone.fits": "it has been deleted meanwhile"}


def test_files_are_read_one_at_a_time_in_order_of_time(run_whole, sinusoid):
    fetched = []

    class Remote:
        def __init__(self, path):
            self._path, self.name = path, path.name

        @property
        def path(self):
            fetched.append(self.name)
            return self._path

    names = [path.name for path in sinusoid[:3]]
    run_whole([Remote(path) for path in sinusoid[2::-1]])
    measured = [name for i, name in enumerate(fetched[3:]) if i == 0 or fetched[3:][i - 1] != name]
    # last, the first frame again for the finder chart
    assert (fetched[:3], measured) == (names[::-1], [*names, names[0]])


# Handing over


@pytest.fixture(scope="module")
def single(sinusoid, tmp_path_factory):
    folder, files = tmp_path_factory.mktemp("single"), [LocalFile(path) for path in sinusoid[:9]]
    return PhotometryPipeline(Target(1, "V1", RA, DEC), files, Reporter()).run(folder, {"period": True})


@pytest.mark.parametrize("short_after", [5, 12, 15])
def test_a_run_that_was_handed_over_gives_what_one_run_gives(run_whole, sinusoid, single, short_after):
    files = sinusoid[:9]
    first = Reporter(short_after=short_after)
    with pytest.raises(HandOver) as ending:
        run_whole(files, reporter=first)
    assert len(json.dumps(ending.value.state)) < 2000
    second = Reporter(short_after=3)
    with pytest.raises(HandOver) if short_after < 13 else nullcontext() as later:
        run = run_whole(files, reporter=second, checkpoint=Stored(ending.value), flags=["period"])
    if later is not None:
        assert second.steps[0][0] == first.steps[-1][0] + 1
        run = run_whole(files, checkpoint=Stored(later.value), flags=["period"])
    assert run.points == single[0].data
    for whole, other in zip(single[1:], run.outputs[1:], strict=True):
        assert whole.path.read_bytes() == other.path.read_bytes(), whole.path.name


def test_a_file_deleted_between_two_runs_is_left_out(measure, sinusoid):
    files = sinusoid[:8]
    with pytest.raises(HandOver) as ending:
        measure(files, reporter=Reporter(short_after=11))
    run = measure([*files[:5], *files[6:]], checkpoint=Stored(ending.value))
    assert left_out(run) == {files[5].name: "it has been deleted meanwhile"}
    assert len(run.points) == 7


# The surroundings


def test_asking_the_class_for_flags_and_options_loads_no_heavy_library():
    code = (
        "import sys; from chalicelib.pipelines.photometry import PhotometryPipeline as P; "
        "assert set(P.flags) == {'period', 'transit'} and P.short_name == 'phot' and P.options_model(); "
        "print([name for name in ('numpy', 'fitsio', 'PIL', 'sep', 'astropy', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_run_needs_no_library_that_is_not_in_its_layer(sinusoid, tmp_path):
    code = f"""
import sys
for name in ("scipy", "photutils", "av", "pandas"):
    sys.modules[name] = None
from pathlib import Path
from chalicelib.pipelines.base import Target
from chalicelib.pipelines.photometry import PhotometryPipeline
from tests.factories_frames import LocalFile
from tests.factories_frames import RecordingReporter
class Quiet(RecordingReporter):
    def update_status(self, status):
        self.text += status
files = [LocalFile(path) for path in sorted(Path({str(sinusoid[0].parent)!r}).iterdir())[:12]]
pipeline = PhotometryPipeline(Target(1, "V1", {RA}, {DEC}), files, Quiet())
print(len(pipeline.run(Path({str(tmp_path)!r}), {{"period": True, "transit": True}})))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "9\n"), done.stderr


_ROOT = Path(__file__).resolve().parents[2]
