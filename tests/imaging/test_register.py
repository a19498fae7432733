import os
from pathlib import Path

import numpy as np
import pytest

from chalicelib.imaging.fits import read_frame_header, read_pixels
from chalicelib.imaging.register import Transform, match_stars
from chalicelib.imaging.stars import find_stars

DATA = Path(__file__).resolve().parents[2] / os.environ.get("SIDEREAL_DATA", "../shared/data")
real = pytest.mark.skipif(not DATA.is_dir(), reason="no real frames: SIDEREAL_DATA names no folder")

SIZE = 1000
CORNERS = np.array([[0, 0], [SIZE - 1, 0], [0, SIZE - 1], [SIZE - 1, SIZE - 1]])


def turned(angle_deg=0.0, scale=1.0, shift=(0.0, 0.0)):
    """Return a turn about the middle of the frame, then a shift."""
    cosine, sine = scale * np.cos(np.radians(angle_deg)), scale * np.sin(np.radians(angle_deg))
    matrix = np.array([[cosine, -sine], [sine, cosine]])
    return Transform(matrix, SIZE / 2 - matrix @ (SIZE / 2, SIZE / 2) + shift)


def observe(rng, xy, most, noise=0.05, false=0.3):
    """Return what a frame shows of stars listed by brightness: some missed, some false, their order slightly mixed."""
    seen = np.flatnonzero(rng.uniform(size=len(xy)) < 0.9)
    extra = int(false * len(seen))
    found = np.vstack([xy[seen] + rng.normal(0, noise, (len(seen), 2)), rng.uniform(0, SIZE, (extra, 2))])
    rank = np.concatenate([seen * np.exp(rng.normal(0, 0.2, len(seen))), rng.uniform(0, len(xy), extra)])
    found = found[np.argsort(rank)]
    return found[((found >= 0) & (found < SIZE)).all(axis=1)][:most]


def two_frames(truth, stars, most_here=200, most_there=200, seed=0, **how):
    rng = np.random.default_rng(seed)
    field = rng.uniform(-200, SIZE + 200, (stars, 2))
    there = observe(rng, field, most_there, **how)
    return observe(rng, truth.inverse().apply(field), most_here, **how), there


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("truth", "stars", "most_there"),
    [
        pytest.param(turned(shift=(37.31, -20.64)), 200, 200, id="a shift by parts of a pixel"),
        pytest.param(turned(shift=(500.3, -300.7)), 250, 200, id="little overlap"),
        pytest.param(turned(shift=(137.3, -20.6)), 300, 15, id="much less depth"),
        pytest.param(turned(1.5, shift=(12.2, -30.4)), 200, 200, id="a slight turn"),
        pytest.param(turned(180, shift=(12.2, -30.4)), 200, 200, id="half a turn"),
        pytest.param(turned(180, shift=(12.2, -30.4)), 300, 25, id="half a turn and less depth"),
        pytest.param(turned(67, shift=(12.2, -30.4)), 200, 200, id="any turn"),
        pytest.param(turned(-119, 1.08, shift=(12.2, -30.4)), 200, 200, id="any turn and a change of scale"),
        pytest.param(turned(31, 0.94), 300, 40, id="any turn, scale and depth"),
    ],
)
def test_frames_are_laid_on_each_other_to_a_tenth_of_a_pixel(truth, stars, most_there, seed):
    here, there = two_frames(truth, stars, most_there=most_there, seed=seed)
    found = match_stars(here, there)
    assert found is not None
    # Positions scatter by 0.05 pixels in either frame and coordinate, which the corners of the frame feel twice.
    inside = np.linspace(100, 900, 5)
    grid = np.stack(np.meshgrid(inside, inside), axis=-1).reshape(-1, 2)
    assert np.sqrt(np.mean(np.sum((found.apply(grid) - truth.apply(grid)) ** 2, axis=1))) < 0.1
    assert np.hypot(*(found.apply(CORNERS) - truth.apply(CORNERS)).T).max() < 0.5
    assert found.rms_px < 0.2
    assert found.matched >= 6


@pytest.mark.parametrize("seed", range(20))
def test_exact_positions_give_an_exact_transform(seed):
    rng = np.random.default_rng(seed)
    truth = turned(rng.uniform(-180, 180), rng.uniform(0.9, 1.1), rng.uniform(-50, 50, 2))
    there = rng.uniform(0, SIZE, (40, 2))
    found = match_stars(truth.inverse().apply(there), there)
    assert np.abs(found.apply(CORNERS) - truth.apply(CORNERS)).max() < 1e-6
    assert found.matched == 40


@pytest.mark.parametrize("count", [3, 4, 6])
def test_three_stars_are_enough_for_a_shift(count):
    there = np.array([[120.0, 700], [830, 410], [300, 150], [910, 905], [40, 30], [555, 480]])[:count]
    found = match_stars(there - (14.3, -6.1), there)
    assert found.shift == pytest.approx([14.3, -6.1])
    assert np.array_equal(found.matrix, np.eye(2))
    assert (found.matched, found.rms_px) == (count, pytest.approx(0, abs=1e-9))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_stars_tell_nothing(count):
    xy = np.random.default_rng(1).uniform(0, SIZE, (50, 2))
    assert match_stars(xy[:count], xy) is None
    assert match_stars(xy, xy[:count]) is None


@pytest.mark.parametrize(("here", "there"), [(3, 3), (5, 5), (12, 12), (50, 50), (200, 15), (4, 200), (200, 200)])
def test_stars_of_different_fields_do_not_agree_by_chance(here, there):
    rng = np.random.default_rng(here)
    for _ in range(3):
        assert match_stars(rng.uniform(0, SIZE, (here, 2)), rng.uniform(0, SIZE, (there, 2))) is None


def test_a_few_stars_in_the_middle_do_not_turn_the_frame():
    rng = np.random.default_rng(3)
    there = rng.uniform(450, 550, (5, 2))
    found = match_stars(there - (30, 10) + rng.normal(0, 0.1, (5, 2)), there)
    assert np.hypot(*(found.apply(CORNERS) - CORNERS - (30, 10)).T).max() < 0.3


def test_bright_stars_with_wrong_centres_have_no_say():
    rng = np.random.default_rng(4)
    there = rng.uniform(0, SIZE, (20, 2))
    here = there - (10, 7) + rng.normal(0, 0.05, (20, 2))
    here[:5] += rng.uniform(1.5, 3, (5, 2))
    found = match_stars(here, there)
    assert found.shift == pytest.approx([10, 7], abs=0.1)
    assert found.matched == 15


def test_a_good_guess_decides_between_equals():
    # A grid of stars looks the same after each step.
    there = np.stack(np.meshgrid(np.arange(100, 900, 80.0), np.arange(100, 900, 80.0)), axis=-1).reshape(-1, 2)
    guess = turned(shift=(81, -1))
    assert match_stars(there, there, guess).shift == pytest.approx([80, 0])
    assert match_stars(there, there).shift == pytest.approx([0, 0])


@pytest.mark.parametrize("guess", [turned(shift=(400, 400)), turned(90), turned(0, 0.5), turned(180)])
def test_a_wrong_guess_does_no_harm(guess):
    truth = turned(shift=(37.3, -20.6))
    found = match_stars(*two_frames(truth, 150), guess)
    assert np.hypot(*(found.apply(CORNERS) - truth.apply(CORNERS)).T).max() < 0.2


def test_a_guess_that_mirrors_the_frame_is_followed():
    there = np.random.default_rng(5).uniform(0, SIZE, (40, 2))
    mirror = Transform(np.array([[-1.0, 0], [0, 1]]), np.array([SIZE - 1.0, 0]))
    here = Transform(mirror.matrix, mirror.shift + np.array([2, 1])).apply(there)
    found = match_stars(here, there, mirror)
    assert np.linalg.det(found.matrix) == pytest.approx(-1)
    assert found.apply(here) == pytest.approx(there)


def test_a_transform_and_its_inverse_cancel():
    transform = turned(40, 1.2, (5, -9))
    assert transform.inverse().apply(transform.apply(CORNERS)) == pytest.approx(CORNERS, abs=1e-9)
    assert transform.apply((3.0, 4.0)) == pytest.approx(transform.apply([[3.0, 4.0]])[0])
    assert Transform.identity().apply((3, 4)).tolist() == [3, 4]
    assert Transform(transform.matrix, transform.shift, 7, 0.6).inverse().rms_px == pytest.approx(0.5)


def stars_of(path):
    return find_stars(read_pixels(path, read_frame_header(path)))


@real
def test_the_drifting_field_of_hat_p_32_is_followed_all_night():
    paths = sorted((DATA / "hat-p-32-transit").glob("*.FITS"))
    reference = stars_of(paths[0])
    named = np.array([[423.1, 286.0], [464.0, 181.8], [512.7, 261.5]])
    shifts, guess = [], None
    for number, path in enumerate(paths):
        stars = stars_of(path)
        found = match_stars(stars.xy, reference.xy, guess)
        assert found.matched > 90
        assert found.rms_px < 0.2
        # All three stars of the README are found where the transform says they are.
        away = np.hypot(*(found.apply(stars.xy)[:, None] - named[None]).transpose(2, 0, 1)).min(axis=0)
        assert away.max() < 0.5
        if number % 10 == 0:
            alone = match_stars(stars.xy, reference.xy)
            assert np.abs(alone.apply(named) - found.apply(named)).max() < 0.1
        shifts.append(found.shift)
        guess = found
    assert np.ptp(shifts, axis=0) == pytest.approx([273, 63], abs=5)


@real
def test_the_asteroids_field_is_followed_through_clouds_and_torchlight():
    paths = sorted((DATA / "2713-luxembourg-fz").glob("*.fz"))
    reference = stars_of(paths[0])
    found = [match_stars(stars_of(path).xy, reference.xy) for path in paths]
    assert min(transform.matched for transform in found) >= 10
    assert max(transform.rms_px for transform in found) < 0.2
    middle = np.array([transform.apply((275, 260)) for transform in found]) - (275, 260)
    assert middle[-1] == pytest.approx([-21, 15], abs=0.5)
    # The mount drifts smoothly: the torch-lit frame, too, lies between its neighbours.
    (spoilt,) = (number for number, path in enumerate(paths) if "0020" in path.name)
    assert middle[spoilt] == pytest.approx((middle[spoilt - 1] + middle[spoilt + 1]) / 2, abs=0.6)


@real
def test_fields_of_two_nights_and_telescopes_do_not_match():
    here = stars_of(DATA / "hat-p-32-transit/HATP-32171220013343.FITS")
    there = stars_of(DATA / "2713-luxembourg-fz/luxembourg-20181018-0012.fits.fz")
    assert match_stars(here.xy, there.xy) is None
    assert match_stars(there.xy, here.xy) is None
