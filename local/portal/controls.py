"""The hands that move what happens behind the stand-in, over HTTP, from this machine only."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from werkzeug import Request, Response
from werkzeug.routing import Rule

from local.portal.archive import Archive
from local.portal.faults import Fault, Faults
from local.portal.observatory import Observatory
from local.portal.replies import RefusedError, read_json, reply
from local.ports import HOST

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
    faults, archive, observatory : Faults, Archive, Observatory
        What is looked at, and set.
    hands : mapping
        What moves a request, by name: `complete`, `bad_data`, `set_state`, `schedule`, `add_frame`.
    """

    def __init__(
        self, faults: Faults, archive: Archive, observatory: Observatory, hands: Mapping[str, Callable[..., object]]
    ) -> None:
        self._faults = faults
        self._archive = archive
        self._observatory = observatory
        self._hands = hands
        self._actions: dict[str, Callable[..., object]] = {
            **{name: hands[name] for name in ("complete", "bad_data", "set_state")},
            "add_attempt": self._add_attempt,
            "add_frame": self._add_frame,
        }

    def list_faults(self, request: Request) -> Response:
        """`GET /stand-in/faults/`: what is still to come."""
        _require_loopback(request)
        return reply([asdict(fault) for fault in self._faults.left()])

    def add_fault(self, request: Request) -> Response:
        """`POST /stand-in/faults/`: let something go wrong; see `Fault`."""
        _require_loopback(request)
        _call(lambda **fault: self._faults.add(Fault(**fault)), read_json(request))
        return reply({}, 201)

    def clear_faults(self, request: Request) -> Response:
        """`DELETE /stand-in/faults/`: let nothing go wrong any more."""
        _require_loopback(request)
        self._faults.clear()
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
        self._hands["schedule"](request_id, state)

    def _add_frame(self, request_id: int, name: str, reduction_level: int = 91) -> None:
        """Add a record without a file: its `url` is null."""
        if not isinstance(name, str) or not isinstance(reduction_level, int):
            raise ValueError("name is a text, reduction_level a number")
        self._observatory.find_request(request_id)
        self._hands["add_frame"](request_id, name, reduction_level=reduction_level)

    def _set_archive(self, *, estimates_counts: bool) -> None:
        if not isinstance(estimates_counts, bool):
            raise ValueError("estimates_counts is true or false")
        self._archive.estimates_counts = estimates_counts


def _call(function: Callable[..., object], body: Any, *arguments: int) -> None:
    try:
        function(*arguments, **body)
    except (TypeError, ValueError, LookupError) as error:
        raise RefusedError(400, {"detail": str(error)}) from error


def _require_loopback(request: Request) -> None:
    if request.remote_addr not in (HOST, "::1"):
        raise RefusedError(403, {"detail": "Only this machine may do that."})
