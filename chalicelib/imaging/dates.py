"""The time of an observation from the header cards in which observatories write it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

TIME_KEYWORDS = ("TIME-OBS", "UT-OBS", "UTC-OBS", "UTSTART", "UT-START", "UT", "UTC")
"""Where the time of day may stand when DATE-OBS holds the date only, in the order in which they are tried."""

DATE_KEYWORDS = ("DATE-OBS", *TIME_KEYWORDS)

# Two-digit years: there are no digital frames from before 1970.
_FIRST_TWO_DIGIT_YEAR = 70

_ISO_DATE = r"(?P<year>\d{4})[-/](?P<month>\d{1,2})[-/](?P<day>\d{1,2})"
_OLD_DATE = r"(?P<old_day>\d{1,2})/(?P<old_month>\d{1,2})/(?P<old_year>\d{2})"
_TIME = r"(?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?P<fraction>\.\d*)?)?"
_ZONE = r"(?P<zone>Z|UTC?|[+-]\d{2}(?::?\d{2})?)"
_MOMENT = re.compile(rf"(?:{_ISO_DATE}|{_OLD_DATE})(?:(?:T|\s+){_TIME}\s*{_ZONE}?)?", re.IGNORECASE)
_TIME_OF_DAY = re.compile(rf"{_TIME}\s*{_ZONE}?", re.IGNORECASE)


@dataclass(frozen=True)
class ObservationTime:
    """When an observation began.

    Parameters
    ----------
    start : datetime
        Aware, UTC; midnight if only the date is known.
    has_time : bool
        Whether the header gives the time of day, and not the date alone.
    """

    start: datetime
    has_time: bool


def find_observation_time(keywords: Mapping[str, object]) -> ObservationTime | None:
    """Return when the observation began, or None if the header does not say.

    Parameters
    ----------
    keywords : mapping
        Header of one HDU. `DATE-OBS` holds date and time, or the date while one of `TIME_KEYWORDS` holds the time.

    Returns
    -------
    ObservationTime or None
        A time without a zone is UTC, as the FITS standard has it.
    """
    text = _text(keywords.get("DATE-OBS"))
    moment = _MOMENT.fullmatch(text)
    if moment is None:
        return None
    midnight = _midnight(moment)
    if midnight is None:
        return None
    if moment["hour"] is not None:
        return _with_time(_add_time(midnight, moment))
    for keyword in TIME_KEYWORDS:
        time_text = _text(keywords.get(keyword))
        whole = _MOMENT.fullmatch(time_text)
        if whole is not None and whole["hour"] is not None:
            # This one gives the date as well, in its own zone.
            own_midnight = _midnight(whole)
            found = own_midnight and _add_time(own_midnight, whole)
        else:
            time_of_day = _TIME_OF_DAY.fullmatch(time_text)
            found = time_of_day and _add_time(midnight, time_of_day)
        if found:
            return _with_time(found)
    return ObservationTime(midnight, has_time=False)


def _with_time(start: datetime | None) -> ObservationTime | None:
    return None if start is None else ObservationTime(start, has_time=True)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _midnight(match: re.Match[str]) -> datetime | None:
    if match["year"]:
        year, month, day = (int(match[name]) for name in ("year", "month", "day"))
    else:
        year, month, day = (int(match[name]) for name in ("old_year", "old_month", "old_day"))
        year += 1900 if year >= _FIRST_TWO_DIGIT_YEAR else 2000
    try:
        return datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        return None


def _add_time(midnight: datetime, match: re.Match[str]) -> datetime | None:
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    # 24:00 ends a day, and a leap second has the number 60.
    if hour > 24 or minute > 59 or second > 60:
        return None
    fraction = float(match["fraction"]) if match["fraction"] not in (None, ".") else 0.0
    try:
        local = midnight.replace(tzinfo=_zone(match["zone"])) + timedelta(hours=hour, minutes=minute, seconds=second)
        return (local + timedelta(seconds=fraction)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(text: str | None) -> timezone:
    if not text or text[0] not in "+-":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
