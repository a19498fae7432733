"""Put light curves and what was found in them into files and words."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chalicelib.lightcurves.periods import Period
from chalicelib.lightcurves.times import MJD_OF_JD
from chalicelib.lightcurves.transits import Transit

Floats = npt.NDArray[np.float64]

_DAY_H = 24.0
_DAY_MIN = 1440.0


# What is null where nothing was found, so that no chance fit is taken for a result.
_OF_A_PERIOD = ("period_d", "period_error_d", "period_h", "amplitude_mag", "amplitude_error_mag", "time_of_maximum")
_OF_A_TRANSIT = (
    *("mid_transit_jd_utc", "mid_transit_bjd_tdb", "mid_transit_error_d", "depth", "depth_error"),
    *("duration_h", "duration_error_h", "ingress_h", "scatter_out_of_transit"),
)


@dataclass(frozen=True)
class Points:
    """A light curve with everything that goes with it; arrays of shape (n,), in order of time.

    Parameters
    ----------
    names : list of str
        The files.
    mjd_utc : ndarray
        Middle of the exposures.
    bjd_tdb : ndarray or None
        The same at the barycentre; None if it is not known where the target is.
    magnitudes, errors, check_magnitudes, check_errors : ndarray
        Differential; NaN where there is none.
    airmass, exposure_s, fwhm_px, x_px, y_px, counts, sky : ndarray
        Of the frame, and of the target in it; NaN where it is not known.
    filter : str
        Of all frames.
    """

    names: list[str]
    mjd_utc: Floats
    bjd_tdb: Floats | None
    magnitudes: Floats
    errors: Floats
    check_magnitudes: Floats
    check_errors: Floats
    airmass: Floats
    exposure_s: Floats
    fwhm_px: Floats
    x_px: Floats
    y_px: Floats
    counts: Floats
    sky: Floats
    filter: str

    def reduced_data(self) -> list[tuple[float, float, float, str, dict[str, Any]]]:
        """Return one point per frame: MJD UTC, magnitude, error, file name, and further values by name."""
        points = []
        for i, name in enumerate(self.names):
            extra: dict[str, Any] = {"filter": self.filter} if self.filter else {}
            if self.bjd_tdb is not None:
                extra["bjd_tdb"] = round(float(self.bjd_tdb[i]), 8)
            for key, values in (("airmass", self.airmass), ("exposure_s", self.exposure_s)):
                if np.isfinite(values[i]):
                    extra[key] = float(values[i])
            point = (
                round(float(self.mjd_utc[i]), 8),
                round(float(self.magnitudes[i]), 6),
                round(float(self.errors[i]), 6),
            )
            points.append((*point, name, extra))
        return points

    def write_csv(self, path: Path) -> None:
        """Write a table with one line per frame; the first line names the columns and their units."""
        columns: list[tuple[str, Any, str]] = [
            ("file", self.names, ""),
            ("mjd_utc_mid (d)", self.mjd_utc, ".8f"),
            ("bjd_tdb_mid (d)", self.bjd_tdb, ".8f"),
            ("magnitude (mag)", self.magnitudes, ".5f"),
            ("error (mag)", self.errors, ".5f"),
            ("check_magnitude (mag)", self.check_magnitudes, ".5f"),
            ("check_error (mag)", self.check_errors, ".5f"),
            ("filter", [self.filter] * len(self.names), ""),
            ("airmass", self.airmass, ".4f"),
            ("exposure (s)", self.exposure_s, "g"),
            ("fwhm (px)", self.fwhm_px, ".2f"),
            ("x (px)", self.x_px, ".2f"),
            ("y (px)", self.y_px, ".2f"),
            ("target (counts)", self.counts, ".1f"),
            ("sky (counts/px)", self.sky, ".2f"),
        ]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([name for name, values, _ in columns if values is not None])
            for i in range(len(self.names)):
                writer.writerow([_cell(values[i], form) for _, values, form in columns if values is not None])


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write an object as JSON; what is not finite becomes null."""
    plain = {
        key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in values.items()
    }
    path.write_text(json.dumps(plain, indent=2, ensure_ascii=False) + "\n", "utf-8")


def describe_period(period: Period | None) -> tuple[dict[str, Any], str]:
    """Return a period for a file, and a sentence for the log."""
    if period is None:
        return {"significant": False}, "Period: there are too few frames to look for one"
    values = {
        "significant": period.significant,
        "false_alarm_probability": float(f"{period.false_alarm:.3g}"),
        "red_noise_factor": round(period.red_noise, 3),
        "period_d": _significant(period.period_d),
        "period_error_d": _significant(period.period_error_d, 3),
        "period_h": _significant(period.period_d * _DAY_H),
        "amplitude_mag": round(period.amplitude, 5),
        "amplitude_error_mag": round(period.amplitude_error, 5),
        "time_of_maximum": round(period.maximum, 6),
        "cycles_covered": round(period.cycles, 2),
        "shortest_period_tried_d": _significant(period.shortest_d),
        "longest_period_tried_d": _significant(period.longest_d),
    }
    chance = f"false-alarm probability {period.false_alarm:.1g}"
    if not period.significant:
        values |= dict.fromkeys(_OF_A_PERIOD)
    if not period.covered:
        text = f"no period can be told: the frames cover only {period.cycles:.1f} cycles of the strongest one"
        return values, f"Period: {text} ({_hours(period.period_d)} h)"
    if not period.significant:
        return values, f"Period: none found; the best, {period.period_d:.5g} d, may be noise ({chance})"
    text = (
        f"Period: {_with_error(period.period_d, period.period_error_d)} d ({_hours(period.period_d)} h), "
        f"amplitude {period.amplitude:.4f} +/- {period.amplitude_error:.4f} mag, {chance}"
    )
    return values, text


def describe_transit(
    transit: Transit | None, times: Floats, mjd_utc: Floats, *, barycentric: bool
) -> tuple[dict[str, Any], str]:
    """Return a transit for a file, and a sentence for the log.

    Parameters
    ----------
    transit : Transit or None
        As found in `times`.
    times, mjd_utc : ndarray, shape (n,)
        The same moments on the clock of the fit and in MJD UTC.
    barycentric : bool
        Whether that clock is BJD_TDB; otherwise it is JD_UTC.
    """
    if transit is None:
        return {"significant": False}, "Transit: there are too few frames to look for one"
    jd_utc = float(np.interp(transit.middle, times, mjd_utc)) + MJD_OF_JD
    values: dict[str, Any] = {
        "significant": transit.significant,
        "mid_transit_jd_utc": round(jd_utc, 6),
        "mid_transit_bjd_tdb": round(transit.middle, 6) if barycentric else None,
        "mid_transit_error_d": _rounded(transit.middle_error),
        "depth": round(transit.depth, 6),
        "depth_error": round(transit.depth_error, 6),
        "duration_h": round(transit.duration_d * _DAY_H, 4),
        "duration_error_h": round(transit.duration_error_d * _DAY_H, 4),
        "ingress_h": round(transit.ingress_d * _DAY_H, 4),
        "scatter_out_of_transit": round(transit.scatter_outside, 6) if np.isfinite(transit.scatter_outside) else None,
        "reduced_chi_squared": round(transit.chi_squared, 3),
        "red_noise_factor": round(transit.red_noise, 3),
    }
    if not transit.significant:
        values |= dict.fromkeys(_OF_A_TRANSIT)
    depth = f"depth {transit.depth * 100:.2f} +/- {transit.depth_error * 100:.2f} %"
    if not transit.covered:
        return values, f"Transit: none found; the deepest dip ({depth}) has not been seen to begin and to end"
    if not transit.significant:
        return values, f"Transit: none found; the deepest dip ({depth}) may be noise"
    clock = f"BJD_TDB {transit.middle:.5f} = JD_UTC {jd_utc:.5f}" if barycentric else f"JD_UTC {jd_utc:.5f}"
    return values, (
        f"Transit: middle {clock} +/- {transit.middle_error:.5f} d ({transit.middle_error * _DAY_MIN:.1f} min), {depth}, "
        f"duration {transit.duration_d * _DAY_H:.2f} h, scatter out of transit {transit.scatter_outside * 100:.2f} %"
    )


def _significant(value: float, digits: int = 8) -> float | None:
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None


def _with_error(value: float, error: float) -> str:
    """Write a number to two digits of its error, however small both are."""
    if not (np.isfinite(error) and error > 0):
        return f"{value:.5g}"
    decimals = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:.{decimals}f} +/- {error:.{decimals}f}"


def _hours(days: float) -> str:
    hours = days * _DAY_H
    return f"{hours:.4g}" if hours < 1000 else f"{hours:.0f}"


def _rounded(value: float) -> float | None:
    return round(value, 8) if np.isfinite(value) else None


def _cell(value: Any, form: str) -> str:
    if isinstance(value, str):
        return value
    return format(float(value), form) if np.isfinite(value) else ""
