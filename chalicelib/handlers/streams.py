"""Streams of what happens, in the form of Server-Sent Events (https://html.spec.whatwg.org/#server-sent-events).

A function answers once and ends: each answer is a short batch, after which an `EventSource` waits for as long as `retry`
says and comes back with the id of the last message that reached it whole. So a connection may be cut anywhere.
"""

import json
from collections.abc import Iterable

from chalice import Blueprint

from chalicelib.errors import InvalidInputError
from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import EMPTY, Content, Parameter, operation
from chalicelib.handlers.replies import ASIMOV, TELESCOPE, Reply
from chalicelib.handlers.request import Request
from chalicelib.models.changes import LedgerChange
from chalicelib.models.processes import ProcessDetail
from chalicelib.models.streams import LogLines, Nothing, StreamMessage
from chalicelib.services import change_stream, process_streams

blueprint = Blueprint(__name__)
asimov = Router(blueprint, ASIMOV)
telescope = Router(blueprint, TELESCOPE)

HEADER = "Last-Event-ID"

RETRY_MS = 1000
"""Milliseconds after which who follows is to ask again."""

MORE_MS = 20
"""Milliseconds where more waits already."""

POSITION = (
    Parameter(HEADER, "The id of the last message that arrived; browsers send it.", place="header"),
    Parameter("last_event_id", "The same, for who cannot set a header; the header wins."),
)
_FORM = "Server-Sent Events: a short batch, behind whose last message the next request goes on."


@operation(
    answers={
        200: Content(
            "text/event-stream",
            f"{_FORM} `process`, `log` and, when all was told, `end`.",
            (("process", ProcessDetail), ("log", LogLines), ("end", Nothing)),
        ),
        204: EMPTY,
    },
    refuses=(400,),
    parameters=POSITION,
)
def follow_process(request: Request) -> Reply:
    """Follow a process: how it stands and the lines of its log, each once; 204 for who has heard the end."""
    process_id, text = request.id("process_id"), last_event_id(request)
    try:
        position = process_streams.Position.read(text, process_id) if text else None
        batch = process_streams.follow(process_id, position)
    except process_streams.NoPositionError:
        message = "This is no id of a message of this process."
        raise InvalidInputError.of(HEADER, message, "value_error.position") from None
    if batch is None:
        return Reply(None, 204, {"Cache-Control": "no-store"})
    return stream(batch.messages, has_more=batch.has_more)


@operation(
    answers={
        200: Content(
            "text/event-stream",
            f"{_FORM} `event` and `production`, and `reset` if too much was missed.",
            (("event", LedgerChange), ("production", LedgerChange), ("reset", Nothing)),
        )
    },
    refuses=(400,),
    parameters=POSITION,
)
def follow_ledger(request: Request) -> Reply:
    """Follow the changes of events and productions, each once; without a position from some minutes ago."""
    position = None
    if text := last_event_id(request):
        position = change_stream.Position.read(text)
        if position is None:
            raise InvalidInputError.of(HEADER, "This is no id of a message of this stream.", "value_error.position")
    batch = change_stream.follow(position)
    return stream(batch.messages, has_more=batch.has_more)


def last_event_id(request: Request) -> str:
    """Return the id of the last message that reached the caller; "" if it is at the beginning."""
    return str(request.raw.headers.get(HEADER) or request.query.get("last_event_id", ""))


def stream(messages: Iterable[StreamMessage], *, has_more: bool) -> Reply:
    """Return the answer that carries messages."""
    lines = [f"retry: {MORE_MS if has_more else RETRY_MS}\n\n"]
    for message in messages:
        lines.append(f"id: {message.id}\n")
        # Neither ids nor JSON in ASCII have a line break, or what some clients take for one (U+2028)
        if message.event:
            data = json.dumps(message.data, allow_nan=False)
            lines.append(f"event: {message.event}\ndata: {data}\n")
        lines.append("\n")
    return Reply("".join(lines), headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})


asimov.add("/api/v1/stream", GET=follow_ledger)
telescope.add("/api/pipeline/{process_id}/stream", GET=follow_process)
