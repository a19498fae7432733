"""From API Gateway to a view and back: the one dispatcher that every route goes through.

A route is registered for every method, so that 405, CORS preflights and errors are answered by us, in the published shapes,
and alike on API Gateway, under `chalice local` and behind a WSGI server. Chalice's own content-type check and CORS are off.
"""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import unquote

from chalice import Blueprint
from chalice.app import Request as ChaliceRequest
from chalice.app import Response as ChaliceResponse

from chalicelib import clock
from chalicelib.errors import NotConfiguredError, SiderealError, UnavailableError
from chalicelib.handlers import auth, idempotency, operations
from chalicelib.handlers.replies import Family, Reply
from chalicelib.handlers.request import Request
from chalicelib.metrics import Metric
from chalicelib.observability import invocation, logger, metrics, note
from chalicelib.storage import artefacts

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
READING = ("GET", "HEAD", "OPTIONS")
LAST_RESORT = {"error": "Internal server error", "detail": "Internal server error"}

View = Callable[[Request], Reply]


@dataclass(frozen=True)
class Route:
    """One address with its views by method, the methods open to all, and the family of its replies."""

    path: str
    views: dict[str, View]
    open_methods: Callable[[], tuple[str, ...]]
    family: Family


ROUTES: list[Route] = []
"""All addresses of the blueprints that were imported."""


class Router:
    """Registers views on a blueprint, all answering in one family of replies.

    Parameters
    ----------
    blueprint : Blueprint
        Where Chalice finds the routes.
    family : Family
        How errors are worded.
    """

    def __init__(self, blueprint: Blueprint, family: Family) -> None:
        self._blueprint = blueprint
        self._family = family

    def add(self, path: str, *, open_methods: Callable[[], tuple[str, ...]] = lambda: READING, **views: View) -> None:
        """Answer `path` with one view for each method: `router.add("/events", GET=list_events, POST=create_event)`.

        Methods outside those that `open_methods` returns need a bearer token.

        Raises
        ------
        LookupError
            If a view does not tell what it takes and answers: an address that is not described is not served.
        """
        for view in views.values():
            operations.told(view)
        allowed = ", ".join([*(m for m in METHODS if m in views or (m == "HEAD" and "GET" in views)), "OPTIONS"])

        def handle(**params: str) -> ChaliceResponse:
            raw = self._blueprint.current_request
            about = {"request_id": _request_id(raw), "method": raw.method, "route": path, "user": ""}
            started = time.perf_counter()
            with invocation(raw.lambda_context, **about):
                try:
                    reply = self._answer(raw, params, views, allowed, open_methods())
                    answer = _to_chalice(raw, reply)
                except Exception:  # noqa: BLE001 - the last border: errors in telling of errors
                    logger.exception("answering failed")
                    answer = ChaliceResponse(LAST_RESORT, status_code=500)
                _tell(answer.status_code, time.perf_counter() - started)
            return answer

        ROUTES.append(Route(path, views, open_methods, self._family))
        handle.__name__ = re.sub(r"\W+", "_", path).strip("_") or "root"
        self._blueprint.route(path, methods=METHODS, content_types=[], cors=False)(handle)

    def _answer(
        self,
        raw: ChaliceRequest,
        params: dict[str, str],
        views: dict[str, View],
        allowed: str,
        open_methods: tuple[str, ...],
    ) -> Reply:
        if raw.method == "OPTIONS":
            return Reply(None, 204, {"Allow": allowed})
        view = views.get("GET" if raw.method == "HEAD" else raw.method)
        if view is None:
            return self._family.method_not_allowed(raw.method, allowed)
        try:
            reply = self._ask(view, raw, params, is_open=raw.method in open_methods)
            reply.text.encode()  # what cannot be sent fails here, inside the border
            return reply
        except Exception:  # noqa: BLE001 - the border: whatever is wrong inside, the caller gets a fixed text
            logger.exception("request failed")
            return self._family.unknown_error(_request_id(raw))

    def _ask(self, view: View, raw: ChaliceRequest, params: dict[str, str], *, is_open: bool) -> Reply:
        """Return what the view answers, or tells of an error of ours."""
        try:
            # API Gateway leaves path parameters encoded, the emulator decodes them; no name holds a percent sign, so
            # decoding what is decoded already changes nothing.
            request = Request(raw, {name: unquote(value) for name, value in params.items()})
            authorization = raw.headers.get("authorization")
            if not is_open:
                request.user = auth.require_user(authorization)
            elif raw.method not in READING:
                request.user = auth.user_or_none(authorization) or ""
            if request.user:
                note(user=request.user)
            return _signed(idempotency.answer(request, view))
        except NotConfiguredError as error:
            logger.error("not configured", extra={"reason": str(error)})
            return self._family.error(UnavailableError("No API key is configured: nobody can write."))
        except SiderealError as error:
            return self._family.error(error)


def _signed(reply: Reply) -> Reply:
    """Return a reply with the form of its upload, if it has one."""
    if reply.upload is None:
        return reply
    key, size, expires_at = reply.upload
    form = artefacts.upload_form(key, size, max(1, math.ceil(expires_at - clock.now().timestamp())))
    return replace(reply, body={**reply.body, "upload": form}, upload=None)


def _to_chalice(raw: ChaliceRequest, reply: Reply) -> ChaliceResponse:
    headers: dict[str, str | list[str]] = {
        "Content-Type": "application/json",
        "X-Request-Id": _request_id(raw),
        **reply.headers,
        **_cors(raw),
    }
    if reply.body is None:
        del headers["Content-Type"]
    body = "" if raw.method == "HEAD" else reply.text
    return ChaliceResponse(body, headers=headers, status_code=reply.status)


def _tell(status: int, seconds: float) -> None:
    """Log and count a request that was answered."""
    logger.info("request", extra={"status": status, "seconds": round(seconds, 4)})
    metrics.add(Metric.REQUESTS)
    metrics.add(Metric.REQUEST_SECONDS, seconds)
    if status >= 500:
        metrics.add(Metric.ERRORS)
    elif status == 429:
        metrics.add(Metric.THROTTLES)
    elif status >= 400:
        metrics.add(Metric.CLIENT_ERRORS)


def _cors(raw: ChaliceRequest) -> dict[str, str]:
    origin = raw.headers.get("origin")
    if not origin:
        return {}
    allowed = auth.allowed_origins()
    if "*" not in allowed and origin not in allowed:
        return {"Vary": "Origin"}
    headers = {
        "Access-Control-Allow-Origin": "*" if "*" in allowed else origin,
        "Access-Control-Expose-Headers": "Location, Retry-After, X-Request-Id, Idempotency-Replayed",
        "Vary": "Origin",
    }
    if raw.method == "OPTIONS":
        headers["Access-Control-Allow-Methods"] = ", ".join(METHODS)
        headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
        headers["Access-Control-Max-Age"] = "600"
    return headers


def _request_id(raw: ChaliceRequest) -> str:
    return str(raw.context.get("requestId") or getattr(raw.lambda_context, "aws_request_id", ""))
