import math
from dataclasses import replace

import numpy as np
import pytest

from chalicelib.lightcurves.periods import find_period
from chalicelib.lightcurves.report import describe_period


@pytest.mark.parametrize(
    ("period_d", "error_d", "words"),
    [
        (0.0799, 0.00123, "0.0799 +/- 0.0012 d (1.918 h)"),
        (2.3456e-5, 3.1e-8, "0.000023456 +/- 0.000000031 d (0.0005629 h)"),
        (512.34, 21.0, "512 +/- 21 d (12296 h)"),
        (0.25, math.inf, "0.25 d (6 h)"),
    ],
)
def test_a_period_is_written_to_two_digits_of_its_error(period_d, error_d, words):
    times = 2459000 + np.arange(40) / 100
    found = find_period(times, 12 + 0.05 * np.sin(times * 50), np.full(40, 0.01))
    values, line = describe_period(
        replace(found, period_d=period_d, period_error_d=error_d, false_alarm=1e-9, cycles=5.0)
    )
    assert line.startswith(f"Period: {words}, amplitude")
    assert values["period_d"] == period_d
