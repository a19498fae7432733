import gzip
from datetime import UTC, datetime

import numpy as np
import pytest

from chalicelib.imaging.fits import MAX_PIXELS, NO_DATE, read_frame_header, read_pixels
from chalicelib.imaging.headers import FrameError, parse_value
from chalicelib.imaging.tiles import mark_blanks
from tests.factories_frames import DATE, star_pixels, table_rows, write_frame, write_hdus

TIME = datetime(2026, 1, 10, 2, 30, tzinfo=UTC)


def read(path):
    header = read_frame_header(path)
    return header, read_pixels(path, header)


def reason(path):
    with pytest.raises(FrameError) as caught:
        read(path)
    assert str(caught.value) == f"Error in file '{path.name}': {caught.value.reason}"
    return caught.value.reason


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"])
def test_every_pixel_type_keeps_its_values(tmp_path, dtype):
    pixels = np.arange(12, dtype=dtype).reshape(3, 4)
    header, found = read(write_frame(tmp_path / "a.fits", pixels))
    assert (header.size, header.time, header.planes) == ((4, 3), TIME, 1)
    assert found.tolist() == pixels.tolist()


def test_unsigned_16_bit_reaches_65535(tmp_path):
    _, found = read(write_frame(tmp_path / "a.fits", np.array([[0, 32768], [32769, 65535]], dtype=np.uint16)))
    assert found.tolist() == [[0, 32768], [32769, 65535]]


@pytest.mark.parametrize("method", ["rice", "gzip", "gzip_2", "hcompress", "plio"])
def test_every_tile_compression_keeps_integers(tmp_path, method):
    pixels = np.arange(40 * 30, dtype=np.int16).reshape(40, 30)
    header, found = read(write_frame(tmp_path / "a.fits.fz", pixels, compress=method))
    assert (header.image.index, header.bitpix, header.size) == (1, 16, (30, 40))
    assert found.tolist() == pixels.tolist()


def test_nan_and_infinity_survive_compression(tmp_path):
    pixels = np.array([[1.5, np.nan], [np.inf, -np.inf]], dtype=np.float32)
    _, found = read(write_frame(tmp_path / "a.fits.fz", pixels, compress="gzip_2", qlevel=0))
    assert np.array_equal(found, pixels, equal_nan=True)


@pytest.mark.parametrize("name", ["a.fits.gz", "a.fits"])
def test_gzip_bytes_are_recognised_whatever_the_name(tmp_path, name):
    plain = write_frame(tmp_path / "plain.fits", star_pixels())
    zipped = tmp_path / name
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    header, found = read(zipped)
    assert header.time == TIME
    assert found.tolist() == star_pixels().tolist()


@pytest.mark.parametrize(
    "name",
    [
        "a[1:2,1:2].fits",
        "a & ü b.fits",
        "a(copy).fits",
        "a+1.fits",
        "a.imh.fits",
        "a;b'c\"d.fits",
        "!a.fits",
        "a%20.fits",
    ],
)
def test_characters_that_mean_something_to_cfitsio_are_just_a_name(tmp_path, name):
    path = write_frame(tmp_path / "plain.fits", star_pixels()).rename(tmp_path / name)
    _, found = read(path)
    assert found.tolist() == star_pixels().tolist()


def test_a_relative_path_is_read(tmp_path, monkeypatch):
    path = write_frame(tmp_path / "a.fits", star_pixels())
    monkeypatch.chdir(tmp_path)
    _, found = read(path.relative_to(tmp_path))
    assert found.shape == (12, 20)


def test_axes_of_length_one_are_dropped(tmp_path):
    header, found = read(write_frame(tmp_path / "a.fits", star_pixels()[None, :, :]))
    assert (header.planes, found.shape) == (1, (12, 20))


@pytest.mark.parametrize("compress", [None, "rice"])
def test_of_a_cube_the_first_plane_is_taken(tmp_path, compress):
    cube = np.arange(3 * 10 * 8, dtype=np.int16).reshape(3, 10, 8)
    header, found = read(write_frame(tmp_path / "a.fits", cube, compress=compress))
    assert (header.planes, header.size) == (3, (8, 10))
    assert found.tolist() == cube[0].tolist()


def test_the_first_image_is_taken_not_the_table_before_or_the_mask_behind_it(tmp_path):
    path = write_hdus(
        tmp_path / "a.fits",
        (None, {}),
        (table_rows(), {"EXTNAME": "CAT"}),
        (star_pixels(), {"EXTNAME": "SCI", "DATE-OBS": DATE}),
        (np.zeros((12, 20), dtype=np.uint8), {"EXTNAME": "BPM"}),
    )
    header, found = read(path)
    assert header.image.index == 2
    assert found.tolist() == star_pixels().tolist()


def test_a_mask_in_front_of_the_image_is_passed_over(tmp_path):
    mask = np.zeros((12, 20), dtype=np.uint8)
    hdus = [(None, {"DATE-OBS": DATE}), (mask, {"EXTNAME": "BPM"}), (star_pixels(), {"EXTNAME": "SCI"})]
    assert read_frame_header(write_hdus(tmp_path / "a.fits", *hdus)).image.index == 2


def test_the_time_of_the_image_wins_over_that_of_the_primary(tmp_path):
    hdus = [(None, {"DATE-OBS": "2020-01-01T00:00:00"}), (star_pixels(), {"EXTNAME": "SCI", "DATE-OBS": DATE})]
    assert read_frame_header(write_hdus(tmp_path / "a.fits", *hdus)).time == TIME


def test_a_date_alone_gives_way_to_the_time_of_another_hdu(tmp_path):
    hdus = [(None, {"DATE-OBS": DATE}), (star_pixels(), {"EXTNAME": "SCI", "DATE-OBS": DATE[:10]})]
    header = read_frame_header(write_hdus(tmp_path / "a.fits", *hdus))
    assert (header.time, header.has_time) == (TIME, True)
    hdus[0][1].clear()
    header = read_frame_header(write_hdus(tmp_path / "b.fits", *hdus))
    assert (header.time, header.has_time) == (TIME.replace(hour=0, minute=0), False)


@pytest.mark.parametrize("position", [0, 2])
def test_the_time_may_stand_in_another_hdu(tmp_path, position):
    hdus = [(None, {}), (star_pixels(), {"EXTNAME": "SCI"}), (star_pixels(), {"EXTNAME": "BPM"})]
    hdus[position][1]["DATE-OBS"] = DATE
    header = read_frame_header(write_hdus(tmp_path / "a.fits", *hdus))
    assert (header.image.index, header.time) == (1, TIME)


@pytest.mark.parametrize("date", [None, "not a date"])
def test_without_a_date_the_published_text_says_so(tmp_path, date):
    path = write_frame(tmp_path / "a.fits", star_pixels(), date)
    assert reason(path) == NO_DATE
    with pytest.raises(
        FrameError, match=r"^Error in file 'night 1': could not find observation date in FITS header 'DA"
    ):
        read_frame_header(path, "night 1")


def test_an_empty_file_is_named_so(tmp_path):
    path = tmp_path / "a.fits"
    path.touch()
    assert reason(path) == "the file is empty"


def test_an_error_page_is_no_fits_file(tmp_path):
    path = tmp_path / "a.fits"
    path.write_text("<html>Request has expired</html>" * 200)
    assert reason(path) == "not a FITS file"


@pytest.mark.parametrize("hdus", [[(None, {"DATE-OBS": DATE})], [(None, {}), (table_rows(), {"EXTNAME": "CAT"})]])
def test_a_file_without_an_image_is_named_so(tmp_path, hdus):
    assert reason(write_hdus(tmp_path / "a.fits", *hdus)).startswith("it holds no image")


def test_a_single_row_of_pixels_is_no_image(tmp_path):
    assert reason(write_frame(tmp_path / "a.fits", np.zeros((1, 20)))).startswith("it holds no image")


@pytest.mark.parametrize("compress", [None, "rice"])
def test_every_way_to_cut_a_file_short_is_found(tmp_path, compress, capfd):
    pixels = np.random.default_rng(1).integers(0, 9999, (60, 60)).astype(np.int16)
    whole = write_frame(tmp_path / "whole.fits", pixels, compress=compress).read_bytes()
    path = tmp_path / "a.fits"
    for length in range(100, len(whole) - 2880, 497):
        path.write_bytes(whole[:length])
        # Cut between two HDUs, the first of them is whole, and empty.
        assert "cut short" in reason(path) or (compress and length == 2880), length
    assert capfd.readouterr() == ("", "")


def test_a_missing_end_of_padding_is_harmless(tmp_path):
    path = write_frame(tmp_path / "a.fits", star_pixels())
    path.write_bytes(path.read_bytes()[: 2880 + 2 * 12 * 20])
    _, found = read(path)
    assert found.tolist() == star_pixels().tolist()


def test_bytes_behind_the_image_are_ignored(tmp_path):
    path = write_frame(tmp_path / "a.fits", star_pixels(), None, cards={"OBJECT": "x"})
    path.write_bytes(path.read_bytes() + b"trailing" * 500)
    assert reason(path) == NO_DATE


@pytest.mark.parametrize(
    ("cards", "why"),
    [
        (["BITPIX  = 16", "NAXIS   = 2", f"NAXIS1  = {1 << 40}", f"NAXIS2  = {1 << 40}"], "the file is cut short"),
        (["BITPIX  = 8", "NAXIS   = 1", f"NAXIS1  = {10**19}"], "the file is cut short"),
        (
            [
                "BITPIX  = 16",
                "NAXIS   = 5",
                "NAXIS1  = 9",
                "NAXIS2  = 9",
                *(f"NAXIS{i}  = {1 << 40}" for i in (3, 4, 5)),
            ],
            "the file is cut short",
        ),
    ],
)
@pytest.mark.parametrize("is_gzipped", [False, True])
def test_a_header_that_claims_more_than_any_file_can_hold_is_refused_in_words(tmp_path, cards, why, is_gzipped):
    header = "".join(card.ljust(80) for card in ["SIMPLE  = T".replace("= T", "=                    T"), *cards, "END"])
    data = header.ljust(2880).encode()
    path = tmp_path / ("a.fits.gz" if is_gzipped else "a.fits")
    path.write_bytes(gzip.compress(data) if is_gzipped else data)
    assert is_gzipped or reason(path) == why
    assert reason(path)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_gzip_data_cut_short_are_found(tmp_path, share):
    pixels = np.random.default_rng(1).integers(0, 9999, (60, 60)).astype(np.int16)
    data = gzip.compress(write_frame(tmp_path / "plain.fits", pixels).read_bytes())
    path = tmp_path / "a.fits.gz"
    path.write_bytes(data[: int(len(data) * share)])
    assert reason(path) == "its gzip data are damaged or cut short"


def test_damaged_compressed_pixels_give_one_clear_error(tmp_path, capfd):
    pixels = np.random.default_rng(1).integers(0, 9999, (60, 60)).astype(np.int16)
    path = write_frame(tmp_path / "a.fits.fz", pixels, compress="gzip")
    data = bytearray(path.read_bytes())
    data[-6000:-3000] = bytes(3000)
    path.write_bytes(data)
    assert reason(path) == "its pixels cannot be read, the file is damaged"
    assert capfd.readouterr() == ("", "")


def overwrite_card(path, keyword, text):
    data = path.read_bytes()
    start = data.index(keyword.ljust(8).encode() + b"=")
    path.write_bytes(data[:start] + f"{keyword:8}= {text:>20}".ljust(80).encode() + data[start + 80 :])


@pytest.mark.parametrize(
    ("keyword", "text"), [("NAXIS1", "many"), ("NAXIS1", "-20"), ("NAXIS", "T"), ("BITPIX", "2.5")]
)
def test_nonsense_in_the_structure_is_refused(tmp_path, keyword, text):
    path = write_frame(tmp_path / "a.fits", star_pixels())
    overwrite_card(path, keyword, text)
    assert "in its header" in reason(path)


def test_a_small_file_that_claims_a_huge_compressed_image_is_refused(tmp_path):
    path = write_frame(tmp_path / "a.fits.fz", star_pixels(), compress="rice")
    overwrite_card(path, "ZNAXIS1", str(MAX_PIXELS))
    assert reason(path).endswith("pixels is too large")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (" 'SCI     '           / name", "SCI"),
        (" 'it''s / not a comment' / c", "it's / not a comment"),
        ("                   16 / bits", 16),
        ("                    T / yes", True),
        ("                1.5E2", 150.0),
        (" ", ""),
    ],
)
def test_header_values_are_read_by_the_rules_of_the_standard(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


def test_blank_pixels_of_quantised_floats_become_nan(tmp_path):
    # Each row is a tile of its own scale; counts are ZZERO + ZSCALE * integer, and the two least integers are blank.
    path = write_frame(tmp_path / "a.fits.fz", noisy_floats(), compress="rice", qlevel=4)
    header = read_frame_header(path)
    pixels = read_pixels(path, header)
    scale = zscale_of(path)
    pixels[0, 3] = -2147483647 * scale[0]
    pixels[2, 5] = -2147483648 * scale[2]
    mark_blanks(pixels, path, header.image)
    assert np.argwhere(np.isnan(pixels)).tolist() == [[0, 3], [2, 5]]


def noisy_floats():
    return np.random.default_rng(1).normal(100, 3, (4, 40)).astype(np.float32)


def zscale_of(path):
    # A row holds a descriptor of 8 bytes, then ZSCALE and ZZERO.
    header = read_frame_header(path).image
    assert header.keywords["NAXIS1"] == 24
    return np.fromfile(path, ">f8", count=4 * 3, offset=header.data_start).reshape(4, 3)[:, 1]


def test_a_gzip_tile_that_is_cut_short_is_refused_before_cfitsio_hangs_on_it(tmp_path):
    path = write_frame(tmp_path / "a.fits.fz", noisy_floats(), compress="gzip_2", qlevel=0)
    start = read_frame_header(path).image.data_start
    data = bytearray(path.read_bytes())
    data[start + 8 + 3] -= 5
    path.write_bytes(data)
    assert reason(path) == "its pixels cannot be read, the file is damaged"
