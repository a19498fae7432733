"""The hands that move what happens behind the stand-in, over HTTP, from this machine only."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from werkzeug import Request, Response
from werkzeug.routing import Rule

from local.portal.faults import Fault
from local.portal.replies import RefusedError, read_json, reply
from local.ports import HOST

if TYPE_CHECKING:
    from local.portal.stand_in import StandIn

PREFIX = "/stand-in/"


RULES = [
    Rule(f"{PREFIX}faults/", methods=["GET"], endpoint="list_faults"),
    Rule(f"{PREFIX}faults/", methods=["POST"], endpoint="add_fault"),
    Rule(f"{PREFIX}faults/", methods=["DELETE"], endpoint="clear_faults"),
    Rule(f"{PREFIX}archive/", methods=["POST"], endpoint="set_archive"),
    Rule(f"{PREFIX}requests/<int:request_id>/<action>/", methods=["POST"], endpoint="act"),
]
"""The addresses; each endpoint is a method of `Controls` that takes the request and the parts of its address."""


class Controls:
    """Answers what is asked of the stand-in itself.

    Parameters
    ----------
    stand_in : StandIn
        What is moved.
    """

    def __init__(self, stand_in: "StandIn") -> None:
        self._stand_in = stand_in
        self._actions: dict[str, Callable[..., object]] = {
            "complete": stand_in.complete,
            "bad_data": stand_in.bad_data,
            "set_state": stand_in.set_state,
            "add_attempt": self._add_attempt,
            "add_frame": self._add_frame,
        }

    def list_faults(self, request: Request) -> Response:
        """`GET /stand-in/faults/`: what is still to come."""
        _require_loopback(request)
        return reply([asdict(fault) for fault in self._stand_in.faults.left()])

    def add_fault(self, request: Request) -> Response:
        """`POST /stand-in/faults/`: let something go wrong; see `Fault`."""
        _require_loopback(request)
        _call(lambda **fault: self._stand_in.faults.add(Fault(**fault)), read_json(request))
        return reply({}, 201)

    def clear_faults(self, request: Request) -> Response:
        """`DELETE /stand-in/faults/`: let nothing go wrong any more."""
        _require_loopback(request)
        self._stand_in.faults.clear()
        return Response(status=204)

    def set_archive(self, request: Request) -> Response:
        """`POST /stand-in/archive/`: say how the archive counts."""
        _require_loopback(request)
        _call(self._set_archive, read_json(request))
        return reply({})

    def act(self, request: Request, request_id: int, action: str) -> Response:
        """`POST /stand-in/requests/<id>/<action>/`: move one request."""
        _require_loopback(request)
        if action not in self._actions:
            raise RefusedError(404, {"detail": f"There are {', '.join(self._actions)}."})
        _call(self._actions[action], read_json(request), request_id)
        return reply({})

    def _add_attempt(self, request_id: int, state: str) -> None:
        self._stand_in.schedule(request_id, state)

    def _add_frame(self, request_id: int, name: str, reduction_level: int = 91) -> None:
        """Add a record without a file: its `url` is null."""
        if not isinstance(name, str) or not isinstance(reduction_level, int):
            raise ValueError("name is a text, reduction_level a number")
        self._stand_in.observatory.find_request(request_id)
        self._stand_in.add_frame(request_id, name, reduction_level=reduction_level)

    def _set_archive(self, *, estimates_counts: bool) -> None:
        if not isinstance(estimates_counts, bool):
            raise ValueError("estimates_counts is true or false")
        self._stand_in.archive.estimates_counts = estimates_counts


def _call(function: Callable[..., object], body: Any, *arguments: int) -> None:
    try:
        function(*arguments, **body)
    except (TypeError, ValueError, LookupError) as error:
        raise RefusedError(400, {"detail": str(error)}) from error


def _require_loopback(request: Request) -> None:
    if request.remote_addr not in (HOST, "::1"):
        raise RefusedError(403, {"detail": "Only this machine may do that."})
