import numpy as np
import pytest

from chalicelib.lightcurves.camera import Camera, find_ceiling

NOTHING = Camera(None, None, None)


def ceiling(given=None, camera=NOTHING, top=(900.0,), tops=None):
    return find_ceiling(given, camera, np.array(top), np.array(tops or [1] * len(top)))[0]


def test_egain_goes_before_gain_and_the_position_of_a_slider_is_no_gain():
    assert Camera.from_keywords({"GAIN": 139, "EGAIN": 0.8}).gain == 0.8
    assert Camera.from_keywords({"GAIN": 1.4}).gain == 1.4
    assert Camera.from_keywords({"GAIN": "2.5"}).gain == 2.5
    assert Camera.from_keywords({"GAIN": 139}).gain is None
    assert Camera.from_keywords({"GAIN": 0}).gain is None
    assert Camera.from_keywords({"GAIN": True, "EGAIN": "high"}).gain is None


def test_the_user_is_taken_at_his_word():
    assert ceiling(50_000, Camera(1, 5, 60_000)) == 50_000


def test_the_lower_of_the_limits_in_the_header_counts_with_a_margin():
    camera = Camera.from_keywords({"SATURATE": 64_000, "MAXLIN": 50_000})
    assert ceiling(camera=camera) == pytest.approx(47_500)


def test_a_plateau_in_several_frames_is_the_ceiling():
    assert ceiling(top=(4000.0, 4000.0, 3900.0), tops=(20, 9, 1)) == pytest.approx(3800)


def test_equal_pixels_in_one_frame_of_many_are_chance():
    assert ceiling(top=(700.0, 900.0, 800.0), tops=(1, 3, 1)) == pytest.approx(0.95 * 4095)


@pytest.mark.parametrize(("top", "full"), [(900, 4095), (4096, 16383), (20_000, 32767), (40_000, 65535)])
def test_otherwise_it_is_the_full_scale_that_holds_the_counts(top, full):
    assert ceiling(top=(float(top), 5.0)) == pytest.approx(0.95 * full)


def test_beyond_16_bits_nothing_is_known():
    assert ceiling(top=(1e6,)) is None
