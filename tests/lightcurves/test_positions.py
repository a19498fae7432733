import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS

from chalicelib.lightcurves.positions import pixel_of

TAN = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 31.04,
    "CRVAL2": 46.69,
    "CRPIX1": 256.5,
    "CRPIX2": 200.0,
    "CD1_1": -1e-4,
    "CD1_2": 0.0,
    "CD2_1": 0.0,
    "CD2_2": 1e-4,
}
SIP = {
    **TAN,
    "CTYPE1": "RA---TAN-SIP",
    "CTYPE2": "DEC--TAN-SIP",
    "A_ORDER": 2,
    "B_ORDER": 2,
    "A_2_0": 2e-5,
    "B_0_2": -1e-5,
}


def test_the_reference_position_is_at_the_reference_pixel_counted_from_0():
    assert pixel_of(TAN, 31.04, 46.69) == pytest.approx((255.5, 199.0))


def test_north_is_up_and_east_is_left():
    x, y = pixel_of(TAN, 31.04 + 0.01 / np.cos(np.radians(46.69)), 46.69 + 0.02)
    assert (x, y) == pytest.approx((155.5, 399.0), abs=0.1)


def test_distortions_are_followed():
    ra, dec = WCS(Header(SIP)).all_pix2world(400.0, 60.0, 0)
    assert pixel_of(SIP, float(ra), float(dec)) == pytest.approx((400, 60), abs=1e-3)
    assert np.hypot(*(np.array(pixel_of(TAN, float(ra), float(dec))) - (400, 60))) > 0.3


def test_a_position_behind_the_projection_has_no_pixel():
    assert np.isnan(pixel_of(TAN, 211.0, -46.0)).all()


def test_a_position_far_outside_of_a_distorted_frame_is_far_outside():
    x, y = pixel_of(SIP, 51.0, 46.69)
    assert not (0 < x < 512 and 0 < y < 400)


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR", "CRVAL1": 1.0, "CRVAL2": 2.0},
        {**TAN, "CRVAL1": "02:04:10"},
        {**TAN, "CD1_1": 0.0, "CD2_2": 0.0},
        {**TAN, "CTYPE1": "DEC--TAN"},
    ],
)
def test_a_header_without_usable_coordinates_gives_none(keywords):
    assert pixel_of(keywords, 31.04, 46.69) is None
