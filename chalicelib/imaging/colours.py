"""Palettes: which colour stands for each level of brightness. All are formulas; each gets brighter from level to level."""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

ColourMap = Literal["cubehelix", "heat", "ice", "negative"]
COLOUR_MAPS: tuple[ColourMap, ...] = get_args(ColourMap)

Floats = npt.NDArray[np.float64]

# Green's own: the helix begins at purple and turns one and a half times from red over green to blue.
_START, _ROTATIONS, _HUE = 0.5, -1.5, 1.0


def grey_palette(levels: int) -> bytes:
    """Return a palette of `levels` greys from black to white, red, green and blue of each in turn."""
    return bytes(255 * level // (levels - 1) for level in range(levels) for _ in range(3))


def colour_palette(name: ColourMap, levels: int) -> bytes:
    """Return a palette of false colours, red, green and blue of each in turn.

    Parameters
    ----------
    name : str
        ``"cubehelix"``: a helix around the greys, even in brightness (Green 2011, BASI 39, 289); ``"heat"``: black, red,
        yellow, white, as a body that glows; ``"ice"``: black, blue, cyan, white; ``"negative"``: white to black, as on a
        photographic plate.
    levels : int
        How many colours, 2 to 256.
    """
    colours = _MAPS[name](np.linspace(0, 1, levels, dtype=np.float64))
    return bytes(np.rint(255 * np.clip(colours, 0, 1)).astype(np.uint8))


def _cubehelix(level: Floats) -> Floats:
    angle = 2 * np.pi * (_START / 3 + 1 + _ROTATIONS * level)
    radius = _HUE * level * (1 - level) / 2
    # Green 2011, equation 2
    turns = np.array([[-0.14861, 1.78277], [-0.29227, -0.90649], [1.97294, 0.0]])
    offsets = turns @ np.stack([np.cos(angle), np.sin(angle)])
    return np.asarray((level + radius * offsets).T)


def _heat(level: Floats) -> Floats:
    return np.asarray(3 * level[:, None] - np.array([0, 1, 2]))


def _ice(level: Floats) -> Floats:
    return np.asarray(_heat(level)[:, ::-1])


def _negative(level: Floats) -> Floats:
    return np.asarray(1 - np.stack([level] * 3, axis=1))


_MAPS: dict[ColourMap, Callable[[Floats], Floats]] = {
    "cubehelix": _cubehelix,
    "heat": _heat,
    "ice": _ice,
    "negative": _negative,
}
