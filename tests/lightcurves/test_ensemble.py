import numpy as np
import pytest

from chalicelib.lightcurves.ensemble import choose_ensemble, point_to_point

FRAMES = 60


def night(errors, seed=1, clouds=0.4):
    """Return magnitudes of steady stars through passing clouds, their errors, and the clouds."""
    rng = np.random.default_rng(seed)
    air = clouds * np.sin(np.linspace(0, 5, FRAMES)) ** 2
    means = np.linspace(-10, -8, len(errors))
    noise = rng.standard_normal((FRAMES, len(errors))) * errors
    return air[:, None] + means + noise, np.broadcast_to(errors, noise.shape).copy(), air


def test_what_all_stars_have_in_common_is_the_air():
    magnitudes, errors, air = night(np.full(6, 0.003))
    found = choose_ensemble(magnitudes, errors, 10)
    assert sorted(found.members) == list(range(6))
    assert np.std(found.zero - air) < 0.003 / np.sqrt(6) * 1.3
    assert found.zero_error == pytest.approx(np.full(FRAMES, 0.003 / np.sqrt(6)), rel=0.4)


def test_the_zero_is_the_magnitude_of_all_members_together():
    magnitudes = np.tile([-10.0, -9.0], (FRAMES, 1))
    found = choose_ensemble(magnitudes, np.full(magnitudes.shape, 0.01), 10)
    together = -2.5 * np.log10(10**4.0 + 10**3.6)
    assert found.zero == pytest.approx(np.full(FRAMES, together))


@pytest.mark.parametrize("kind", ["sine", "eclipse", "trend"])
def test_a_star_that_varies_is_rejected(kind):
    magnitudes, errors, air = night(np.full(7, 0.004))
    phase = np.arange(FRAMES) / FRAMES
    change = {"sine": 0.03 * np.sin(9 * phase), "eclipse": 0.1 * (abs(phase - 0.5) < 0.1), "trend": 0.05 * phase}[kind]
    magnitudes[:, 2] += change
    found = choose_ensemble(magnitudes, errors, 10)
    assert np.flatnonzero(found.variable).tolist() == [2]
    assert 2 not in found.members
    assert np.std(found.zero - air) < 0.004


def test_named_stars_are_used_even_if_they_vary():
    magnitudes, errors, _ = night(np.full(4, 0.004))
    magnitudes[:, 1] += 0.1 * np.sin(np.arange(FRAMES))
    found = choose_ensemble(magnitudes, errors, 10, keep_all=True)
    assert sorted(found.members) == [0, 1, 2, 3]
    # the steadier ones decide
    assert found.members[-1] == 1


def test_no_more_stars_are_chosen_than_asked_for_and_the_steadiest_of_them():
    magnitudes, errors, _ = night(np.array([0.002, 0.02, 0.003, 0.03, 0.004]))
    assert choose_ensemble(magnitudes, errors, 3).members.tolist() == [0, 2, 4]


def test_a_frame_in_which_a_star_is_missing_makes_no_step():
    magnitudes, errors, air = night(np.array([0.001, 0.002, 0.002]))
    magnitudes[20:30, 0] = np.nan
    found = choose_ensemble(magnitudes, errors, 10)
    offset = found.zero - air
    assert abs(offset[20:30].mean() - np.delete(offset, np.s_[20:30]).mean()) < 0.0015
    assert (found.zero_error[20:30] > found.zero_error[0]).all()


def test_a_frame_without_any_comparison_star_has_no_zero():
    magnitudes, errors, _ = night(np.full(3, 0.002))
    magnitudes[5] = np.nan
    assert np.flatnonzero(np.isnan(choose_ensemble(magnitudes, errors, 10).zero)).tolist() == [5]


def test_a_cosmic_ray_on_one_star_does_not_move_the_zero():
    magnitudes, errors, air = night(np.full(5, 0.003))
    magnitudes[7, 3] -= 0.8
    found = choose_ensemble(magnitudes, errors, 10)
    offset = found.zero - air
    assert abs(offset[7] - np.median(offset)) < 0.006


def test_noise_that_all_stars_show_beyond_their_errors_is_found():
    magnitudes, errors, _ = night(np.full(12, 0.006))
    assert choose_ensemble(magnitudes, errors / 2, 12).extra == pytest.approx(np.sqrt(0.006**2 - 0.003**2), rel=0.2)
    assert choose_ensemble(magnitudes, errors * 1.5, 12).extra == 0


def test_a_single_star_is_an_ensemble_of_itself():
    magnitudes, errors, _ = night(np.full(1, 0.003))
    found = choose_ensemble(magnitudes, errors, 10)
    assert found.zero == pytest.approx(magnitudes[:, 0])
    assert np.isnan(found.scatter[0])


def test_point_to_point_scatter_does_not_see_slow_changes():
    rng = np.random.default_rng(2)
    noise = 0.01 * rng.standard_normal(400)
    slow = 0.5 * np.sin(np.linspace(0, 6, 400)) + np.linspace(0, 1, 400)
    assert point_to_point(noise + slow) == pytest.approx(0.01, rel=0.15)
    assert np.isnan(point_to_point(np.array([1.0, np.nan, 2, 3, 4])))
