"""The page of a process, which follows it until it has ended."""

import json

from chalicelib.errors import NotFoundError
from chalicelib.handlers.pages.rendering import render, router
from chalicelib.handlers.replies import Reply
from chalicelib.handlers.request import Request
from chalicelib.storage import processes, targets

SHOWN_LOG_CHARACTERS = 200_000
"""The end of a log that its page begins with; a Lambda function answers at most 6 MB."""


def show_process(request: Request) -> Reply:
    """Show a process with its log; the page follows one that has not ended."""
    process, log = processes.get_with_log(request.id("process_id"))
    try:
        target_name = targets.get(process.target_id).name
    except NotFoundError:  # it is being deleted, with its processes
        target_name = str(process.target_id)
    return render(
        request,
        "process.html",
        scripts=() if process.is_ended else ("process.js",),
        process=process,
        target_name=target_name,
        flags=[flag for flag, is_set in process.flags.items() if is_set],
        options=[f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in process.options.items()],
        log=log[-SHOWN_LOG_CHARACTERS:],
        log_is_cut=len(log) > SHOWN_LOG_CHARACTERS,
    )


router.add("/pipeline/{process_id}", GET=show_process)
