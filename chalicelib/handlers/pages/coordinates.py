"""Positions on the sky as astronomers write them: hours, minutes and seconds; degrees, minutes and seconds of arc."""

_DAY = 24 * 3600


def right_ascension(degrees: float) -> str:
    """Return a right ascension in hours, to the hundredth of a second: ``16h 41m 41.24s``."""
    # Rounded as a whole number of the last digit, so that 59.996 s carries into the minutes, and 24 h begin at 0 again.
    hundredths = round(degrees * 24_000) % (_DAY * 100)
    minutes, seconds = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}h {minutes:02}m {seconds / 100:05.2f}s"


def declination(degrees: float) -> str:
    """Return a declination to the tenth of a second of arc: ``+36° 27′ 35.5″``."""
    tenths = round(abs(degrees) * 36_000)
    minutes, seconds = divmod(tenths, 600)
    whole, minutes = divmod(minutes, 60)
    sign = "−" if degrees < 0 and tenths else "+"
    return f"{sign}{whole:02}° {minutes:02}′ {seconds / 10:04.1f}″"
