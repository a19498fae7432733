"""What can be made to go wrong, and where."""

import threading
from dataclasses import dataclass
from time import sleep
from typing import Literal, get_args

from werkzeug import Request, Response

from local.portal.replies import html, reply

Kind = Literal[
    "refuse",
    "lose",
    "late",
    "slow",
    "500",
    "502",
    "503",
    "504",
    "429",
    "html",
    "garbage",
    "forbidden",
    "truncate",
    "corrupt",
    "expired",
]
KINDS: tuple[str, ...] = get_args(Kind)
OF_FILES = ("truncate", "corrupt", "expired")
"""Kinds that only files of the storage can have."""


class ConnectionLost(ConnectionError):  # noqa: N818 - the server closes the connection on errors of this family
    """Raised to close the connection without an answer."""


@dataclass
class Fault:
    """One thing that goes wrong.

    Parameters
    ----------
    kind : str
        `refuse` closes the connection before anything is done, `lose` after it, `late` before it, too, but does it
        `seconds` later; `slow` answers late; `500`, `502`, `503`, `504` and `429` (with `Retry-After`) are statuses; `html`
        is a page with status 200, `garbage` broken JSON; `forbidden` refuses the token. Of files: `truncate` breaks off,
        `corrupt` sends other bytes, `expired` refuses the link.
    path : str
        Beginning of the addresses that it happens to.
    times : int
        How often.
    method : str
        Only requests of this method; all if empty.
    seconds : float
        How late (`late` by the portal's clock), or what `Retry-After` says.
    """

    kind: str
    path: str = "/"
    times: int = 1
    method: str = ""
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind}; there are {', '.join(KINDS)}")
        if not isinstance(self.path, str) or not isinstance(self.method, str):
            raise ValueError("path and method are texts")
        if not isinstance(self.times, int) or not isinstance(self.seconds, (int, float)):
            raise ValueError("times and seconds are numbers")


class Faults:
    """The faults that are to come, first come first served."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Let it happen to the next requests that it fits."""
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._waiting.clear()

    def left(self) -> list[Fault]:
        """Return what has not happened yet."""
        with self._lock:
            return list(self._waiting)

    def take(self, request: Request) -> Fault | None:
        """Return the fault that happens to a request, and count it."""
        is_file = request.path.startswith("/storage/")
        with self._lock:
            for fault in self._waiting:
                if (
                    request.path.startswith(fault.path)
                    and fault.method in ("", request.method)
                    and (is_file or fault.kind not in OF_FILES)
                ):
                    fault.times -= 1
                    if fault.times < 1:
                        self._waiting.remove(fault)
                    return fault
        return None


def fail_before(fault: Fault) -> Response | None:
    """Return the answer that comes instead of any work, or None if the work is to be done.

    Raises
    ------
    ConnectionLost
        If nothing is to be answered.
    """
    if fault.kind in ("refuse", "late"):
        raise ConnectionLost
    if fault.kind == "slow":
        sleep(fault.seconds)
    if fault.kind == "429":
        text = f"Request was throttled. Expected available in {fault.seconds:g} seconds."
        return reply({"detail": text}, 429, **{"Retry-After": f"{fault.seconds:g}"})
    answers = {
        "500": html(500, "Server Error (500)"),
        "502": html(502, "502 Bad Gateway"),
        "503": html(503, "503 Service Temporarily Unavailable"),
        "504": html(504, "504 Gateway Time-out"),
        "html": html(200, "We are moving house"),
        "garbage": Response('{"count": 3, "results": [{"id": 1,', mimetype="application/json"),
        "forbidden": reply({"detail": "Invalid token."}, 403),
        "expired": Response(
            "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
            403,
            mimetype="application/xml",
        ),
    }
    return answers.get(fault.kind)


def fail_after(fault: Fault, answer: Response) -> Response:
    """Return what comes of an answer.

    Raises
    ------
    ConnectionLost
        If nothing does.
    """
    if fault.kind == "lose":
        raise ConnectionLost
    if answer.status_code not in (200, 206):
        return answer
    if fault.kind == "truncate":
        content = answer.get_data()
        answer.headers["Content-Length"] = str(len(content))
        answer.automatically_set_content_length = False
        answer.response = [content[: len(content) // 2]]
    if fault.kind == "corrupt":
        content = answer.get_data()
        answer.set_data(bytes(byte ^ 0x55 for byte in content[:64]) + content[64:])
    return answer
