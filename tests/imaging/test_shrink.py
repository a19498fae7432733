import numpy as np
import pytest

from chalicelib.imaging.shrink import crop_bounds, shrink


@pytest.mark.parametrize(
    ("length", "scale", "expected"),
    [
        (1024, 0.5, (256, 768)),
        (101, 0.5, (25, 75)),
        (203, 0.5, (51, 151)),
        (10, 1.0, (0, 10)),
        (11, 1.0, (0, 10)),
        (2, 0.5, (1, 1)),
    ],
)
def test_crop_keeps_the_published_part_around_the_middle(length, scale, expected):
    assert crop_bounds(length, scale) == expected


def test_the_first_fits_row_ends_at_the_bottom():
    assert shrink(np.array([[1, 2], [3, 4]], dtype=np.int16), 500).tolist() == [[3, 4], [1, 2]]


def test_a_small_image_is_not_enlarged():
    assert shrink(np.zeros((20, 30)), 500).shape == (20, 30)


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((1024, 1024), 500, (500, 500)),
        ((500, 650), 500, (385, 500)),
        ((520, 550), 500, (473, 500)),
        ((5, 2027), 500, (1, 500)),
        ((2027, 3), 500, (500, 1)),
        ((7, 11), 10, (6, 10)),
    ],
)
def test_the_longest_side_fits_and_the_aspect_is_kept(shape, size, expected):
    assert shrink(np.ones(shape, dtype=np.float32), size).shape == expected


def test_shrinking_averages_whole_boxes():
    pixels = np.array([[1, 3, 10, 10], [5, 7, 10, 30]], dtype=np.uint16)
    assert shrink(pixels, 2).tolist() == [[4, 15]]


@pytest.mark.parametrize("shape", [(64, 64), (70, 50), (99, 33)])
def test_a_flat_image_stays_flat(shape):
    assert np.allclose(shrink(np.full(shape, 60000, dtype=np.uint16), 25), 60000)


def test_no_dark_ring_appears_around_a_star():
    pixels = np.full((75, 75), 100, dtype=np.float32)
    pixels[37, 37] = 60000
    assert shrink(pixels, 50).min() >= 99.9


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("size", [2, 4])
def test_bad_pixels_are_filled_with_the_median_of_the_others(bad, size):
    pixels = np.full((4, 4), 7, dtype=np.float32)
    pixels[0, 1] = bad
    pixels[3, 3] = 27
    found = shrink(pixels, size)
    assert found[-1].tolist() == [7] * size
    assert found[0, -1] == (12 if size == 2 else 27)


def test_64_bit_floats_beyond_32_bit_count_as_bad():
    pixels = np.full((2, 2), 7.0)
    pixels[0, 0] = 1e300
    assert shrink(pixels, 2).tolist() == [[7, 7], [7, 7]]


def test_an_image_of_bad_pixels_only_becomes_zero():
    assert shrink(np.full((4, 4), np.nan, dtype=np.float32), 2).tolist() == [[0, 0], [0, 0]]


def test_the_given_pixels_stay_as_they_are():
    pixels = np.array([[1, np.nan], [3, 4]], dtype=np.float32)
    shrink(pixels, 1)
    assert np.array_equal(pixels, [[1, np.nan], [3, 4]], equal_nan=True)
