"""What a process has to tell those who follow it: its state where that has changed, and the lines of its log, each once.

Who follows holds a position, which comes with every message and says what was told up to it. Nothing is kept here.
"""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.models.processes import Process
from chalicelib.models.streams import Batch, StreamMessage
from chalicelib.storage import processes
from chalicelib.storage.processes import LogEntry, LogPlace

BATCH_BYTES = 200_000
"""A batch is ended by the message with which it has as many."""

_VERSION = "1"
_FORM = re.compile(
    _VERSION + r"\.([1-9][0-9]{0,14})\.([0-9]{1,6})\.([0-9]{1,8})\.([0-9]{1,16})\.([0-9a-f]{16})\.([01])"
)


class NoPositionError(Exception):
    """Raised when a text is no position, or one that its process has not come to."""


@dataclass(frozen=True)
class Position:
    """What somebody has been told of a process.

    Parameters
    ----------
    place : LogPlace
        Up to where its log.
    state : str
        A digest of how it stood.
    is_end : bool
        Whether that was all, and it had ended.
    """

    process_id: int
    place: LogPlace
    state: str
    is_end: bool = False

    def __str__(self) -> str:
        """Return the text that stands for it, which only `read` understands."""
        at = self.place
        return f"{_VERSION}.{self.process_id}.{at.attempt}.{at.index + 1}.{at.note + 1}.{self.state}.{int(self.is_end)}"

    @classmethod
    def read(cls, text: str, process_id: int) -> "Position":
        """Return the position that a text stands for.

        Raises
        ------
        NoPositionError
            If it is none of this process.
        """
        found = _FORM.fullmatch(text)
        if found is None or int(found[1]) != process_id:
            raise NoPositionError
        place = LogPlace(int(found[2]), int(found[3]) - 1, int(found[4]) - 1)
        return cls(process_id, place, found[5], found[6] == "1")


def show(process_id: int) -> tuple[Process, str, str]:
    """Return a process, its log, and the position of who has seen both. One Query per MB.

    Raises
    ------
    NotFoundError
        If there is no such process.
    """
    process, entries = processes.read_log(process_id)
    position = Position(process_id, _behind(LogPlace(), entries), _digest(process.detail()), process.is_ended)
    return process, "".join(entry.text for entry in entries), str(position)


def follow(process_id: int, seen: Position | None) -> Batch | None:
    """Return what is new since a position, or all that there is; None once all was told and the process has ended.

    One Query per MB.

    Raises
    ------
    NotFoundError
        If there is no such process.
    NoPositionError
        If the process has not come as far as the position: what it is yet to tell would be skipped.
    """
    process, entries = processes.read_log(process_id, seen.place if seen else None)
    if seen is not None and processes.is_ahead(seen.place, process):
        raise NoPositionError
    detail = process.detail()
    position = Position(process_id, seen.place if seen else LogPlace(), _digest(detail))
    if seen is not None and seen.is_end and seen.state == position.state and not entries:
        return None
    messages = []
    if seen is None or seen.state != position.state:
        messages.append(StreamMessage(str(position), "process", detail))
    size = 0
    for entry in entries:
        if size >= BATCH_BYTES:
            return Batch(messages, has_more=True)
        position = replace(position, place=entry.behind(position.place))
        messages.append(StreamMessage(str(position), "log", {"text": entry.text}))
        size += len(entry.text.encode())
    if process.is_ended:
        messages.append(StreamMessage(str(replace(position, is_end=True)), "end", {}))
    return Batch(messages, has_more=False)


def _behind(place: LogPlace, entries: list[LogEntry]) -> LogPlace:
    for entry in entries:
        place = entry.behind(place)
    return place


def _digest(detail: Any) -> str:
    return hashlib.sha256(json.dumps(detail, sort_keys=True).encode()).hexdigest()[:16]
