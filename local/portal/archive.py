"""The archive's addresses, and the storage to which its signed links lead."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from werkzeug import Request, Response
from werkzeug.routing import Rule

from local.portal.instruments import MEMBERSHIPS
from local.portal.observatory import Observatory
from local.portal.replies import Json, RefusedError, is_allowed, page, reply
from local.portal.times import from_text

PREFIX = "/archive"
STORAGE = "/storage"
PAGE = 100
LARGEST_PAGE = 1000
LINK_LIFETIME = timedelta(hours=48)

OLD_NAMES = {
    "observation_date": "DATE_OBS",
    "observation_day": "DAY_OBS",
    "proposal_id": "PROPID",
    "instrument_id": "INSTRUME",
    "target_name": "OBJECT",
    "reduction_level": "RLEVEL",
    "site_id": "SITEID",
    "telescope_id": "TELID",
    "exposure_time": "EXPTIME",
    "primary_optical_element": "FILTER",
    "public_date": "L1PUBDAT",
    "configuration_type": "OBSTYPE",
    "observation_id": "BLKUID",
    "request_id": "REQNUM",
}
"""The upper-case names under which the archive shows the same values again."""

SCIENCE = ("EXPOSE", "REPEAT_EXPOSE")
"""Types of configurations whose frames are no calibrations."""

CONTAINED = ("basename", "target_name")
EXACT = (
    "proposal_id",
    "reduction_level",
    "configuration_type",
    "primary_optical_element",
    "instrument_id",
    "site_id",
    "telescope_id",
    "observation_id",
    "request_id",
)


RULES = [
    Rule(f"{PREFIX}/frames/", methods=["GET"], endpoint="frames"),
    Rule(f"{PREFIX}/frames/<int:frame_id>/", methods=["GET"], endpoint="frame"),
    Rule(f"{PREFIX}/frames/<int:frame_id>/headers/", methods=["GET"], endpoint="headers"),
    Rule(f"{STORAGE}/<int:frame_id>/<name>", methods=["GET"], endpoint="file"),
]
"""The addresses; each endpoint is a method of `Archive` that takes the request and the parts of its address."""


class Archive:
    """Answers what clients ask of the archive.

    Parameters
    ----------
    observatory : Observatory
        What there is.
    token : str
        The user's; without it only public frames are listed.
    """

    def __init__(self, observatory: Observatory, token: str) -> None:
        self._observatory = observatory
        self._token = token
        self.largest_page = LARGEST_PAGE
        self.estimates_counts = False

    def frames(self, request: Request) -> Response:
        """`GET /frames/`: newest first, as far as they are to be seen."""
        matches, is_shown = _filter(request), self._wish(request)
        found = [frame for frame in reversed(self._visible(request)) if matches(frame) and is_shown(frame)]
        answer = page(request, found, PAGE, self.largest_page)
        answer["results"] = [self._public(request, frame) for frame in answer["results"]]
        answer["count_estimated"] = self.estimates_counts
        if self.estimates_counts:
            answer["count"] = 10 * len(found) + 7
        if request.args.get("pagination_style") == "cursor":
            del answer["count"], answer["count_estimated"]
        return reply(answer)

    def frame(self, request: Request, frame_id: int) -> Response:
        """`GET /frames/<id>/`: with a link that is new."""
        return reply(self._public(request, self._find(request, frame_id)))

    def headers(self, request: Request, frame_id: int) -> Response:
        """`GET /frames/<id>/headers/`."""
        frame = self._find(request, frame_id)
        return reply({"data": {old: frame.get(new) for new, old in OLD_NAMES.items()}})

    def file(self, request: Request, frame_id: int, name: str) -> Response:
        """Answer a signed link: refuses a token, an altered link, and one whose time is over."""
        if "Authorization" in request.headers:
            return _storage_error(400, "InvalidArgument", "Only one auth mechanism allowed")
        expires = request.args.get("expires", "")
        signature = request.args.get("signature", "")
        if not hmac.compare_digest(self._signature(request.path, expires).encode(), signature.encode()):
            return _storage_error(403, "SignatureDoesNotMatch", "The signature does not match")
        if self._observatory.now().timestamp() > float(expires):
            return _storage_error(403, "AccessDenied", "Request has expired")
        del name
        content = self._observatory.store.read_file(frame_id)
        answer = Response(content, mimetype="application/octet-stream")
        answer.set_etag(hashlib.md5(content, usedforsecurity=False).hexdigest())
        return answer.make_conditional(request, accept_ranges=True, complete_length=len(content))

    def _visible(self, request: Request) -> list[Json]:
        frames = self._observatory.records.frames
        if is_allowed(request, self._token):
            return frames
        return [frame for frame in frames if self._is_public(frame)]

    def _is_public(self, frame: Json) -> bool:
        now = self._observatory.now()
        return (from_text(frame["public_date"]) or now) <= now

    def _wish(self, request: Request) -> Callable[[Json], bool]:
        """Return the test of `public=false`: one's own proposals', or for a stranger what is not public."""
        if request.args.get("public", "").lower() not in ("false", "0"):
            return lambda _: True
        if is_allowed(request, self._token):
            return lambda frame: frame.get("proposal_id") in MEMBERSHIPS
        return lambda frame: not self._is_public(frame)

    def _find(self, request: Request, frame_id: int) -> Json:
        for frame in self._visible(request):
            if frame["id"] == frame_id:
                return frame
        raise RefusedError(404, {"detail": "No Frame matches the given query."})

    def _public(self, request: Request, frame: Json) -> Json:
        shown = {name: value for name, value in frame.items() if name not in ("version", "extension")}
        shown |= {old: frame.get(new) for new, old in OLD_NAMES.items()}
        shown["filename"] = frame["basename"] + frame["extension"]
        url = self._link(request, frame["id"], shown["filename"]) if frame["version"] else None
        return {**shown, "url": url, "version_set": [{**frame["version"], "url": url}] if frame["version"] else []}

    def _link(self, request: Request, frame_id: int, filename: str) -> str:
        path = f"{STORAGE}/{frame_id}/{filename}"
        expires = str(int((self._observatory.now() + LINK_LIFETIME).timestamp()))
        return f"{request.host_url.rstrip('/')}{path}?expires={expires}&signature={self._signature(path, expires)}"

    def _signature(self, path: str, expires: str) -> str:
        secret = self._observatory.records.secret.encode()
        return hmac.new(secret, f"{path} {expires}".encode(), hashlib.sha256).hexdigest()


def _filter(request: Request) -> Callable[[Json], bool]:
    wanted: dict[str, str] = {}
    for name in (*CONTAINED, *EXACT, *(f"{name}_exact" for name in CONTAINED)):
        value = request.args.get(name) or request.args.get(OLD_NAMES.get(name, ""))
        if value:
            wanted[name] = value
    start, end = from_text(request.args.get("start")), from_text(request.args.get("end"))
    is_science = request.args.get("exclude_calibrations", "").lower() in ("true", "1")

    def matches(frame: Json) -> bool:
        taken: Any = from_text(frame.get("observation_date")) if start or end else None
        if (start and not (taken and taken >= start)) or (end and not (taken and taken <= end)):
            return False
        if is_science and frame.get("configuration_type") not in SCIENCE:
            return False
        for name, value in wanted.items():
            kept = str(frame.get(name.removesuffix("_exact"), ""))
            if value not in kept if name in CONTAINED else value != kept:
                return False
        return True

    return matches


def _storage_error(status: int, code: str, text: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{text}</Message></Error>'
    return Response(body, status, mimetype="application/xml")
