"""Write on the frames of a film: name, time, a scale bar, and where north and east are."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from math import cos, radians, sin

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from chalicelib.imaging.colours import grey_palette

INKS = 16
"""Palette entries that annotations need, from black to white: white text keeps its smooth edges on any colour map."""

_SMALLEST_FONT_PX = 10
_LARGEST_FONT_PX = 48
_FONT_SHARE = 1 / 25
_SMALLEST_COMPASS_SIDE_PX = 96
_LONGEST_BAR_SHARE = 0.25
_SHORTEST_BAR_PX = 8

# Round lengths from a tenth of an arcsecond to ten degrees.
_BARS = (
    *((seconds, f'{seconds:g}"') for seconds in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30)),
    *((60.0 * minutes, f"{minutes}'") for minutes in (1, 2, 5, 10, 20, 30)),
    *((3600.0 * degrees, f"{degrees}°") for degrees in (1, 2, 5, 10)),
)

# What Pillow's own font draws.
_IN_FONT = re.compile(r"[\x20-\x7e°…]")
_LETTER = re.compile(r"(LATIN|GREEK) (SMALL|CAPITAL) LETTER (\w+)")
_UNSEEN = {"Cc", "Cf", "Cs", "Mn", "Me"}

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class SkyView:
    """How the film shows the sky.

    Parameters
    ----------
    scale_arcsec_px : float
        Sky along the side of a pixel of the film.
    north_deg, east_deg : float
        Directions in the film, counter-clockwise from the right.
    """

    scale_arcsec_px: float
    north_deg: float
    east_deg: float


class Annotator:
    """Draws on the frames of one film; what does not change from frame to frame is drawn once.

    What does not fit is shortened, and left out where even that does not help.

    Parameters
    ----------
    width, height : int
        Size of the film.
    first_ink : int
        Index of the first of the `INKS` palette entries.
    name : str
        What is shown; letters that the font lacks are written as plain ones.
    """

    def __init__(self, width: int, height: int, first_ink: int, name: str) -> None:
        self._width, self._height = width, height
        self._first_ink = first_ink
        self._name = to_plain_text(name)
        size = round(min(width, height) * _FONT_SHARE)
        self._font_px = min(max(size, _SMALLEST_FONT_PX), _LARGEST_FONT_PX)
        self._font = ImageFont.load_default(self._font_px)
        self._margin = self._font_px // 2
        self._halo = max(1, round(self._font_px / 10))
        self._line = max(1, round(self._font_px / 10))
        self._fixed: tuple[SkyView | None, _Marks] | None = None

    def draw(
        self, indices: npt.NDArray[np.uint8], time: datetime, sky: SkyView | None, *, has_time: bool = True
    ) -> None:
        """Draw on a frame, in place.

        Parameters
        ----------
        indices : ndarray, shape (height, width), uint8
            The frame, first row on top.
        time : datetime
            When it was taken, UTC.
        sky : SkyView, optional
            How it shows the sky; without it there is neither a scale bar nor an arrow.
        has_time : bool, optional
            Whether the time of day is known; the date stands alone otherwise.
        """
        if self._fixed is None or self._fixed[0] != sky:
            self._fixed = sky, self._fixed_marks(sky)
        for marks in (self._fixed[1], self._time_marks(self._time_text(time, has_time))):
            indices[marks.rows, marks.columns] = marks.inks

    def _fixed_marks(self, sky: SkyView | None) -> "_Marks":
        layer = self._layer(self._width, self._height)
        left: float = self._width - self._margin
        if sky is not None:
            if min(self._width, self._height) >= _SMALLEST_COMPASS_SIDE_PX:
                left = self._draw_compass(layer, sky) - 2 * self._margin
            self._draw_bar(layer, sky)
        name = self._name
        while name and layer.text_width(name) > left - self._margin:
            name = name.rstrip("…")[:-1].rstrip() + "…" if len(name) > 2 else ""
        layer.text(self._margin, self._margin, name)
        return layer.marks(self._first_ink)

    def _time_marks(self, text: str) -> "_Marks":
        # A strip as high as the line: this is drawn for every frame.
        height = min(self._font_px + 2 * self._margin, self._height)
        layer = self._layer(self._width, height)
        layer.text(self._margin, self._margin, text)
        return layer.marks(self._first_ink, self._height - height)

    def _layer(self, width: int, height: int) -> "_Layer":
        return _Layer(width, height, self._font, self._line, self._halo)

    def _time_text(self, time: datetime, has_time: bool) -> str:
        texts = [f"{time:%Y-%m-%d %H:%M:%S} UTC", f"{time:%H:%M:%S} UTC", f"{time:%H:%M:%S}"]
        if not has_time:
            texts = [f"{time:%Y-%m-%d}"]
        room = self._width - 2 * self._margin
        return next((text for text in texts if self._font.getlength(text) <= room), "")

    def _draw_bar(self, layer: "_Layer", sky: SkyView) -> None:
        lengths = ((arcsec / sky.scale_arcsec_px, label) for arcsec, label in _BARS)
        fitting = [bar for bar in lengths if _SHORTEST_BAR_PX <= bar[0] <= _LONGEST_BAR_SHARE * self._width]
        if not fitting:
            return
        length, label = fitting[-1]
        label_width = layer.text_width(label)
        # The time, which has the same width in every frame, is in the other corner.
        time_width = layer.text_width(self._time_text(datetime(2000, 1, 1, tzinfo=UTC), True))
        room = self._width - 4 * self._margin - time_width
        bottom = self._height - self._margin - (0 if max(length, label_width) <= room else 1.5 * self._font_px)
        middle = self._width - self._margin - max(length, label_width) / 2
        tick = self._font_px / 4
        layer.line((middle - length / 2, bottom - tick, middle + length / 2, bottom - tick))
        for x in (middle - length / 2, middle + length / 2):
            layer.line((x, bottom - 2 * tick, x, bottom))
        layer.text(middle - label_width / 2, bottom - 2 * tick - 1.3 * self._font_px, label)

    def _draw_compass(self, layer: "_Layer", sky: SkyView) -> float:
        """Draw arrows to north and east in the corner on top; return where they begin on the left."""
        length = 2.0 * self._font_px
        letter = 0.8 * self._font_px
        arrows = []
        for label, angle in (("N", radians(sky.north_deg)), ("E", radians(sky.east_deg))):
            arrows.append((label, cos(angle), -sin(angle)))
        reach = length + 2 * letter
        right = max(letter, *(x * reach for _, x, _ in arrows))
        top = min(-letter, *(y * reach for _, _, y in arrows))
        left = min(-letter, *(x * reach for _, x, _ in arrows))
        x0, y0 = self._width - self._margin - right, self._margin - top
        for label, x, y in arrows:
            tip = x0 + length * x, y0 + length * y
            layer.line((x0, y0, *tip))
            for side in (-1, 1):
                barb = 0.3 * length
                layer.line((*tip, tip[0] - barb * (x - 0.6 * side * y), tip[1] - barb * (y + 0.6 * side * x)))
            layer.text_around(x0 + (length + letter) * x, y0 + (length + letter) * y, label)
        return x0 + left


@dataclass(frozen=True)
class _Marks:
    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    inks: npt.NDArray[np.uint8]


class _Layer:
    """What is drawn, white, and the black around it that keeps it legible on stars."""

    def __init__(
        self, width: int, height: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, line: int, halo: int
    ) -> None:
        self._white = Image.new("L", (width, height))
        self._black = Image.new("L", (width, height))
        self._pens = [(ImageDraw.Draw(self._white), 0), (ImageDraw.Draw(self._black), halo)]
        self._font = font
        self._line_px = line

    def text_width(self, text: str) -> float:
        return self._font.getlength(text)

    def text(self, x: float, y: float, text: str) -> None:
        for pen, halo in self._pens:
            pen.text((x, y), text, fill=255, font=self._font, stroke_width=halo, anchor="la")

    def text_around(self, x: float, y: float, text: str) -> None:
        for pen, halo in self._pens:
            pen.text((x, y), text, fill=255, font=self._font, stroke_width=halo, anchor="mm")

    def line(self, ends: Box) -> None:
        for pen, halo in self._pens:
            pen.line(tuple(round(value) for value in ends), fill=255, width=self._line_px + 2 * halo)

    def marks(self, first_ink: int, top: int = 0) -> _Marks:
        white, black = np.asarray(self._white), np.asarray(self._black)
        rows, columns = np.nonzero((black > 127) | (white > 0))
        inks = np.rint(white[rows, columns] * ((INKS - 1) / 255)).astype(np.uint8)
        return _Marks(rows + top, columns, inks + np.uint8(first_ink))


def ink_palette() -> bytes:
    """Return the colours of the palette entries that annotations use."""
    return grey_palette(INKS)


def to_plain_text(text: str) -> str:
    """Write a text with the characters that Pillow's own font has, one line.

    Accents are dropped, and Greek letters named as astronomers do: ``α Cen`` becomes ``alpha Cen``. What cannot be written
    in either way becomes ``?``.
    """
    plain = "".join(_plain_character(character) for character in unicodedata.normalize("NFKD", text))
    return " ".join(plain.split())


def _plain_character(character: str) -> str:
    if _IN_FONT.fullmatch(character):
        return character
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    if category in _UNSEEN:
        return ""
    if category == "Pd" or character == "\N{MINUS SIGN}":
        return "-"
    if category in ("Pi", "Pf") or character in "\N{PRIME}\N{DOUBLE PRIME}":
        return '"' if "DOUBLE" in unicodedata.name(character) else "'"
    letter = _LETTER.match(unicodedata.name(character, ""))
    if letter is None:
        return "?"
    alphabet, size, name = letter.groups()
    if alphabet == "LATIN":
        name = "ss" if name == "SHARP" else name
        return name.lower() if size == "SMALL" else name
    return name.lower() if size == "SMALL" else name.capitalize()
