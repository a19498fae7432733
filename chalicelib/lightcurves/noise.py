"""How far the points of a light curve are from independent of each other."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def red_noise_factor(residuals: Floats, clock: Floats, timescale: float) -> float:
    """Return how much more the means of neighbours scatter than independent points would (Winn et al. 2008, ApJ 683, 1076).

    The neighbours are those within a timescale, at least four points and at most a tenth of all.

    Parameters
    ----------
    residuals, clock : ndarray, shape (n,)
        What a model leaves over; its times, in order.
    timescale : float
        Over which the model changes, in units of `clock`.

    Returns
    -------
    float
        At least 1, which stands for independent points.
    """
    steps = np.diff(clock)
    if not (steps > 0).any():
        return 1.0
    step = float(np.median(steps[steps > 0]))
    size = int(np.clip(timescale / step, 4, max(len(residuals) // 10, 4)))
    groups = len(residuals) // size
    if groups < 3:
        return 1.0
    means = residuals[: groups * size].reshape(groups, size).mean(axis=1)
    expected = np.std(residuals) / np.sqrt(size) * np.sqrt(groups / (groups - 1))
    return float(max(np.sqrt((means**2).mean()) / expected, 1.0)) if expected > 0 else 1.0
