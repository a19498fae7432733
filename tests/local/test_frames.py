from datetime import timedelta

import fitsio
import numpy as np
import pytest

from chalicelib.imaging.fits import read_frame_header, read_pixels
from local.frames import make_frames, plan_field


@pytest.fixture(scope="module")
def sequence(tmp_path_factory):
    """Three frames of 128 x 128 and what is in them."""
    plan = {"star_count": 12, "light_curve": "transit"}
    paths = make_frames(tmp_path_factory.mktemp("frames"), 3, 128, seed=4, **plan)
    pixels = [read_pixels(path, read_frame_header(path)).astype(float) for path in paths]
    return paths, pixels, plan_field(3, 128, seed=4, **plan)


def flux(pixels, x, y, radius=9):
    """Return the counts above the sky within a circle."""
    rows, columns = np.indices(pixels.shape)
    distance = np.hypot(columns - x, rows - y)
    sky = np.median(pixels[(distance > radius + 3) & (distance < radius + 12)])
    return (pixels - sky)[distance <= radius].sum()


def lonely_stars(field, drift_x, drift_y):
    """Return the bright stars well inside the frame with nothing else near."""
    places = [(star.x_px + drift_x, star.y_px + drift_y) for star in field.stars]
    truth = field.frames[0]
    everything = [*places, (truth.asteroid_x_px, truth.asteroid_y_px)]
    for star, (x, y) in zip(field.stars, places, strict=True):
        apart = sorted(np.hypot(x - other[0], y - other[1]) for other in everything)[1]
        if apart > 22 and 22 < x < 105 and 22 < y < 105 and 4000 < star.flux_e < 300_000:
            yield star, x, y


def test_files_are_named_and_built_like_those_of_the_archive(sequence):
    paths, _, field = sequence
    assert [path.name for path in paths] == [f"tst1m001-fa01-20260110-000{n}-e91.fits.fz" for n in (1, 2, 3)]
    header = read_frame_header(paths[1])
    assert (header.image.index, header.bitpix, header.size) == (1, 16, (128, 128))
    assert header.time == field.frames[1].time == field.frames[0].time + timedelta(seconds=120)
    with fitsio.FITS(str(paths[0])) as fits:
        assert len(fits[0].get_dims()) == 0
        assert fits[1].get_extname() == "SCI"
        cards = fits[1].read_header()
    # 2026-01-10 is MJD 61050; 02:30 is 0.10416667 of a day.
    assert cards["MJD-OBS"] == pytest.approx(61050.10416667)
    assert (cards["RA"], cards["DEC"]) == ("02:04:10.287", "+46:41:16.249")
    assert {"EXPTIME", "FILTER", "INSTRUME", "OBJECT", "SITEID", "TELID", "OBSTYPE", "AIRMASS"} <= set(cards.keys())


def test_stars_are_where_and_as_bright_as_the_plan_says(sequence):
    _, frames, field = sequence
    truth = field.frames[0]
    stars = list(lonely_stars(field, truth.drift_x_px, truth.drift_y_px))
    assert stars
    for star, x, y in stars:
        cut = frames[0][round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4]
        assert cut.max() > truth.sky_e + 100
        assert flux(frames[0], x, y) == pytest.approx(star.flux_e, rel=0.05, abs=1500)


def test_the_star_varies_as_the_plan_says():
    plan = plan_field(3, 128, seed=4, light_curve="transit")
    assert [frame.variable_factor for frame in plan.frames] == [1, 0.95, 1]
    assert [round(frame.variable_factor, 6) for frame in plan_field(5).frames] == [1, 1.3, 1, 0.7, 1]


def test_the_asteroid_moves_against_the_stars(sequence):
    _, _, field = sequence
    first, last = field.frames[0], field.frames[-1]
    assert last.asteroid_x_px - last.drift_x_px - first.asteroid_x_px == pytest.approx(64)
    assert last.asteroid_y_px - last.drift_y_px - first.asteroid_y_px == pytest.approx(0.3 * 128)


def test_the_world_coordinates_follow_the_drift(sequence):
    paths, _, field = sequence
    with fitsio.FITS(str(paths[2])) as fits:
        cards = fits[1].read_header()
    assert cards["CRPIX1"] == pytest.approx(64.5 + field.frames[2].drift_x_px, abs=1e-4)
    assert cards["CRPIX2"] == pytest.approx(64.5 + field.frames[2].drift_y_px, abs=1e-4)


def test_sky_and_noise_are_those_of_the_plan(sequence):
    _, frames, field = sequence
    for pixels, truth in zip(frames, field.frames, strict=True):
        assert np.median(pixels) == pytest.approx(truth.sky_e, rel=0.05)
        # Differences of neighbours are free of the gradient: sqrt(sky + 8^2) times sqrt(2), from the median deviation.
        difference = np.diff(pixels, axis=1)
        noise = 1.4826 * np.median(np.abs(difference)) / np.sqrt(2)
        assert noise == pytest.approx(np.sqrt(truth.sky_e + 64), rel=0.05)


def test_the_same_seed_gives_the_same_pixels_and_another_does_not(tmp_path):
    same = [make_frames(tmp_path / name, 1, 64, seed=7)[0].read_bytes() for name in ("a", "b")]
    assert same[0] == same[1]
    assert make_frames(tmp_path / "c", 1, 64, seed=8)[0].read_bytes() != same[0]


def test_plain_float_frames_can_be_had_too(tmp_path):
    (path,) = make_frames(tmp_path, 1, 64, dtype="float32", compress=False)
    header = read_frame_header(path)
    assert (path.suffix, header.image.index, header.bitpix) == (".fits", 0, -32)
