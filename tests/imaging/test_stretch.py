import numpy as np
import pytest

from chalicelib.imaging.stretch import Stretch, apply_stretch, measure_stretch


def sky(seed=1, level=1000.0, noise=10.0, shape=(200, 200)):
    return np.random.default_rng(seed).normal(level, noise, shape).astype(np.float32)


def test_black_lies_just_below_the_sky_and_white_17_sigma_above():
    found = measure_stretch(sky())
    assert found.black == pytest.approx(995, abs=1)
    assert found.white == pytest.approx(1170, abs=5)


def test_hot_pixels_do_not_move_the_stretch():
    pixels = sky()
    before = measure_stretch(pixels)
    pixels[::40, ::40] = 65535
    after = measure_stretch(pixels)
    assert after.black == pytest.approx(before.black, abs=0.5)
    assert after.white == pytest.approx(before.white, abs=5)


def test_a_star_of_five_sigma_is_clearly_brighter_than_the_sky():
    levels = apply_stretch(np.array([[1000, 1050]], dtype=np.float32), measure_stretch(sky()), 256)
    assert levels[0, 0] < 20
    assert levels[0, 1] > 100


def test_what_lies_outside_is_black_or_white():
    levels = apply_stretch(np.array([[-1e9, 9, 10, 20, 21, 1e9]], dtype=np.float32), Stretch(10, 20, 5), 128)
    assert levels.tolist() == [[0, 0, 0, 127, 127, 127]]


def test_the_curve_is_the_inverse_hyperbolic_sine():
    # asinh(5 / 5) / asinh(10 / 5) = 0.8814 / 1.4436 = 0.6105, of 255 that is 155.7.
    assert apply_stretch(np.array([[15]], dtype=np.float32), Stretch(10, 20, 5), 256).tolist() == [[156]]


@pytest.mark.parametrize("value", [0.0, 7.0, 65535.0])
def test_a_constant_image_is_black(value):
    pixels = np.full((20, 20), value, dtype=np.float32)
    assert not apply_stretch(pixels, measure_stretch(pixels)).any()


def test_a_star_on_a_constant_sky_is_shown():
    pixels = np.full((20, 20), 100, dtype=np.float32)
    pixels[3, 4] = 500
    levels = apply_stretch(pixels, measure_stretch(pixels), 128)
    assert levels[3, 4] == 127
    assert np.count_nonzero(levels) == 1


def test_half_of_a_constant_sky_still_has_contrast():
    pixels = np.full((20, 20), 100, dtype=np.float32)
    pixels[:6] = 110
    assert len(np.unique(apply_stretch(pixels, measure_stretch(pixels)))) == 2


def test_one_stretch_gives_equal_counts_equal_levels_in_all_frames():
    stretch = measure_stretch(sky())
    first, second = (apply_stretch(np.array([[1040, other]], dtype=np.float32), stretch) for other in (0, 9999))
    assert first[0, 0] == second[0, 0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (500, 1)])
def test_tiny_images_are_stretched_too(shape):
    pixels = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    assert apply_stretch(pixels, measure_stretch(pixels)).shape == shape
