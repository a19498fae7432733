import warnings

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS

from chalicelib.imaging.wcs import TangentPlane

BASE = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 31.042863,
    "CRVAL2": 46.687847,
    "CRPIX1": 512.25,
    "CRPIX2": 500.5,
}
CD = {"CD1_1": -1.1e-4, "CD1_2": 3e-6, "CD2_1": 2e-6, "CD2_2": 1.08e-4}
HEADERS = {
    "cd": {**BASE, **CD},
    "cd without zeros": {**BASE, "CD1_1": -1e-4, "CD2_2": 1e-4},
    "half a turn": {**BASE, "CD1_1": 1e-4, "CD1_2": 0, "CD2_1": 0, "CD2_2": -1e-4},
    "mirrored": {**BASE, "CD1_1": 1e-4, "CD1_2": 2e-5, "CD2_1": -2e-5, "CD2_2": 1e-4},
    "pc": {**BASE, "CDELT1": -1e-4, "CDELT2": 1.2e-4, "PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8},
    "pc given in part": {**BASE, "CDELT1": -1e-4, "CDELT2": 1e-4, "PC1_2": 0.1},
    "pc without cdelt": {**BASE, "PC1_1": -1e-4, "PC1_2": 1e-5, "PC2_1": 0.0, "PC2_2": 1e-4},
    "cdelt alone": {**BASE, "CDELT1": -1e-4, "CDELT2": 1e-4},
    "crota2": {**BASE, "CDELT1": -1e-4, "CDELT2": 1.3e-4, "CROTA2": 33.0},
    "lonpole": {**BASE, **CD, "LONPOLE": 150.0},
    "declination first": {
        **BASE,
        **CD,
        "CTYPE1": "DEC--TAN",
        "CTYPE2": "RA---TAN",
        "CRVAL1": 46.7,
        "CRVAL2": 31.0,
    },
    "arcseconds": {
        **BASE,
        "CUNIT1": "arcsec",
        "CUNIT2": "arcsec",
        "CRVAL1": 31 * 3600.0,
        "CRVAL2": 46 * 3600.0,
        "CDELT1": -0.4,
        "CDELT2": 0.4,
    },
    "zero hours": {**BASE, **CD, "CRVAL1": 0.001},
    "just below 24 hours": {**BASE, **CD, "CRVAL1": 359.999},
    "negative right ascension": {**BASE, **CD, "CRVAL1": -12.5},
    "north pole in the frame": {**BASE, **CD, "CRVAL2": 89.98},
    "on the north pole": {**BASE, **CD, "CRVAL2": 90.0},
    "near the south pole": {**BASE, **CD, "CRVAL2": -89.97},
    "on the south pole": {**BASE, **CD, "CRVAL2": -90.0},
    "on the equator": {**BASE, **CD, "CRVAL2": 0.0},
    "reference far outside": {**BASE, **CD, "CRPIX1": -20_000.0, "CRPIX2": 30_000.0},
    "wide field": {**BASE, "CD1_1": -0.03, "CD2_2": 0.03},
    "whole numbers": {**BASE, "CRVAL1": 30, "CRVAL2": 40, "CRPIX1": 1, "CRPIX2": 1, "CDELT1": -1, "CDELT2": 1},
}


def astropy_wcs(keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WCS(Header(keywords.items()), fix=False)


def some_pixels(size=1024):
    rng = np.random.default_rng(1)
    return np.vstack([rng.uniform(-50, size + 50, (200, 2)), [[0, 0], [size - 1, 0], [0, size - 1], [size / 2, 3.25]]])


def apart(ra, dec, other_ra, other_dec):
    """Return distances on the sky in degrees, exact when small (Vincenty's formula)."""
    ra, dec, other_ra, other_dec = map(np.radians, (ra, dec, other_ra, other_dec))
    east = np.cos(other_dec) * np.sin(other_ra - ra)
    north = np.cos(dec) * np.sin(other_dec) - np.sin(dec) * np.cos(other_dec) * np.cos(other_ra - ra)
    towards = np.sin(dec) * np.sin(other_dec) + np.cos(dec) * np.cos(other_dec) * np.cos(other_ra - ra)
    return np.degrees(np.arctan2(np.hypot(east, north), towards))


@pytest.mark.parametrize("name", HEADERS)
def test_positions_agree_with_astropy_to_a_millionth_of_a_pixel(name):
    keywords = HEADERS[name]
    plane = TangentPlane.from_keywords(keywords)
    reference = astropy_wcs(keywords)
    pixels = some_pixels(30 if name == "whole numbers" else 1024)
    order = [1, 0] if name == "declination first" else [0, 1]
    expected = reference.all_pix2world(pixels, 0)[:, order]
    if "CUNIT1" in keywords:  # astropy keeps degrees
        assert [str(unit) for unit in reference.wcs.cunit] == ["deg", "deg"]
    ra, dec = plane.to_sky(pixels)
    assert np.all((ra >= 0) & (ra < 360))
    scale_deg = plane.scale_arcsec_px / 3600
    assert np.max(apart(ra, dec, *expected.T)) / scale_deg < 1e-6
    assert np.abs(plane.to_pixels(*expected.T) - pixels).max() < 1e-6
    assert np.abs(plane.to_pixels(ra, dec) - pixels).max() < 1e-6


def test_a_single_position_is_a_pair():
    plane = TangentPlane.from_keywords(HEADERS["cd"])
    ra, dec = plane.to_sky((511.25, 499.5))
    assert (float(ra), float(dec)) == pytest.approx((31.042863, 46.687847))
    assert plane.to_pixels(31.042863, 46.687847) == pytest.approx([511.25, 499.5])


def test_what_lies_behind_the_plane_has_no_pixel():
    plane = TangentPlane.from_keywords(HEADERS["cd"])
    found = plane.to_pixels([31.0, 211.0, 211.0], [46.0, -46.0, 20.0])
    assert np.isfinite(found).all(axis=1).tolist() == [True, False, False]


@pytest.mark.parametrize(
    "changes",
    [
        {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"},
        {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
        {"CTYPE1": "RA---TAN", "CTYPE2": "RA---TAN"},
        {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"},
        {"CTYPE1": None},
        {"CTYPE1": 7},
        {"CRVAL1": None},
        {"CRPIX2": None},
        {"CRVAL1": "02:04:10"},
        {"CRVAL2": 91.0},
        {"CRVAL2": float("nan")},
        {"CRPIX1": float("inf")},
        {"CRPIX1": True},
        {"CD1_1": 0.0, "CD1_2": 0.0},
        {"CD1_1": 1e-4, "CD1_2": 1e-4, "CD2_1": 1e-4, "CD2_2": 1e-4},
        {"CD1_1": None, "CD1_2": None, "CD2_1": None, "CD2_2": None},
        {"CD1_1": None, "CD1_2": None, "CD2_1": None, "CD2_2": None, "CDELT1": 0.0, "CDELT2": 1.0},
        {"CD1_1": 1e200, "CD2_2": 1e200},
        {"CUNIT1": "parsec"},
        {"RADESYS": "FK4"},
        {"RADECSYS": "FK4-NO-E"},
        {"EQUINOX": 1950.0},
    ],
)
def test_headers_that_tell_no_usable_plane_give_none(changes):
    keywords = {key: value for key, value in {**BASE, **CD, **changes}.items() if value is not None}
    assert TangentPlane.from_keywords(keywords) is None


def test_no_keywords_give_none():
    assert TangentPlane.from_keywords({}) is None


@pytest.mark.parametrize("changes", [{"RADESYS": "ICRS"}, {"RADESYS": "FK5", "EQUINOX": 2000}, {"EQUINOX": 2000.0}])
def test_icrs_and_j2000_are_read(changes):
    assert TangentPlane.from_keywords({**BASE, **CD, **changes}) is not None


def test_distortions_are_left_out():
    straight = TangentPlane.from_keywords(HEADERS["cd"])
    sip = {**HEADERS["cd"], "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "A_2_0": 1e-5}
    assert np.array_equal(TangentPlane.from_keywords(sip).to_sky((3, 4)), straight.to_sky((3, 4)))


def test_the_scale_is_that_of_a_pixel():
    plane = TangentPlane.from_keywords({**BASE, "CDELT1": -0.4 / 3600, "CDELT2": 0.9 / 3600, "CROTA2": 20.0})
    assert plane.scale_arcsec_px == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("matrix", "north_deg", "east_deg"),
    [
        ((-1, 0, 0, 1), 90, 180),  # as on a chart: north up, east left
        ((1, 0, 0, 1), 90, 0),  # its mirror image
        ((1, 0, 0, -1), -90, 0),  # turned by half
        ((0, 1, 1, 0), 0, 90),
    ],
)
def test_north_and_east_are_counted_from_x_towards_y(matrix, north_deg, east_deg):
    names = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
    plane = TangentPlane.from_keywords({**BASE, **{n: v * 1e-4 for n, v in zip(names, matrix, strict=True)}})
    assert plane.north_angle_deg == pytest.approx(north_deg)
    assert abs(plane.east_angle_deg) == pytest.approx(abs(east_deg))


@pytest.mark.parametrize("name", ["cd", "pc", "crota2", "mirrored", "lonpole"])
def test_a_step_along_north_leads_north_and_along_east_to_higher_right_ascension(name):
    plane = TangentPlane.from_keywords(HEADERS[name])
    ra, dec = plane.ra_deg, plane.dec_deg
    for angle, axis in ((plane.north_angle_deg, 1), (plane.east_angle_deg, 0)):
        dx, dy = 10 * np.cos(np.radians(angle)), 10 * np.sin(np.radians(angle))
        moved = plane.to_sky((plane.x_px + dx, plane.y_px + dy))
        change = np.array([(moved[0] - ra) * np.cos(np.radians(dec)), moved[1] - dec])
        assert change[axis] > 0
        assert abs(change[1 - axis]) < 1e-4 * change[axis]


def test_a_frame_is_laid_on_another_through_the_sky():
    here = TangentPlane.from_keywords({**BASE, "CDELT1": -1e-4, "CDELT2": 1e-4, "CROTA2": 20.0})
    there = TangentPlane.from_keywords({**BASE, "CDELT1": -1e-4, "CDELT2": 1e-4, "CRVAL1": 31.05, "CRPIX1": 480.0})
    transform = here.transform_to(there, 1000, 800)
    pixels = some_pixels(800)
    assert np.abs(transform.apply(pixels) - there.to_pixels(*here.to_sky(pixels))).max() < 0.01
    assert transform.rms_px < 0.01
    assert transform.matched == 0
    # East is left: what turns the sky counter-clockwise turns the pixels clockwise.
    assert np.degrees(np.arctan2(transform.matrix[1, 0], transform.matrix[0, 0])) == pytest.approx(-20, abs=0.1)


def test_a_mirrored_frame_is_laid_on_another_too():
    here, there = TangentPlane.from_keywords(HEADERS["mirrored"]), TangentPlane.from_keywords(HEADERS["cd"])
    transform = here.transform_to(there, 1000, 800)
    assert np.linalg.det(transform.matrix) < 0
    assert np.abs(transform.apply((10, 700)) - there.to_pixels(*here.to_sky((10, 700)))).max() < 0.01


def test_frames_that_look_away_from_each_other_have_no_transform():
    here = TangentPlane.from_keywords(HEADERS["cd"])
    there = TangentPlane.from_keywords({**HEADERS["cd"], "CRVAL1": 211.0, "CRVAL2": -46.0})
    assert here.transform_to(there, 1000, 800) is None
