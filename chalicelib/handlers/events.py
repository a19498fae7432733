"""Events of the asimov REST API."""

from typing import Any

from chalice import Blueprint

from chalicelib import clock
from chalicelib.handlers import paging
from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import EMPTY, operation
from chalicelib.handlers.replies import ASIMOV, Reply
from chalicelib.handlers.request import Request
from chalicelib.models.events import Event, EventAgain, EventChange, EventInput, EventList, EventReply
from chalicelib.models.validation import validate_asimov
from chalicelib.settings import get_settings
from chalicelib.storage import events, productions
from chalicelib.storage.lists import MAX_PAGE_BYTES

blueprint = Blueprint(__name__)
router = Router(blueprint, ASIMOV)


@operation(answers={200: EventList}, parameters=(paging.LIMIT, paging.NEXT), refuses=(503,))
def list_events(request: Request) -> Reply:
    """List events in creation order; `next` is there when there are more."""
    found, cursor = events.read_page(paging.limit_of(request), request.query.get("next"), MAX_PAGE_BYTES)
    answer: EventList = {"events": [event.public(its) for event, its in found]}
    if cursor:
        answer["next"] = cursor
    return Reply(answer)


@operation(answers={201: EventReply}, takes=EventInput, refuses=(409,))
def create_event(request: Request) -> Reply:
    """Create an event."""
    given = validate_asimov(EventInput, request.json_object())
    directory = given.working_directory
    event = Event(
        name=given.name,
        working_directory=f"{get_settings().working_directory_root}/{given.name}" if directory is None else directory,
        created=clock.to_text(clock.now()),
        repository=given.repository,
        meta=given.meta,
    )
    reply = Reply({"event": event.public([])}, 201)
    events.create(event, request.seal(reply))
    return reply


@operation(answers={200: EventReply})
def get_event(request: Request) -> Reply:
    """Show an event with its productions."""
    event, its = events.get(request.params["event_name"])
    return Reply({"event": event.public(its)})


@operation(answers={200: EventReply}, takes=EventChange | EventAgain)
def update_event(request: Request) -> Reply:
    """Change what is given of an event; `meta` is merged at its top level."""
    change = validate_asimov(EventChange, unwrap(request.json_object(), "event"))
    name = request.params["event_name"]
    values = change.values()
    if "working_directory" in values and values["working_directory"] is None:
        values["working_directory"] = f"{get_settings().working_directory_root}/{name}"
    event = events.change(name, values, change.meta)
    its = productions.get_many([(name, each) for each in event.production_names]).get(name, [])
    return Reply({"event": event.public(its)})


@operation(answers={204: EMPTY})
def delete_event(request: Request) -> Reply:
    """Delete an event with its productions."""
    events.delete(request.params["event_name"])
    return Reply(None, 204)


def unwrap(body: dict[str, Any], key: str) -> dict[str, Any]:
    """Return what lies in an answer of ours that is sent back as it came: `{"event": {...}}`."""
    inner = body.get(key)
    return inner if set(body) == {key} and isinstance(inner, dict) else body


router.add("/api/v1/events", GET=list_events, POST=create_event)
router.add("/api/v1/events/{event_name}", GET=get_event, PUT=update_event, DELETE=delete_event)
