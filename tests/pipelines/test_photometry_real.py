"""The photometry pipeline on real frames: a transit through a drifting field, and clouds."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from chalicelib.pipelines.base import Target
from chalicelib.pipelines.photometry import PhotometryPipeline
from chalicelib.pipelines.photometry_options import PhotometryOptions
from tests.factories_frames import LocalFile, RecordingReporter

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / os.environ.get("SIDEREAL_DATA", "../shared/data")

pytestmark = [
    pytest.mark.frames,
    pytest.mark.skipif(not DATA.is_dir(), reason="no real frames: SIDEREAL_DATA names no folder"),
]


class Reporter(RecordingReporter):
    def update_status(self, status):
        self.text += f"[{status}]\n"


def pipeline(folder, target, **options):
    reporter = Reporter()
    files = [LocalFile(path) for path in sorted((DATA / folder).iterdir()) if path.suffix not in (".md", ".json")]
    return PhotometryPipeline(target, files, reporter, "phot_1", PhotometryOptions(**options)), reporter


@pytest.fixture(scope="module")
def hat_p_32(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hat")
    run, reporter = pipeline("hat-p-32-transit", Target(1, "HAT-P-32 b", 31.0429, 46.6878), x=424.0, y=286.0)
    return run.run(folder, {"transit": True}), reporter, folder


def test_the_transit_of_hat_p_32_b_is_found_where_it_was(hat_p_32):
    _, _, folder = hat_p_32
    found = json.loads((folder / "transit.json").read_text())
    assert found["significant"]
    assert abs(found["mid_transit_jd_utc"] - 2458107.70964) < 10 / 1440
    assert abs(found["mid_transit_bjd_tdb"] - 2458107.71406) < 10 / 1440
    assert 0.016 < found["depth"] < 0.028
    assert found["scatter_out_of_transit"] < 0.01
    # The duration from first to last contact is 3.1 h by the literature.
    assert found["duration_h"] == pytest.approx(3.0, abs=0.5)


def test_all_frames_are_measured_through_a_drift_of_273_pixels(hat_p_32):
    outputs, reporter, _ = hat_p_32
    assert len(outputs[0].data) == 71
    assert "71 of 71 frames are in the light curve" in reporter.lines
    assert not [line for line in reporter.lines if line.startswith("Left out")]
    # The README gives the target's centroid.
    assert "Target at x 423.0, y 286.0" in reporter.lines


def test_the_errors_are_near_the_scatter_out_of_transit(hat_p_32):
    outputs, _, folder = hat_p_32
    errors = np.array([error for _, _, error, *_ in outputs[0].data]) / 1.0857
    scatter = json.loads((folder / "transit.json").read_text())["scatter_out_of_transit"]
    assert 0.6 < np.median(errors) / scatter < 1.6


def test_the_two_comparison_stars_of_the_published_analysis_do_it_too(tmp_path):
    run, _ = pipeline(
        "hat-p-32-transit",
        Target(1, "HAT-P-32 b", 31.0429, 46.6878),
        x=424.0,
        y=286.0,
        comparison_positions=((465.0, 183.0), (512.0, 263.0)),
        aperture=5.0,
    )
    _, outputs = run.measure(tmp_path).transit()
    found = json.loads(outputs[0].path.read_text())
    assert found["significant"]
    assert abs(found["mid_transit_jd_utc"] - 2458107.70964) < 10 / 1440
    assert 0.016 < found["depth"] < 0.028
    assert found["scatter_out_of_transit"] < 0.01


def test_through_clouds_a_steady_star_stays_steady(tmp_path):
    # Reference star C1 of the README; the counts rise by a factor of 2.4 and the mount drifts.
    run, _ = pipeline("2713-luxembourg-fz", Target(1, "C1"), x=429.0, y=117.0)
    data = run.measure(tmp_path).reduced_data().data
    assert len(data) >= 20
    assert np.std([magnitude for _, magnitude, *_ in data]) < 0.05
