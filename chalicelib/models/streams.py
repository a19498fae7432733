"""Messages of the streams that tell what happens, as browsers' `EventSource` takes them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from typing_extensions import TypedDict


class StreamMessage(NamedTuple):
    """One message of a stream: the position behind it, its kind, and what it tells; without a kind the position alone."""

    id: str
    event: str
    data: Any


class LogLines(TypedDict):
    """What a process has written since: whole lines of its log."""

    text: str


class Nothing(TypedDict):
    """That there is such a message is all that it tells."""


@dataclass(frozen=True)
class Batch:
    """Messages for who follows, and whether more wait already."""

    messages: list[StreamMessage]
    has_more: bool
