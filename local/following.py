"""Follows a stream of server-sent events that comes in short batches, wherever the connection is cut."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import requests

from local.client import Client
from local.faults import ClientError, NotSiderealError, UnreachableError

RETRY_MS = 1000
"""How long to wait between two batches where the server does not say."""

MAX_FAULTS = 8
"""Attempts in a row without a single message or a whole batch, after which a stream is given up."""

LONGEST_PAUSE_S = 15.0


class Message(NamedTuple):
    """One event of a stream: its kind, what it says, and the id with which one who has seen it goes on."""

    event: str
    data: Any
    id: str


def follow(client: Client, path: str, sleep: Callable[[float], None]) -> Iterator[Message]:
    """Yield what a stream says until its `end`, each message once.

    Parameters
    ----------
    sleep : callable
        Waits for so many seconds.

    Raises
    ------
    UnreachableError
        If there was no answer for many attempts.
    RefusedError, NotSiderealError
        If the stream is refused, or is none.
    """
    last, faults = "", 0
    reading = Reading()
    while True:
        seen = last
        try:
            with client.stream(
                path, {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
            ) as reply:
                if reply.status_code == 204:
                    return
                for message in reading.messages(reply.iter_content(1 << 14)):
                    last = message.id
                    yield message
                    if message.event == "end":
                        return
            faults = 0
        except (requests.RequestException, UnreachableError) as error:
            faults = faults + 1 if last == seen else 1
            if faults >= MAX_FAULTS:
                if isinstance(error, ClientError):
                    raise
                raise UnreachableError(client.base_url, error) from None
        sleep(min(reading.retry_ms / 1000 * 2**faults, LONGEST_PAUSE_S))


class Reading:
    """Reads the form of text/event-stream; what is cut before its empty line was never said."""

    def __init__(self) -> None:
        self.retry_ms = RETRY_MS
        self._id = ""

    def messages(self, pieces: Iterable[bytes]) -> Iterator[Message]:
        """Yield the messages of one batch.

        Raises
        ------
        NotSiderealError
            If one holds no JSON.
        """
        fields: dict[str, list[str]] = {}
        for line in _lines(pieces):
            if line:
                name, _, value = line.partition(":")
                fields.setdefault(name, []).append(value.removeprefix(" "))
                continue
            message = self._message(fields)
            fields = {}
            if message:
                yield message

    def _message(self, fields: dict[str, list[str]]) -> Message | None:
        for text in fields.get("retry", []):
            if text.isascii() and text.isdecimal():
                self.retry_ms = int(text)
        self._id = fields.get("id", [self._id])[-1]
        if "data" not in fields:
            return None
        try:
            data = json.loads("\n".join(fields["data"]))
        except ValueError:
            raise NotSiderealError("the stream", 200) from None
        return Message(fields.get("event", ["message"])[-1], data, self._id)


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield lines that are whole; a line may end in any of the three ways, but not in the middle of a CR LF."""
    rest = b""
    for piece in pieces:
        *lines, rest = re.split(rb"\r\n|\n|\r(?!$)", rest + piece)
        for line in lines:
            yield line.decode("utf-8", "replace")
