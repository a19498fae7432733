"""Draw a finder chart: the first frame with the stars that were measured, and a close look at the target."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chalicelib.imaging.shrink import shrink
from chalicelib.imaging.stretch import apply_stretch, measure_stretch
from chalicelib.lightcurves.plots import BLUE, GREEN, GREY, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

_LARGEST_PX = 1100
_LEVELS = 256
_LINE = 90
_CHART_IN = 7.6
_CLOSE_IN = 3.6


@dataclass(frozen=True)
class Marked:
    """A star on the chart.

    Parameters
    ----------
    label : str
        ``"T"`` target, ``"C1"`` ... comparison stars, ``"K"`` check star.
    xy : ndarray, shape (2,)
        0-based pixel.
    """

    label: str
    xy: Floats

    @property
    def colour(self) -> str:
        """By the kind of star."""
        return {"T": ORANGE, "K": GREEN}.get(self.label, BLUE)


def draw_finder(
    pixels: npt.NDArray[Any],
    stars: Sequence[Marked],
    radius_px: float,
    sky_px: tuple[float, float],
    title: str,
    subtitle: str,
) -> "Figure":
    """Draw the chart; apertures and sky rings have their true sizes.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx)
        The frame.
    stars : sequence of Marked
        The target first.
    radius_px : float
        Of the aperture.
    sky_px : tuple of float
        Inner and outer radius of the sky's ring.
    title, subtitle : str
        Above the chart.
    """
    height, width = pixels.shape
    # The chart has the shape of the frame, the close look is a square beside it.
    chart_in = np.array([width, height]) * (_CHART_IN / max(width, height))
    whole_in = np.array([chart_in[0] + _CLOSE_IN + 2.0, max(chart_in[1], _CLOSE_IN) + 1.5])
    figure = new_figure(*whole_in, arranged=False)

    def place(left_in: float, size_in: npt.ArrayLike) -> "Axes":
        size = np.asarray(size_in) / whole_in
        return figure.add_axes((left_in / whole_in[0], 1 - 0.95 / whole_in[1] - size[1], *size))

    chart = place(0.75, chart_in)
    column = place(chart_in[0] + 1.7, (_CLOSE_IN, _CLOSE_IN))
    # By a whole number: that takes a fraction of the memory of any other size.
    small = shrink(pixels, max(width, height) // math.ceil(max(width, height) / _LARGEST_PX))[::-1]
    grey = _levels(np.asarray(small))
    chart.imshow(
        grey, cmap="gray_r", origin="lower", extent=(-0.5, width - 0.5, -0.5, height - 0.5), interpolation="nearest"
    )
    for star in stars:
        others = [other.xy for other in stars if other is not star]
        _circles(chart, star, radius_px, sky_px, line=1.1)
        _label(chart, star, others, sky_px[1], (width, height))
    chart.set_xlim(-0.5, width - 0.5)
    chart.set_ylim(-0.5, height - 0.5)
    _frame(chart)
    _close_look(column, pixels, stars, radius_px, sky_px)
    plain: dict[str, Any] = {"parse_math": False}
    figure.text(0.02, 1 - 0.18 / whole_in[1], title, fontsize=14, fontweight="bold", va="top", **plain)
    chart.set_title(textwrap.fill(subtitle, _LINE), fontsize=9.5, color=GREY, loc="left", **plain)
    return figure


def _close_look(
    axes: "Axes", pixels: npt.NDArray[Any], stars: Sequence[Marked], radius_px: float, sky_px: tuple[float, float]
) -> None:
    height, width = pixels.shape
    reach = sky_px[1] * 1.25 + 2
    x, y = stars[0].xy
    left, right = max(int(x - reach), 0), min(int(x + reach) + 2, width)
    bottom, top = max(int(y - reach), 0), min(int(y + reach) + 2, height)
    cut = np.array(pixels[bottom:top, left:right], dtype=np.float32)
    cut[~np.isfinite(cut)] = np.nanmedian(cut) if np.isfinite(cut).any() else 0
    axes.imshow(
        _levels(cut),
        cmap="gray_r",
        origin="lower",
        extent=(left - 0.5, right - 0.5, bottom - 0.5, top - 0.5),
        interpolation="nearest",
    )
    for star in stars:
        if abs(star.xy[0] - x) < reach and abs(star.xy[1] - y) < reach:
            _circles(axes, star, radius_px, sky_px, line=1.6)
    axes.set_xlim(x - reach, x + reach)
    axes.set_ylim(y - reach, y + reach)
    axes.set_title(
        f"Target T: aperture {radius_px:.1f} px,\nsky ring {sky_px[0]:.1f} to {sky_px[1]:.1f} px",
        fontsize=9.5,
        color=GREY,
        loc="left",
    )
    _frame(axes)


def _label(axes: "Axes", star: Marked, others: Sequence[Floats], ring_px: float, size_px: tuple[int, int]) -> None:
    """Write the name of a star beside its ring: right, left, above or below it, where other stars are farthest."""
    from matplotlib.patheffects import withStroke

    away = ring_px + 0.028 * max(size_px)
    sides = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    places = star.xy + away * sides
    margin = 0.02 * max(size_px)
    inside = np.asarray((places > margin) & (places < np.array(size_px) - margin)).all(axis=1)
    room = [min((float(np.hypot(*(place - other))) for other in others), default=np.inf) for place in places]
    # To the right, as people expect, unless that is too near to another ring.
    usable = [
        min(each, 2.0 * away) if ok else -1.0 for each, ok in zip(room, np.atleast_1d(inside).tolist(), strict=True)
    ]
    x, y = places[int(np.argmax(usable))]
    axes.text(
        x,
        y,
        star.label,
        color=star.colour,
        fontsize=11,
        fontweight="bold",
        ha="center",
        va="center",
        path_effects=[withStroke(linewidth=3, foreground="white")],
        clip_on=True,
        zorder=5,
    )


def _circles(axes: "Axes", star: Marked, radius_px: float, sky_px: tuple[float, float], line: float) -> None:
    from matplotlib.patches import Circle

    x, y = (float(value) for value in star.xy)
    axes.add_patch(Circle((x, y), radius_px, fill=False, edgecolor=star.colour, linewidth=line))
    for radius in sky_px:
        axes.add_patch(
            Circle((x, y), radius, fill=False, edgecolor=star.colour, linewidth=line * 0.8, linestyle=(0, (4, 2)))
        )


def _levels(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return apply_stretch(pixels, measure_stretch(pixels), _LEVELS)


def _frame(axes: "Axes") -> None:
    axes.set_xlabel("x (pixels)")
    axes.set_ylabel("y (pixels)")
