"""Compare a star with an ensemble of others that were in the same frames.

The brightness of all stars goes up and down with the air and the clouds. What the comparison stars have in common is
taken out of each frame (Honeycutt 1992, PASP 104, 435); each counts with the weight that its own steadiness earns, and
a frame in which one is missing is no different from the others.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MAGNITUDE_OF_FRACTION = 2.5 / np.log(10)
"""Magnitudes per fractional change of the counts, 1.0857."""

VARIABLE_SIGMA = 2.5
"""A star that scatters so many times more than its errors and the common extra noise say is taken for variable."""

_ROUNDS = 100
_SETTLED_MAG = 1e-7
_MIN_POINTS = 5
_OUTLIER_SIGMA = 5.0
_LEAST_WEIGHT = 0.01


@dataclass(frozen=True)
class Ensemble:
    """What the comparison stars say of each frame.

    Parameters
    ----------
    members : ndarray, shape (n_members,)
        Indices of the stars, that of the most weight first.
    zero : ndarray, shape (n_frames,)
        Magnitude that all members together would show in this frame, instrumental; NaN where none was measured.
    zero_error : ndarray, shape (n_frames,)
        Its standard error.
    extra : float
        Noise that the members have in common beyond their errors, magnitudes: scintillation, flat field. To be added
        in quadrature to the error of every star.
    scatter : ndarray, shape (n_stars,)
        Scatter of each star against the ensemble, magnitudes; NaN where it was measured in too few frames.
    variable : ndarray of bool, shape (n_stars,)
        Which stars were rejected because they vary.
    """

    members: npt.NDArray[np.intp]
    zero: Floats
    zero_error: Floats
    extra: float
    scatter: Floats
    variable: Flags


def choose_ensemble(magnitudes: Floats, errors: Floats, most: int, *, keep_all: bool = False) -> Ensemble:
    """Choose the steadiest stars as comparison stars and combine them.

    Parameters
    ----------
    magnitudes, errors : ndarray, shape (n_frames, n_stars)
        Instrumental magnitudes of the candidates and their errors; NaN where there is none.
    most : int
        How many to choose at most.
    keep_all : bool
        Whether all are to be used whatever they do: someone has named them.
    """
    own = np.zeros(magnitudes.shape[1])
    variable = np.zeros(len(own), dtype=bool)
    while True:
        used = np.flatnonzero(~variable)
        scatter, expected = _scatter(magnitudes, errors, own, used)
        extra = _common_noise(scatter[used], expected[used])
        # Of two stars that differ nobody can say which of them varies.
        if keep_all or len(used) < 3:
            break
        excess = np.nan_to_num(scatter / np.hypot(expected, extra))[used]
        if excess.max() <= VARIABLE_SIGMA:
            break
        variable[used[int(excess.argmax())]] = True
    own = np.sqrt(np.maximum(np.nan_to_num(scatter**2 - expected**2), extra**2))
    weight = _reciprocal(_median(errors) ** 2 + own**2)
    members = used[np.argsort(-weight[used], kind="stable")]
    if not keep_all:
        members = members[:most]
        members = members[weight[members] >= _LEAST_WEIGHT * weight[members].sum()]
    zero, zero_error, means = _solve(magnitudes[:, members], errors[:, members], own[members])
    scatter, _ = _scatter(magnitudes, errors, own, members)
    # What the members show beyond photons and sky, the faintest stars of the field left aside.
    extra = _common_noise(*(values[members] for values in _scatter(magnitudes, errors, np.zeros(len(own)), members)))
    # So far the zero is that of the air; with the light of all members it is a magnitude like any other.
    together = -2.5 * np.log10((10 ** (-0.4 * means)).sum())
    return Ensemble(members, zero + together, zero_error, extra, scatter, variable)


def point_to_point(values: Floats) -> float:
    """Return the scatter from one point to the next: what changes slowly, an event for example, does not count.

    Parameters
    ----------
    values : ndarray, shape (n,)
        In order of time; NaNs are passed over.

    Returns
    -------
    float
        Standard deviation of a single point; NaN for fewer than five.
    """
    good = values[np.isfinite(values)]
    if len(good) < _MIN_POINTS:
        return float("nan")
    # Second differences leave a steady rise or fall out, too; their variance is 6 times that of a point.
    steps = good[2:] - 2 * good[1:-1] + good[:-2]
    return float(1.4826 * np.median(np.abs(steps)) / np.sqrt(6))


def _solve(magnitudes: Floats, errors: Floats, own: Floats) -> tuple[Floats, Floats, Floats]:
    """Find the zero of each frame, its error, and the mean of each star: magnitude = zero + mean.

    Single points that are far off (a cosmic ray, a satellite) are left aside.
    """
    weights = _reciprocal(errors**2 + own**2) * np.isfinite(magnitudes)
    values = np.where(weights > 0, magnitudes, 0.0)
    zero, means = _alternate(values, weights)
    # With two stars the one that is off cannot be told from the other.
    if values.shape[1] > 2:
        # Medians, of each frame and then of each star: a wild point drags its whole frame along in a mean.
        residuals = np.where(weights > 0, values - means, np.nan)
        residuals = residuals - _median(residuals.T)[:, None]
        residuals = residuals - _median(residuals)
        spread = 1.4826 * _median(np.abs(residuals))
        far = np.abs(residuals) > _OUTLIER_SIGMA * np.maximum(spread, np.sqrt(_reciprocal(weights)))
        weights = np.where(far, 0.0, weights)
        zero, means = _alternate(values, weights)
    total = weights.sum(axis=1)
    measured = total > 0
    # A constant could stand in the zeros as well as in the means; the means have it.
    level = float(np.median(zero[measured])) if measured.any() else 0.0
    return (
        np.where(measured, zero - level, np.nan),
        np.where(measured, np.sqrt(_reciprocal(total)), np.nan),
        means + level,
    )


def _alternate(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Solve for zeros and means by turns; with no gaps in the data the second turn changes nothing."""
    per_frame, per_star = _reciprocal(weights.sum(axis=1)), _reciprocal(weights.sum(axis=0))
    means = (weights * values).sum(axis=0) * per_star
    zero = np.zeros(len(values))
    for _ in range(_ROUNDS):
        before = zero
        zero = (weights * (values - means)).sum(axis=1) * per_frame
        means = (weights * (values - zero[:, None])).sum(axis=0) * per_star
        if np.abs(zero - before).max(initial=0) < _SETTLED_MAG:
            break
    return zero, means


def _scatter(magnitudes: Floats, errors: Floats, own: Floats, members: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return the scatter of each star against the members other than itself, and that which the errors let expect."""
    zero, zero_error, means = _solve(magnitudes[:, members], errors[:, members], own[members])
    offsets = magnitudes - zero[:, None]
    against = np.broadcast_to(_reciprocal(zero_error**2)[:, None], magnitudes.shape).copy()
    weights = _reciprocal(errors[:, members] ** 2 + own[members] ** 2) * np.isfinite(magnitudes[:, members])
    # A member pulls the zero towards itself by its share of the weight: undone, this is the zero without it.
    share = weights * _reciprocal(against[:, members])
    alone = share > 1 - 1e-9
    offsets[:, members] = np.where(alone, np.nan, (offsets[:, members] - means) * _reciprocal(1 - share))
    against[:, members] -= weights
    expected = np.sqrt(_median(errors**2 + _reciprocal(against)))
    offsets[np.isnan(zero)] = np.nan
    return _spread(offsets), expected


def _common_noise(scatter: Floats, expected: Floats) -> float:
    """Return what has to be added to the errors so that half of the stars scatter as they should; never below 0."""
    excess = scatter**2 - expected**2
    excess = excess[np.isfinite(excess)]
    return float(np.sqrt(max(np.median(excess), 0.0))) if len(excess) > 1 else 0.0


def _spread(values: Floats) -> Floats:
    """Return the spread of each column: half the way from the 5th to the 95th percentile, as for a Gaussian.

    Single outliers have no effect, but an eclipse that lasts a tenth of the night has one.
    """
    spread = np.full(values.shape[1], np.nan)
    for column in range(values.shape[1]):
        good = values[np.isfinite(values[:, column]), column]
        if len(good) >= _MIN_POINTS:
            low, high = np.percentile(good, [5, 95])
            spread[column] = (high - low) / (2 * 1.6449)
    return spread


def _median(values: Floats) -> Floats:
    """Return the median of each column without its NaNs; NaN for a column of nothing else."""
    medians = np.full(values.shape[1], np.nan)
    for column in range(values.shape[1]):
        good = values[np.isfinite(values[:, column]), column]
        if len(good):
            medians[column] = np.median(good)
    return medians


def _reciprocal(values: Floats) -> Floats:
    """Return 1 / values; 0 for what is 0, negative or not finite."""
    good = np.isfinite(values) & (values > 0)
    return np.where(good, 1 / np.where(good, values, 1), 0.0)
