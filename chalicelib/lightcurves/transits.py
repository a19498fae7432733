"""Find a transit, or one eclipse, in the light curve of one night, and measure when it was and how deep."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chalicelib.lightcurves.noise import red_noise_factor

Floats = npt.NDArray[np.float64]

MIN_POINTS = 12
SIGNIFICANT_SIGMA = 5.0
"""A dip is reported if its depth is so many times its error."""

_MIN_INSIDE = 3
_OUTLIER_SIGMA = 4.0
_SHORTEST_STEPS = 4
_LONGEST_OF_SPAN = 0.8
_ZOOMS = 7
_BATCH_VALUES = 2_000_000


@dataclass(frozen=True)
class Transit:
    """A trapezium on a sloping line, fitted to relative brightness.

    Parameters
    ----------
    middle, middle_error : float
        Mid-transit on the clock of the data, days.
    depth, depth_error : float
        Share of the light that is missing in the middle.
    duration_d, duration_error_d : float
        From first to last contact.
    ingress_d : float
        From first to second contact.
    scatter_outside : float
        Standard deviation of the points before and after, once the line is taken out; relative brightness.
    chi_squared : float
        Reduced, with the errors of the points as they came.
    red_noise : float
        By how much slow waves in the residuals enlarge the errors; they are in the errors given here. 1 for none.
    covered : bool
        Whether there are points before, inside and after the transit.
    baseline : ndarray, shape (n,)
        The line under the transit, at the times of the data.
    model : ndarray, shape (n,)
        Line and trapezium.
    """

    middle: float
    middle_error: float
    depth: float
    depth_error: float
    duration_d: float
    duration_error_d: float
    ingress_d: float
    scatter_outside: float
    chi_squared: float
    red_noise: float
    covered: bool
    baseline: Floats
    model: Floats

    @property
    def significant(self) -> bool:
        """Whether it is more than noise."""
        return self.covered and self.depth > SIGNIFICANT_SIGMA * self.depth_error

    def curve(self, times: Floats) -> Floats:
        """Return the trapezium alone at these times, 1 outside of the transit."""
        shape = trapezium(times, np.array([[self.middle, self.duration_d, self.ingress_d / self.duration_d]]))[0]
        return np.asarray(1 - self.depth * shape)


def find_transit(times: Floats, flux: Floats, errors: Floats, airmass: Floats | None = None) -> Transit | None:
    """Find the deepest dip and fit it.

    A box search (Kovács, Zucker & Mazeh 2002, A&A 391, 369) says where to begin. The fit then tries ever finer grids
    of mid-transit, duration and ingress, and solves for depth and baseline at each point, which needs no first guess of
    them and cannot run away.

    Parameters
    ----------
    times, flux, errors : ndarray, shape (n,)
        Days, in order; relative brightness, about 1; its errors.
    airmass : ndarray, shape (n,), optional
        The baseline then may follow it, too.

    Returns
    -------
    Transit or None
        None for fewer than 12 points or where the times span nothing. Whether there is a transit at all, ask
        `significant`.
    """
    if len(times) < MIN_POINTS or not np.ptp(times) > 0:
        return None
    clock = times - times[0]
    lines = [np.ones_like(clock), clock - clock.mean()]
    if airmass is not None and np.isfinite(airmass).all() and np.ptp(airmass) > 0.05:
        lines.append(airmass - airmass.mean())
    base = np.stack(lines, axis=1)
    good = np.ones(len(clock), dtype=bool)
    shape = _fit(clock, flux, errors, base)
    for _ in range(2):
        residuals = flux - _model(clock, flux, errors, base, shape, good)[0]
        spread = 1.4826 * np.median(np.abs(residuals[good]))
        kept = np.abs(residuals) <= _OUTLIER_SIGMA * max(spread, 1e-12)
        if (kept == good).all() or kept.sum() < MIN_POINTS:
            break
        good = kept
        shape = _fit(clock[good], flux[good], errors[good], base[good], near=shape)
    return _describe(times[0], clock, flux, errors, base, shape, good)


def trapezium(times: Floats, shapes: Floats) -> Floats:
    """Return trapezia of depth 1 and 0 outside.

    Parameters
    ----------
    times : ndarray, shape (n,)
        Days.
    shapes : ndarray, shape (n_shapes, 3)
        Middle, duration (first to last contact), and ingress as a share of the duration, up to a half.

    Returns
    -------
    ndarray, shape (n_shapes, n)
    """
    middle, duration, share = shapes[:, :1], shapes[:, 1:2], shapes[:, 2:]
    return np.asarray(np.clip((duration / 2 - np.abs(times - middle)) / (share * duration), 0, 1))


def _fit(clock: Floats, flux: Floats, errors: Floats, base: Floats, near: Floats | None = None) -> Floats:
    """Return middle, duration and share of the ingress of the trapezium that fits best."""
    span = float(np.ptp(clock))
    step = float(np.median(np.diff(clock)))
    shortest, longest = _SHORTEST_STEPS * step, _LONGEST_OF_SPAN * span
    lowest = np.array([clock[0], shortest, 0.02])
    highest = np.array([clock[-1], max(longest, shortest * 1.01), 0.5])
    # What the airmass does may hide a transit from the box search, or look like one.
    lines = {base.shape[1], min(base.shape[1], 2)}
    starts = (
        [near]
        if near is not None
        else [_search_box(clock, flux, errors, base[:, :k], shortest, longest) for k in lines]
    )
    found = []
    for start in starts:
        best = np.clip(start, lowest, highest)
        widths = np.array([max(start[1], 0.15 * span), start[1] * 0.6, 0.24])
        for _ in range(_ZOOMS):
            axes = [
                np.clip(np.linspace(b - w, b + w, count), low, high)
                for b, w, count, low, high in zip(best, widths, (17, 13, 7), lowest, highest, strict=True)
            ]
            shapes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
            chi_squared = _chi_squared(clock, flux, errors, base, shapes)
            best = shapes[int(np.argmin(chi_squared))]
            widths = widths / 2.5
        found.append((float(chi_squared.min()), best))
    return np.asarray(min(found, key=lambda each: each[0])[1])


def _search_box(clock: Floats, flux: Floats, errors: Floats, base: Floats, shortest: float, longest: float) -> Floats:
    """Return a first guess of the shape, from the flux over the baseline that all points together follow."""
    from astropy.timeseries import BoxLeastSquares

    level = flux / (base @ np.linalg.lstsq(base / errors[:, None], flux / errors, rcond=None)[0])
    durations = np.geomspace(shortest, max(longest, shortest * 1.01), 12)
    # Longer than twice the span: the light curve is folded onto itself nowhere, and only single dips are found.
    period = 2.5 * float(np.ptp(clock)) + durations[-1]
    search = BoxLeastSquares(clock, level, errors).power(
        [period], durations, objective="likelihood", oversample=10, method="fast"
    )
    middle = (float(search.transit_time[0]) - clock[0]) % period + clock[0]
    return np.array([middle, float(search.duration[0]), 0.2])


def _chi_squared(clock: Floats, flux: Floats, errors: Floats, base: Floats, shapes: Floats) -> Floats:
    """Return chi squared of each shape with its best depth and baseline, shape (n_shapes,).

    The baseline is projected out once, so that each shape costs two sums. A dip is wanted: a bump counts as no dip.
    """
    basis, _ = np.linalg.qr(base / errors[:, None])
    target = flux / errors
    target = target - basis @ (basis.T @ target)
    total = float(target @ target)
    found = np.full(len(shapes), total)
    batch = max(1, _BATCH_VALUES // len(clock))
    for start in range(0, len(shapes), batch):
        dips = trapezium(clock, shapes[start : start + batch])
        inside = (dips > 0.5).sum(axis=1)
        dips = -dips / errors
        dips -= (dips @ basis) @ basis.T
        along = dips @ target
        norm = (dips**2).sum(axis=1)
        usable = (along > 0) & (inside >= _MIN_INSIDE) & (norm > 1e-9 * (1 / errors**2).sum())
        found[start : start + batch] -= np.where(usable, along**2 / np.where(usable, norm, 1), 0)
    return found


def _model(
    clock: Floats, flux: Floats, errors: Floats, base: Floats, shape: Floats, good: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats, float]:
    """Return the model, its baseline, and the depth relative to the baseline in the middle of the transit."""
    dip = trapezium(clock, shape[None])[0]
    design = np.column_stack([base, -dip])
    solved = np.linalg.lstsq(design[good] / errors[good, None], flux[good] / errors[good], rcond=None)[0]
    baseline = base @ solved[:-1]
    level = float(np.interp(shape[0], clock, baseline))
    return design @ solved, baseline, float(solved[-1]) / level


def _describe(
    start: float, clock: Floats, flux: Floats, errors: Floats, base: Floats, shape: Floats, good: npt.NDArray[np.bool_]
) -> Transit:
    model, baseline, depth = _model(clock, flux, errors, base, shape, good)
    residuals = (flux - model)[good]
    free = max(int(good.sum()) - base.shape[1] - 4, 1)
    chi_squared = float(((residuals / errors[good]) ** 2).sum() / free)
    covariance = _covariance(clock[good], errors[good], base[good], shape, depth * float(np.median(baseline)))
    distance = np.abs(clock - shape[0])
    outside = good & (distance > shape[1] / 2)
    red = red_noise_factor((flux - model)[good], clock[good], shape[1] * shape[2])
    # Errors as the residuals tell, if they tell of more than the points' own do.
    factor = np.sqrt(max(chi_squared, 1.0)) * red
    sigma = factor * np.sqrt(np.maximum(np.diag(covariance), 0))
    return Transit(
        middle=start + float(shape[0]),
        middle_error=float(sigma[0]),
        depth=depth,
        depth_error=float(sigma[3]) / float(np.median(baseline)),
        duration_d=float(shape[1]),
        duration_error_d=float(sigma[1]),
        ingress_d=float(shape[1] * shape[2]),
        scatter_outside=float(np.std(((flux - model) / baseline)[outside], ddof=2)) if outside.sum() > 3 else np.nan,
        chi_squared=chi_squared,
        red_noise=red,
        covered=bool(
            (outside & (clock < shape[0])).any()
            and (outside & (clock > shape[0])).any()
            and (distance[good] < shape[1] / 4).any()
        ),
        baseline=baseline,
        model=model,
    )


def _covariance(clock: Floats, errors: Floats, base: Floats, shape: Floats, depth: float) -> Floats:
    """Return the covariance of middle, duration, ingress share, depth and baseline, from finite differences."""
    steps = np.array([0.02 * shape[1] * shape[2], 0.02 * shape[1], 0.01])
    columns = []
    for index, step in enumerate(steps):
        shift = np.zeros(3)
        shift[index] = step
        both = trapezium(clock, np.stack([shape + shift, shape - shift]))
        columns.append(-depth * (both[0] - both[1]) / (2 * step))
    dip = trapezium(clock, shape[None])[0]
    jacobian = np.column_stack([*columns, -dip, base]) / errors[:, None]
    return np.asarray(np.linalg.pinv(jacobian.T @ jacobian))
