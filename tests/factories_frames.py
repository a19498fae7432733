"""Small FITS files and the surroundings of a pipeline, for tests."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fitsio
import numpy as np

DATE = "2026-01-10T02:30:00"


def write_frame(path: Path, pixels: Any, date: str | None = DATE, **options: Any) -> Path:
    """Write one image; `cards` are further header cards, other options are those of fitsio's write."""
    cards = {**({"DATE-OBS": date} if date else {}), **options.pop("cards", {})}
    with fitsio.FITS(str(path), "rw", clobber=True) as fits:
        fits.write(np.asarray(pixels), header=cards, **options)
    return path


def write_hdus(path: Path, *hdus: tuple[Any, dict[str, Any]]) -> Path:
    """Write several HDUs, each given by its image (None: no data) or record array, and its header cards."""
    with fitsio.FITS(str(path), "rw", clobber=True) as fits:
        for data, cards in hdus:
            name = cards.get("EXTNAME")
            rest = {key: value for key, value in cards.items() if key != "EXTNAME"}
            if data is not None and data.dtype.names:
                fits.write_table(data, header=rest, extname=name)
            else:
                fits.write_image(data, header=rest, extname=name)
    return path


def write_night(folder: Path) -> Path:
    """Make a folder of two frames, with what lies beside frames."""
    folder.mkdir()
    for minute in (1, 2):
        write_frame(folder / f"{minute}.fits", star_pixels(x=minute), f"2026-01-10T02:0{minute}:00")
    (folder / "log.txt").write_text("clear sky")
    return folder


def star_pixels(x: int = 8, y: int = 4, shape: tuple[int, int] = (12, 20), sky: int = 100) -> Any:
    """Return a sky that alternates between two counts, with one star."""
    pixels = np.full(shape, sky, dtype=np.uint16)
    pixels[::2, ::2] += 2
    pixels[y, x] = 5000
    return pixels


def table_rows() -> Any:
    """Return a table of two rows."""
    return np.array([(1.0, 2.0), (3.0, 4.0)], dtype=[("x", "f4"), ("y", "f4")])


@dataclass
class LocalFile:
    """An input that lies on the disk already."""

    path: Path
    name: str = ""

    def __post_init__(self) -> None:
        self.name = self.name or self.path.name


@dataclass
class RecordingReporter:
    """Keeps what a pipeline reports."""

    text: str = ""
    steps: list[tuple[int, int]] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def log(self, text: str) -> None:
        self.text += text

    def progress(self, done: int, total: int) -> None:
        self.steps.append((done, total))

    def update_status(self, status: str) -> None:
        raise AssertionError("a timelapse has no status words of its own")

    def is_time_short(self) -> bool:
        return False


def read_film(path: Path) -> list[Any]:
    """Return the frames of a gif, mp4 or webm as red, green and blue, shape (height, width, 3)."""
    if path.suffix == ".gif":
        from PIL import Image, ImageSequence

        with Image.open(path) as film:
            return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]
    import av

    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def centroid(pixels: Any, near: tuple[float, float], radius: int = 6) -> tuple[float, float]:
    """Return where the light around a place (x, y) is, the darkest grey around it taken for the sky."""
    x, y = (round(value) for value in near)
    box = np.asarray(pixels, dtype=float)[y - radius : y + radius + 1, x - radius : x + radius + 1]
    weights = np.clip(box - np.median(box) - 0.2 * np.ptp(box), 0, None)
    rows, columns = np.indices(box.shape)
    return (
        x - radius + float((columns * weights).sum() / weights.sum()),
        y - radius + float((rows * weights).sum() / weights.sum()),
    )
