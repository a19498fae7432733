from datetime import UTC, datetime

import numpy as np
import pytest

from chalicelib.imaging.annotate import INKS, Annotator, SkyView, ink_palette, to_plain_text

FIRST = 128
WHITE = FIRST + INKS - 1
TIME = datetime(2018, 10, 18, 3, 1, 53, 784000, tzinfo=UTC)
UPRIGHT = SkyView(scale_arcsec_px=1.0, north_deg=90, east_deg=180)


def draw(width=500, height=400, name="M 42", time=TIME, sky=None):
    frame = np.zeros((height, width), dtype=np.uint8)
    Annotator(width, height, FIRST, name).draw(frame, time, sky)
    return frame


def box(frame):
    """Return first and last row, first and last column of what is white."""
    rows, columns = np.nonzero(frame > WHITE - 4)
    return rows.min(), rows.max(), columns.min(), columns.max()


def longest_run(rows):
    """Return the longest run of white pixels in a row."""
    best = 0
    for row in rows:
        run = 0
        for value in row:
            run = run + 1 if value == WHITE else 0
            best = max(best, run)
    return best


def test_inks_are_greys_from_black_to_white():
    colours = np.frombuffer(ink_palette(), dtype=np.uint8).reshape(-1, 3)
    assert len(colours) == INKS
    assert (colours[0].tolist(), colours[-1].tolist()) == ([0, 0, 0], [255, 255, 255])


def test_only_inks_are_drawn_and_the_middle_of_the_frame_stays():
    frame = draw(sky=UPRIGHT)
    assert set(np.unique(frame)) <= {0, *range(FIRST, FIRST + INKS)}
    assert not frame[120:350, :].any()


def test_white_letters_stand_on_black():
    frame = np.full((400, 500), 127, dtype=np.uint8)
    Annotator(500, 400, FIRST, "M 42").draw(frame, TIME, None)
    rows, columns = np.nonzero(frame == WHITE)
    for row, column in zip(rows[::7], columns[::7], strict=True):
        assert (frame[row - 4 : row + 5, column - 4 : column + 5] == FIRST).any()


def test_where_the_time_is_not_known_the_date_stands_alone():
    frames = [np.zeros((400, 500), dtype=np.uint8) for _ in range(3)]
    annotator = Annotator(500, 400, FIRST, "M 42")
    for frame, hour, has_time in zip(frames, (0, 5, 0), (False, False, True), strict=True):
        annotator.draw(frame, TIME.replace(hour=hour), None, has_time=has_time)
    assert frames[0][-30:].any()
    assert (frames[0] == frames[1]).all()
    assert box(frames[0][-30:])[3] < box(frames[2][-30:])[3] / 1.5


def test_name_on_top_time_below_and_nothing_else_without_coordinates():
    frame = draw()
    assert frame[:30, :120].any()
    assert frame[-30:, :250].any()
    assert not frame[:, 250:].any()
    assert not frame[40:-40].any()


def test_the_time_changes_from_frame_to_frame_and_nothing_else_does():
    annotator = Annotator(500, 400, FIRST, "M 42")
    frames = []
    for second in (1, 2):
        frames.append(np.zeros((400, 500), dtype=np.uint8))
        annotator.draw(frames[-1], TIME.replace(second=second), UPRIGHT)
    changed = np.nonzero(frames[0] != frames[1])[0]
    assert changed.size
    assert changed.min() > 360


@pytest.mark.parametrize(
    ("scale", "length_px"),
    [(1.0, 120), (0.5, 120), (5.21, 600 / 5.21), (0.03, 2 / 0.03), (30, 120), (200, 18000 / 200), (0.6, 60 / 0.6)],
)
def test_the_scale_bar_is_the_longest_round_length_within_a_quarter_of_the_width(scale, length_px):
    frame = draw(sky=SkyView(scale, 90, 180))
    assert longest_run(frame[-40:, 250:]) == pytest.approx(length_px, abs=3)


@pytest.mark.parametrize("scale", [1e-6, 1e7])
def test_a_scale_beyond_all_bars_has_none(scale):
    with_compass_only = draw(sky=SkyView(scale, 90, 180))
    assert not with_compass_only[200:, 250:].any()


@pytest.mark.parametrize(("north", "east"), [(90, 180), (0, 90), (-90, 0), (180, -90), (90, 0), (45, 135)])
def test_the_arrows_point_north_and_east(north, east):
    drawn = draw(sky=SkyView(1.0, north, east), name="")[:150, 250:]
    both = [draw(sky=SkyView(1.0, angle, angle), name="")[:150, 250:] for angle in (north, east)]
    rows, columns = np.nonzero(drawn == WHITE)
    # The corner where the arrows meet is the point that is farthest back along both.
    along = [np.cos(np.radians(angle)) * columns - np.sin(np.radians(angle)) * rows for angle in (north, east)]
    spans = [values.max() - values.min() for values in along]
    assert min(spans) > 30
    for angle, one in zip((north, east), both, strict=True):
        spread = [np.ptp(axis) for axis in np.nonzero(one == WHITE)]
        assert (spread[1] > spread[0]) == (abs(np.cos(np.radians(angle))) > 0.71)


@pytest.mark.parametrize("angle", range(0, 360, 60))
def test_the_arrows_stay_inside_the_frame_whatever_their_direction(angle):
    top, bottom, _, right = box(draw(sky=SkyView(1.0, angle, angle + 90), name="")[:200, 250:])
    assert top > 2
    assert right < 247
    assert bottom < 130


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (16, 500), (500, 16), (64, 48), (96, 96), (130, 100), (4096, 3000)])
def test_films_of_any_size_can_be_annotated(size):
    frame = draw(*size, name="A name that is far too long for a small film " * 3, sky=UPRIGHT)
    assert frame.shape == size[::-1]


@pytest.mark.parametrize("width", [60, 90, 120, 200, 300])
def test_a_name_that_is_too_long_is_cut_inside_the_frame(width):
    frame = draw(width, 100, name="2713 Luxembourg " * 9)
    assert box(frame)[3] < width - 2


def test_letters_are_at_least_seven_pixels_high():
    top, bottom, _, _ = box(draw(120, 90, name="M")[:30])
    assert bottom - top + 1 >= 7


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("HAT-P-32 b", "HAT-P-32 b"),
        ("α Cen", "alpha Cen"),
        ("Ω", "Omega"),
        ("Łódź é ß ø Å", "Lodz e ss o A"),
        ("2I–Borisov − 3", "2I-Borisov - 3"),
        ("Barnard’s “star” 5′ 3″", "Barnard's \"star\" 5' 3''"),
        ("two\nlines\tand more", "two lines and more"),
        ("月", "?"),
        ("\ud800\x00\u200b", ""),
        ("M²", "M2"),
    ],
)
def test_what_the_font_lacks_is_written_in_plain_letters(text, plain):
    assert to_plain_text(text) == plain


def test_every_plain_character_is_in_the_font():
    from PIL import ImageFont

    font = ImageFont.load_default(20)
    missing = bytes(font.getmask("\uffff"))
    for code in (*range(0x21, 0x7F), ord("°"), ord("…")):
        assert bytes(font.getmask(chr(code))) != missing, chr(code)
