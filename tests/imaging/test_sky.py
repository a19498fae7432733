import os
from pathlib import Path

import numpy as np
import pytest

from chalicelib.imaging.fits import read_frame_header, read_pixels
from chalicelib.imaging.shrink import shrink
from chalicelib.imaging.sky import model_sky

DATA = Path(__file__).resolve().parents[2] / os.environ.get("SIDEREAL_DATA", "../shared/data")
real = pytest.mark.skipif(not DATA.is_dir(), reason="no real frames: SIDEREAL_DATA names no folder")


def grid(shape=(400, 500)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return x / shape[1] - 0.5, y / shape[0] - 0.5


def gradient(shape=(400, 500), level=1000.0):
    x, y = grid(shape)
    return level + 200 * x - 120 * y - 90 * x * x + 60 * x * y * y


def noise(shape=(400, 500), sigma=10.0, seed=1):
    return np.random.default_rng(seed).normal(0, sigma, shape)


def star(x, y, peak, fwhm=4.0, shape=(400, 500)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    width2 = fwhm**2 / (4 * (2 ** (1 / 2.5) - 1))
    return peak * (1 + ((columns - x) ** 2 + (rows - y) ** 2) / width2) ** -2.5


def test_level_gradient_and_noise_are_found_to_a_fraction_of_the_noise():
    truth = gradient()
    sky = model_sky((truth + noise()).astype(np.float32))
    assert sky.level.dtype == np.float32
    assert np.abs(sky.level - truth).max() < 1.5
    assert sky.noise == pytest.approx(10, rel=0.03)
    assert sky.median == pytest.approx(np.median(truth), abs=1)


@pytest.mark.parametrize("dtype", ["uint16", "int32", ">i2", ">f4", "float64"])
def test_counts_of_any_type_give_the_same_sky(dtype):
    pixels = np.rint(gradient() + noise())
    sky = model_sky(pixels.astype(dtype))
    assert np.allclose(sky.level, model_sky(pixels.astype(np.float32)).level, atol=1e-3)
    assert sky.subtract_from(pixels.astype(dtype)).dtype == np.float32


def test_whole_counts_as_coarse_as_the_noise_do_not_round_the_sky():
    for level in (350.0, 350.25, 350.5, 350.75):
        sky = model_sky(np.rint(level + noise(sigma=1.1)).astype(np.int16))
        assert sky.median == pytest.approx(level, abs=0.05)
        assert sky.noise == pytest.approx(np.sqrt(1.1**2 + 1 / 12), rel=0.06)


def test_a_bright_star_keeps_its_wings_and_gets_no_dark_ring():
    truth, light = gradient(), star(260, 190, 50_000, fwhm=6)
    sky = model_sky((truth + noise() + light).astype(np.float32))
    assert np.abs(sky.level - truth).max() < 4
    above = sky.subtract_from((truth + light).astype(np.float32))
    assert above.min() > -4
    assert above.sum() == pytest.approx(light.sum(), rel=0.02)


def test_a_galaxy_over_a_tenth_of_the_frame_is_not_taken_for_sky():
    x, y = grid()
    galaxy = 500 * np.exp(-np.hypot(x * 500, y * 400 * 1.5) / 25)
    truth = gradient()
    sky = model_sky((truth + noise() + galaxy).astype(np.float32))
    assert np.abs(sky.level - truth).max() < 10


def test_four_hundred_stars_do_not_lift_the_sky():
    rng = np.random.default_rng(5)
    truth = gradient()
    pixels = truth + noise()
    for x, y, peak in zip(rng.uniform(0, 500, 400), rng.uniform(0, 400, 400), rng.pareto(1, 400) * 100, strict=True):
        left, top = max(int(x) - 15, 0), max(int(y) - 15, 0)
        part = pixels[top : int(y) + 16, left : int(x) + 16]
        part += star(x - left, y - top, min(peak, 30_000), shape=part.shape)
    sky = model_sky(pixels.astype(np.float32))
    assert np.median(sky.level - truth) == pytest.approx(1.5, abs=1.5)
    assert np.abs(sky.level - truth).max() < 8


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_bad_pixels_have_no_say(bad):
    pixels = (gradient() + noise()).astype(np.float32)
    pixels[40:200, 50:300] = bad
    pixels[::7, ::5] = bad
    level = model_sky(pixels).level
    assert np.isfinite(level).all()
    assert np.abs(level - gradient())[pixels < 1e9].max() < 4


def test_a_frame_without_any_good_pixel_has_a_sky_of_zero():
    sky = model_sky(np.full((50, 60), np.nan, dtype=np.float32))
    assert (sky.median, sky.noise) == (0, 0)
    assert sky.level.shape == (50, 60)
    assert not sky.level.any()


@pytest.mark.parametrize("value", [0, 7, 65535])
@pytest.mark.parametrize("shape", [(50, 60), (1, 1), (1, 500), (500, 1), (3, 17), (16, 16)])
def test_a_constant_image_of_any_shape_is_its_own_sky(value, shape):
    pixels = np.full(shape, value, dtype=np.uint16)
    sky = model_sky(pixels)
    assert (sky.median, sky.noise) == (value, 0)
    assert not sky.subtract_from(pixels).any()


@pytest.mark.parametrize("shape", [(1, 500), (500, 1), (2, 300), (9, 9), (20, 700)])
def test_slim_images_have_a_finite_sky_near_their_counts(shape):
    pixels = (1000 + noise(shape)).astype(np.float32)
    assert np.abs(model_sky(pixels).level - 1000).max() < 40


def test_the_sky_is_subtracted_in_strips_as_it_would_be_at_once():
    pixels = (gradient((700, 90)) + noise((700, 90))).astype(np.float32)
    sky = model_sky(pixels)
    assert np.allclose(sky.subtract_from(pixels), pixels - sky.level, atol=1e-3)


@real
def test_clouds_moonlight_and_a_torch_leave_a_level_sky():
    paths = sorted((DATA / "2713-luxembourg-fz").glob("*.fz"))
    spoilt = [path for path in paths if "0020" in path.name]
    before, after = [], []
    for path in paths:
        small = shrink(read_pixels(path, read_frame_header(path)), 500)
        sky = model_sky(small)
        above = sky.subtract_from(small)
        before.append(np.median(small))
        after.append(np.median(above))
        if path in spoilt:
            continue
        # Quarter by quarter, the sky is within a fifth of its noise of zero; it was up to 7 times the noise away.
        for part in (above[a : a + 236, b : b + 250] for a in (0, 236) for b in (0, 250)):
            assert abs(np.median(part)) < 0.2 * sky.noise
    assert np.std(after) < np.std(before) / 100
