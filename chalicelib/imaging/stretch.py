"""Turn counts into the grey levels of a display."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Enough for the eye on a sky that is noise anyway; half of 256 makes a gif a fifth smaller and faster to pack.
LEVELS = 128

_SAMPLES = 20_000
_TABLE_STEPS = 2048
_SOFTENING_SIGMA = 3.0
_BLACK_SIGMA = 1.0


@dataclass(frozen=True)
class Stretch:
    """Which counts are black and which are white; one may serve a whole sequence.

    Parameters
    ----------
    black, white : float
        Counts. What lies outside is black or white.
    softening : float
        Counts above black at which the curve bends from linear to logarithmic.
    """

    black: float
    white: float
    softening: float


def measure_stretch(pixels: npt.NDArray[np.float32]) -> Stretch:
    """Choose a stretch from the pixels: sky nearly black, faint stars visible, a few hot pixels without effect.

    The noise of the sky is taken from the darker half of the pixels, where no stars are, and the white point is where
    the straight line through the sorted sky pixels ends, steepened ten times (the zscale rule of IRAF, contrast 0.1),
    or at the brightest half per cent of the pixels, whichever is brighter.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx), float32
        Finite counts.

    Returns
    -------
    Stretch
        `white` equals `black` for an image without any contrast.
    """
    flat = pixels.reshape(-1)
    # A stride that shares no factor with the row length would be ideal; an odd one avoids most patterns.
    sample = np.sort(flat[:: (flat.size // _SAMPLES) | 1])
    median, low, high, bright = (float(sample[int(q * (sample.size - 1))]) for q in (0.5, 0.16, 0.84, 0.995))
    noise = median - low or high - median
    if noise <= 0:
        # All but a few pixels are equal: show those few.
        return Stretch(median, float(flat.max()), max((float(flat.max()) - median) / 10, 0.0))
    return Stretch(median - 0.5 * noise, max(median + 17 * noise, bright), _SOFTENING_SIGMA * noise)


def measure_sequence_stretch(samples: Sequence[npt.NDArray[np.float32]]) -> Stretch:
    """Choose one stretch for a whole sequence from some of its frames, the sky subtracted.

    Each number is the median over the frames, so that a few spoilt ones have no say. Black lies below the sky, whose
    noise is therefore seen on either side: the sky is the same dark grey in every frame.

    Parameters
    ----------
    samples : sequence of ndarray, shape (ny, nx), float32
        A few frames spread over the sequence, about 9; finite counts above the sky.

    Returns
    -------
    Stretch
        `white` equals `black` if there is no frame, or none has any contrast.
    """
    found = [stretch for stretch in map(measure_stretch, samples) if stretch.white > stretch.black]
    if not found:
        return Stretch(0.0, 0.0, 0.0)
    noise = float(np.median([stretch.softening for stretch in found])) / _SOFTENING_SIGMA
    span = float(np.median([stretch.white - stretch.black for stretch in found]))
    black = -_BLACK_SIGMA * noise
    return Stretch(black, black + span, _SOFTENING_SIGMA * noise)


def apply_stretch(pixels: npt.NDArray[np.float32], stretch: Stretch, levels: int = LEVELS) -> npt.NDArray[np.uint8]:
    """Map counts to grey levels, inverse hyperbolic sine between black and white (Lupton et al. 2004, PASP 116, 133).

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx), float32
        Finite counts.
    stretch : Stretch
        From `measure_stretch`.
    levels : int
        How many levels, 2 to 256.

    Returns
    -------
    ndarray, shape (ny, nx), uint8
        0 (black) to ``levels - 1`` (white); all 0 where the stretch has no contrast.
    """
    span = stretch.white - stretch.black
    if not span > 0:
        return np.zeros(pixels.shape, dtype=np.uint8)
    # The curve is computed once for 2048 steps and looked up: ten times cheaper than for every pixel.
    steps = pixels - np.float32(stretch.black)
    steps *= np.float32((_TABLE_STEPS - 1) / span)
    np.clip(steps, 0, _TABLE_STEPS - 1, out=steps)
    return _curve(span / stretch.softening, levels)[steps.astype(np.uint16)]


def _curve(strength: float, levels: int) -> npt.NDArray[np.uint8]:
    fraction = np.linspace(0, 1, _TABLE_STEPS)
    curve = np.arcsinh(fraction * strength) / np.arcsinh(strength)
    return np.asarray(np.rint(curve * (levels - 1)), dtype=np.uint8)
