import numpy as np
import pytest

from chalicelib.imaging.colours import COLOUR_MAPS, colour_palette, grey_palette


def colours(name, levels=128):
    return np.frombuffer(colour_palette(name, levels), dtype=np.uint8).reshape(-1, 3).astype(float)


def test_the_grey_palette_goes_from_black_to_white():
    assert list(grey_palette(3)) == [0, 0, 0, 127, 127, 127, 255, 255, 255]


@pytest.mark.parametrize("name", COLOUR_MAPS)
@pytest.mark.parametrize("levels", [2, 128, 256])
def test_every_map_goes_from_one_of_black_and_white_to_the_other(name, levels):
    ends = colours(name, levels)[[0, -1]].tolist()
    wanted = [[0, 0, 0], [255, 255, 255]]
    assert ends == (wanted[::-1] if name == "negative" else wanted)


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_brightness_changes_from_level_to_level_in_one_direction(name):
    # ITU-R BT.709's luma
    steps = np.diff(colours(name) @ (0.2126, 0.7152, 0.0722))
    assert (steps * (-1 if name == "negative" else 1)).min() > 0.3


def test_cubehelix_is_greens():
    # Green 2011, equation 2, for the level 0.5: an angle of 2 pi (0.5 / 3 + 1 - 0.75) and a radius of 1 / 8.
    angle = 2 * np.pi * (0.5 / 3 + 0.25)
    red = 0.5 + (-0.14861 * np.cos(angle) + 1.78277 * np.sin(angle)) / 8
    green = 0.5 + (-0.29227 * np.cos(angle) - 0.90649 * np.sin(angle)) / 8
    blue = 0.5 + 1.97294 * np.cos(angle) / 8
    assert colours("cubehelix", 3)[1] == pytest.approx([255 * red, 255 * green, 255 * blue], abs=0.51)
