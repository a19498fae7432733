from fractions import Fraction

import av
import numpy as np
import pytest

from chalicelib.imaging.colours import grey_palette
from chalicelib.imaging.film import open_film

KINDS = ("mp4", "webm")
pytestmark = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def write(tmp_path, kind):
    """Write a film of index frames; return its path."""

    def write(frames, fps=10.0, palette=None, name="t"):
        count = 0
        path = tmp_path / f"{name}.{kind}"
        with open_film(path, kind, fps, grey_palette(128) if palette is None else palette) as film:
            for frame in frames:
                film.add(np.asarray(frame, dtype=np.uint8))
                count += 1
        assert film.frames == count
        return path

    return write


def decode(path):
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(video=0)]


def flat(value, shape=(32, 48)):
    return np.full(shape, value)


def test_frames_come_back_in_order(write):
    levels = [5, 90, 30, 127, 60, 0]
    greys = [int(frame.mean()) for frame in decode(write([flat(level) for level in levels]))]
    assert greys == pytest.approx([level * 255 / 127 for level in levels], abs=3)


def test_codec_pixels_and_colours_are_those_that_browsers_expect(write, kind):
    with av.open(str(write([flat(9)] * 2))) as film:
        codec = film.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ({"mp4": "h264", "webm": "vp9"}[kind], "yuv420p")
        # ITU-T H.273: 1 is BT.709; range 1 is limited
        assert (codec.color_primaries, codec.color_trc, codec.colorspace, codec.color_range) == (1, 1, 1, 1)


@pytest.mark.parametrize("fps", [0.01, 0.5, 10, 12.5, 29.97, 60])
def test_rate_and_duration_are_those_that_were_asked_for(write, fps):
    with av.open(str(write([flat(9)] * 5, fps))) as film:
        assert film.streams.video[0].average_rate == Fraction(str(fps))
        assert film.duration / 1e6 == pytest.approx(5 / fps, abs=0.002)


@pytest.mark.parametrize("shape", [(1, 1), (31, 50), (32, 49), (33, 47), (1, 500)])
def test_odd_sides_grow_by_their_last_row_and_column(write, shape):
    frame = np.zeros(shape)
    frame[-1, :] = frame[:, -1] = 127
    (pixels,) = decode(write([frame]))
    height, width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
    assert pixels.shape == (height, width, 3)
    assert pixels[-1, :].min() > 200
    assert pixels[:, -1].min() > 200


@pytest.mark.parametrize("colour", [(255, 255, 255), (230, 40, 30), (20, 200, 60), (30, 60, 220), (90, 90, 90)])
def test_colours_come_from_the_palette(write, colour):
    frame = flat(1)
    frame[:, :2] = 0
    # libswscale takes BT.601 unless told otherwise, so BT.709 is undone here
    with av.open(str(write([frame], palette=[0, 0, 0, *colour]))) as film:
        planes = next(film.decode(video=0)).to_ndarray(format="yuv420p")
    luma = (planes[16, 40] - 16.0) / 219
    blue, red = (plane[8, 16] / 224 - 128 / 224 for plane in planes[32:].reshape(2, 16, 24))
    shown = [luma + 1.5748 * red, luma - 0.1873 * blue - 0.4681 * red, luma + 1.8556 * blue]
    assert [value * 255 for value in shown] == pytest.approx(list(colour), abs=4)


def test_the_same_frames_give_the_same_file(write):
    frames = [np.random.default_rng(seed).integers(0, 128, (40, 60)) for seed in range(3)]
    assert write(frames, name="a").read_bytes() == write(frames, name="b").read_bytes()


def test_a_star_of_one_pixel_stays_a_point(write):
    frame = flat(10, (64, 64))
    frame[20, 31] = 127
    (pixels,) = decode(write([frame]))
    assert np.unravel_index(pixels[..., 1].argmax(), (64, 64)) == (20, 31)
    assert pixels[20, 31, 1] > 200
    assert np.median(pixels) == pytest.approx(20, abs=3)


def test_the_file_does_not_say_where_it_was_made(write, tmp_path):
    data = write([flat(9)] * 3).read_bytes()
    assert tmp_path.name.encode() not in data
    assert b"/tmp" not in data


def test_the_index_of_an_mp4_comes_first(write, kind):
    data = write([flat(9)] * 3).read_bytes()
    if kind == "mp4":
        assert 0 < data.index(b"moov") < data.index(b"mdat")
    else:
        assert data.startswith(b"\x1aE\xdf\xa3")  # the EBML header of Matroska


def test_a_frame_of_another_size_is_refused(write):
    with pytest.raises(ValueError, match="a frame of 2 x 1 in a film of 1 x 1"):
        write([[[0]], [[0, 0]]])


@pytest.mark.parametrize("fps", [0, -1, float("nan")])
def test_a_rate_that_is_not_above_zero_is_refused(write, fps):
    with pytest.raises(ValueError, match="fps"):
        write([[[0]]], fps)


@pytest.mark.parametrize("palette", [[], [1, 2], [0] * 771])
def test_a_palette_of_a_wrong_length_is_refused(write, palette):
    with pytest.raises(ValueError, match="palette"):
        write([[[0]]], palette=palette)


def test_an_error_between_two_frames_is_the_one_that_is_raised(write):
    def failing():
        yield flat(1)
        raise KeyError("between two frames")

    with pytest.raises(KeyError, match="between two frames"):
        write(failing())


def test_a_film_without_a_frame_ends_quietly(write):
    write([])
