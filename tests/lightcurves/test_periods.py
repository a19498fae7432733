import math

import numpy as np
import pytest
from astropy.timeseries import LombScargle

from chalicelib.lightcurves.periods import false_alarm_probability, find_period


def observations(period=0.31, amplitude=0.05, error=0.01, count=120, span=2.0, seed=1):
    rng = np.random.default_rng(seed)
    times = 2459000 + np.sort(rng.uniform(0, span, count))
    magnitudes = 12 - amplitude * np.cos(2 * np.pi * (times - 2459000.1) / period)
    return times, magnitudes + error * rng.standard_normal(count), np.full(count, error)


@pytest.mark.parametrize("seed", range(5))
def test_period_amplitude_and_maximum_are_found_within_their_errors(seed):
    found = find_period(*observations(seed=seed))
    assert abs(found.period_d - 0.31) < 3.5 * found.period_error_d
    assert abs(found.amplitude - 0.05) < 3.5 * found.amplitude_error
    assert found.period_error_d < 0.002
    assert abs(((found.maximum - 2459000.1) / 0.31 + 0.5) % 1 - 0.5) < 0.03
    assert found.significant


def test_the_sine_is_brightest_at_phase_0():
    found = find_period(*observations())
    assert found.curve(np.array([0.0, 0.5])) == pytest.approx([12 - 0.05, 12 + 0.05], abs=0.01)
    assert found.phase(np.array([found.maximum + found.period_d / 4])) == pytest.approx([0.25])


@pytest.mark.parametrize("seed", range(5))
def test_noise_has_no_period(seed):
    found = find_period(*observations(amplitude=0.0, seed=seed))
    assert not found.significant


def test_less_than_two_cycles_are_no_period_however_small_the_chance():
    found = find_period(*observations(period=1.3, span=2.0))
    assert found.cycles < 2
    assert found.false_alarm < 1e-10
    assert not found.significant


def test_slow_waves_make_a_false_alarm_more_probable():
    times, magnitudes, errors = observations(amplitude=0.01)
    waves = 0.02 * np.convolve(np.random.default_rng(2).standard_normal(131), np.ones(12) / np.sqrt(12), "valid")
    assert find_period(times, magnitudes + waves, errors).red_noise > 1.2
    sure = [false_alarm_probability(0.5, 10.0, times, errors, red) for red in (1.0, 1.5, 3.0)]
    assert sure == sorted(sure)
    assert sure[2] > 1000 * sure[0]


def test_the_false_alarm_probability_is_baluevs():
    times, magnitudes, errors = observations(amplitude=0.006)
    times = times - times[0]  # theirs loses digits in the square of a Julian date
    errors = errors * np.random.default_rng(5).uniform(0.7, 1.5, len(errors))
    theirs = LombScargle(times, magnitudes, errors)
    highest = float(theirs.autofrequency(maximum_frequency=40.0).max())
    for power in (0.01, 0.1, 0.3, 0.7):
        expected = float(theirs.false_alarm_probability(power, method="baluev", maximum_frequency=40.0))
        assert false_alarm_probability(power, highest, times, errors) == pytest.approx(expected, rel=1e-9)


def test_a_sure_thing_has_a_tiny_probability_and_not_zero_or_less():
    assert 0 <= false_alarm_probability(1 - 1e-12, 10.0, *observations()[::2]) < 1e-100
    assert false_alarm_probability(0.0, 10.0, *observations()[::2]) == 1


def test_only_the_periods_asked_for_are_tried():
    found = find_period(*observations(), shortest_h=1.0, longest_h=3.0)
    assert (found.shortest_d, found.longest_d) == pytest.approx((1 / 24, 3 / 24))
    assert 1 / 24 <= found.period_d <= 3.01 / 24


def test_too_few_points_or_no_room_for_a_period_give_none():
    times, magnitudes, errors = observations()
    assert find_period(times[:7], magnitudes[:7], errors[:7]) is None
    assert find_period(times, magnitudes, errors, shortest_h=1000.0) is None
    assert find_period(np.full(20, 2459000.0), np.ones(20), np.ones(20)) is None


@pytest.mark.parametrize("shortest_h", [1e-300, 1e-6, 0.03])
def test_no_period_below_twice_the_distance_of_the_frames_or_twice_their_exposure_is_tried(shortest_h):
    times, magnitudes, errors = observations()
    times = 2459000 + np.arange(120) / 1440
    found = find_period(times, magnitudes, errors, shortest_h=shortest_h)
    assert found.shortest_d == pytest.approx(2 / 1440)
    assert found.period_d >= 0.9 * 2 / 1440
    found = find_period(times, magnitudes, errors, shortest_h=shortest_h, exposure_d=3 / 1440)
    assert found.shortest_d == pytest.approx(6 / 1440)


def test_many_nights_do_not_ask_for_endless_frequencies():
    times, magnitudes, errors = observations(count=200)
    times[100:] += 4000
    found = find_period(times, magnitudes, errors)
    assert found.shortest_d == pytest.approx(np.ptp(times) * 10 / 200_000)
    assert math.isfinite(found.period_d)
