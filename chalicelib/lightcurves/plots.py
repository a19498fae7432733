"""Draw light curves. Colours are those of Okabe & Ito, which colour-blind people can tell apart; so do the shapes."""

import os
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chalicelib.lightcurves.periods import Period
from chalicelib.lightcurves.transits import Transit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
_DPI = 120
# Letters of a subtitle that fit beside each other.
_LINE = 115
# How far outside, in widths of the middle four fifths of the points, one is wild.
_WILD_REACH = 1.0


@dataclass(frozen=True)
class Clock:
    """How the times of a plot are called and where its axis begins.

    Parameters
    ----------
    name : str
        ``"BJD_TDB"``, ``"JD_UTC"`` or ``"MJD UTC"``.
    start : int
        Whole days taken off.
    """

    name: str
    start: int

    @property
    def label(self) -> str:
        """Text of the axis."""
        return f"{self.name} - {self.start} (days)"


def new_figure(width_in: float, height_in: float, *, arranged: bool = True) -> "Figure":
    """Return an empty figure; no window system and no state shared between runs."""
    # Where the home folder cannot be written matplotlib would make a new cache of fonts each time.
    os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir(), "matplotlib")))
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained" if arranged else None, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: "Figure", path: Path) -> None:
    """Write a PNG; the same figure gives the same bytes."""
    figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": None}, pil_kwargs={"compress_level": 4})


def save_svg(figure: "Figure", path: Path) -> None:
    """Write an SVG without scripts, letters as outlines; the same figure gives the same bytes."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "sidereal", "svg.fonttype": "path"}):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def draw_light_curve(
    clock: Clock,
    times: Floats,
    magnitudes: Floats,
    errors: Floats,
    check: tuple[Floats, Floats] | None,
    title: str,
    subtitle: str,
) -> "Figure":
    """Draw magnitudes against time, bright above, and the check star below on the same scale of magnitudes.

    Parameters
    ----------
    clock : Clock
        What the times are.
    times, magnitudes, errors : ndarray, shape (n,)
        Days; magnitudes.
    check : tuple of two ndarrays, or None
        Magnitudes and errors of the check star.
    title, subtitle : str
        Above the plot.
    """
    figure = new_figure(9, 6.2 if check else 5)
    # The check star's scatter is to be compared with the target's by eye: same scale, so heights follow the ranges.
    ranges = [_range(magnitudes, errors)]
    if check:
        middle = float(np.nanmedian(check[0]))
        ranges.append(_range(check[0] - middle, check[1]))
    spans = [high - low for low, high in ranges]
    heights = [max(span, 0.3 * max(spans)) for span in spans]
    axes = np.atleast_1d(np.asarray(figure.subplots(len(ranges), 1, sharex=True, height_ratios=heights), dtype=object))
    x = times - clock.start
    _points(axes[0], x, magnitudes, errors, BLUE, "o")
    axes[0].set_ylim(*ranges[0][::-1])
    _mark_outside(axes[0], x, magnitudes, BLUE)
    axes[0].set_ylabel("Differential magnitude\n(target - comparison stars)")
    if check:
        _points(axes[1], x, check[0] - middle, check[1], GREY, "s")
        grown = (heights[1] - spans[1]) / 2
        axes[1].set_ylim(ranges[1][1] + grown, ranges[1][0] - grown)
        _mark_outside(axes[1], x, check[0] - middle, GREY)
        axes[1].set_ylabel("Check star K\n(median = 0)")
        axes[1].axhline(0, color=GREY, linewidth=0.8)
    axes[-1].set_xlabel(clock.label)
    _title(figure, axes[0], title, subtitle)
    return figure


def draw_phases(
    period: Period, times: Floats, magnitudes: Floats, errors: Floats, title: str, subtitle: str
) -> "Figure":
    """Draw magnitudes against phase, two cycles of them, with the fitted sine if the period is significant."""
    figure = new_figure(9, 5)
    axes = figure.subplots()
    phase = period.phase(times)
    both = np.concatenate([phase, phase + 1])
    _points(axes, both, np.tile(magnitudes, 2), np.tile(errors, 2), BLUE, "o")
    grid = np.linspace(0.0, 2.0, 401, dtype=np.float64)
    if period.significant:
        axes.plot(grid, period.curve(grid), color=ORANGE, linewidth=1.8, zorder=3, label="fitted sine")
        axes.legend(loc="upper right", framealpha=0.9)
        axes.set_xlabel("Phase (0 = brightest)")
    else:
        axes.set_xlabel("Phase of the strongest period, which is not significant")
    axes.set_xlim(0, 2)
    low, high = _range(magnitudes, errors)
    axes.set_ylim(high, low)
    _mark_outside(axes, both, np.tile(magnitudes, 2), BLUE)
    axes.set_ylabel("Differential magnitude")
    _title(figure, axes, title, subtitle)
    return figure


def draw_transit(
    clock: Clock, transit: Transit, times: Floats, flux: Floats, errors: Floats, title: str, subtitle: str
) -> "Figure":
    """Draw relative brightness with the fitted trapezium, and below it what is left over.

    If the transit is not significant, the points alone are drawn.
    """
    if not transit.significant:
        return _draw_flux(clock, times, flux, errors, title, subtitle)
    figure = new_figure(9, 6.2)
    upper, lower = np.asarray(figure.subplots(2, 1, sharex=True, height_ratios=[3, 1]), dtype=object)
    x = times - clock.start
    level = flux / transit.baseline
    _points(upper, x, level, errors / transit.baseline, BLUE, "o")
    upper.set_ylim(*_range(level, errors / transit.baseline))
    _mark_outside(upper, x, level, BLUE)
    grid = np.linspace(times[0], times[-1], 1000, dtype=np.float64)
    upper.plot(grid - clock.start, transit.curve(grid), color=ORANGE, linewidth=2, zorder=3, label="fitted trapezium")
    middle = transit.middle - clock.start
    upper.axvline(middle, color=GREEN, linestyle="--", linewidth=1.2, label=f"mid-transit {transit.middle:.5f}")
    upper.legend(loc="lower right", framealpha=0.9)
    upper.set_ylabel("Relative brightness\n(baseline = 1)")
    residuals = (flux - transit.model) / transit.baseline * 100
    _points(lower, x, residuals, errors / transit.baseline * 100, GREY, "s")
    lower.set_ylim(*_range(residuals, errors / transit.baseline * 100))
    _mark_outside(lower, x, residuals, GREY)
    lower.axhline(0, color=ORANGE, linewidth=1.2)
    lower.set_ylabel("Left over (%)")
    lower.set_xlabel(clock.label)
    _title(figure, upper, title, subtitle)
    return figure


def _draw_flux(clock: Clock, times: Floats, flux: Floats, errors: Floats, title: str, subtitle: str) -> "Figure":
    figure = new_figure(9, 5)
    axes = figure.subplots()
    x = times - clock.start
    _points(axes, x, flux, errors, BLUE, "o")
    axes.set_ylim(*_range(flux, errors))
    _mark_outside(axes, x, flux, BLUE)
    axes.set_ylabel("Relative brightness\n(median = 1)")
    axes.set_xlabel(clock.label)
    _title(figure, axes, title, subtitle)
    return figure


def _points(axes: "Axes", x: Floats, y: Floats, errors: Floats, colour: str, marker: str) -> None:
    few = len(x) <= 300
    axes.errorbar(
        x,
        y,
        yerr=errors,
        fmt=marker,
        color=colour,
        markersize=4.5 if few else 2.5,
        elinewidth=0.9 if few else 0.5,
        alpha=1 if few else 0.6,
        ecolor=_paler(colour),
        capsize=0,
    )
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.ticklabel_format(useOffset=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _paler(colour: str) -> tuple[float, float, float]:
    red, green, blue = (0.5 + int(colour[i : i + 2], 16) / 510 for i in (1, 3, 5))
    return red, green, blue


def _range(values: Floats, errors: Floats) -> tuple[float, float]:
    """Return limits with room for the error bars; a few wild points do not squeeze the others.

    Wild is a point that is far outside of the middle four fifths while its neighbours, before and after, are not: an
    eclipse or a flare stays in view.
    """
    good = np.isfinite(values) & np.isfinite(errors)
    if not good.any():
        return -1.0, 1.0
    values, errors = values[good], errors[good]
    tenth, ninth = np.percentile(values, [10, 90])
    reach = _WILD_REACH * max(float(ninth - tenth), 2 * float(np.median(errors)))
    far = np.pad((values < tenth - reach) | (values > ninth + reach), 1)
    kept = ~(far[1:-1] & ~far[:-2] & ~far[2:])
    values, errors = values[kept], errors[kept]
    typical = float(np.median(errors))
    low, high = (
        float((values - np.minimum(errors, 3 * typical)).min()),
        float((values + np.minimum(errors, 3 * typical)).max()),
    )
    room = max(0.06 * (high - low), 0.002)
    return low - room, high + room


def _mark_outside(axes: "Axes", x: Floats, y: Floats, colour: str) -> None:
    """Draw a small triangle at the edge beyond which a point lies."""
    bottom, top = axes.get_ylim()
    way = 1 if top > bottom else -1
    for beyond, edge, marker in ((way * (y - top) > 0, 0.98, "^"), (way * (y - bottom) < 0, 0.02, "v")):
        if beyond.any():
            places = np.full(int(beyond.sum()), edge)
            axes.plot(
                *(x[beyond], places),
                transform=axes.get_xaxis_transform(),
                marker=marker,
                linestyle="none",
                color=colour,
                markersize=5,
                zorder=4,
            )


def _title(figure: "Figure", axes: "Axes", title: str, subtitle: str) -> None:
    plain: dict[str, Any] = {"parse_math": False}  # a $ in the name of a target is a dollar
    figure.suptitle(title, fontsize=14, fontweight="bold", x=0.02, ha="left", **plain)
    axes.set_title(textwrap.fill(subtitle, _LINE), fontsize=9.5, color=GREY, loc="left", **plain)
