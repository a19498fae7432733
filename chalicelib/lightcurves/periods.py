"""Find the period of a star that varies steadily."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chalicelib.lightcurves.noise import red_noise_factor

Floats = npt.NDArray[np.float64]

SIGNIFICANT = 0.001
"""A false-alarm probability above this is no discovery."""

MIN_CYCLES = 2.0
"""A slow drift looks like a part of one cycle: what the data do not span so often is no period."""

MIN_POINTS = 8

# Fewer leave nothing over once a sine is fitted.
_MIN_INDEPENDENT = 4.0
_MOST_FREQUENCIES = 200_000
# How finely the frequencies are spaced: points per peak of the periodogram.
_OVERSAMPLING = 10
_LONGEST_OF_SPAN = 1.5
_DAY_H = 24.0


@dataclass(frozen=True)
class Period:
    """The best period of a light curve.

    Parameters
    ----------
    period_d, period_error_d : float
        In days.
    amplitude, amplitude_error : float
        Half of the way from crest to trough of the fitted sine, magnitudes.
    maximum : float
        A time at which the sine is brightest, on the clock of the data.
    mean : float
        Magnitude in the middle of the sine.
    false_alarm : float
        Probability that noise shows a peak as high at any of the periods tried: white noise, of as many independent
        points as `red_noise` leaves.
    red_noise : float
        By how much slow waves in the residuals enlarge the errors; 1 for none.
    cycles : float
        How many periods the data span.
    shortest_d, longest_d : float
        The periods that were tried.
    """

    period_d: float
    period_error_d: float
    amplitude: float
    amplitude_error: float
    maximum: float
    mean: float
    false_alarm: float
    red_noise: float
    cycles: float
    shortest_d: float
    longest_d: float

    @property
    def significant(self) -> bool:
        """Whether it is more than noise and was seen to repeat."""
        return self.covered and self.false_alarm < SIGNIFICANT

    @property
    def covered(self) -> bool:
        """Whether the data span cycles enough to tell a period from a drift."""
        return self.cycles >= MIN_CYCLES

    def phase(self, times: Floats) -> Floats:
        """Return the phases of these times, 0 at the maximum, from 0 to 1."""
        return np.asarray(((times - self.maximum) / self.period_d) % 1.0)

    def curve(self, phase: Floats) -> Floats:
        """Return the magnitudes of the fitted sine."""
        return np.asarray(self.mean - self.amplitude * np.cos(2 * np.pi * phase))


def shortest_visible(times: Floats, exposure_d: float = 0.0) -> float:
    """Return the shortest period that these data can show, in days: faster ones look like slower ones, or average out.

    Parameters
    ----------
    times : ndarray, shape (n,)
        Days, in order; not all equal.
    exposure_d : float
        How long the usual frame was exposed.
    """
    steps = np.diff(times)
    return 2 * max(float(np.median(steps[steps > 0])), exposure_d)


def find_period(
    times: Floats,
    magnitudes: Floats,
    errors: Floats,
    shortest_h: float | None = None,
    longest_h: float | None = None,
    exposure_d: float = 0.0,
) -> Period | None:
    """Find the period by a periodogram with a floating mean (Zechmeister & Kürster 2009, A&A 496, 577).

    Parameters
    ----------
    times, magnitudes, errors : ndarray, shape (n,)
        Days, in order; magnitudes.
    shortest_h, longest_h : float, optional
        The periods to try, hours; from `shortest_visible` to one and a half times the span of the points. What is
        shorter is not tried even if it is asked for.
    exposure_d : float
        How long the usual frame was exposed.

    Returns
    -------
    Period or None
        None for fewer than eight points, or where there is no period to try.
    """
    from astropy.timeseries import LombScargle

    span = float(np.ptp(times)) if len(times) else 0.0
    if len(times) < MIN_POINTS or span <= 0:
        return None
    shortest = max(shortest_visible(times, exposure_d), (shortest_h or 0.0) / _DAY_H)
    longest = _LONGEST_OF_SPAN * span if longest_h is None else longest_h / _DAY_H
    # Over many nights the usual distance of points would ask for more frequencies than anyone waits for.
    shortest = max(shortest, span * _OVERSAMPLING / _MOST_FREQUENCIES)
    if shortest >= longest:
        return None
    count = max(100, math.ceil((1 / shortest - 1 / longest) * span * _OVERSAMPLING))
    frequencies = np.linspace(1 / longest, 1 / shortest, count)
    periodogram = LombScargle(times, magnitudes, errors)
    power = periodogram.power(frequencies, method="auto", assume_regular_frequency=True)
    best = float(frequencies[int(np.argmax(power))])
    width = frequencies[1] - frequencies[0]
    for _ in range(3):
        near = np.linspace(max(best - width, 0.5 / longest), best + width, 41)
        power_near = periodogram.power(near, method="slow")
        best = float(near[int(np.argmax(power_near))])
        width /= 20
    mean, cosine, sine = periodogram_fit(times, magnitudes, errors, best)
    amplitude = math.hypot(cosine, sine)
    # Montgomery & O'Donoghue 1999, Delta Scuti Star Newsletter 13, 28; the scatter is that of the residuals.
    model = mean + cosine * np.cos(2 * np.pi * best * times) + sine * np.sin(2 * np.pi * best * times)
    red = red_noise_factor(magnitudes - model, times, 0.25 / best)
    scatter = float(np.sqrt(((magnitudes - model) ** 2).sum() / max(len(times) - 4, 1))) * red
    amplitude_error = scatter * math.sqrt(2 / len(times))
    frequency_error = math.sqrt(6 / len(times)) * scatter / (math.pi * span * amplitude) if amplitude else math.inf
    return Period(
        1 / best,
        frequency_error / best**2,
        amplitude,
        amplitude_error,
        # Bright is small: the crest of the star is the trough of the magnitudes.
        maximum=float(_first_after(times[0], math.atan2(-sine, -cosine) / (2 * math.pi * best), 1 / best)),
        mean=mean,
        false_alarm=false_alarm_probability(float(np.max(power_near)), 1 / shortest, times, errors, red),
        red_noise=red,
        cycles=span * best,
        shortest_d=shortest,
        longest_d=longest,
    )


def periodogram_fit(times: Floats, magnitudes: Floats, errors: Floats, frequency: float) -> tuple[float, float, float]:
    """Return mean, cosine and sine amplitudes of the sine of this frequency (cycles per day) that fits best."""
    angle = 2 * np.pi * frequency * times
    design = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], axis=1) / errors[:, None]
    mean, cosine, sine = np.linalg.lstsq(design, magnitudes / errors, rcond=None)[0]
    return float(mean), float(cosine), float(sine)


def false_alarm_probability(
    power: float, highest_frequency: float, times: Floats, errors: Floats, red_noise: float = 1.0
) -> float:
    """Return an upper limit of the chance that noise gives a peak of this height (Baluev 2008, MNRAS 385, 1279).

    Parameters
    ----------
    power : float
        Height of the peak, normalised: the share of chi squared that the sine takes away, 0 to 1.
    highest_frequency : float
        Up to which frequencies were tried, cycles per unit of `times`.
    times, errors : ndarray, shape (n,)
        The data.
    red_noise : float, optional
        By how much slow waves enlarge the errors: as if there were fewer points by its square.

    Notes
    -----
    Equations 5, 6 and table 1 with three free parameters against one; the width of the window uses the variance of
    the times.
    """
    points = max(len(times) / red_noise**2, _MIN_INDEPENDENT)
    free = points - 1
    rest = points - 3
    if not 0 < power < 1:
        return 1.0 if power <= 0 else 0.0
    weights = 1 / errors**2
    middle = np.average(times, weights=weights)
    variance = float(np.average((times - middle) ** 2, weights=weights))
    width = highest_frequency * math.sqrt(4 * math.pi * variance)
    gamma = math.sqrt(2 / free) * math.exp(math.lgamma(free / 2) - math.lgamma((free - 1) / 2))
    single = (1 - power) ** (rest / 2)
    any_of_them = gamma * width * (1 - power) ** ((rest - 1) / 2) * math.sqrt(free * power / 2)
    # 1 - (1 - single) * exp(-any_of_them) without losing the digits of tiny probabilities
    return float(-math.expm1(math.log1p(-single) - any_of_them)) if single < 1 else 1.0


def _first_after(start: float, time: float, period: float) -> float:
    return time + math.ceil((start - time) / period) * period
