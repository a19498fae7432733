"""The first page: what is new."""

from chalicelib.handlers.pages.rendering import ROWS, links, render, router
from chalicelib.handlers.replies import Reply
from chalicelib.handlers.request import Request
from chalicelib.storage import events, targets

HOME_EVENTS = 10
"""Events on the first page."""


def show_home(request: Request) -> Reply:
    """Show the newest targets, in pages, and the newest events."""
    newest, target_count, page = targets.read_newest(ROWS, request.query.get("next"))
    newest_events, event_count, _ = events.read_newest(HOME_EVENTS, None)
    return render(
        request,
        "home.html",
        targets=newest,
        target_count=target_count,
        events=[(event, []) for event in newest_events],
        event_count=event_count,
        **links(page),
    )


router.add("/", GET=show_home)
