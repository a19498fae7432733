import numpy as np
import pytest
from PIL import Image, ImageSequence

from chalicelib.imaging.colours import grey_palette
from chalicelib.imaging.gif import GifWriter


def write(path, frames, fps=10.0, palette=None):
    with GifWriter(path, fps, grey_palette(128) if palette is None else palette) as writer:
        for frame in frames:
            writer.add(np.asarray(frame, dtype=np.uint8))
    return writer


def noise(shape, seed, levels=128):
    return np.random.default_rng(seed).integers(0, levels, shape).astype(np.uint8)


def test_every_frame_comes_back_pixel_by_pixel(tmp_path):
    frames = [noise((30, 50), seed) for seed in range(5)]
    assert write(tmp_path / "t.gif", frames).frames == 5
    greys = np.arange(128) * 255 // 127
    with Image.open(tmp_path / "t.gif") as film:
        assert (film.n_frames, film.size) == (5, (50, 30))
        for frame, image in zip(frames, ImageSequence.Iterator(film), strict=True):
            assert np.array_equal(np.asarray(image.convert("L")), greys[frame])


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (385, 500)])
def test_frames_of_any_shape_can_be_read_back(tmp_path, shape):
    write(tmp_path / "t.gif", [noise(shape, 1), noise(shape, 2)])
    with Image.open(tmp_path / "t.gif") as film:
        film.seek(1)
        assert np.asarray(film.convert("L")).shape == shape


@pytest.mark.parametrize(
    ("fps", "duration_ms"), [(10, 100), (30, 30), (3, 330), (50, 20), (1000, 20), (0.5, 2000), (0.0001, 655350)]
)
def test_the_delay_is_in_hundredths_of_a_second_and_at_least_two(tmp_path, fps, duration_ms):
    write(tmp_path / "t.gif", [[[0]], [[1]]], fps)
    with Image.open(tmp_path / "t.gif") as film:
        assert film.info["duration"] == duration_ms


def test_the_film_plays_for_ever(tmp_path):
    write(tmp_path / "t.gif", [[[0]], [[1]]])
    with Image.open(tmp_path / "t.gif") as film:
        assert film.info["loop"] == 0


def test_colours_come_from_the_palette(tmp_path):
    write(tmp_path / "t.gif", [[[0, 1, 2]]], palette=[0, 0, 0, 255, 0, 0, 10, 20, 30])
    with Image.open(tmp_path / "t.gif") as film:
        assert np.asarray(film.convert("RGB")).tolist() == [[[0, 0, 0], [255, 0, 0], [10, 20, 30]]]


def test_a_view_that_is_upside_down_in_memory_is_written_as_it_looks(tmp_path):
    frame = np.array([[0, 127], [127, 127]], dtype=np.uint8)[::-1]
    write(tmp_path / "t.gif", [frame])
    with Image.open(tmp_path / "t.gif") as film:
        assert np.asarray(film.convert("L")).tolist() == [[255, 255], [0, 255]]


def test_a_frame_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a frame of 2 x 1 in a film of 1 x 1"):
        write(tmp_path / "t.gif", [[[0]], [[0, 0]]])


@pytest.mark.parametrize("fps", [0, -1, float("nan")])
def test_a_rate_that_is_not_above_zero_is_refused(tmp_path, fps):
    with pytest.raises(ValueError, match="fps"):
        GifWriter(tmp_path / "t.gif", fps, grey_palette(2))


@pytest.mark.parametrize("palette", [[], [1, 2], [0] * 771])
def test_a_palette_of_a_wrong_length_is_refused(tmp_path, palette):
    with pytest.raises(ValueError, match="palette"):
        GifWriter(tmp_path / "t.gif", 10, palette)
