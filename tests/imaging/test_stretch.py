import numpy as np
import pytest

from chalicelib.imaging.stretch import Stretch, apply_stretch, measure_sequence_stretch, measure_stretch


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


def above_sky(seed, noise=10.0, star=0.0):
    pixels = sky(seed, 0.0, noise)
    pixels[90:95, 90:95] += star
    return pixels


def test_the_black_of_a_sequence_lies_one_sigma_below_its_sky_and_white_17_sigma_above():
    found = measure_sequence_stretch([above_sky(seed) for seed in range(9)])
    assert found.black == pytest.approx(-10, abs=0.3)
    assert found.white - found.black == pytest.approx(175, abs=5)


def test_the_sky_of_every_frame_of_a_sequence_is_the_same_dark_grey():
    frames = [
        above_sky(seed, noise, star) for seed, noise, star in ((1, 10, 0), (2, 11, 9000), (3, 9, 300), (4, 10, 0))
    ]
    stretch = measure_sequence_stretch(frames)
    greys = [np.median(apply_stretch(frame, stretch, 256)) for frame in frames]
    assert max(greys) - min(greys) <= 1
    assert 15 < greys[0] < 60


def test_nothing_that_is_fainter_than_the_sky_by_chance_is_lost_in_black():
    frame = above_sky(5)
    levels = apply_stretch(frame, measure_sequence_stretch([frame]), 256)
    # Of a normal distribution, 16 per cent lie a sigma or more below the middle.
    assert np.mean(levels == 0) == pytest.approx(0.17, abs=0.02)


def test_a_few_spoilt_frames_do_not_change_the_stretch_of_a_sequence():
    good = [above_sky(seed) for seed in range(9)]
    before = measure_sequence_stretch(good)
    after = measure_sequence_stretch(
        [above_sky(8, 900.0, 60_000), np.zeros_like(good[0]), *good[2:], above_sky(9, 400.0)]
    )
    assert after.black == pytest.approx(before.black, rel=0.02)
    assert after.white == pytest.approx(before.white, rel=0.02)


@pytest.mark.parametrize("samples", [[], [np.zeros((20, 20), dtype=np.float32)] * 3])
def test_a_sequence_without_contrast_is_black(samples):
    stretch = measure_sequence_stretch(samples)
    assert not apply_stretch(np.zeros((20, 20), dtype=np.float32), stretch).any()
