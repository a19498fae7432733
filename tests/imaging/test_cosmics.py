import os
from math import erf
from pathlib import Path

import numpy as np
import pytest
import sep

from chalicelib.imaging.cosmics import clean_cosmics
from chalicelib.imaging.fits import read_frame_header, read_pixels
from chalicelib.imaging.stars import find_stars
from local import frames

DATA = Path(__file__).resolve().parents[2] / os.environ.get("SIDEREAL_DATA", "../shared/data")
real = pytest.mark.skipif(not DATA.is_dir(), reason="no real frames: SIDEREAL_DATA names no folder")
REAL_FRAMES = [
    "2713-luxembourg-fz/luxembourg-20181018-0012.fits.fz",
    "2713-luxembourg-fz/luxembourg-20181018-0026.fits.fz",
    "2713-luxembourg-fz/luxembourg-20181018-0035.fits.fz",
    "hat-p-32-transit/HATP-32171220013343.FITS",
    "hat-p-32-transit/HATP-32171220053312.FITS",
]


def sky(shape=(200, 220), level=1000.0, noise=10.0, seed=1):
    return np.random.default_rng(seed).normal(level, noise, shape).astype(np.float32)


def star_pixels(x, y, fwhm, size=15):
    """Return the share of a Gaussian star's light that falls on each pixel."""
    sigma = fwhm / 2.3548

    def shares(centre):
        edges = [0.5 * erf((k - 0.5 - centre) / sigma / 2**0.5) for k in range(size + 1)]
        return np.diff(edges)

    return np.outer(shares(y), shares(x))


def tracks(shape, count, noise, seed=2):
    """Return hits of 1 to 10 pixels in any direction, 6 to 200 times as strong as the noise, uneven along the track."""
    rng = np.random.default_rng(seed)
    added = np.zeros(shape)
    for _ in range(count):
        angle, steps = rng.uniform(0, np.pi), np.arange(rng.integers(1, 11))
        columns = (rng.uniform(0, shape[1]) + steps * np.cos(angle)).astype(int)
        rows = (rng.uniform(0, shape[0]) + steps * np.sin(angle)).astype(int)
        inside = (columns >= 0) & (columns < shape[1]) & (rows < shape[0])
        strength = noise * np.exp(rng.uniform(np.log(6), np.log(200)))
        added[rows[inside], columns[inside]] += strength * rng.uniform(0.6, 1.4, np.count_nonzero(inside))
    return added


def fluxes(pixels, stars, radius=5):
    return sep.sum_circle(np.array(pixels, dtype=np.float32), stars.x_px, stars.y_px, radius, bkgann=(8, 14))[0]


def made_up_frame(monkeypatch, seed, fwhm_px=None):
    """Return a frame as `local.frames` makes it, the same without its hits, and its stars' true places."""
    before = []
    add_hits = frames._add_cosmic_rays
    monkeypatch.setattr(frames, "_add_cosmic_rays", lambda p, rng: (before.append(p.copy()), add_hits(p, rng)))
    field = frames.plan_field(1, 512, seed)
    if fwhm_px:
        object.__setattr__(field.frames[0], "fwhm_px", fwhm_px)
    (pixels,) = frames.render_frames(field, seed)
    return pixels, before[0]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("fwhm_px", [None, 1.6, 2.0])
def test_hits_vanish_into_the_noise_and_stars_keep_their_light(monkeypatch, seed, fwhm_px):
    pixels, clean = made_up_frame(monkeypatch, seed, fwhm_px)
    noise = 26.0
    hit = pixels + tracks(pixels.shape, 100, noise, seed).astype(np.float32)
    cleaned, count = clean_cosmics(hit)
    strong = hit - clean > 8 * noise
    assert np.count_nonzero(strong) > 400
    repaired = np.abs(cleaned - clean)[strong] < 4 * noise
    assert np.mean(repaired) > 0.95
    assert 0.9 < count / np.count_nonzero(hit - clean > 5 * noise) < 1.1
    stars = find_stars(clean, threshold_sigma=20)
    assert len(stars) > 20
    # A hit that lies on a star cannot be told from it with certainty; none of these touch the others.
    far = [not (hit - clean)[int(y) - 6 : int(y) + 8, int(x) - 6 : int(x) + 8].any() for x, y in stars.xy]
    assert np.abs(fluxes(cleaned, stars) / fluxes(clean, stars) - 1)[far].max() < 0.01


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("fwhm_px", [None, 1.6, 2.0])
def test_a_frame_without_hits_loses_no_star(monkeypatch, seed, fwhm_px):
    _, clean = made_up_frame(monkeypatch, seed, fwhm_px)
    cleaned, count = clean_cosmics(clean)
    assert count <= 2
    stars = find_stars(clean, threshold_sigma=8)
    assert np.abs(fluxes(cleaned, stars) / fluxes(clean, stars) - 1).max() < 0.01


@pytest.mark.parametrize("fwhm", [1.6, 1.8, 2.5, 4.0])
def test_sharp_stars_of_any_brightness_and_place_within_a_pixel_are_left_alone(fwhm):
    rng = np.random.default_rng(3)
    truth = np.full((420, 420), 1000.0)
    centres = np.arange(10, 410, 20)
    for row in centres:
        for column in centres:
            flux = 10 ** rng.uniform(2.3, 6)
            x, y = rng.uniform(-0.5, 0.5, 2)
            truth[row - 7 : row + 8, column - 7 : column + 8] += flux * star_pixels(7 + x, 7 + y, fwhm)
    pixels = rng.normal(truth, np.sqrt(100 + (truth - 1000) / 2)).astype(np.float32)
    cleaned, count = clean_cosmics(pixels)
    assert count <= 2
    changed = pixels - cleaned
    for row in centres:
        for column in centres:
            box = slice(row - 7, row + 8), slice(column - 7, column + 8)
            assert changed[box].sum() <= max(0.01 * (truth[box] - 1000).sum(), 80)


@real
@pytest.mark.parametrize("name", REAL_FRAMES)
def test_known_hits_in_real_frames_are_repaired(name):
    path = DATA / name
    pixels, _ = clean_cosmics(read_pixels(path, read_frame_header(path)))
    noise = {"2": 50.0, "h": 1.4}[name[0]]
    added = np.rint(tracks(pixels.shape, 60, noise, seed=4)).astype(int)
    hit = (pixels.astype(int) + added).clip(0, 65535 if pixels.dtype == np.uint16 else 32767).astype(pixels.dtype)
    cleaned, _ = clean_cosmics(hit)
    # Those that fall on a star are left aside: in the crowded field of HAT-P-32 one in ten does.
    background = sep.Background(pixels.astype(np.float32))
    strong = (added > 8 * noise) & (pixels - background.back() < 5 * noise)
    assert np.count_nonzero(strong) > 150
    assert np.mean((cleaned - pixels.astype(float))[strong] < 4 * noise) > 0.95


@real
@pytest.mark.parametrize("name", REAL_FRAMES)
def test_real_stars_lose_nothing_but_hot_pixels(name):
    path = DATA / name
    pixels = read_pixels(path, read_frame_header(path))
    cleaned, count = clean_cosmics(pixels)
    assert count > 200
    _, more = clean_cosmics(cleaned)
    assert more < 0.02 * count
    stars = find_stars(pixels, threshold_sigma=20)
    peaks = np.array([cleaned[round(y), round(x)] / pixels[round(y), round(x)] for x, y in stars.xy])
    assert np.all(peaks == 1)


@real
def test_charge_that_spills_along_a_column_is_not_cut_off():
    path = DATA / "hat-p-32-transit/HATP-32171220033312.FITS"
    pixels = read_pixels(path, read_frame_header(path))
    cleaned, _ = clean_cosmics(pixels)
    # A star that fills three columns of pixels to the brim (4095), and one of them for 14 rows.
    star = slice(137, 150), slice(98, 111)
    assert np.count_nonzero(pixels[star] == 4095) > 20
    assert np.array_equal(cleaned[star], pixels[star])


def test_a_single_hot_pixel_becomes_the_median_around_it():
    pixels = sky()
    pixels[50, 60] = 30_000
    before = pixels.copy()
    cleaned, count = clean_cosmics(pixels)
    around = before[48:53, 58:63].ravel()
    assert count == 1
    assert cleaned[50, 60] == np.sort(np.delete(around, 12))[11]
    cleaned[50, 60] = before[50, 60]
    assert np.array_equal(cleaned, before)


@pytest.mark.parametrize(("row", "column"), [(0, 1), (0, 100), (199, 218), (100, 0), (199, 3), (120, 219)])
def test_hits_at_the_border_are_removed_too(row, column):
    pixels = sky()
    pixels[row, column] = 5000
    cleaned, count = clean_cosmics(pixels)
    assert count == 1
    assert cleaned[row, column] < 1050


def test_a_hit_in_the_light_of_a_galaxy_is_removed_and_the_galaxy_is_not():
    y, x = np.mgrid[:200, :220]
    galaxy = 8000 * np.exp(-np.hypot(x - 110, y - 100) / 12)
    pixels = np.random.default_rng(6).normal(1000 + galaxy, np.sqrt(100 + galaxy)).astype(np.float32)
    clean, count = clean_cosmics(pixels)
    assert count <= 2
    pixels[104, 118:122] += 3000
    cleaned, count = clean_cosmics(pixels)
    assert count <= 6
    assert np.abs(cleaned - clean)[104, 118:122].max() < 600


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">i2", "int32", ">f4", "float64"])
def test_the_type_stays_and_the_given_pixels_too(dtype):
    pixels = sky(level=100, noise=5).astype(dtype)
    pixels[30, 40] = 250
    pixels.flags.writeable = False
    cleaned, count = clean_cosmics(pixels)
    assert cleaned.dtype == np.dtype(dtype).newbyteorder("=")
    assert count == 1
    assert pixels[30, 40] == 250
    assert cleaned[30, 40] < 125


def test_whole_counts_below_zero_and_above_a_signed_short_do_not_wrap():
    pixels = (sky() - 1000).astype(np.int16)
    pixels[9, 9] = 32767
    assert abs(clean_cosmics(pixels)[0][9, 9]) < 50
    pixels = (sky() + 60_000).astype(np.uint16)
    pixels[9, 9] = 65535
    assert abs(int(clean_cosmics(pixels)[0][9, 9]) - 61_000) < 50


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_bad_pixels_stay_and_hits_elsewhere_go(bad):
    pixels = sky()
    pixels[80:90, 20:60] = bad
    pixels[10, 10] = bad
    pixels[150, 150] = 5000
    cleaned, count = clean_cosmics(pixels)
    assert cleaned[150, 150] < 1050
    assert np.array_equal(cleaned[81:89, 21:59], pixels[81:89, 21:59], equal_nan=True)
    assert 1 <= count < 20


@pytest.mark.parametrize("value", [0, 7, 65535, np.nan])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (1, 400), (400, 1), (90, 70)])
def test_an_image_without_noise_stays_as_it_is(value, shape):
    pixels = np.full(shape, value, dtype=np.float32)
    cleaned, count = clean_cosmics(pixels)
    assert count == 0
    assert np.array_equal(cleaned, pixels, equal_nan=True)


@pytest.mark.parametrize("shape", [(1, 400), (400, 1), (2, 300), (5, 6)])
def test_slim_images_are_cleaned_without_fuss(shape):
    cleaned, count = clean_cosmics(sky(shape))
    assert cleaned.shape == shape
    assert count <= 1
