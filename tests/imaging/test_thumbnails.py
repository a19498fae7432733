import io
import struct
import zlib

import av
import numpy as np
import pytest
from PIL import Image

from chalicelib.imaging.headers import FrameError
from chalicelib.imaging.thumbnails import MAX_PIXELS, SIZE_PX, UNKNOWN, find_reader, make_thumbnail
from tests.factories_frames import star_pixels, table_rows, write_frame, write_hdus


def thumbnail(path):
    picture = Image.open(io.BytesIO(make_thumbnail(path, path.name)))
    assert picture.format == "PNG"
    return picture


def reason(path):
    with pytest.raises(FrameError) as caught:
        make_thumbnail(path, path.name)
    return caught.value.reason


def write_film(path, codec, count=3):
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for number in range(count):
            pixels = np.full((32, 64, 3), 250 if number == 0 else 10, dtype=np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        film.mux(stream.encode())
    return path


def test_a_frame_becomes_a_small_picture_that_stands_as_it_is_looked_at(tmp_path):
    pixels = star_pixels(x=800, y=40, shape=(600, 1200))
    pixels[38:43, 798:803] = 60000
    picture = thumbnail(write_frame(tmp_path / "a.fits", pixels))
    assert picture.size == (SIZE_PX, SIZE_PX // 2)
    y, x = np.unravel_index(np.argmax(np.asarray(picture)), (128, 256))
    # FITS row 1 is at the bottom
    assert (x, y) == (pytest.approx(800 * 256 / 1200, abs=1), pytest.approx(128 - 40 * 128 / 600, abs=1))


def test_a_small_frame_is_not_enlarged(tmp_path):
    assert thumbnail(write_frame(tmp_path / "a.fits", star_pixels())).size == (20, 12)


def test_a_frame_without_a_date_has_a_thumbnail(tmp_path):
    assert thumbnail(write_frame(tmp_path / "a.fits", star_pixels(), date=None)).size == (20, 12)


def test_a_frame_without_any_good_pixel_has_a_thumbnail(tmp_path):
    picture = thumbnail(write_frame(tmp_path / "a.fits", np.full((8, 8), np.nan, dtype=np.float32)))
    assert np.asarray(picture).max() == 0


@pytest.mark.parametrize("name", ["a.fits.fz", "a.jpg"])
def test_what_a_file_is_stands_in_it_and_not_in_its_name(tmp_path, name):
    path = write_frame(tmp_path / "a.fits.fz", star_pixels(), compress="rice").rename(tmp_path / name)
    assert thumbnail(path).size == (20, 12)


@pytest.mark.parametrize(("mode", "kind"), [("RGB", "jpeg"), ("L", "jpeg"), ("RGB", "png"), ("P", "gif"), ("1", "png")])
def test_a_picture_becomes_a_smaller_one(tmp_path, mode, kind):
    path = tmp_path / f"a.{kind}"
    Image.new("RGB", (1000, 500), (200, 200, 200)).convert(mode).save(path)
    picture = thumbnail(path)
    assert picture.size == (256, 128)
    assert abs(np.asarray(picture.convert("L")).mean() - (255 if mode == "1" else 200)) < 60


def test_a_picture_that_is_seen_through_stays_so(tmp_path):
    Image.new("RGBA", (300, 300), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert thumbnail(tmp_path / "a.png").getpixel((0, 0))[3] == 0


def test_a_grey_picture_of_16_bits_keeps_its_tones(tmp_path):
    Image.fromarray(np.full((4, 4), 0x8000, dtype=np.uint16)).save(tmp_path / "a.png")
    assert thumbnail(tmp_path / "a.png").getpixel((0, 0)) == 0x80


def test_a_camera_that_was_held_sideways_is_put_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned by 90 degrees
    Image.new("RGB", (400, 200)).save(tmp_path / "a.jpg", exif=exif)
    assert thumbnail(tmp_path / "a.jpg").size == (128, 256)


def test_of_a_moving_gif_the_first_frame_counts(tmp_path):
    frames = [Image.new("L", (10, 10), shade) for shade in (255, 0, 0)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert thumbnail(tmp_path / "a.gif").convert("L").getpixel((5, 5)) == 255


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.webm", "libvpx")])
def test_of_a_film_the_first_frame_counts(tmp_path, name, codec):
    picture = thumbnail(write_film(tmp_path / name, codec))
    assert picture.size == (64, 32)
    assert picture.convert("L").getpixel((30, 15)) > 200


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"<svg/>", b"#EXTM3U\nfile:///etc/passwd\n"])
def test_what_holds_no_picture_is_refused_by_its_first_bytes(tmp_path, content):
    assert find_reader(content[:16]) is None
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert reason(path) == UNKNOWN


def test_a_table_is_refused_in_words(tmp_path):
    path = write_hdus(tmp_path / "a.fits", (None, {}), (table_rows(), {}))
    assert reason(path) == "it holds no image, only tables or other data"


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def test_damaged_files_are_refused_in_words(tmp_path):
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    for kind in ("png", "jpg", "gif"):
        picture.save(tmp_path / f"a.{kind}")
        assert reason(cut(tmp_path / f"a.{kind}")) == "the picture is damaged"
    assert reason(cut(write_film(tmp_path / "a.mp4", "libx264"))) == "the film is damaged, or holds no picture"
    assert reason(cut(write_frame(tmp_path / "a.fits", star_pixels(shape=(100, 100))))) == "the file is cut short"
    for start in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"\x1a\x45\xdf\xa3", b"\x00\x00\x00\x18ftypmp42"):
        (tmp_path / "b").write_bytes(start + b"\x00nonsense" * 20)
        assert "damaged" in reason(tmp_path / "b")


def png_that_claims(width, height):
    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_001, 60_000])
def test_a_small_file_that_claims_a_huge_picture_is_not_unpacked(tmp_path, side):
    assert side**2 > MAX_PIXELS
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(side, side))
    assert "too large" in reason(path)


def test_a_frame_that_claims_a_huge_image_is_not_read(tmp_path):
    cards = [("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "2"), ("NAXIS1", "10001"), ("NAXIS2", "10001")]
    header = b"".join(f"{key:8}= {value:>20}".ljust(80).encode() for key, value in cards) + b"END".ljust(80)
    path = tmp_path / "a.fits"
    with path.open("wb") as file:
        file.write(header.ljust(2880))
        file.truncate(2880 + 10001**2 + 2880)  # a file with a hole: it takes no room
    assert reason(path) == "an image of 10001 x 10001 pixels is too large for a thumbnail"
