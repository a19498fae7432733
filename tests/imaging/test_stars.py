import os
from itertools import pairwise
from math import erf
from pathlib import Path

import numpy as np
import pytest

from chalicelib.imaging.fits import read_frame_header, read_pixels
from chalicelib.imaging.stars import find_stars

DATA = Path(__file__).resolve().parents[2] / os.environ.get("SIDEREAL_DATA", "../shared/data")
real = pytest.mark.skipif(not DATA.is_dir(), reason="no real frames: SIDEREAL_DATA names no folder")


def sky(shape=(300, 320), level=1000.0, noise=10.0, seed=1):
    return np.random.default_rng(seed).normal(level, noise, shape).astype(np.float32)


def add_star(pixels, x, y, flux, fwhm=3.0):
    """Add a Gaussian star, its light integrated over each pixel."""
    sigma = fwhm / 2.3548

    def shares(length, centre):
        return np.diff([0.5 * erf((k - 0.5 - centre) / sigma / 2**0.5) for k in range(length + 1)])

    pixels += flux * np.outer(shares(pixels.shape[0], y), shares(pixels.shape[1], x))


def frame_of_stars(fwhm=3.0, noise=10.0, count=30):
    """Return a frame with stars far enough from each other, and their x, y and flux, brightest first."""
    rng = np.random.default_rng(7)
    pixels = sky(noise=noise)
    cells = rng.permutation(8 * 8)[:count]
    fluxes = np.geomspace(200_000, 8000, count)
    stars = []
    for cell, flux in zip(cells, fluxes, strict=True):
        x, y = 40 + 34 * (cell % 8) + rng.uniform(-5, 5), 30 + 34 * (cell // 8) + rng.uniform(-5, 5)
        add_star(pixels, x, y, flux, fwhm)
        stars.append((x, y, flux))
    return pixels, np.array(stars)


@pytest.mark.parametrize("fwhm", [1.6, 3.0, 6.0])
def test_place_flux_and_width_of_stars_are_found_brightest_first(fwhm):
    pixels, truth = frame_of_stars(fwhm)
    found = find_stars(pixels)
    assert len(found) == len(truth)
    assert found.xy.shape == (30, 2)
    assert np.abs(found.xy[:15] - truth[:15, :2]).max() < 0.1
    assert np.abs(found.xy - truth[:, :2]).max() < 0.5
    assert found.flux[:15] == pytest.approx(truth[:15, 2], rel=0.1)
    assert np.all(np.diff(found.flux) <= 0)
    # Pixels widen a star.
    assert np.median(found.fwhm_px) == pytest.approx(np.hypot(fwhm, 0.68), rel=0.12)


def test_most_keeps_the_brightest():
    pixels, truth = frame_of_stars()
    found = find_stars(pixels, most=5)
    assert np.abs(found.xy - truth[:5, :2]).max() < 0.1


def test_a_higher_threshold_leaves_the_faint_out():
    pixels, _ = frame_of_stars()
    assert 0 < len(find_stars(pixels, threshold_sigma=100)) < 30


@pytest.mark.parametrize("dtype", ["uint16", ">i2", "int32", "int64", ">f4", "float64", ">f8"])
def test_counts_of_any_type_give_the_same_stars(dtype):
    pixels = np.rint(frame_of_stars()[0].clip(0, 32767))
    assert np.allclose(find_stars(pixels.astype(dtype)).xy, find_stars(pixels).xy, atol=1e-6)


def test_a_view_of_a_larger_array_serves_too():
    pixels, _ = frame_of_stars()
    assert np.array_equal(find_stars(pixels[::-1][::-1]).xy, find_stars(pixels).xy)
    assert np.array_equal(find_stars(pixels.T.copy().T).xy, find_stars(pixels).xy)


def test_the_given_pixels_stay_as_they_are():
    pixels, _ = frame_of_stars()
    before = pixels.copy()
    pixels.flags.writeable = False
    find_stars(pixels)
    assert np.array_equal(pixels, before)


def test_a_gradient_and_moonlight_hide_no_star():
    pixels, truth = frame_of_stars()
    y, x = np.mgrid[:300, :320]
    found = find_stars(pixels + 1.0 * x + 0.003 * y * y)
    assert len(found) == 30
    assert np.abs(found.xy[:15] - truth[:15, :2]).max() < 0.1


def test_hot_pixels_and_tracks_are_no_stars():
    pixels, truth = frame_of_stars()
    rng = np.random.default_rng(8)
    for _ in range(60):
        x, y = rng.integers(15, 285, 2)
        if np.hypot(*(truth[:, :2] - (x, y)).T).min() > 15:
            pixels[y, x] += 30_000
            # Tracks: along a row, along a column, and aslant.
            kind = rng.integers(0, 4)
            for step in range(1, 6):
                dy, dx = [(0, 0), (0, step), (step, 0), (step, step)][kind]
                pixels[y + dy, x + dx] += 5000
    found = find_stars(pixels)
    nearest = np.hypot(*(found.xy[:, None] - truth[None, :, :2]).transpose(2, 0, 1)).min(axis=1)
    assert np.count_nonzero(nearest < 1) >= 28
    assert np.count_nonzero(nearest > 3) == 0


def test_stars_cut_by_the_border_are_left_out():
    pixels = sky()
    for x, y in ((0, 100), (319, 50), (150, 0), (150, 299), (1.5, 1.5), (160, 150)):
        add_star(pixels, x, y, 100_000)
    assert find_stars(pixels).xy == pytest.approx(np.array([[160, 150]]), abs=0.05)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_bad_pixels_are_neither_stars_nor_in_the_way(bad):
    pixels, truth = frame_of_stars()
    pixels[:, 10:14] = bad
    pixels[280:, 200:] = bad
    pixels[::31, ::29] = bad
    found = find_stars(pixels)
    nearest = np.hypot(*(found.xy[:, None] - truth[None, :, :2]).transpose(2, 0, 1)).min(axis=1)
    assert len(found) >= 25
    assert np.median(nearest) < 0.05
    assert nearest.max() < 1.5


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((200, 200), 7, dtype=np.uint16),
        np.zeros((200, 200)),
        np.full((200, 200), np.nan, dtype=np.float32),
        np.full((200, 200), np.inf),
        sky((400, 400)),
        sky((1, 1)),
        sky((3, 500)),
        sky((500, 3)),
        sky((9, 9)),
        np.arange(40_000).reshape(200, 200),
        np.indices((200, 200)).sum(axis=0) % 2 * 1000,
        np.random.default_rng(3).uniform(0, 65535, (300, 300)),
    ],
    ids=["flat", "zero", "nan", "inf", "noise", "pixel", "slim", "tall", "tiny", "ramp", "chess", "static"],
)
def test_a_frame_without_stars_has_none(pixels):
    found = find_stars(pixels)
    assert len(found) == 0
    assert found.xy.shape == (0, 2)


def test_a_frame_full_of_stars_does_not_overflow():
    rng = np.random.default_rng(9)
    pixels = sky((1400, 1400), noise=1)
    y, x = rng.integers(4, 1396, (2, 90_000))
    for dy, dx, share in ((0, 0, 1), (0, 1, 0.5), (1, 0, 0.5), (0, -1, 0.5), (-1, 0, 0.5), (1, 1, 0.3), (-1, -1, 0.3)):
        np.add.at(pixels, (y + dy, x + dx), 5000 * share)
    assert len(find_stars(pixels, most=50)) == 50


@real
@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("hat-p-32-transit/HATP-32171220013343.FITS", [(423.1, 286.0), (464.0, 181.8), (512.7, 261.5)]),
        ("2713-luxembourg-fz/luxembourg-20181018-0012.fits.fz", [(202, 226), (221, 224), (429, 117)]),
    ],
)
def test_the_stars_that_the_readme_names_are_found(name, named):
    path = DATA / name
    found = find_stars(read_pixels(path, read_frame_header(path)))
    away = np.hypot(*(found.xy[:, None] - np.array(named)[None]).transpose(2, 0, 1)).min(axis=0)
    assert away.max() < 1.5


@real
def test_none_of_the_thousand_hot_pixels_of_a_real_camera_is_a_star():
    # The field drifts, hot pixels do not: what is at the same pixel in frames an hour apart is no star.
    paths = sorted((DATA / "hat-p-32-transit").glob("*.FITS"))[::12]
    stars = [find_stars(read_pixels(path, read_frame_header(path))).xy for path in paths]
    # From about 3 pixels per star and 325000 pixels, one or two in 200 lie there by chance.
    for here, there in pairwise(stars):
        assert len(here) == 200
        away = np.hypot(*(here[:, None] - there[None]).transpose(2, 0, 1)).min(axis=1)
        assert np.count_nonzero(away < 1) <= 4
