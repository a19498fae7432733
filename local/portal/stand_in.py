"""The stand-in as a whole: a server on the loopback interface, and the hands that move what happens behind it."""

import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug import Request, Response
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import EndpointPrefix, Map
from werkzeug.serving import WSGIRequestHandler, make_server

from local.portal import archive, controls, portal
from local.portal.archive import Archive
from local.portal.controls import Controls
from local.portal.faults import Fault, Faults, fail_after, fail_before
from local.portal.observatory import Observatory, Pace
from local.portal.portal import Portal
from local.portal.records import Json, Store
from local.portal.replies import RefusedError, html, reply
from local.portal.times import to_text
from local.ports import HOST

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

REMEMBERED = 10_000


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class StandIn:
    """A portal and an archive that answer over HTTP.

    Parameters
    ----------
    clock : callable or None
        Returns the time, aware; the machine's by default.
    folder : Path or None
        Where everything is kept; nowhere by default.
    token : str or None
        What the user's requests carry; one is made by default.
    pace : Pace or None
        How fast observations are played; by default nothing comes by itself but the end of a window.
    size_px : int
        Side of the frames.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        folder: Path | None = None,
        token: str | None = None,
        pace: Pace | None = None,
        size_px: int = 64,
    ) -> None:
        self.token = token or secrets.token_hex(20)
        self.faults = Faults()
        self.requests: list[Seen] = []
        self._late: list[tuple[datetime, Request]] = []
        self._clock = clock or (lambda: datetime.now(UTC))
        self._ahead = timedelta()
        self.observatory = Observatory(Store(folder), self.now, pace, size_px)
        self.archive = Archive(self.observatory, self.token)
        hands = (self.complete, self.bad_data, self.set_state, self.schedule, self.add_frame)
        self._parts = {
            "portal": Portal(self.observatory, self.token),
            "archive": self.archive,
            "controls": Controls(self.faults, self.archive, self.observatory, {hand.__name__: hand for hand in hands}),
        }
        self._server: Any = None

    def start(self, fd: int | None = None) -> None:
        """Answer from now on, on a bound socket or on a free port."""
        self._server = make_server(HOST, 0, self, threaded=True, request_handler=_Handler, fd=fd)
        if fd is not None:
            self._server.server_activate()
        # How often it looks whether it was stopped: tests do that all the time, a process of its own never.
        poll_s = 0.005 if fd is None else 1.0
        threading.Thread(target=self._server.serve_forever, args=(poll_s,), name="portal", daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def portal_url(self) -> str:
        """Address of the portal."""
        return f"http://{HOST}:{self._server.port}"

    @property
    def archive_url(self) -> str:
        """Address of the archive."""
        return self.portal_url + archive.PREFIX

    def now(self) -> datetime:
        """Return the time at the portal."""
        return self._clock() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass at the portal."""
        self._ahead += timedelta(seconds=seconds)

    def fail(self, kind: str, path: str = "/", times: int = 1, **more: Any) -> None:
        """Let something go wrong; see `Fault`."""
        self.faults.add(Fault(kind, path, times, **more))

    @property
    def submissions(self) -> dict[str, list[Json]]:
        """The request groups that were taken, by name."""
        with self.observatory.lock():
            found: dict[str, list[Json]] = {}
            for group in self.observatory.records.groups:
                found.setdefault(group["name"], []).append(group)
            return found

    def seen(self, method: str = "", path: str = "/") -> list[Seen]:
        """Return the requests that came for addresses that begin so."""
        return [each for each in self.requests if method in ("", each.method) and each.path.startswith(path)]

    def complete(self, request_id: int | str, frames: int | None = None, attempt_state: str = "COMPLETED") -> None:
        """Complete a request now, with all its frames, or so many; its attempt may have FAILED, late."""
        with self._changing():
            self.observatory.complete(int(request_id), frames, attempt_state=attempt_state)

    def bad_data(self, request_id: int | str) -> None:
        """Find that the data of a completed request are bad: it is PENDING again."""
        with self._changing():
            self.observatory.bad_data(int(request_id))

    def set_state(self, request_id: int | str, state: str) -> None:
        """Put a request into a state."""
        with self._changing():
            self.observatory.set_state(int(request_id), state)

    def schedule(self, request_id: int | str, state: str = "PENDING", start: datetime | None = None) -> Json:
        """Add an attempt at a request and return it."""
        with self._changing():
            return self.observatory.schedule(int(request_id), state, start)

    def add_frame(self, request_id: int | str, name: str, content: bytes | None = None, **facts: Any) -> Json:
        """Put a frame of this file name into the archive; without content its `url` is null."""
        basename, dot, extension = name.partition(".")
        with self._changing():
            known = {"observation_date": to_text(self.now()), "request_id": int(request_id)}
            return self.observatory.add_frame(
                {**known, "basename": basename, "extension": dot + extension, **facts}, content
            )

    def frames(self, request_id: int | str) -> list[Json]:
        """Return the archive's records of a request, oldest first."""
        with self.observatory.lock():
            return [each for each in self.observatory.records.frames if each["request_id"] == int(request_id)]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        request = Request(environ)
        # Read in any case: a client that is still sending when the connection closes sees another error.
        body = request.get_data()
        if request.path.startswith(controls.PREFIX):
            return self._answer(request)(environ, start_response)
        self.requests.append(Seen(request.method, request.path, request.args.to_dict(), dict(request.headers), body))
        del self.requests[:-REMEMBERED]
        self._catch_up()
        fault = self.faults.take(request)
        if fault and fault.kind == "late":
            self._late.append((self.now() + timedelta(seconds=fault.seconds), request))
        answer = fail_before(fault) if fault else None
        if answer is None:
            answer = self._answer(request)
            answer = fail_after(fault, answer) if fault else answer
        return answer(environ, start_response)

    def _catch_up(self) -> None:
        """Do what was asked for on connections that were closed, where its time has come."""
        with self.observatory.lock():
            now = self.now()
            due = [request for moment, request in self._late if moment <= now]
            self._late = [each for each in self._late if each[0] > now]
            for request in due:
                self._answer(request)

    def _answer(self, request: Request) -> Response:
        adapter = _addresses().bind_to_environ(request.environ)
        # As Django does it: whatever the method is, and whether or not the address knows it.
        if not request.path.endswith("/") and adapter.allowed_methods(f"{request.path}/"):
            query = request.query_string.decode("latin-1")
            return Response(status=301, headers={"Location": f"{request.path}/" + (f"?{query}" if query else "")})
        try:
            endpoint, arguments = adapter.match()
            part, _, name = endpoint.partition(".")
            with self._changing():
                self.observatory.advance()
                answer: Response = getattr(self._parts[part], name)(request, **arguments)
            return answer
        except RefusedError as error:
            return reply(error.content, error.status)
        except MethodNotAllowed as error:
            allowed = ", ".join(sorted(set(error.valid_methods or ()) - {"HEAD"}))
            return reply({"detail": f'Method "{request.method}" not allowed.'}, 405, Allow=allowed)
        except NotFound:
            return html(404, "Not Found")

    def _changing(self) -> "_Change":
        return _Change(self.observatory)


@cache
def _addresses() -> Map:
    """Return all addresses: made once, as it takes long, for all the stand-ins of a process."""
    parts = {"portal": portal.RULES, "archive": archive.RULES, "controls": controls.RULES}
    return Map([EndpointPrefix(f"{part}.", rules) for part, rules in parts.items()])


class _Change:
    """Keeps other threads away, and keeps what has changed."""

    def __init__(self, observatory: Observatory) -> None:
        self._observatory = observatory

    def __enter__(self) -> None:
        self._observatory.lock().__enter__()

    def __exit__(self, *exception: Any) -> None:
        try:
            self._observatory.keep()
        finally:
            self._observatory.lock().__exit__(*exception)


class _Handler(WSGIRequestHandler):
    """Says nothing of single requests: their queries may hold signatures."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Keep errors only."""
        if type == "error":
            super().log(type, message, *args)

    def connection_dropped(self, error: BaseException, environ: "WSGIEnvironment | None" = None) -> None:
        """Close the connection, also where it is the fault `refuse` or `lose` that was raised."""
        del error, environ
        self.close_connection = True
