import numpy as np
import pytest

from chalicelib.lightcurves import plots
from chalicelib.lightcurves.periods import find_period
from chalicelib.lightcurves.transits import find_transit, trapezium

CLOCK = plots.Clock("JD_UTC", 2459000)


def night(depth=0.0, count=60):
    rng = np.random.default_rng(1)
    times = 2459000 + np.linspace(0.1, 0.3, count)
    shape = trapezium(times, np.array([[2459000.2, 0.08, 0.2]]))[0]
    return times, 1 - depth * shape + 0.003 * rng.standard_normal(count), np.full(count, 0.003)


def labels(figure):
    return [line.get_label() for axes in figure.axes for line in axes.get_lines()]


def markers(figure):
    """Return the triangles at the edges: panel, marker, share of its height, and times."""
    return [
        (number, line.get_marker(), line.get_ydata()[0], list(line.get_xdata()))
        for number, axes in enumerate(figure.axes)
        for line in axes.get_lines()
        if line.get_marker() in ("^", "v")
    ]


@pytest.mark.parametrize(("depth", "expected"), [(0.0, False), (0.03, True)])
def test_a_fitted_transit_is_drawn_only_if_it_is_significant(depth, expected):
    times, flux, errors = night(depth)
    found = find_transit(times, flux, errors)
    assert found.significant is expected
    drawn = labels(plots.draw_transit(CLOCK, found, times, flux, errors, "T", "words"))
    assert ("fitted trapezium" in drawn) is expected
    assert any(label.startswith("mid-transit") for label in drawn) is expected


@pytest.mark.parametrize(("amplitude", "expected"), [(0.0, False), (0.03, True)])
def test_a_fitted_sine_is_drawn_only_if_the_period_is_significant(amplitude, expected):
    times, flux, errors = night()
    magnitudes = flux + amplitude * np.sin(2 * np.pi * times / 0.05)
    found = find_period(times, magnitudes, errors)
    assert found.significant is expected
    figure = plots.draw_phases(found, times, magnitudes, errors, "T", "words")
    assert ("fitted sine" in labels(figure)) is expected
    assert ("not significant" in figure.axes[0].get_xlabel()) is not expected


def test_a_wild_point_squeezes_no_panel_and_is_marked_at_the_edge():
    times, magnitudes, errors = night()
    check = magnitudes.copy()
    magnitudes[20] += 5
    check[7] -= 3
    errors[20] = 2
    figure = plots.draw_light_curve(CLOCK, times, magnitudes, errors, (check, errors), "T", "words")
    assert all(abs(np.subtract(*axes.get_ylim())) < 0.06 for axes in figure.axes)
    # Faint is below, bright above.
    assert markers(figure) == [(0, "v", 0.02, [times[20] - 2459000]), (1, "^", 0.98, [times[7] - 2459000])]


def test_an_eclipse_of_a_few_points_stays_in_view():
    times, magnitudes, errors = night()
    magnitudes[20:23] += 2
    figure = plots.draw_light_curve(CLOCK, times, magnitudes, errors, None, "T", "words")
    assert markers(figure) == []
    assert figure.axes[0].get_ylim()[0] > 3
