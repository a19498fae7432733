import socket
from datetime import UTC, datetime

import numpy as np
import pytest

from chalicelib.lightcurves.times import Site, exposure_of, find_site, mjd_of_middle, to_bjd_tdb

WHIPPLE = Site(31.68, -110.88, 1268.0)


def test_the_middle_of_an_exposure_is_half_of_it_later():
    assert mjd_of_middle(datetime(2000, 1, 1, 12, tzinfo=UTC), 0) == 51544.5
    assert mjd_of_middle(datetime(2017, 12, 20, 1, 33, 43, 317000, tzinfo=UTC), 60) == pytest.approx(
        58107 + (5623.317 + 30) / 86400, abs=1e-9
    )


def test_the_middle_of_an_exposure_may_lie_beyond_the_last_date():
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert mjd_of_middle(last, 86400) == pytest.approx(2973483 + 86399 / 86400 + 0.5, abs=1e-6)


def test_the_barycentric_time_of_the_transit_is_the_published_one():
    # JD_UTC 2458107.70964 is BJD_TDB 2458107.71406 (EXOTIC's README, to 1e-5 day).
    assert to_bjd_tdb(np.array([58107.20964]), 31.0429, 46.6878, WHIPPLE) == pytest.approx(2458107.71406, abs=1.1e-5)


def test_half_a_year_later_the_earth_is_on_the_other_side():
    # At the ecliptic, light crosses the orbit in 2 x 499 s; 69.184 s are between UTC and TDB since 2017.
    days = 58000 + np.arange(0.0, 366.0)
    ahead = (to_bjd_tdb(days, 90.0, 23.44, None) - days - 2400000.5) * 86400 - 69.184
    assert ahead.max() == pytest.approx(499, abs=12)
    assert ahead.min() == pytest.approx(-499, abs=12)


def test_without_a_site_the_error_is_below_21_ms_plus_the_rounding():
    days = 58107.2 + np.arange(0, 1, 0.05)
    differ = (to_bjd_tdb(days, 31.0, 46.7, WHIPPLE) - to_bjd_tdb(days, 31.0, 46.7, None)) * 86400
    assert 0.005 < np.abs(differ).max() < 0.0214


def test_nothing_is_asked_of_the_net_even_for_years_without_tables(monkeypatch):
    def refuse(*_):
        raise AssertionError("the net was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert np.isfinite(to_bjd_tdb(np.array([42000.0, 62000.0]), 10.0, -20.0, WHIPPLE)).all()


@pytest.mark.parametrize(
    ("keywords", "site"),
    [
        ({"LATITUDE": 31.68, "LONGITUD": 110.88}, Site(31.68, 110.88, 0.0)),
        ({"LATITUDE": 31.68, "LONGITUD": -110.88, "HEIGHT": 1268}, Site(31.68, -110.88, 1268.0)),
        ({"SITELAT": "-30.16", "SITELONG": "-70.8"}, Site(-30.16, -70.8, 0.0)),
        ({"LAT-OBS": 28.3, "LONG-OBS": -16.5, "ALT-OBS": 2390.0}, Site(28.3, -16.5, 2390.0)),
        ({"SITELAT": "30 10 03 N", "SITELONG": "70 48 20 W"}, None),
        ({"LATITUDE": 131.0, "LONGITUD": 10.0}, None),
        ({"LATITUDE": 31.0, "LONGITUD": 1e300}, None),
        ({"LATITUDE": "nan", "LONGITUD": 10.0}, None),
        ({"LATITUDE": 31.0, "LONGITUD": 10.0, "HEIGHT": 1e300}, Site(31.0, 10.0, 0.0)),
        ({"LATITUDE": 31.0, "LONGITUD": 10.0, "HEIGHT": -501.0}, Site(31.0, 10.0, 0.0)),
        ({"LATITUDE": 31.0, "LONGITUD": 10.0, "HEIGHT": -400.0}, Site(31.0, 10.0, -400.0)),
        ({"LATITUDE": 31.0}, None),
    ],
)
def test_the_site_is_what_the_header_says_in_numbers(keywords, site):
    assert find_site(keywords) == site


def test_the_exposure_time_has_two_names():
    assert exposure_of({"EXPTIME": 60.0, "EXPOSURE": 1}) == 60
    assert exposure_of({"EXPOSURE": 12}) == 12
    assert exposure_of({"EXPTIME": "n/a"}) is None
    assert exposure_of({"EXPTIME": -1.0}) is None


@pytest.mark.parametrize("value", [1e12, 1e300, 86400.5, 0.0, "inf"])
def test_an_exposure_time_that_no_frame_has_is_none(value):
    assert exposure_of({"EXPTIME": value}) is None
    assert exposure_of({"EXPTIME": value, "EXPOSURE": 86400}) == 86400
