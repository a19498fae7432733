"""Apertures, sky and centres, against sums worked out another way and against photutils."""

import numpy as np
import pytest
from astropy.stats import SigmaClip

from chalicelib.imaging.apertures import as_image, centre_stars, measure_sky, sum_apertures

RADII = np.array([2.0, 3.3, 5.0])


def gaussian_field(places, fwhm=3.0, flux=20_000.0, sky=100.0, shape=(80, 100), noise=0.0, seed=1):
    """Return stars whose counts in a pixel are those of the profile at its centre."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    sigma2 = (fwhm / 2.3548) ** 2
    pixels = np.full(shape, sky)
    for star_x, star_y in places:
        pixels += flux / (2 * np.pi * sigma2) * np.exp(-((x - star_x) ** 2 + (y - star_y) ** 2) / (2 * sigma2))
    pixels += noise * np.random.default_rng(seed).standard_normal(shape)
    return pixels.astype(np.float32)


PLACES = np.array([[30.3, 40.7], [62.0, 25.5], [75.49, 60.02]])


def test_sums_are_those_of_photutils():
    from photutils.aperture import CircularAperture, aperture_photometry  # takes two seconds, for two tests

    pixels = gaussian_field(PLACES, noise=3)
    ours = sum_apertures(pixels, PLACES, RADII)
    table = aperture_photometry(pixels, [CircularAperture(PLACES, radius) for radius in RADII], method="exact")
    theirs = np.stack([table[f"aperture_sum_{i}"] for i in range(len(RADII))], axis=1)
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_the_sky_is_that_of_photutils():
    from photutils.aperture import ApertureStats, CircularAnnulus

    pixels = gaussian_field(PLACES, noise=5)
    sky = measure_sky(pixels, PLACES, 9, 16)
    rings = CircularAnnulus(np.rint(PLACES), 9, 16)
    stats = ApertureStats(pixels, rings, sigma_clip=SigmaClip(3, maxiters=5, stdfunc="mad_std"), sum_method="center")
    # Pixels exactly on the edge of a ring belong to one or the other.
    assert sky.level == pytest.approx(stats.mean, abs=0.1)
    assert sky.noise == pytest.approx(stats.std, rel=0.03)
    assert sky.pixels == pytest.approx(stats.center_aper_area.value, rel=0.06)


def test_a_star_in_the_ring_does_not_raise_the_sky():
    alone = measure_sky(gaussian_field([(50, 40)], noise=4), np.array([[50.0, 40.0]]), 10, 18)
    beside = measure_sky(gaussian_field([(50, 40), (63, 42)], noise=4), np.array([[50.0, 40.0]]), 10, 18)
    assert alone.level[0] == pytest.approx(100, abs=0.5)
    assert beside.level[0] == pytest.approx(alone.level[0], abs=0.5)


def test_the_sky_of_whole_counts_is_better_than_a_count():
    rng = np.random.default_rng(3)
    pixels = np.rint(rng.normal(100.4, 2, (60, 60))).astype(np.float32)
    assert measure_sky(pixels, np.array([[30.0, 30.0]]), 8, 20).level[0] == pytest.approx(100.4, abs=0.2)


def test_centres_are_found_to_a_hundredth_of_a_pixel():
    pixels = gaussian_field(PLACES)
    starts = PLACES + np.array([[0.8, -0.6], [-1.0, 0.5], [0.4, 1.1]])
    found, peak = centre_stars(pixels, starts, np.full(3, 100.0), 3.0)
    assert found == pytest.approx(PLACES, abs=0.01)
    assert peak[1] == pixels[20:30, 57:67].max()


def test_a_centre_that_runs_away_or_has_no_light_is_none():
    pixels = gaussian_field([(30.0, 40.0)])
    found, _ = centre_stars(pixels, np.array([[36.0, 40.0], [80.0, 20.0]]), np.full(2, 100.0), 3.0)
    assert np.isnan(found).all()


def test_a_circle_over_the_edge_has_no_sum():
    pixels = np.ones((40, 50), dtype=np.float32)
    sums = sum_apertures(pixels, np.array([[2.5, 20.0], [2.49, 20.0], [46.5, 36.5], [np.nan, 5.0]]), np.array([3.0]))
    assert sums[0, 0] == pytest.approx(9 * np.pi)
    assert sums[2, 0] == pytest.approx(9 * np.pi)
    assert np.isnan(sums[[1, 3], 0]).all()


def test_a_circle_with_a_bad_pixel_has_no_sum_and_the_others_do():
    pixels = np.ones((40, 50), dtype=np.float32)
    pixels[20, 10] = np.nan
    sums = sum_apertures(pixels, np.array([[12.0, 20.0], [30.0, 20.0]]), np.array([1.0, 3.0]))
    assert np.isnan(sums).tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize("dtype", ["uint16", ">i2", "float64", "uint8"])
def test_pixels_of_any_type_can_be_measured(dtype):
    pixels = as_image(gaussian_field([(20, 20)], flux=500, shape=(40, 40)).astype(dtype))
    assert (pixels.dtype, pixels.flags.c_contiguous) == (np.float32, True)
    assert sum_apertures(pixels, np.array([[20.0, 20.0]]), np.array([4.0]))[0, 0] == pytest.approx(5500, rel=0.02)


def test_huge_and_infinite_counts_are_bad_pixels():
    pixels = np.ones((20, 20))
    pixels[3, 4], pixels[5, 6], pixels[7, 8] = 1e35, np.inf, np.nan
    assert np.isnan(as_image(pixels)).sum() == 3
