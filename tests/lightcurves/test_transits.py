import numpy as np
import pytest

from chalicelib.lightcurves.transits import find_transit, trapezium

START = 2459000.5


def night(middle=0.12, depth=0.02, duration=0.1, ingress=0.02, noise=0.004, slope=0.0, count=90, span=0.25, seed=1):
    rng = np.random.default_rng(seed)
    clock = np.linspace(0, span, count)
    shape = trapezium(clock, np.array([[middle, duration, ingress / duration]]))[0]
    flux = (1 + slope * (clock - span / 2)) * (1 - depth * shape) + noise * rng.standard_normal(count)
    return START + clock, flux, np.full(count, noise)


def test_a_trapezium_has_contacts_and_a_flat_bottom():
    shape = trapezium(np.array([-0.51, -0.5, -0.45, -0.4, 0.0, 0.45, 0.6]), np.array([[0.0, 1.0, 0.1]]))
    assert shape[0] == pytest.approx([0, 0, 0.5, 1, 1, 0.5, 0])


@pytest.mark.parametrize("seed", range(6))
def test_middle_depth_and_duration_are_found_within_their_errors(seed):
    found = find_transit(*night(seed=seed, slope=0.05))
    assert abs(found.middle - START - 0.12) < 3.5 * found.middle_error
    assert abs(found.depth - 0.02) < 3.5 * found.depth_error
    assert abs(found.duration_d - 0.1) < 4 * found.duration_error_d
    assert found.middle_error < 0.003
    assert found.depth_error < 0.003
    assert found.significant


def test_the_errors_are_those_by_which_many_fits_differ():
    fits = [find_transit(*night(seed=seed, count=60)) for seed in range(40)]
    middles, depths = (np.array([getattr(fit, name) for fit in fits]) for name in ("middle", "depth"))
    assert np.median([fit.middle_error for fit in fits]) == pytest.approx(np.std(middles), rel=0.5)
    assert np.median([fit.depth_error for fit in fits]) == pytest.approx(np.std(depths), rel=0.5)


def test_the_scatter_out_of_transit_is_that_of_the_points():
    fits = [find_transit(*night(noise=0.003, seed=seed)) for seed in range(10)]
    assert np.mean([fit.scatter_outside for fit in fits]) == pytest.approx(0.003, rel=0.1)
    assert np.mean([fit.chi_squared for fit in fits]) == pytest.approx(1, rel=0.15)


def test_a_baseline_that_follows_the_airmass_is_fitted():
    times, flux, errors = night(depth=0.01, noise=0.001)
    airmass = 1 + 3 * ((times - START) / 0.25) ** 2
    found = find_transit(times, flux * (1 - 0.02 * airmass), errors, airmass)
    assert found.depth == pytest.approx(0.01, abs=4 * found.depth_error)
    assert found.depth_error < 0.001


@pytest.mark.parametrize("seed", range(6))
def test_noise_is_no_transit(seed):
    found = find_transit(*night(depth=0.0, seed=seed))
    assert not found.significant


def test_a_rise_is_no_transit():
    found = find_transit(*night(depth=-0.03))
    assert not found.significant


def test_a_transit_that_is_not_seen_to_end_is_not_reported():
    found = find_transit(*night(middle=0.25))
    assert not found.covered
    assert not found.significant


def test_a_single_wild_point_is_no_transit_and_spoils_none():
    times, flux, errors = night(depth=0.0)
    flux[40] -= 0.3
    assert not find_transit(times, flux, errors).significant
    times, flux, errors = night()
    flux[10] += 0.3
    found = find_transit(times, flux, errors)
    assert found.depth == pytest.approx(0.02, abs=4 * found.depth_error)


def test_slow_waves_enlarge_the_errors():
    times, flux, errors = night()
    waves = 0.004 * np.sin(np.arange(len(times)) / 4)
    calm, wavy = find_transit(times, flux, errors), find_transit(times, flux + waves, errors)
    assert wavy.red_noise > 1.3
    assert wavy.depth_error > 1.3 * calm.depth_error


def test_too_few_points_give_none():
    times, flux, errors = night()
    assert find_transit(times[:11], flux[:11], errors[:11]) is None
