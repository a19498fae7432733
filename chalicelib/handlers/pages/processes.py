"""The page of a process, which follows it until it has ended."""

import json

from chalicelib.errors import NotFoundError
from chalicelib.handlers.operations import HTML, Content, operation
from chalicelib.handlers.pages.rendering import render, router
from chalicelib.handlers.replies import Reply
from chalicelib.handlers.request import Request
from chalicelib.services import process_streams
from chalicelib.states import BEGUN
from chalicelib.storage import data_products, processes, targets

SHOWN_LOG_CHARACTERS = 100_000
"""The end of a log that its page begins with, and about what it holds later; `process.js` has the same number."""

PREVIEWS = 24
"""Outputs that the page shows; its link to their group leads to the others."""


@operation(answers={200: HTML}, refuses=(503,))
def show_process(request: Request) -> Reply:
    """Show a process with its log and its outputs; the page follows one that has not ended."""
    process, log, position = process_streams.show(request.id("process_id"))
    try:
        target_name = targets.get(process.target_id).name
    except NotFoundError:  # it is being deleted, with its processes
        target_name = str(process.target_id)
    # Before its end a run may still replace what it has published.
    output_ids = sorted(process.output_ids.values()) if process.is_ended and process.group_id else []
    found = data_products.get_many(output_ids[:PREVIEWS])
    return render(
        request,
        "process.html",
        scripts=("api.js", "gallery.js", "process.js"),
        shows_files=True,
        process=process,
        begun=BEGUN,
        position=position,
        target_name=target_name,
        flags=[flag for flag, is_set in process.flags.items() if is_set],
        options=[f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in process.options.items()],
        log=end_of(log, SHOWN_LOG_CHARACTERS),
        outputs=[found[each] for each in sorted(found)],
        output_count=len(output_ids),
    )


@operation(answers={200: Content("text/plain", "The log.")})
def show_log(request: Request) -> Reply:
    """Show the whole log of a process as plain text."""
    _, log = processes.get_with_log(request.id("process_id"))
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    return Reply(log or "There is nothing in it.\n", headers=headers)


def end_of(log: str, size: int) -> str:
    """Return the whole lines among the last `size` characters of a log; of a longer line its end."""
    if len(log) <= size:
        return log
    start = log.find("\n", len(log) - size - 1, len(log) - 1) + 1
    return log[start or len(log) - size :]


router.add("/pipeline/{process_id}", GET=show_process)
router.add("/pipeline/{process_id}/log", GET=show_log)
