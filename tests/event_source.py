"""What a browser's `EventSource` does, byte by byte (HTML standard, "Server-sent events"), for tests of streams."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.conftest import Answer


class Heard(NamedTuple):
    """An event that was dispatched."""

    id: str
    type: str
    data: str


@dataclass
class EventSource:
    """Follows a stream: parses what arrives, remembers the last id, and begins anew when a connection ends.

    Parameters
    ----------
    ask : callable
        Given the headers of a request, returns its answer.
    """

    ask: Callable[[dict[str, str]], Answer]
    last_id: str = ""
    retry_ms: int = 3000
    is_closed: bool = False
    heard: list[Heard] = field(default_factory=list)

    def connect(self, cut_at: Callable[[int], int] = lambda size: size) -> None:
        """Make one connection, of whose bytes only the first arrive."""
        answer = self.ask({"Last-Event-ID": self.last_id} if self.last_id else {})
        if answer.status != 200 or answer.headers["content-type"].partition(";")[0] != "text/event-stream":
            self.is_closed = True
            return
        whole = answer.text.encode()
        self.receive(whole[: cut_at(len(whole))])

    def receive(self, arrived: bytes) -> None:
        """Parse what arrived on one connection; a block that no empty line ends is dropped."""
        text = arrived.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        data: list[str] = []
        kind, block_id = "", self.last_id
        for line in text.split("\n")[:-1]:  # what is behind the last line break is no line
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                self.last_id = block_id
                if data:
                    self.heard.append(Heard(self.last_id, kind or "message", "\n".join(data)))
                data, kind = [], ""
            elif name == "event":
                kind = value
            elif name == "data":
                data.append(value)
            elif name == "id" and "\0" not in value:
                block_id = value
            elif name == "retry" and value.isdecimal():
                self.retry_ms = int(value)

    def cut_anywhere(self, chance: random.Random) -> None:
        """Make one connection that ends at any byte, mostly before its end."""
        self.connect(lambda size: chance.randint(0, size))


def events_of(text: str) -> list[Heard]:
    """Return the events of one answer, and those without data, which only carry an id."""
    source: Any = EventSource(lambda _: Answer(204, {}, ""))
    source.receive(text.encode())
    if source.last_id and (not source.heard or source.heard[-1].id != source.last_id):
        source.heard.append(Heard(source.last_id, "", ""))
    return list(source.heard)
