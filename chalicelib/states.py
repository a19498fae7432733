"""Status words of productions and processes, and the moves a process may make."""

from enum import StrEnum

PIPELINE_NAMES = ("bilby", "rift", "bayeswave", "lalinference")
"""The analysis programs that a production may name, in lower case (asimov REST API, Create Production)."""

FIRST_PRODUCTION_STATUS = "ready"

PRODUCTION_STATUSES = (
    "ready",
    "wait",
    "running",
    "processing",
    "finished",
    "uploading",
    "uploaded",
    "complete",
    "stuck",
    "restart",
    "stop",
    "stopped",
    "cancelled",
    "manual",
    "review",
    "reviewed",
    "review_failed",
)
"""asimov's vocabulary for the status of a production; stored and answered in lower case."""

KINDS = {
    "waiting": ("ready", "wait", "pending"),
    "working": ("running", "processing", "uploading", "restart"),
    "done": ("finished", "uploaded", "complete", "reviewed", "created"),
    "asking": ("review", "manual"),
    "failed": ("stuck", "review_failed", "failed"),
    "stopped": ("stop", "stopped", "cancelled"),
}
"""What a status means to those who look: each kind has a colour and a sign of its own. Asking: for a person."""

_KIND_OF = {status: kind for kind, statuses in KINDS.items() for status in statuses}


class ProcessStatus(StrEnum):
    """The fixed status words of a process. A running pipeline may set any other text in between."""

    PENDING = "pending"
    CREATED = "created"
    FAILED = "failed"


BEGUN = "running"
"""What pages call a process that is still `pending` though its steps are counted."""

TERMINAL_STATUSES = (ProcessStatus.CREATED, ProcessStatus.FAILED)
"""A process in one of these has ended; only `retry` moves it on, and only from `failed`."""


def is_terminal(status: str) -> bool:
    """Say whether a process with this status has ended."""
    return status in TERMINAL_STATUSES


def shown_status(status: str, total: int) -> str:
    """Return the word that pages have for a process of so many steps: not every pipeline says that it has begun."""
    return BEGUN if total and status == ProcessStatus.PENDING else status


def kind_of(status: str) -> str:
    """Return the kind of a status; a text of a pipeline's own means that it is at work."""
    return _KIND_OF.get(status, "working")
