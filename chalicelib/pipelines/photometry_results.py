"""What the photometry pipeline makes of a light curve: values, files, plots and lines for the log."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chalicelib.lightcurves import plots, report
from chalicelib.lightcurves.differential import LightCurve
from chalicelib.lightcurves.ensemble import MAGNITUDE_OF_FRACTION
from chalicelib.lightcurves.finder import Marked, draw_finder
from chalicelib.lightcurves.periods import MIN_POINTS, Period, find_period, shortest_visible
from chalicelib.lightcurves.study import Study
from chalicelib.lightcurves.table import Table
from chalicelib.lightcurves.times import MJD_OF_JD, to_bjd_tdb
from chalicelib.lightcurves.transits import find_transit
from chalicelib.pipelines.base import DataProduct, PipelineOutput, ReducedDatum, Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

# Of all pictures only the light curve is a "plot": the newest plot of a target is shown as its light curve.
_PLOT = "plot"
_OTHER_PICTURE = "image_file"
_PHOTOMETRY = "photometry"
_DAY_S = 86400.0
_DAY_H = 24.0


class Results:
    """The outputs of one run.

    Parameters
    ----------
    folder : Path
        Where files are written.
    target : Target
        What was observed.
    filter_name : str
        Through which filter; ``""`` if the headers do not say.
    study : Study
        What was decided on the first frame.
    table : Table
        What was measured.
    curve : LightCurve
        What came of it.
    """

    def __init__(
        self, folder: Path, target: Target, filter_name: str, study: Study, table: Table, curve: LightCurve
    ) -> None:
        self._folder = folder
        self._target = target
        self._study = study
        self._curve = curve
        rows = curve.rows
        mjd_utc = np.array(table.mjd_utc)[rows]
        is_placed = target.ra is not None and target.dec is not None
        bjd_tdb = to_bjd_tdb(mjd_utc, float(target.ra or 0), float(target.dec or 0), study.site) if is_placed else None
        if bjd_tdb is not None and not np.isfinite(bjd_tdb).all():
            bjd_tdb = None
        places = table.column("xy")[rows, 0]
        self._points = report.Points(
            [table.names[row] for row in rows],
            mjd_utc,
            bjd_tdb,
            curve.magnitudes,
            curve.errors,
            curve.check_magnitudes,
            curve.check_errors,
            np.array(table.airmass)[rows],
            np.array(table.exposure_s)[rows],
            table.column("fwhm_px")[rows],
            places[:, 0],
            places[:, 1],
            curve.target_counts,
            table.column("sky")[rows, 0],
            filter_name,
        )
        # Plots and fits run on the barycentric clock where there is one.
        self._times = mjd_utc + MJD_OF_JD if bjd_tdb is None else bjd_tdb
        self._clock = plots.Clock("JD_UTC" if bjd_tdb is None else "BJD_TDB", int(self._times[0]))

    def describe(self, inputs: int) -> Iterator[str]:
        """Yield lines for the log."""
        curve, ensemble, rings = self._curve, self._curve.ensemble, self._study.field.rings
        yield from curve.notes
        yield (
            f"Aperture {curve.radius_px:g} pixels in radius, sky from {rings.sky_inner_px:.1f} to {rings.sky_outer_px:.1f}"
        )
        for star in np.flatnonzero(ensemble.variable):
            yield f"Rejected as variable: the star at {self._place(int(star))}"
        for number, star in enumerate(ensemble.members, start=1):
            scatter = ensemble.scatter[star]
            steady = f", scatter {scatter:.4f} mag" if np.isfinite(scatter) else ""
            yield f"Comparison star C{number} at {self._place(int(star))}{steady}"
        if len(ensemble.members) == 1:
            yield "There is only one comparison star: should it vary, nobody can tell"
        if curve.check is None:
            yield "There is no star left to check the comparison stars with"
        else:
            spread = float(np.nanstd(curve.check_magnitudes))
            yield f"Check star K at {self._place(curve.check)}, scatter {spread:.4f} mag"
        if ensemble.extra > 0:
            yield (
                f"Comparison stars scatter by {ensemble.extra:.4f} mag more than photons and sky let expect (scintillation, "
                "flat field): added to all errors"
            )
        yield self._describe_times()
        yield (
            "Magnitudes are -2.5 log10 of the target's counts over those of all comparison stars together: "
            f"{np.median(curve.magnitudes):.4f} in the middle, error {np.median(curve.errors):.4f}"
        )
        if np.isfinite(curve.chi_squared):
            yield (
                f"From point to point the target scatters by {np.sqrt(curve.chi_squared) * np.median(curve.errors):.4f} "
                f"mag (reduced chi squared {curve.chi_squared:.2f}; 1 where the errors are right and nothing varies fast)"
            )
        yield f"{len(curve.rows)} of {inputs} frames are in the light curve"

    def reduced_data(self) -> PipelineOutput:
        """Return the measured values, one point per frame."""
        return PipelineOutput(None, ReducedDatum, _PHOTOMETRY, self._points.reduced_data())

    def table(self) -> PipelineOutput:
        """Write the values as CSV."""
        path = self._folder / "photometry.csv"
        self._points.write_csv(path)
        return PipelineOutput(path, DataProduct, _PHOTOMETRY)

    def light_curve(self) -> list[PipelineOutput]:
        """Draw the light curve as PNG and SVG."""
        curve = self._curve
        has_check = curve.check is not None and np.isfinite(curve.check_magnitudes).any()
        figure = plots.draw_light_curve(
            self._clock,
            self._times,
            curve.magnitudes,
            curve.errors,
            (curve.check_magnitudes, curve.check_errors) if has_check else None,
            self._target.name,
            self._subtitle(),
        )
        return [
            self._picture(figure, "light_curve.png", _PLOT),
            self._picture(figure, "light_curve.svg", _OTHER_PICTURE),
        ]

    def finder_chart(self, pixels: npt.NDArray[np.float32]) -> PipelineOutput:
        """Draw the stars on the first frame."""
        curve, field = self._curve, self._study.field
        stars = [Marked("T", field.xy[0])]
        stars += [Marked(f"C{number}", field.xy[star]) for number, star in enumerate(curve.ensemble.members, start=1)]
        if curve.check is not None:
            stars.append(Marked("K", field.xy[curve.check]))
        figure = draw_finder(
            pixels,
            stars,
            curve.radius_px,
            (field.rings.sky_inner_px, field.rings.sky_outer_px),
            f"{self._target.name}: finder chart",
            f"First frame, {self._study.reference[0]}. T target, C comparison stars, K check star",
        )
        return self._picture(figure, "finder_chart.png", _OTHER_PICTURE)

    def period(self, shortest_h: float | None, longest_h: float | None) -> tuple[str, list[PipelineOutput]]:
        """Look for a period; return a line for the log, and the files."""
        curve = self._curve
        exposures = self._points.exposure_s[np.isfinite(self._points.exposure_s)]
        exposure_d = float(np.median(exposures)) / _DAY_S if len(exposures) else 0.0
        found = find_period(self._times, curve.magnitudes, curve.errors, shortest_h, longest_h, exposure_d)
        values, line = report.describe_period(found)
        log = line
        if found is None and len(self._times) >= MIN_POINTS and np.ptp(self._times) > 0:
            least_h = shortest_visible(self._times, exposure_d) * _DAY_H
            log = f"Period: none of those asked for can be seen in these frames, which show periods from {least_h:.4g} h on"
        elif found is not None and shortest_h is not None and shortest_h < 0.9999 * found.shortest_d * _DAY_H:
            least_h = found.shortest_d * _DAY_H
            log += f". Periods below {least_h:.4g} h were not tried: the frames are too far apart or too long for them"
        outputs = [self._values("period.json", {**values, "clock": self._clock.name})]
        if found is not None:
            title = f"{self._target.name}: " + _name_of_period(found)
            figure = plots.draw_phases(found, self._times, curve.magnitudes, curve.errors, title, line)
            outputs.append(self._picture(figure, "phases.png", _OTHER_PICTURE))
        return log, outputs

    def transit(self) -> tuple[str, list[PipelineOutput]]:
        """Look for a transit; return a line for the log, and the files."""
        points = self._points
        flux = 10 ** (-0.4 * (points.magnitudes - np.median(points.magnitudes)))
        errors = flux * points.errors / MAGNITUDE_OF_FRACTION
        found = find_transit(self._times, flux, errors, points.airmass)
        values, line = report.describe_transit(
            found, self._times, points.mjd_utc, barycentric=points.bjd_tdb is not None
        )
        outputs = [self._values("transit.json", values)]
        if found is not None:
            title = f"{self._target.name}: " + ("transit" if found.significant else "no significant transit")
            figure = plots.draw_transit(self._clock, found, self._times, flux, errors, title, line)
            outputs.append(self._picture(figure, "transit.png", _OTHER_PICTURE))
        return line, outputs

    def _describe_times(self) -> str:
        if self._points.bjd_tdb is None:
            is_placed = self._target.ra is not None and self._target.dec is not None
            reason = "as it cannot be computed" if is_placed else "as the target has no RA and Dec"
            return f"Times are mid-exposure, MJD UTC; there is no BJD_TDB, {reason}"
        site = self._study.site
        place = (
            "seen from the middle of the Earth, as the headers name no site: good to 0.02 s"
            if site is None
            else (
                f"seen from latitude {site.latitude_deg:g}, longitude {site.longitude_deg:g}, as the header gives them; "
                "a wrong sign changes BJD by at most 0.04 s"
            )
        )
        return f"Times are mid-exposure, MJD UTC and BJD_TDB ({place})"

    def _subtitle(self) -> str:
        curve = self._curve
        count = len(curve.ensemble.members)
        shown = f"filter {self._points.filter}, " if self._points.filter else ""
        stars = f"{count} comparison star{'' if count == 1 else 's'}"
        return f"{len(curve.rows)} frames, {shown}{stars}, aperture {curve.radius_px:.1f} px, times of mid-exposure"

    def _place(self, star: int) -> str:
        x, y = self._study.field.xy[star]
        return f"x {x:.1f}, y {y:.1f}"

    def _picture(self, figure: "Figure", name: str, kind: str) -> PipelineOutput:
        path = self._folder / name
        (plots.save_svg if name.endswith(".svg") else plots.save_png)(figure, path)
        return PipelineOutput(path, DataProduct, kind)

    def _values(self, name: str, values: dict[str, Any]) -> PipelineOutput:
        path = self._folder / name
        report.write_json(path, values)
        return PipelineOutput(path, DataProduct, "")


def _name_of_period(found: Period) -> str:
    if not found.covered:
        return "no period can be told"
    return "period" if found.significant else "no significant period"
