"""What the stand-in knows, in the portal's own shapes, and how that outlasts the process."""

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

STATE_FILE = "state.json"


@dataclass
class Records:
    """All that is kept.

    Parameters
    ----------
    groups, attempts, frames : list of dict
        Request groups with their requests, observations and archive records, oldest first.
    coming : list of dict
        Frames that the archive does not have yet: `due` (seconds since 1970), `frame`, `exposure`.
    plays : dict
        By request id: since when it waits (`since`, seconds since 1970), and how far it has got (`stage`).
    last_ids : dict
        The last number given to each kind of record.
    secret : str
        Signs links.
    """

    groups: list[Json] = field(default_factory=list)
    attempts: list[Json] = field(default_factory=list)
    frames: list[Json] = field(default_factory=list)
    coming: list[Json] = field(default_factory=list)
    plays: dict[str, Json] = field(default_factory=dict)
    last_ids: dict[str, int] = field(default_factory=dict)
    secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)

    def next_id(self, kind: str) -> int:
        """Return a number that no record of this kind has."""
        self.last_ids[kind] = self.last_ids.get(kind, 0) + 1
        return self.last_ids[kind]

    def requests(self) -> Iterator[tuple[Json, Json]]:
        """Yield every request with its group."""
        for group in self.groups:
            for request in group["requests"]:
                yield request, group

    def find_request(self, request_id: int) -> tuple[Json, Json] | None:
        """Return a request and its group."""
        return next((pair for pair in self.requests() if pair[0]["id"] == request_id), None)

    def attempts_of(self, request_id: int) -> list[Json]:
        """Return the attempts at a request, oldest first."""
        return [attempt for attempt in self.attempts if attempt["request"] == request_id]


class Store:
    """Where records and files are kept: a folder, or memory if there is none.

    A file is replaced only by a whole new one, so that a process may be killed at any point.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files: dict[int, bytes] = {}
        if folder:
            (folder / "frames").mkdir(parents=True, exist_ok=True, mode=0o700)

    def load(self) -> Records:
        """Return what was kept, or new records."""
        if self._folder is None or not (self._folder / STATE_FILE).exists():
            return Records()
        return Records(**json.loads((self._folder / STATE_FILE).read_text()))

    def save(self, records: Records) -> None:
        """Keep the records. Takes the longer the more there are."""
        if self._folder:
            _replace(self._folder / STATE_FILE, json.dumps(vars(records)).encode())

    def write_file(self, frame_id: int, content: bytes) -> None:
        """Keep the file of a frame."""
        if self._folder:
            _replace(self._folder / "frames" / str(frame_id), content)
        else:
            self._files[frame_id] = content

    def read_file(self, frame_id: int) -> bytes:
        """Return the file of a frame."""
        return (self._folder / "frames" / str(frame_id)).read_bytes() if self._folder else self._files[frame_id]


def _replace(file: Path, content: bytes) -> None:
    draft = file.with_name(f"{file.name}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as new:
        new.write(content)
        new.flush()
        os.fsync(new.fileno())
    draft.replace(file)
