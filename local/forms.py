"""Forms that are read while they are sent: a file may be larger than the memory."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from local.faults import UnreadableError

_PIECE_BYTES = 1 << 18

Heed = Callable[[int], object]
"""Told of each piece that is about to be sent, in bytes; may raise to end the sending."""


class Form:
    """Fields, then a file, as multipart/form-data with a known length, which storage insists on.

    Parameters
    ----------
    fields : mapping
        Sent before the file, as presigned forms want it.
    file : Path
        Sent as the field `file`.
    heed : callable
        Told of each piece of the file.
    """

    def __init__(self, fields: Mapping[str, str], file: Path, heed: Heed) -> None:
        boundary = uuid.uuid4().hex
        parts = [f'{name}"\r\n\r\n{value}' for name, value in fields.items()]
        parts.append(f'file"; filename="{_quoted(file.name)}"\r\nContent-Type: application/octet-stream\r\n\r\n')
        head = "\r\n".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{part}' for part in parts)
        self.media_type = f"multipart/form-data; boundary={boundary}"
        self._head, self._tail = head.encode(), f"\r\n--{boundary}--\r\n".encode()
        self._file, self._heed = file, heed
        self._file_size = file.stat().st_size
        self._pieces: Iterator[bytes] = iter(())
        self._read = 0
        self.rewind()

    def __len__(self) -> int:
        return len(self._head) + self._file_size + len(self._tail)

    def rewind(self) -> None:
        """Begin anew; what was told of before is taken back."""
        self._heed(-self._read)
        self._read = 0
        self._pieces = self._content()

    def read(self, _size: int = -1) -> bytes:
        """Return the next piece, b"" at the end; requests calls this."""
        return next(self._pieces, b"")

    def _content(self) -> Iterator[bytes]:
        yield self._head
        try:
            # Unbuffered, for the pieces are large enough.
            with self._file.open("rb", buffering=0) as file:
                while piece := file.read(min(_PIECE_BYTES, self._file_size - self._read)):
                    self._read += len(piece)
                    self._heed(len(piece))
                    yield piece
        except OSError as error:
            raise UnreadableError(str(error)) from None
        if self._read < self._file_size:
            raise UnreadableError("the file became shorter while it was read")
        yield self._tail


def _quoted(name: str) -> str:
    """Return a file name as browsers write it into a form."""
    return re.sub(r'["\r\n]', lambda found: f"%{ord(found[0]):02X}", name)
