"""The first page: what is new, and what is being done."""

from chalicelib.handlers.operations import HTML, operation
from chalicelib.handlers.pages.rendering import OLDER, ROWS, links, render, router
from chalicelib.handlers.replies import Reply
from chalicelib.handlers.request import Request
from chalicelib.storage import events, process_rows, productions, targets

EVENTS = 10
"""Events on the first page."""

RUNNING = 20
"""Processes on the first page."""

BUSY_S, IDLE_S = 3, 20
"""Seconds after which a page looks again, while processes run and while none does."""


@operation(answers={200: HTML}, parameters=(OLDER,), refuses=(503,))
def show_home(request: Request) -> Reply:
    """Show the newest targets, in pages, the newest events with their productions' states, and what is running."""
    newest, target_count, page = targets.read_newest(ROWS, request.query.get("next"))
    newest_events, event_count, _ = events.read_newest(EVENTS, None)
    of_event = productions.get_many([(event.name, name) for event in newest_events for name in event.production_names])
    running = process_rows.newest_open(RUNNING)
    target_names = targets.names_of({process.target_id for process in running.newest})
    return render(
        request,
        "home.html",
        scripts=("refresh.js",),
        targets=newest,
        target_count=target_count,
        events=[(event, of_event.get(event.name, [])) for event in newest_events],
        event_count=event_count,
        running=running,
        target_names=target_names,
        refresh_s=BUSY_S if running.count else IDLE_S,
        **links(page),
    )


router.add("/", GET=show_home)
