"""Make a light curve of what was measured in all frames: choose comparison stars and the aperture, work out errors."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from chalicelib.imaging.field import Rings
from chalicelib.lightcurves.camera import Camera, find_ceiling
from chalicelib.lightcurves.ensemble import MAGNITUDE_OF_FRACTION, Ensemble, choose_ensemble, point_to_point
from chalicelib.lightcurves.table import Table

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_TARGET = 0
_FAINTEST_SIGMA = 3.0
_LEAST_SHARE = 0.9
_USUAL_RADIUS = 4
_LARGEST_SHARE = 0.25
_MIN_FRAMES_FOR_RADIUS = 8
_MIN_STARS_FOR_GAIN = 5
_GAINS = (0.05, 100.0)
# Rounding to whole counts (the variance of a uniform distribution).
_ROUNDING = 1 / 12


class NoLightCurveError(Exception):
    """Raised with words for the user when there is nothing to compare."""


@dataclass(frozen=True)
class LightCurve:
    """The brightness of the target against its comparison stars.

    Parameters
    ----------
    rows : ndarray, shape (n,)
        The rows of the table that it is made of.
    magnitudes, errors : ndarray, shape (n,)
        -2.5 log10 of the target's counts over those of all comparison stars together.
    check_magnitudes, check_errors : ndarray, shape (n,)
        The same of the check star; NaN where there is none.
    target_counts : ndarray, shape (n,)
        Of the target, above the sky.
    ensemble : Ensemble
        The comparison stars; its members are indices of the field's stars.
    check : int or None
        Index of the check star.
    radius_px : float
        Of the aperture.
    gain : float
        Electrons per count that the errors are worked out with.
    chi_squared : float
        Square of the scatter from point to point over the errors; 1 if the errors are right. NaN for fewer than five
        points.
    dropped : tuple of (str, str)
        Names of frames in which the target could not be measured, and why.
    notes : tuple of str
        Lines for the log.
    """

    rows: npt.NDArray[np.intp]
    magnitudes: Floats
    errors: Floats
    check_magnitudes: Floats
    check_errors: Floats
    target_counts: Floats
    ensemble: Ensemble
    check: int | None
    radius_px: float
    gain: float
    chi_squared: float
    dropped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Choices:
    """What the user has settled.

    Parameters
    ----------
    comparisons : int
        How many comparison stars at most.
    named : int
        How many were named by the user, and follow the target in the field: then these are used, and all of them.
    saturation : float or None
        Counts.
    """

    comparisons: int = 10
    named: int = 0
    saturation: float | None = None


def make_light_curve(table: Table, rings: Rings, camera: Camera, choices: Choices) -> LightCurve:
    """Choose comparison stars and the aperture, and compare the target with them.

    Parameters
    ----------
    table : Table
        All frames, in order of time.
    rings : Rings
        What was laid around the stars.
    camera : Camera
        What the header says.
    choices : Choices
        What the user says.

    Raises
    ------
    NoLightCurveError
        If the target, or every star to compare it with, is saturated or not seen.
    """
    ceiling, source = find_ceiling(choices.saturation, camera, table.column("top"), table.column("tops"))
    saturated = table.column("peak") >= (np.inf if ceiling is None else ceiling)
    light = _measure_light(table, rings, camera, saturated)
    usual = min(_USUAL_RADIUS, len(rings.radii_px) - 1)
    seen = np.isfinite(light.magnitudes(usual)[:, _TARGET])
    if not seen.any():
        raise NoLightCurveError(_why_no_target(light, usual, ceiling))
    named, others = _candidates(light, usual, seen, choices)
    candidates = named if choices.named else others
    if not len(candidates):
        raise NoLightCurveError(_why_no_comparison(saturated[seen, 1:], ceiling))
    light, gain_note = _settle_gain(light, usual, np.union1d(named, others), camera)
    radius = _best_radius(light, usual, seen, candidates, choices)
    ensemble = _choose(light, radius, candidates, choices)
    if choices.named:
        check = _nearest_in_brightness(light, radius, seen, _steady(light, radius, others))
    else:
        ensemble, check = _spare_check(light, radius, seen, candidates, ensemble, choices)
    magnitudes, errors = light.magnitudes(radius) - ensemble.zero[:, None], light.errors(radius)
    errors = np.sqrt(errors**2 + ensemble.zero_error[:, None] ** 2 + ensemble.extra**2)
    rows = np.flatnonzero(np.isfinite(magnitudes[:, _TARGET]))
    if not len(rows):
        raise NoLightCurveError("No frame shows the target together with a comparison star")
    lost = np.flatnonzero(~np.isfinite(magnitudes[:, _TARGET]))
    dropped = [(table.names[frame], _why_not(light, radius, int(frame))) for frame in lost]
    scatter = point_to_point(magnitudes[rows, _TARGET])
    known = f"A pixel counts as saturated from {ceiling:.0f} counts on ({source})"
    return LightCurve(
        rows,
        magnitudes[rows, _TARGET],
        errors[rows, _TARGET],
        magnitudes[rows, check] if check is not None else np.full(len(rows), np.nan),
        errors[rows, check] if check is not None else np.full(len(rows), np.nan),
        light.net[rows, _TARGET, radius],
        ensemble,
        check,
        float(rings.radii_px[radius]),
        light.gain,
        scatter**2 / float(np.median(errors[rows, _TARGET] ** 2)),
        tuple(dropped),
        (known if ceiling else f"From how many counts on a pixel is saturated is {source}", gain_note),
    )


@dataclass(frozen=True)
class _Light:
    """Counts above the sky, shape (n_frames, n_stars, n_radii), the variance that the sky gives them, and the gain."""

    net: Floats
    sky_variance: Floats
    saturated: Flags
    gain: float

    def magnitudes(self, radius: int) -> Floats:
        """Return instrumental magnitudes, shape (n_frames, n_stars); NaN where a star is saturated or not seen."""
        net = self.net[:, :, radius]
        with np.errstate(invalid="ignore"):
            seen = (net > _FAINTEST_SIGMA * np.sqrt(self.sky_variance[:, :, radius])) & ~self.saturated
        return np.asarray(-2.5 * np.log10(np.where(seen, net, np.nan)))

    def errors(self, radius: int) -> Floats:
        """Return the errors of the magnitudes: the star's own photons, and sky and camera as they are seen to scatter."""
        net = self.net[:, :, radius]
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = np.maximum(net, 0) / self.gain + self.sky_variance[:, :, radius]
            return np.asarray(MAGNITUDE_OF_FRACTION * np.sqrt(variance) / np.where(net > 0, net, np.nan))


def _measure_light(table: Table, rings: Rings, camera: Camera, saturated: Flags) -> _Light:
    area = np.pi * rings.radii_px**2
    sky, pixels = table.column("sky")[:, :, None], table.column("sky_pixels")[:, :, None]
    # The scatter of the pixels in the ring has photons of the sky and noise of the camera in it already. What the
    # camera adds anyway is the least it can be, where counts are so coarse that they do not scatter.
    least = (camera.read_noise_e / camera.gain) ** 2 if camera.read_noise_e and camera.gain else 0.0
    variance = np.maximum(table.column("sky_noise")[:, :, None] ** 2, max(least, _ROUNDING))
    # The level of the sky is itself uncertain, and wrong by as much in every pixel of the aperture.
    return _Light(
        table.column("counts") - sky * area,
        variance * area + variance * area**2 / np.maximum(pixels, 1),
        saturated,
        camera.gain or 1.0,
    )


def _candidates(
    light: _Light, radius: int, seen: Flags, choices: Choices
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the named stars that are in any frame that shows the target, and others that are in nearly all of these."""
    share = np.isfinite(light.magnitudes(radius)[seen]).mean(axis=0)
    stars = np.arange(len(share))
    is_named = (stars > _TARGET) & (stars <= choices.named)
    return np.flatnonzero(is_named & (share > 0)), np.flatnonzero((stars > choices.named) & (share >= _LEAST_SHARE))


def _choose(light: _Light, radius: int, candidates: npt.NDArray[np.intp], choices: Choices) -> Ensemble:
    """Choose the ensemble among the candidates; its indices are those of the field's stars."""
    magnitudes, errors = light.magnitudes(radius), light.errors(radius)
    found = choose_ensemble(
        magnitudes[:, candidates], errors[:, candidates], choices.comparisons, keep_all=choices.named > 0
    )
    scatter, variable = np.full(magnitudes.shape[1], np.nan), np.zeros(magnitudes.shape[1], dtype=bool)
    scatter[candidates], variable[candidates] = found.scatter, found.variable
    return replace(found, members=candidates[found.members], scatter=scatter, variable=variable)


def _settle_gain(light: _Light, radius: int, stars: npt.NDArray[np.intp], camera: Camera) -> tuple[_Light, str]:
    """Take the gain from the header, or else from how much the stars of the field scatter from frame to frame."""
    if camera.gain is not None:
        return light, f"Gain {camera.gain:g} electrons per count, from the header"
    ensemble = _choose(light, radius, stars, Choices())
    magnitudes = light.magnitudes(radius) - ensemble.zero[:, None]
    per_electron = []
    for star in stars[~ensemble.variable[stars]]:
        net, variance = light.net[:, star, radius], light.sky_variance[:, star, radius]
        good = np.isfinite(magnitudes[:, star])
        own = point_to_point(magnitudes[:, star]) ** 2 / MAGNITUDE_OF_FRACTION**2
        per_electron.append((own - float(np.median(variance[good] / net[good] ** 2))) * float(np.median(net[good])))
    # Photons alone make a star scatter by 1 / sqrt(gain * counts).
    usable = [value for value in per_electron if np.isfinite(value)]
    if len(usable) < _MIN_STARS_FOR_GAIN or not np.median(usable) > 0:
        return light, "The header gives no gain: errors are worked out with 1 electron per count"
    gain = float(np.clip(1 / np.median(usable), *_GAINS))
    return (
        replace(light, gain=gain),
        f"The header gives no gain: {gain:.2g} electrons per count, from the scatter of {len(usable)} stars",
    )


def _best_radius(light: _Light, usual: int, seen: Flags, candidates: npt.NDArray[np.intp], choices: Choices) -> int:
    """Return the index of the aperture in which the target scatters least from point to point."""
    if seen.sum() < _MIN_FRAMES_FOR_RADIUS:
        return usual
    members = _choose(light, usual, candidates, choices).members
    scatters = np.full(light.net.shape[2], np.inf)
    for radius in range(len(scatters)):
        magnitudes = light.magnitudes(radius)
        # In larger circles fewer stars may be whole: what loses frames is no better.
        if np.isfinite(magnitudes[:, _TARGET]).sum() < _LEAST_SHARE * seen.sum():
            continue
        zero = choose_ensemble(
            magnitudes[:, members], light.errors(radius)[:, members], len(members), keep_all=True
        ).zero
        scatters[radius] = np.nan_to_num(point_to_point(magnitudes[:, _TARGET] - zero), nan=np.inf)
    return int(np.argmin(scatters)) if np.isfinite(scatters).any() else usual


def _spare_check(
    light: _Light,
    radius: int,
    seen: Flags,
    candidates: npt.NDArray[np.intp],
    ensemble: Ensemble,
    choices: Choices,
) -> tuple[Ensemble, int | None]:
    """Return a steady star that is compared as the target is: the one nearest to it in brightness, if any can be spared.

    A comparison star is given up for it if it does not carry the ensemble, and two others are left.
    """
    steady = candidates[~ensemble.variable[candidates] & np.isfinite(ensemble.scatter[candidates])]
    weight = 1 / np.maximum(ensemble.scatter, 1e-6) ** 2
    share = np.where(np.isin(steady, ensemble.members), weight[steady] / np.nansum(weight[ensemble.members]), 0.0)
    spare = steady[(share == 0) | ((share <= _LARGEST_SHARE) & (len(ensemble.members) >= 3))]
    check = _nearest_in_brightness(light, radius, seen, spare)
    if check is not None and check in ensemble.members:
        rest = ensemble.members[ensemble.members != check]
        without = _choose(light, radius, rest, replace(choices, named=len(rest)))
        scatter = np.where(np.isfinite(without.scatter), without.scatter, ensemble.scatter)
        ensemble = replace(without, extra=ensemble.extra, variable=ensemble.variable, scatter=scatter)
    return ensemble, check


def _steady(light: _Light, radius: int, stars: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return those of some stars that do not vary against each other."""
    if not len(stars):
        return stars
    found = _choose(light, radius, stars, Choices())
    return np.asarray(stars[~found.variable[stars] & np.isfinite(found.scatter[stars])])


def _nearest_in_brightness(light: _Light, radius: int, seen: Flags, stars: npt.NDArray[np.intp]) -> int | None:
    """Return the star that is nearest to the target in brightness, or None if there are none."""
    if not len(stars):
        return None
    magnitudes = light.magnitudes(radius)[seen]
    differences = [abs(np.nanmedian(magnitudes[:, star]) - np.nanmedian(magnitudes[:, _TARGET])) for star in stars]
    return int(stars[int(np.argmin(differences))])


def _why_not(light: _Light, radius: int, frame: int) -> str:
    """Say why there is no magnitude of the target in a frame."""
    if light.saturated[frame, _TARGET]:
        return "the target is saturated"
    if not np.isfinite(light.net[frame, _TARGET, radius]):
        return "the target is at the edge of the frame or on a bad pixel"
    if not np.isfinite(light.magnitudes(radius)[frame, _TARGET]):
        return "the target cannot be seen"
    return "no comparison star could be measured"


def _why_no_target(light: _Light, radius: int, ceiling: float | None) -> str:
    if light.saturated[:, _TARGET].all():
        return f"The target is saturated in all frames: it reaches {ceiling:.0f} counts. Use shorter exposures"
    reasons = {_why_not(light, radius, frame) for frame in range(len(light.net))}
    return f"No frame shows the target: {'; '.join(sorted(reasons))}"


def _why_no_comparison(saturated: Flags, ceiling: float | None) -> str:
    if saturated.size and saturated.mean() > 1 - _LEAST_SHARE:
        return f"There is no star to compare the target with: the others reach {ceiling:.0f} counts or leave the frames"
    return "There is no star to compare the target with that is in nearly all frames"
