"""Messages of the streams that tell what happens, as browsers' `EventSource` takes them."""

from typing import Any, NamedTuple


class StreamMessage(NamedTuple):
    """One message of a stream: the position behind it, its kind, and what it tells."""

    id: str
    event: str
    data: Any
