"""The frames of a run in their order, and what a run hands over of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from chalicelib.pipelines.base import InputFile

if TYPE_CHECKING:
    from chalicelib.imaging.fits import FrameHeader

Key = tuple[str, int]
"""A file by its name, and by how many files of that name come before it: a run cannot tell them apart otherwise."""


_FILTER_KEYWORDS = ("FILTER", "FILTERS", "FILTER1")
_MOST_NAMES = 5


@dataclass(frozen=True)
class SequenceFrame:
    """What has to be known of a frame to put it in its place.

    Parameters
    ----------
    key : (str, int)
        Its file.
    time : datetime
        Start of the observation, UTC.
    has_time : bool
        Whether the header gives the time of day; `time` is midnight otherwise.
    size : (int, int)
        Width and height in pixels.
    filter : str
        The first of `FILTER`, `FILTERS` and `FILTER1` of its header that holds text, or ``""``.
    """

    key: Key
    time: datetime
    has_time: bool
    size: tuple[int, int]
    filter: str

    @classmethod
    def of_header(cls, key: Key, header: FrameHeader) -> SequenceFrame:
        """Take from a header what is needed."""
        texts = (header.keywords.get(keyword) for keyword in _FILTER_KEYWORDS)
        names = (text.strip() for text in texts if isinstance(text, str))
        return cls(key, header.time, header.has_time, header.size, next(filter(None, names), ""))


@dataclass
class FrameSequence:
    """The frames that may be used, and the files that may not.

    Parameters
    ----------
    frames : list of SequenceFrame
        In the order of the files, or of time once `is_sorted`.
    left_out : list of (str, str)
        Name and reason of each file that cannot be used.
    seen : set of (str, int)
        The files whose headers were read, or that were left out.
    is_sorted : bool
        Whether all files were seen and the frames put in order.
    """

    frames: list[SequenceFrame] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    seen: set[Key] = field(default_factory=set)
    is_sorted: bool = False

    def sort(self) -> None:
        """Put the frames in order of time; those of equal time stay as they are."""
        self.frames.sort(key=lambda frame: frame.time)
        self.is_sorted = True

    def usual_size(self) -> tuple[int, int]:
        """Return the size that most frames have; of those equally common the one that comes first."""
        return Counter(frame.size for frame in self.frames).most_common(1)[0][0]

    def describe_dates(self) -> str | None:
        """Name the frames of which only the date is known, or return None if there are none."""
        names = [f"'{frame.key[0]}'" for frame in self.frames if not frame.has_time]
        if not names:
            return None
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        return f"The header gives the date only, no time; taken as midnight UTC: {', '.join(names[:_MOST_NAMES])}{more}"

    def describe_filters(self) -> str | None:
        """Say how many frames were taken through each filter, or None if it was the same one for all that tell."""
        counts = Counter(frame.filter for frame in self.frames)
        unknown = counts.pop("", 0)
        if len(counts) < 2:
            return None
        shown = [f"{count} x {name}" for name, count in counts.most_common()]
        if unknown:
            shown.append(f"{unknown} without a name")
        return f"Frames of {len(counts)} filters: {', '.join(shown)}"

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        frames = [
            (*frame.key, frame.time.isoformat(), frame.has_time, *frame.size, frame.filter) for frame in self.frames
        ]
        kept = {"frames": frames, "left_out": self.left_out, "seen": sorted(self.seen), "sorted": self.is_sorted}
        path.write_text(json.dumps(kept), "utf-8")

    @classmethod
    def load(cls, path: Path) -> FrameSequence:
        """Read what `save` has written."""
        kept = json.loads(path.read_text("utf-8"))
        return cls(
            [
                SequenceFrame((name, number), datetime.fromisoformat(time), has_time, (width, height), shown)
                for name, number, time, has_time, width, height, shown in kept["frames"]
            ],
            [(name, reason) for name, reason in kept["left_out"]],
            {(name, number) for name, number in kept["seen"]},
            kept["sorted"],
        )


def key_files(files: Iterable[InputFile]) -> dict[Key, InputFile]:
    """Return the files by their keys, in their order."""
    found: dict[Key, InputFile] = {}
    names: Counter[str] = Counter()
    for file in files:
        found[file.name, names[file.name]] = file
        names[file.name] += 1
    return found
