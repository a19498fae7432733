"""Make up a night's frames of a star field, with everything in them known: for demonstrations, tests and benchmarks.

The frames look like those of the Las Cumbres Observatory archive: an empty primary HDU, then the Rice-compressed image
`SCI`. The field drifts, the seeing and the sky change, cosmic rays hit, an asteroid crosses and one star varies.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from fitsio.fitslib import FITS

SCALE_ARCSEC_PX = 0.39
READ_NOISE_E = 8.0
MOFFAT_BETA = 3.5
START = datetime(2026, 1, 10, 2, 30, tzinfo=UTC)

# fitsio has no type hints.
open_fits: Callable[..., Any] = FITS

_SATURATION = 65535
_MARGIN_PX = 30
_POINTING_RA_DEG, _POINTING_DEC_DEG = 31.042863, 46.687847

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Star:
    """A star, in pixels of the first frame.

    Parameters
    ----------
    x_px, y_px : float
        0-based position along NAXIS1 and NAXIS2, integers at pixel centres.
    flux_e : float
        Electrons per exposure, the mean of a star that varies.
    """

    x_px: float
    y_px: float
    flux_e: float


@dataclass(frozen=True)
class FrameTruth:
    """What is true of one frame.

    Parameters
    ----------
    time : datetime
        Start of the exposure, UTC.
    drift_x_px, drift_y_px : float
        To be added to the position of every star.
    fwhm_px : float
        Seeing.
    sky_e : float
        Sky in the middle of the frame, electrons per pixel.
    asteroid_x_px, asteroid_y_px : float
        Where the asteroid is in this frame, drift included.
    variable_factor : float
        Flux of the variable star in units of its `flux_e`.
    """

    time: datetime
    drift_x_px: float
    drift_y_px: float
    fwhm_px: float
    sky_e: float
    asteroid_x_px: float
    asteroid_y_px: float
    variable_factor: float


@dataclass(frozen=True)
class Field:
    """Everything that is in a sequence of frames.

    Parameters
    ----------
    size_px : int
        Side of the square frames.
    exposure_s : float
        Exposure time.
    stars : tuple of Star
        Brightest first, but for the one that varies; some lie outside and drift in.
    variable : int
        Index of the star that varies.
    asteroid_flux_e : float
        Electrons per exposure.
    frames : tuple of FrameTruth
        In order of time.
    """

    size_px: int
    exposure_s: float
    stars: tuple[Star, ...]
    variable: int
    asteroid_flux_e: float
    frames: tuple[FrameTruth, ...]


def plan_field(
    count: int = 40,
    size_px: int = 512,
    seed: int = 1,
    *,
    star_count: int = 150,
    cadence_s: float = 120,
    exposure_s: float = 60,
    light_curve: Literal["sinusoid", "transit"] = "sinusoid",
) -> Field:
    """Decide what is in the frames; the same arguments give the same field.

    Parameters
    ----------
    count : int
        Number of frames.
    size_px : int
        Side of the frames.
    seed : int
        Of the random numbers.
    star_count : int
        Number of stars in and around the frame.
    cadence_s, exposure_s : float
        From start to start, and how long the shutter is open.
    light_curve : {"sinusoid", "transit"}
        How the variable star varies: by 30 per cent around its mean in one cycle per sequence, or by a dip of 5 per
        cent over the middle third.
    """
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-_MARGIN_PX, size_px + _MARGIN_PX, (star_count, 2))
    # Star counts of a real field rise by about 2 from one magnitude to the next.
    fluxes = np.sort(np.minimum(2500.0 * rng.pareto(0.85, star_count) + 800.0, 1.5e6))[::-1]
    # The variable star is bright, not saturated, and stays in the frame.
    variable = min(5, star_count - 1)
    positions[variable] = rng.uniform(0.35, 0.65, 2) * size_px
    fluxes[variable] = min(fluxes[variable], 80_000.0)
    stars = tuple(Star(float(x), float(y), float(f)) for (x, y), f in zip(positions, fluxes, strict=True))
    seeing = 2.8 + 0.5 * _wander(rng, count)
    sky = 600.0 * np.exp(0.25 * _wander(rng, count))
    drift = np.stack([8 * _wander(rng, count), 8 * _wander(rng, count)])
    drift -= drift[:, :1]
    phase = np.arange(count) / max(count - 1, 1)
    start = rng.uniform(0.2, 0.3, 2) * size_px
    track = start[:, None] + np.array([[0.5], [0.3]]) * size_px * phase + drift
    if light_curve == "sinusoid":
        factors = 1 + 0.3 * np.sin(2 * np.pi * phase)
    else:
        factors = np.where(np.abs(phase - 0.5) < 1 / 6, 0.95, 1.0)
    frames = tuple(
        FrameTruth(
            START + timedelta(seconds=cadence_s * i),
            *(float(values[i]) for values in (*drift, seeing, sky, *track, factors)),
        )
        for i in range(count)
    )
    return Field(size_px, exposure_s, stars, variable, 12_000.0, frames)


def make_frames(
    folder: Path,
    count: int = 40,
    size_px: int = 512,
    seed: int = 1,
    *,
    dtype: Literal["uint16", "float32"] = "uint16",
    compress: bool = True,
    **plan: Any,
) -> list[Path]:
    """Write the frames that `plan_field` describes when given the same arguments, one by one.

    Parameters
    ----------
    folder : path
        Where to; made if it does not exist. Files of the same name are replaced.
    count, size_px, seed : int
        As for `plan_field`.
    dtype : {"uint16", "float32"}
        Type of the pixels; floats are quantised by the compression, as in the archive.
    compress : bool
        Whether to write ``.fits.fz``; otherwise plain ``.fits``, the image in the primary HDU.
    **plan
        The other arguments of `plan_field`.

    Returns
    -------
    list of path
        In order of time: ``tst1m001-fa01-20260110-0001-e91.fits.fz`` and so on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    field = plan_field(count, size_px, seed, **plan)
    paths = []
    for number, (truth, pixels) in enumerate(zip(field.frames, render_frames(field, seed), strict=True), start=1):
        path = folder / f"tst1m001-fa01-{START:%Y%m%d}-{number:04d}-e91.fits{'.fz' if compress else ''}"
        data = np.clip(np.rint(pixels), 0, _SATURATION).astype(np.uint16) if dtype == "uint16" else pixels
        with open_fits(str(path), "rw", clobber=True) as fits:
            # fitsio puts an empty primary HDU in front of a compressed image.
            fits.write(data, header=header_cards(field, truth), extname="SCI", compress="rice" if compress else None)
        paths.append(path)
    return paths


def render_frames(field: Field, seed: int = 1) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the pixels of each frame.

    Parameters
    ----------
    field : Field
        What to draw.
    seed : int
        Of the noise and the cosmic rays.

    Yields
    ------
    ndarray, shape (size_px, size_px), float32
        Electrons; row 0 is FITS row 1. The Poisson noise is drawn from a Gaussian: the sky alone gives hundreds of
        electrons per pixel, where the two cannot be told apart.
    """
    rng = np.random.default_rng([seed, 1])
    size = field.size_px
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    gradient = 1 + 0.08 * x + 0.05 * y - 0.06 * (x * x + y * y)
    for truth in field.frames:
        pixels = (truth.sky_e * gradient).astype(np.float32)
        for index, star in enumerate(field.stars):
            factor = truth.variable_factor if index == field.variable else 1.0
            _add_source(
                pixels, star.x_px + truth.drift_x_px, star.y_px + truth.drift_y_px, star.flux_e * factor, truth.fwhm_px
            )
        _add_source(pixels, truth.asteroid_x_px, truth.asteroid_y_px, field.asteroid_flux_e, truth.fwhm_px)
        noise = rng.standard_normal((size, size), dtype=np.float32)
        noise *= np.sqrt(pixels + np.float32(READ_NOISE_E**2))
        pixels += noise
        _add_cosmic_rays(pixels, rng)
        yield pixels


def _wander(rng: np.random.Generator, count: int) -> Floats:
    """Return a smooth random curve between about -1 and 1."""
    phase = np.arange(count) / max(count, 40)
    waves = (rng.uniform(0.3, 0.6) * np.sin(2 * np.pi * (k * phase + rng.uniform())) for k in (0.6, 1.3, 2.9))
    return np.asarray(sum(waves), dtype=np.float64)


def _add_source(pixels: npt.NDArray[np.float32], x_px: float, y_px: float, flux_e: float, fwhm_px: float) -> None:
    """Add a Moffat profile (Moffat 1969, A&A 3, 455), sampled at pixel centres."""
    # The brighter, the farther out its wings rise above the noise.
    radius = math.ceil(fwhm_px * min(3 + 2 * math.log10(max(flux_e, 1000.0) / 1000.0), 12))
    left, right = max(round(x_px) - radius, 0), min(round(x_px) + radius + 1, pixels.shape[1])
    bottom, top = max(round(y_px) - radius, 0), min(round(y_px) + radius + 1, pixels.shape[0])
    if left >= right or bottom >= top:
        return
    width2 = fwhm_px**2 / (4 * (2 ** (1 / MOFFAT_BETA) - 1))
    x2 = (np.arange(left, right, dtype=np.float32) - np.float32(x_px)) ** 2
    y2 = (np.arange(bottom, top, dtype=np.float32) - np.float32(y_px)) ** 2
    profile = (1 + (y2[:, None] + x2) / np.float32(width2)) ** np.float32(-MOFFAT_BETA)
    pixels[bottom:top, left:right] += profile * np.float32(flux_e * (MOFFAT_BETA - 1) / (np.pi * width2))


def _add_cosmic_rays(pixels: npt.NDArray[np.float32], rng: np.random.Generator) -> None:
    size = pixels.shape[0]
    for _ in range(int(rng.poisson(4 * (size / 512) ** 2))):
        angle, length = rng.uniform(0, np.pi), int(rng.integers(1, 9))
        x, y = rng.uniform(0, size, 2)
        steps = np.arange(length)
        columns = (x + steps * np.cos(angle)).astype(int)
        rows = (y + steps * np.sin(angle)).astype(int)
        inside = (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
        pixels[rows[inside], columns[inside]] += np.float32(rng.uniform(500, 6000))


def header_cards(field: Field, truth: FrameTruth) -> list[dict[str, Any]]:
    """Return the header cards; the WCS follows the drift, so a star keeps its coordinates."""
    middle = (field.size_px + 1) / 2
    step_deg = SCALE_ARCSEC_PX / 3600
    unix_epoch_mjd = 40587.0
    cards: list[tuple[str, Any, str]] = [
        ("DATE-OBS", truth.time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3], "[UTC] Start of the exposure"),
        ("MJD-OBS", round(unix_epoch_mjd + truth.time.timestamp() / 86400, 8), "[UTC days] Start of the exposure"),
        ("EXPTIME", field.exposure_s, "[s] Exposure time"),
        ("FILTER", "rp", "Filter"),
        ("INSTRUME", "fa01", "Instrument"),
        ("OBJECT", "Test field", "Object"),
        ("OBSTYPE", "EXPOSE", "Kind of observation"),
        ("SITEID", "tst", "Site"),
        ("TELID", "1m0a", "Telescope"),
        ("RA", _sexagesimal(_POINTING_RA_DEG / 15), "[HH:MM:SS.sss] Pointing"),
        ("DEC", _sexagesimal(_POINTING_DEC_DEG, "+"), "[sDD:MM:SS.sss] Pointing"),
        ("AIRMASS", 1.2, "Airmass"),
        ("GAIN", 1.0, "[electrons/count]"),
        ("RDNOISE", READ_NOISE_E, "[electrons/pixel]"),
        ("SATURATE", _SATURATION, "[counts]"),
        ("PIXSCALE", SCALE_ARCSEC_PX, "[arcsec/pixel]"),
        ("CTYPE1", "RA---TAN", ""),
        ("CTYPE2", "DEC--TAN", ""),
        ("CUNIT1", "deg", ""),
        ("CUNIT2", "deg", ""),
        ("CRVAL1", _POINTING_RA_DEG, "[deg]"),
        ("CRVAL2", _POINTING_DEC_DEG, "[deg]"),
        ("CRPIX1", round(middle + truth.drift_x_px, 4), "[pixel]"),
        ("CRPIX2", round(middle + truth.drift_y_px, 4), "[pixel]"),
        ("CD1_1", -step_deg, "[deg/pixel] East is left"),
        ("CD1_2", 0.0, "[deg/pixel]"),
        ("CD2_1", 0.0, "[deg/pixel]"),
        ("CD2_2", step_deg, "[deg/pixel] North is up"),
    ]
    return [{"name": name, "value": value, "comment": comment} for name, value, comment in cards]


def _sexagesimal(value: float, plus: str = "") -> str:
    thousandths = round(abs(value) * 3600 * 1000)
    seconds, rest = divmod(thousandths, 1000)
    sign = "-" if value < 0 else plus
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"
