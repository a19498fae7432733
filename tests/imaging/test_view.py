import numpy as np
import pytest

from chalicelib.imaging.register import Transform
from chalicelib.imaging.view import Region, View


def spot(x, y, shape=(90, 120), width=4.0):
    rows, columns = np.indices(shape)
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * width**2)).astype(np.float32)


def centroid(pixels):
    rows, columns = np.indices(pixels.shape)
    weights = np.clip(pixels - 0.02, 0, None)
    return [float((axis * weights).sum() / weights.sum()) for axis in (columns, rows)]


def lay_over(view, pixels, transform, fill=0.0):
    region = view.find_region(transform)
    return view.lay_over(view.shrink(region.cut(pixels), region), region, transform, fill)


def turn(degrees, x=0.0, y=0.0):
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return Transform(matrix, np.array([x, y]))


@pytest.mark.parametrize("size", [120, 30])
@pytest.mark.parametrize("transform", [turn(0, 3.4, -2.7), turn(0, -8.25, 6.5), turn(5, 4, -6)])
def test_whole_boxes_are_laid_over_to_a_thirtieth_of_a_pixel(size, transform):
    view = View.of_frames(120, 90, size)
    reference = spot(63.3, 41.8)
    here = transform.inverse().apply([63.3, 41.8])
    wanted = centroid(view.shrink(reference, view.window))
    assert centroid(lay_over(view, spot(*here), transform)) == pytest.approx(wanted, abs=0.03)


@pytest.mark.parametrize("size", [120, 100, 60, 50, 33])
@pytest.mark.parametrize("crop", [1, 0.8, 0.55])
@pytest.mark.parametrize(
    "transform", [turn(0), turn(0, 3.4, -2.7), turn(0, -8.25, 6.5), turn(5, 4, -6), turn(180, 119, 89)]
)
def test_a_star_comes_to_where_it_is_in_the_reference_frame(size, crop, transform):
    view = View.of_frames(120, 90, size, crop)
    reference = spot(63.3, 41.8)
    here = transform.inverse().apply([63.3, 41.8])
    wanted = centroid(view.shrink(view.window.cut(reference), view.window))
    # Shrinking itself, by a ratio a little above 1, moves a star by up to 0.1 pixels.
    assert centroid(lay_over(view, spot(*here), transform)) == pytest.approx(wanted, abs=0.12)


def test_nothing_moves_without_a_shift():
    view = View.of_frames(120, 90, 120)
    pixels = spot(50, 40, width=2)
    assert lay_over(view, pixels, Transform.identity()) == pytest.approx(pixels[::-1], abs=0.02)


def test_no_dark_ring_comes_around_a_saturated_star():
    view = View.of_frames(120, 90, 120)
    pixels = np.full((90, 120), 100, dtype=np.float32)
    pixels[40:44, 50:55] = 4095
    moved = lay_over(view, pixels, turn(0, 0.4, -0.3), fill=100)
    assert (moved.min(), moved.max() > 4000) == (100, True)


def test_where_the_frame_has_no_pixels_the_film_is_filled():
    view = View.of_frames(120, 90, 120)
    moved = lay_over(view, np.full((90, 120), 5, dtype=np.float32), turn(0, 10, 0), fill=7)
    assert np.unique(moved[:, :10]).tolist() == [7]
    assert moved[:, 10:] == pytest.approx(5)


def test_a_cropped_film_shows_what_drifted_in_from_outside_the_crop():
    view = View.of_frames(120, 90, 120, 0.5)
    assert lay_over(view, np.full((90, 120), 5, dtype=np.float32), turn(0, 20, -15), fill=7) == pytest.approx(5)


def test_only_the_part_that_is_shown_is_looked_at():
    view = View.of_frames(4000, 3000, 500, 0.25)
    assert view.find_region(turn(0, 100, 0)) == Region(1393, 1118, 2406, 1881)


@pytest.mark.parametrize("shift", [(150, 0), (0, -100), (118, 0)])
def test_a_frame_that_shows_hardly_anything_of_the_film_has_no_region(shift):
    assert View.of_frames(120, 90, 60).find_region(turn(0, *shift)) is None


@pytest.mark.parametrize(("scale", "is_empty"), [(1, False), (0.5, False), (0.01, True)])
def test_a_crop_may_leave_nothing(scale, is_empty):
    assert View.of_frames(120, 90, 60, scale).is_empty is is_empty
