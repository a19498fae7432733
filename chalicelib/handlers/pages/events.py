"""The pages of events and their productions."""

from chalicelib.handlers.operations import HTML, operation
from chalicelib.handlers.pages.rendering import OLDER, PAGE, ROWS, links, part_of, render, router
from chalicelib.handlers.replies import Reply
from chalicelib.handlers.request import Request
from chalicelib.storage import events, productions


@operation({200: HTML}, parameters=(OLDER,))
def list_events(request: Request) -> Reply:
    """Show the events, newest first, in pages, with the states of their productions."""
    found, event_count, page = events.read_newest(ROWS, request.query.get("next"))
    of_event = productions.get_many([(event.name, name) for event in found for name in event.production_names])
    return render(
        request,
        "events.html",
        events=[(event, of_event.get(event.name, [])) for event in found],
        event_count=event_count,
        **links(page),
    )


@operation({200: HTML}, parameters=(PAGE,))
def show_event(request: Request) -> Reply:
    """Show an event with its productions, in pages."""
    event, its = events.get(request.params["event_name"])
    shown, numbers = part_of(request, its)
    return render(request, "event.html", event=event, productions=shown, count=len(its), **numbers)


router.add("/events", GET=list_events)
router.add("/events/{event_name}", GET=show_event)
