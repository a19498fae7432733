"""What the flags of a timelapse do, on frames in which everything is known."""

import itertools
from datetime import datetime, timedelta

import numpy as np
import pytest

from chalicelib.imaging.fits import read_frame_header, read_pixels
from chalicelib.pipelines.base import AsyncError
from chalicelib.pipelines.timelapse import TimelapsePipeline
from local.frames import make_frames, plan_field
from tests.factories_frames import centroid, read_film, star_pixels, write_frame

FLAGS = tuple(TimelapsePipeline.flags)
EVERY_FLAG = dict.fromkeys(FLAGS, True)
COUNT, SIDE = 7, 160
PLAN = {"star_count": 60}


@pytest.fixture(scope="session")
def field():
    return plan_field(COUNT, SIDE, 3, **PLAN)


@pytest.fixture(scope="session")
def frames(tmp_path_factory):
    """Make frames of a drifting field: stars, an asteroid, clouds, cosmic rays and coordinates."""
    return make_frames(tmp_path_factory.mktemp("frames"), COUNT, SIDE, 3, **PLAN)


@pytest.fixture(scope="session")
def bare_frames(frames, tmp_path_factory):
    """The same frames without coordinates."""
    folder = tmp_path_factory.mktemp("bare")
    headers = [read_frame_header(path) for path in frames]
    return [
        write_frame(folder / f"{number}.fits", read_pixels(path, header), f"{header.time:%Y-%m-%dT%H:%M:%S}")
        for number, (path, header) in enumerate(zip(frames, headers, strict=True))
    ]


def left_out(reporter):
    return dict(line[10:].split("': ", 1) for line in reporter.lines if line.startswith("Left out '"))


def bright_stars(field, count=4):
    """Return stars that are bright, alone and far from the edge, in the pixels of the frame in the middle."""
    middle = field.frames[COUNT // 2]
    drift = np.array([middle.drift_x_px, middle.drift_y_px])
    places = [(s.x_px + drift[0], s.y_px + drift[1]) for s in field.stars]
    asteroid = [
        (f.asteroid_x_px - f.drift_x_px + drift[0], f.asteroid_y_px - f.drift_y_px + drift[1]) for f in field.frames
    ]
    found = []
    for number, place in enumerate(places):
        others = np.concatenate([np.delete(np.array(places), number, axis=0), asteroid])
        if min(place) > 24 and max(place) < SIDE - 24 and np.hypot(*(others - place).T).min() > 13:
            found.append(place)
    return found[:count]


def wander(film, places, shape=(SIDE, SIDE)):
    """Return the standard deviations of the positions of stars over a film; places count rows upwards."""
    tracks = [[centroid(frame[..., 1], (x, shape[0] - 1 - y)) for frame in film] for x, y in places]
    return np.std(tracks, axis=1)


@pytest.mark.parametrize("coordinates", [True, False])
def test_aligned_stars_stand_still_where_they_are_in_the_middle_frame(
    make_film, frames, bare_frames, field, coordinates
):
    places = bright_stars(field)
    assert len(places) >= 3
    path, reporter = make_film(frames if coordinates else bare_frames, align=True)
    film = read_film(path)
    assert (len(film), left_out(reporter)) == (COUNT, {})
    assert wander(film, places).max() < 0.2
    for x, y in places:
        assert centroid(film[0][..., 1], (x, SIDE - 1 - y)) == pytest.approx((x, SIDE - 1 - y), abs=0.5)


def test_without_the_flag_stars_drift(make_film, frames, field):
    film = read_film(make_film(frames)[0])
    drift = np.ptp([[frame.drift_x_px, frame.drift_y_px] for frame in field.frames], axis=0)
    assert drift.max() > 2
    assert wander(film, bright_stars(field, 1)).max() > 0.5


def test_frames_that_cannot_be_aligned_are_left_out_and_named(make_film, bare_frames, tmp_path):
    noise = np.random.default_rng(1).normal(500, 20, (SIDE, SIDE)).astype(np.float32)
    odd = [
        write_frame(tmp_path / "noise.fits", noise),
        write_frame(tmp_path / "blank.fits", np.zeros((SIDE, SIDE), dtype=np.float32)),
        write_frame(tmp_path / "nan.fits", np.full((SIDE, SIDE), np.nan, dtype=np.float32)),
        write_frame(
            tmp_path / "mirrored.fits", read_pixels(bare_frames[0], read_frame_header(bare_frames[0]))[:, ::-1]
        ),
    ]
    path, reporter = make_film([*odd, *bare_frames], align=True)
    assert len(read_film(path)) == COUNT
    few, other = (
        "it cannot be aligned: too few stars",
        "it cannot be aligned: its stars do not match those of the other frames",
    )
    assert left_out(reporter) == {"noise.fits": few, "blank.fits": few, "nan.fits": few, "mirrored.fits": other}
    assert reporter.steps[-1] == (COUNT + 4, COUNT + 4)


def test_a_spoilt_frame_in_the_middle_is_no_reference(make_film, bare_frames, tmp_path):
    noise = np.random.default_rng(1).normal(500, 20, (SIDE, SIDE)).astype(np.float32)
    middle = read_frame_header(bare_frames[COUNT // 2]).time + timedelta(seconds=1)
    spoilt = write_frame(tmp_path / "spoilt.fits", noise, f"{middle:%Y-%m-%dT%H:%M:%S}")
    path, reporter = make_film([spoilt, *bare_frames], align=True)
    assert len(read_film(path)) == COUNT
    assert list(left_out(reporter)) == ["spoilt.fits"]


def test_if_no_two_frames_can_be_aligned_the_failure_says_so(make_film, tmp_path):
    files = [write_frame(tmp_path / f"{i}.fits", np.full((40, 40), i, dtype=np.float32)) for i in range(3)]
    with pytest.raises(AsyncError) as caught:
        make_film(files, align=True)
    assert str(caught.value).startswith(
        "Fewer than two frames can be aligned (0 of 3): '0.fits': it cannot be aligned: too few stars; "
    )
    assert len(str(caught.value)) <= 255


def sky_frames(tmp_path, *skies):
    """Write frames with one star each and a sky of a level, a slope across and a noise."""
    paths = []
    for number, (level, slope, noise) in enumerate(skies):
        rng = np.random.default_rng(number)
        pixels = rng.normal(level, noise, (90, 120)) + slope * np.linspace(-0.5, 0.5, 120)
        rows, columns = np.indices(pixels.shape)
        pixels += 3000 * np.exp(-((columns - 70) ** 2 + (rows - 30) ** 2) / (2 * 1.5**2))
        time = datetime(2026, 1, 10, 2, number)  # noqa: DTZ001 - FITS times carry no zone
        paths.append(write_frame(tmp_path / f"s{number}.fits", pixels.astype(np.float32), time.isoformat()))
    return paths


def test_a_normalised_background_is_one_grey_in_all_frames_and_across_each(make_film, tmp_path):
    files = sky_frames(tmp_path, (300, 0, 10), (900, 200, 10), (2000, -400, 11), (300, 100, 9))
    film = [frame[..., 0].astype(float) for frame in read_film(make_film(files, normalise_background=True)[0])]
    assert np.ptp([np.median(frame) for frame in film]) == 0
    for frame in film:
        assert np.median(frame[:, :20]) == pytest.approx(np.median(frame[:, -20:]), abs=6)
        assert frame[59, 70] == 255
    plain = [frame[..., 0].astype(float) for frame in read_film(make_film(files)[0])]
    assert np.median(plain[2][:, :20]) - np.median(plain[2][:, -20:]) > 50


def test_one_stretch_serves_all_frames_so_that_clouds_dim_stars(make_film, tmp_path):
    bright, dim = sky_frames(tmp_path, (300, 0, 10), (300, 0, 10))
    header = read_frame_header(dim)
    pixels = read_pixels(dim, header)
    write_frame(dim, ((pixels - 300) * 0.02 + 300).astype(np.float32), "2026-01-10T02:01:00")
    noise = np.random.default_rng(5).normal(0, 10, pixels.shape)
    write_frame(dim, (read_pixels(dim, header) + noise).astype(np.float32), "2026-01-10T02:01:00")
    first, second = read_film(make_film([bright, dim], normalise_background=True)[0])
    assert first[59, 70, 0] == 255
    assert 60 < second[59, 70, 0] < 240


def test_a_spoilt_frame_is_shown_with_less_contrast_and_named(make_film, tmp_path):
    files = sky_frames(tmp_path, (300, 0, 10), (300, 0, 10), (9000, 3000, 500), (300, 0, 10), (300, 0, 10))
    path, reporter = make_film(files, normalise_background=True)
    assert [line for line in reporter.lines if line.startswith("Frame")] == [
        "Frame 's2.fits' is much noisier than the others: shown with less contrast"
    ]
    means = [frame[..., 0].mean() for frame in read_film(path)]
    assert np.ptp(means) < 12


@pytest.mark.parametrize("normalise", [False, True])
def test_bad_pixels_do_not_blacken_a_frame(make_film, tmp_path, normalise):
    files = sky_frames(tmp_path, (300, 50, 10), (300, 50, 10), (300, 50, 10))
    pixels = read_pixels(files[1], read_frame_header(files[1]))
    pixels[40:70, 20:60] = np.nan
    pixels[::17, ::13] = np.inf
    write_frame(files[1], pixels, "2026-01-10T02:01:00")
    film = read_film(make_film(files, normalise_background=normalise)[0])
    assert film[1][59, 70, 0] == 255
    assert np.median(film[1]) == pytest.approx(np.median(film[0]), abs=2)


def test_cosmic_rays_go_and_stars_stay(make_film, tmp_path):
    files = sky_frames(tmp_path, (300, 0, 10), (300, 0, 10))
    pixels = read_pixels(files[0], read_frame_header(files[0]))
    pixels[50, 20] += 4000
    pixels[60, 90:95] += 3000
    write_frame(files[0], pixels, "2026-01-10T02:00:00")
    plain, cleaned = (read_film(make_film(files, clean_cosmics=flag)[0])[0][..., 0] for flag in (False, True))
    assert plain[39, 20] == 255
    assert plain[29, 92] == 255
    assert cleaned[37:42, 18:23].max() < 120
    assert cleaned[27:32, 88:97].max() < 120
    assert cleaned[59, 70] == plain[59, 70] == 255


@pytest.mark.parametrize("colours", ["cubehelix", "heat", "ice", "negative"])
def test_false_colours_are_those_of_the_option(make_film, tmp_path, colours):
    from chalicelib.imaging.colours import colour_palette

    files = [write_frame(tmp_path / f"{i}.fits", star_pixels(), f"2026-01-10T02:3{i}:00") for i in range(2)]
    film = read_film(make_film(files, {"colours": colours}, colour_map=True)[0])
    palette = {tuple(rgb) for rgb in np.frombuffer(colour_palette(colours, 128), np.uint8).reshape(-1, 3)}
    assert {tuple(pixel) for pixel in film[0].reshape(-1, 3)} <= palette


def test_text_is_white_on_any_colour_map(make_film, frames):
    film = read_film(make_film(frames, {"colours": "ice"}, colour_map=True, annotate=True)[0])
    plain = read_film(make_film(frames, {"colours": "ice"}, colour_map=True)[0])
    written = (film[0] != plain[0]).any(axis=2)
    shown = film[0][written]
    assert (shown[:, 0] == shown[:, 1]).all()
    assert (shown.max(axis=0) == 255).all()
    assert 0.01 < written.mean() < 0.25


@pytest.mark.parametrize("crop", [False, True])
@pytest.mark.parametrize("size", [160, 120])
def test_the_scale_bar_follows_crop_and_size(make_film, frames, crop, size):
    from chalicelib.imaging.annotate import Annotator

    seen = []
    original = Annotator.draw

    def watch(self, indices, time, sky, **more):
        seen.append((time, sky))
        original(self, indices, time, sky, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Annotator, "draw", watch)
        make_film(frames, {"size": size, "crop_scale": 0.9}, annotate=True, crop=crop)
    side = 144 if crop else 160
    for _, sky in seen:
        assert sky.scale_arcsec_px == pytest.approx(0.39 * max(1, side / size), rel=1e-3)
    # East is left in a picture of the sky whose north is up.
    assert {(sky.north_deg, sky.east_deg) for _, sky in seen} == {(90, 180)}
    assert [time for time, _ in seen] == [read_frame_header(path).time for path in frames]


def test_crop_and_align_show_the_same_field_from_frame_to_frame(make_film, bare_frames, field):
    path, _ = make_film(bare_frames, align=True, crop=True)
    inside = [(x - 40, y - 40) for x, y in bright_stars(field, 9) if 50 < x < 110 and 50 < y < 110]
    assert inside
    assert wander(read_film(path), inside, (80, 80)).max() < 0.2


def test_frames_of_two_filters_are_mixed_and_the_log_says_so(make_film, tmp_path):
    names = ["V", "V", "rp ", "V", None]
    files = [
        write_frame(
            tmp_path / f"{i}.fits", star_pixels(), f"2026-01-10T02:3{i}:00", cards={"FILTER": name} if name else {}
        )
        for i, name in enumerate(names)
    ]
    path, reporter = make_film(files)
    assert "Frames of 2 filters: 3 x V, 1 x rp, 1 without a name" in reporter.lines
    assert len(read_film(path)) == 5


def test_of_one_filter_nothing_is_said(make_film, frames):
    assert "filter" not in make_film(frames)[1].text


@pytest.mark.parametrize("kind", ["gif", "mp4", "webm"])
def test_all_flags_work_together_in_every_format(make_film, frames, kind):
    path, reporter = make_film(frames, {"format": kind, "size": 101}, **EVERY_FLAG)
    assert path.name == f"t.{kind}"
    film = read_film(path)
    assert (len(film), left_out(reporter)) == (COUNT, {})
    assert film[0].shape == (80, 80, 3)
    assert all(frame.std() > 5 for frame in film)


@pytest.mark.parametrize(
    "flags", [flags for n in (0, 2, 5) for flags in itertools.combinations(FLAGS, n)], ids="+".join
)
def test_flags_work_in_any_combination(make_film, frames, flags):
    path, reporter = make_film(frames[:3], {"size": 64}, **dict.fromkeys(flags, True))
    assert len(read_film(path)) == 3
    assert reporter.lines[-1] == "Finished"


def test_constant_frames_pass_through_every_flag_but_align(make_film, tmp_path):
    files = [write_frame(tmp_path / f"{i}.fits", np.full((60, 80), 7, dtype=np.int16)) for i in range(2)]
    files.append(write_frame(tmp_path / "good.fits", np.arange(4800, dtype=np.int16).reshape(60, 80)))
    path, reporter = make_film(files, **{**EVERY_FLAG, "align": False})
    assert len(read_film(path)) == 3
    assert [line for line in reporter.lines if line.startswith("Frame")] == [
        "Frame '0.fits' is blank",
        "Frame '1.fits' is blank",
    ]


@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (2, 200), (9, 9)])
def test_tiny_frames_pass_through_every_flag_but_align(make_film, tmp_path, shape):
    pixels = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    files = [write_frame(tmp_path / f"{i}.fits", pixels) for i in range(2)]
    flags = {**EVERY_FLAG, "align": False, "crop": False}
    assert len(read_film(make_film(files, **flags)[0])) == 2
