from datetime import UTC, datetime

import pytest

from chalicelib.imaging.dates import find_observation_time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-10-18T03:01:53", datetime(2018, 10, 18, 3, 1, 53, tzinfo=UTC)),
        ("2018-10-18T03:01:53.784", datetime(2018, 10, 18, 3, 1, 53, 784000, tzinfo=UTC)),
        ("2018-10-18T03:01:53.78412345", datetime(2018, 10, 18, 3, 1, 53, 784123, tzinfo=UTC)),
        ("2018-10-18T03:01", datetime(2018, 10, 18, 3, 1, tzinfo=UTC)),
        ("2018-10-18 03:01:53", datetime(2018, 10, 18, 3, 1, 53, tzinfo=UTC)),
        (" 2018-10-18T03:01:53Z ", datetime(2018, 10, 18, 3, 1, 53, tzinfo=UTC)),
        ("2018-10-18T03:01:53+02:00", datetime(2018, 10, 18, 1, 1, 53, tzinfo=UTC)),
        ("2017-12-19T18:36:12.404-0700", datetime(2017, 12, 20, 1, 36, 12, 404000, tzinfo=UTC)),
        ("2018-10-18T03:01:53-03", datetime(2018, 10, 18, 6, 1, 53, tzinfo=UTC)),
        ("2016-12-31T23:59:60", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2018-10-18", datetime(2018, 10, 18, tzinfo=UTC)),
        ("18/10/98", datetime(1998, 10, 18, tzinfo=UTC)),
        ("18/10/18", datetime(2018, 10, 18, tzinfo=UTC)),
    ],
)
def test_every_form_of_date_obs_becomes_utc(text, expected):
    found = find_observation_time({"DATE-OBS": text})
    assert (found.start, found.has_time) == (expected, ":" in text)


@pytest.mark.parametrize("keyword", ["TIME-OBS", "UT", "UT-OBS", "UTSTART", "UTC-OBS", "UT-START"])
def test_a_date_alone_takes_the_time_from_another_keyword(keyword):
    found = find_observation_time({"DATE-OBS": "2018-10-18", keyword: "3:22:28.367"})
    assert found.start == datetime(2018, 10, 18, 3, 22, 28, 367000, tzinfo=UTC)


def test_an_old_date_takes_the_time_from_another_keyword_too():
    found = find_observation_time({"DATE-OBS": "18/10/98", "UT": "03:22:28"})
    assert found.start == datetime(1998, 10, 18, 3, 22, 28, tzinfo=UTC)


def test_a_time_keyword_that_holds_date_and_time_counts_as_a_whole():
    found = find_observation_time({"DATE-OBS": "2017-12-19", "UT-OBS": "2017-12-20T01:36:12-0000"})
    assert found.start == datetime(2017, 12, 20, 1, 36, 12, tzinfo=UTC)


def test_a_time_in_date_obs_wins_over_other_keywords():
    found = find_observation_time({"DATE-OBS": "2018-10-18T03:00:00", "UT-OBS": "05:00:00"})
    assert found.start == datetime(2018, 10, 18, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "not a date", "2018-13-01T00:00:00", "2018-02-30", "2018-10-18T25:00:00", "2018-10-18T03:61:00", 58409.1],
)
def test_what_is_no_date_gives_none(text):
    assert find_observation_time({"DATE-OBS": text}) is None


def test_a_time_without_a_date_gives_none():
    assert find_observation_time({"UT-OBS": "03:00:00"}) is None


def test_an_unreadable_time_of_day_leaves_the_date():
    found = find_observation_time({"DATE-OBS": "2018-10-18", "UT": "soon"})
    assert (found.start, found.has_time) == (datetime(2018, 10, 18, tzinfo=UTC), False)


def test_a_time_of_midnight_is_a_time():
    assert find_observation_time({"DATE-OBS": "2018-10-18T00:00:00"}).has_time
    assert find_observation_time({"DATE-OBS": "2018-10-18", "UT": "00:00:00"}).has_time


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T24:00:00"])
def test_a_time_beyond_the_calendar_gives_none(text):
    assert find_observation_time({"DATE-OBS": text}) is None
