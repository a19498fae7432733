"""Messages of the streams that tell what happens, as browsers' `EventSource` takes them."""

from dataclasses import dataclass
from typing import Any, NamedTuple


class StreamMessage(NamedTuple):
    """One message of a stream: the position behind it, its kind, and what it tells; without a kind the position alone."""

    id: str
    event: str
    data: Any


@dataclass(frozen=True)
class Batch:
    """Messages for who follows, and whether more wait already."""

    messages: list[StreamMessage]
    has_more: bool
