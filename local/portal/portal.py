"""The portal's addresses."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from werkzeug import Request, Response
from werkzeug.routing import Rule

from local.portal.instruments import INSTRUMENTS, MEMBERSHIPS, PROPOSALS, SITES, USER, durations
from local.portal.observatory import CAMERAS, STATES, Observatory, TransitionError
from local.portal.replies import Json, RefusedError, is_allowed, page, read_json, reply, require_token
from local.portal.times import from_text, to_text
from local.portal.validation import REQUIRED, find_faults, largest_interval_s

PAGE = 10
NO_CHOICE = "Select a valid choice. {} is not one of the available choices."
Matches = Callable[[Json], bool]


RULES = [
    Rule("/api/instruments/", methods=["GET"], endpoint="instruments"),
    Rule("/api/proposals/", methods=["GET"], endpoint="proposals"),
    Rule("/api/profile/", methods=["GET"], endpoint="profile"),
    Rule("/api/api-token-auth/", methods=["POST"], endpoint="token"),
    Rule("/api/telescope_states/", methods=["GET"], endpoint="telescope_states"),
    Rule("/api/requestgroups/", methods=["GET"], endpoint="groups"),
    Rule("/api/requestgroups/", methods=["POST"], endpoint="submit"),
    Rule("/api/requestgroups/validate/", methods=["POST"], endpoint="validate"),
    Rule("/api/requestgroups/<group_id>/", methods=["GET"], endpoint="group"),
    Rule("/api/requestgroups/<group_id>/cancel/", methods=["POST"], endpoint="cancel"),
    Rule("/api/requests/", methods=["GET"], endpoint="requests"),
    Rule("/api/requests/<request_id>/", methods=["GET"], endpoint="request"),
    Rule("/api/requests/<request_id>/observations/", methods=["GET"], endpoint="attempts"),
]
"""The addresses; each endpoint is a method of `Portal` that takes the request and the parts of its address."""


class Portal:
    """Answers what clients ask of the portal.

    Parameters
    ----------
    observatory : Observatory
        What there is.
    token : str
        The user's.
    """

    def __init__(self, observatory: Observatory, token: str) -> None:
        self._observatory = observatory
        self._records = observatory.records
        self._token = token

    def instruments(self, request: Request) -> Response:
        """`GET /api/instruments/`: open to all but who sends a wrong token."""
        is_allowed(request, self._token)
        code, telescope_class = request.args.get("instrument_type"), request.args.get("telescope_class")
        return reply(
            {
                name: instrument
                for name, instrument in INSTRUMENTS.items()
                if code in (None, name) and telescope_class in (None, instrument["class"])
            }
        )

    def proposals(self, request: Request) -> Response:
        """`GET /api/proposals/`: those of the user."""
        require_token(request, self._token)
        active = request.args.get("active", "")
        if active not in ("", "True", "False"):
            raise RefusedError(400, {"active": [NO_CHOICE.format(active)]})
        mine = [PROPOSALS[code] for code in sorted(MEMBERSHIPS)]
        found = [proposal for proposal in mine if not active or proposal["active"] is (active == "True")]
        return reply(page(request, found, PAGE))

    def profile(self, request: Request) -> Response:
        """`GET /api/profile/`: who the user is."""
        require_token(request, self._token)
        proposals = [
            {"id": code, "title": PROPOSALS[code]["title"], "current": PROPOSALS[code]["active"]}
            for code in sorted(MEMBERSHIPS)
        ]
        return reply({"username": USER, "email": f"{USER}@localhost.localdomain", "proposals": proposals})

    def token(self, request: Request) -> Response:
        """`POST /api/api-token-auth/`: the token for a name and a password, of which any is right here."""
        given = read_json(request) if request.mimetype == "application/json" else request.form.to_dict()
        given = given if isinstance(given, dict) else {}
        faults = {field: [REQUIRED] for field in ("username", "password") if not given.get(field)}
        if faults:
            raise RefusedError(400, faults)
        if given["username"] != USER:
            raise RefusedError(400, {"non_field_errors": ["Unable to log in with provided credentials."]})
        return reply({"token": self._token})

    def telescope_states(self, request: Request) -> Response:
        """`GET /api/telescope_states/`: all of them are well, and have been for a day."""
        is_allowed(request, self._token)
        now = self._observatory.now()
        times = {"start": to_text(now - timedelta(days=1)), "end": to_text(now)}
        well = {"event_type": "AVAILABLE", "event_reason": "Available for scheduling", **times}
        names = [
            f"{site}.{enclosure}.{part}" for site, (_, enclosure) in SITES.items() for part, *_ in CAMERAS.values()
        ]
        return reply({name: [{"telescope": name, **well}] for name in names})

    def validate(self, request: Request) -> Response:
        """`POST /api/requestgroups/validate/`: 200 whatever is wrong."""
        require_token(request, self._token)
        group = read_json(request)
        now = self._observatory.now()
        faults = find_faults(group, now)
        if faults:
            return reply({"request_durations": {}, "errors": faults})
        parts = [
            {**durations(each), "largest_interval": round(largest_interval_s(each, now), 2)}
            for each in group["requests"]
        ]
        total = sum(part["duration"] for part in parts)
        return reply({"request_durations": {"requests": parts, "duration": total}, "errors": {}})

    def submit(self, request: Request) -> Response:
        """`POST /api/requestgroups/`: 201 with the ids, or 400 with the tree of faults."""
        require_token(request, self._token)
        group = read_json(request)
        faults = find_faults(group, self._observatory.now())
        return reply(faults, 400) if faults else reply(self._observatory.submit(group), 201)

    def groups(self, request: Request) -> Response:
        """`GET /api/requestgroups/`: newest first; a foreign group does not exist."""
        mine = reversed(self._records.groups) if is_allowed(request, self._token) else iter(())
        tests = _filters(request)
        return reply(page(request, [group for group in mine if all(test(group) for test in tests)], PAGE))

    def group(self, request: Request, group_id: str) -> Response:
        """`GET /api/requestgroups/<id>/`."""
        return reply(self._group(request, group_id))

    def cancel(self, request: Request, group_id: str) -> Response:
        """`POST /api/requestgroups/<id>/cancel/`."""
        require_token(request, self._token)
        try:
            return reply(self._observatory.cancel(self._group(request, group_id)))
        except TransitionError as error:
            return reply({"errors": [str(error)]}, 400)

    def requests(self, request: Request) -> Response:
        """`GET /api/requests/`."""
        mine = [each for each, _ in self._records.requests()] if is_allowed(request, self._token) else []
        return reply(page(request, mine, PAGE))

    def request(self, request: Request, request_id: str) -> Response:
        """`GET /api/requests/<id>/`."""
        return reply(self._request(request, request_id))

    def attempts(self, request: Request, request_id: str) -> Response:
        """`GET /api/requests/<id>/observations/`: a plain list."""
        found = self._records.attempts_of(self._request(request, request_id)["id"])
        if request.args.get("exclude_canceled"):
            found = [attempt for attempt in found if attempt["state"] != "CANCELED"]
        return reply(found)

    def _group(self, request: Request, group_id: str) -> Json:
        mine = self._records.groups if is_allowed(request, self._token) else []
        for group in mine:
            if group["id"] == _number(group_id):
                return group
        raise RefusedError(404, {"detail": "No RequestGroup matches the given query."})

    def _request(self, request: Request, request_id: str) -> Json:
        number = _number(request_id)
        found = self._records.find_request(number) if is_allowed(request, self._token) else None
        if found is None:
            raise RefusedError(404, {"detail": "No Request matches the given query."})
        return found[0]


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise RefusedError(404, {"detail": "Not found."})
    return int(text)


def _filters(request: Request) -> list[Matches]:
    """Return the tests that a listing of groups asks for."""
    tests: list[Matches] = []
    arguments = request.args
    if "name" in arguments:
        part = arguments["name"].lower()
        tests.append(lambda group: part in group["name"].lower())
    if "state" in arguments:
        states = arguments.getlist("state")
        if unknown := [state for state in states if state not in STATES]:
            raise RefusedError(400, {"state": [NO_CHOICE.format(unknown[0])]})
        tests.append(lambda group: group["state"] in states)
    if "proposal" in arguments:
        tests.append(lambda group: group["proposal"] == arguments["proposal"])
    if "request_id" in arguments:
        wanted = arguments.get("request_id", type=int)
        if wanted is None:
            raise RefusedError(400, {"request_id": ["Enter a number."]})
        tests.append(lambda group: any(each["id"] == wanted for each in group["requests"]))
    for name, sign in (("created_after", 1), ("created_before", -1)):
        if name in arguments:
            tests.append(_since(name, arguments[name], sign))
    return tests


def _since(name: str, text: str, sign: int) -> Matches:
    # A plus sign that was not encoded arrives as a space, and the time makes no sense.
    moment = from_text(text)
    if moment is None:
        raise RefusedError(400, {name: ["Enter a valid date/time."]})

    def matches(group: Json) -> bool:
        created: Any = from_text(group["created"])
        return bool(sign * (created - moment).total_seconds() >= 0)

    return matches
