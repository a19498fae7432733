"""The app behind any WSGI server: `gunicorn -w 4 "local.wsgi:create_app()"`.

An HTTP request becomes the event that API Gateway would send, the app is invoked as on Lambda, and its result becomes the
HTTP response. What API Gateway answers by itself, without a function, is answered here: unknown paths and oversized bodies.
"""

import base64
import json
import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import responses as phrases
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from local.context import LambdaContext

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MAX_BODY_BYTES = 10 * 1024 * 1024
"""Largest body that API Gateway passes on."""

DRAIN_BYTES = 64 * 1024 * 1024
"""How much of a refused body is read all the same: most clients look for the answer only when they have sent everything."""

TIMEOUT_S = 29.0
"""After this time API Gateway gives up on a function."""

REFUSED_TO_START = 4
"""Exit code on which gunicorn stops instead of starting the worker again and again."""

ASIMOV_PREFIX = "/api/v1/"
STAGE = "local"

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
"""What API Gateway passes on."""

_READ_BYTES = 1 << 16
_KEPT_IN_PATHS = "/%:@!$&'()*+,;=~-._"

Function = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]
Headers = list[tuple[str, str]]

log = logging.getLogger("local.wsgi")


class BodyTooLargeError(Exception):
    """Raised when a body is larger than API Gateway takes."""


def create_app() -> "WSGIApplication":
    """Return the app as a WSGI callable, or end the process if nobody could ever write to it."""
    from chalicelib.errors import NotConfiguredError
    from chalicelib.handlers.auth import require_configured

    try:
        require_configured()
    except NotConfiguredError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(REFUSED_TO_START) from error

    from app import app

    return Gateway(app, app.routes, frozenset(app.api.binary_types))


class Gateway:
    """A WSGI callable that invokes a Lambda function as API Gateway's REST proxy integration does.

    Parameters
    ----------
    function : callable
        The function, called with the event and a context.
    routes : iterable of str
        Resource paths such as `/events/{name}`.
    binary_types : set of str
        Media types whose bodies travel in base64.
    """

    def __init__(self, function: Function, routes: Iterable[str], binary_types: frozenset[str] = frozenset()) -> None:
        self._function = function
        self._routes = RouteTable(routes)
        self._binary_types = binary_types
        # Lambda runs one invocation at a time in a process, and Powertools keeps its state per process.
        self._one_at_a_time = threading.Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        path = raw_path(environ)
        match = self._routes.match(path)
        try:
            body = read_body(environ)
        except BodyTooLargeError:
            result = refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, path)
        else:
            if environ["REQUEST_METHOD"] not in METHODS:
                result = refusal(HTTPStatus.NOT_IMPLEMENTED, path)
            else:
                result = self._invoke(environ, path, match, body) if match else refusal(HTTPStatus.NOT_FOUND, path)
        return respond(result, str(environ["REQUEST_METHOD"]), start_response)

    def _invoke(
        self, environ: "WSGIEnvironment", path: str, match: tuple[str, dict[str, str]], body: bytes
    ) -> dict[str, Any]:
        resource, params = match
        event = make_event(environ, path, resource, params, body, self._binary_types)
        with self._one_at_a_time:
            try:
                return self._function(event, LambdaContext("api_handler", TIMEOUT_S))
            except Exception:
                # API Gateway hides whatever a function raises, and so does this border.
                log.exception("the function failed")
                return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, path)


class RouteTable:
    """Finds the resource that a path belongs to; fixed segments win over parameters, as on API Gateway."""

    def __init__(self, routes: Iterable[str]) -> None:
        patterns = [(route, route.strip("/").split("/")) for route in routes]
        patterns.sort(key=lambda pattern: [segment.startswith("{") for segment in pattern[1]])
        self._by_length: dict[int, list[tuple[str, list[str]]]] = {}
        for route, segments in patterns:
            self._by_length.setdefault(len(segments), []).append((route, segments))

    def match(self, path: str) -> tuple[str, dict[str, str]] | None:
        """Return the resource path and the parameters, still percent-encoded; None if there is no such resource."""
        trimmed = path[1:-1] if path.endswith("/") and path != "/" else path[1:]
        given = trimmed.split("/")
        for route, segments in self._by_length.get(len(given), []):
            params = _match_segments(segments, given)
            if params is not None:
                return route, params
        return None


def _match_segments(segments: list[str], given: list[str]) -> dict[str, str] | None:
    params = {}
    for segment, text in zip(segments, given, strict=True):
        if segment.startswith("{") and text:
            params[segment.strip("{}")] = text
        elif segment != text and segment != unquote(text):
            return None
    return params


def raw_path(environ: "WSGIEnvironment") -> str:
    """Return the path as the client sent it, percent-encoded.

    WSGI itself hands over a decoded path, in which `%2F` and `/` look alike, so the server's own variable is preferred.
    """
    raw = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or "")
    if raw:
        path = raw.partition("?")[0] if raw.startswith("/") else urlsplit(raw).path
        path = quote(path.encode("latin-1", "replace"), safe=_KEPT_IN_PATHS)
    else:
        path = quote(
            str(environ.get("PATH_INFO", "")).encode("latin-1", "replace"), safe=_KEPT_IN_PATHS.replace("%", "")
        )
    return path if path.startswith("/") else f"/{path}"


def read_body(environ: "WSGIEnvironment") -> bytes:
    """Return the whole request body, of known length or chunked.

    Raises
    ------
    BodyTooLargeError
        If it is larger than API Gateway takes.
    """
    length = str(environ.get("CONTENT_LENGTH") or "")
    if length.isdecimal():
        left = int(length)
    elif environ.get("wsgi.input_terminated"):
        left = DRAIN_BYTES
    else:
        return b""
    stream = environ["wsgi.input"]
    left = min(left, DRAIN_BYTES)
    too_large = length.isdecimal() and int(length) > MAX_BODY_BYTES
    parts: list[bytes] = []
    size = 0
    while left > 0 and (part := stream.read(min(left, _READ_BYTES))):
        left -= len(part)
        size += len(part)
        too_large = too_large or size > MAX_BODY_BYTES
        if too_large:
            parts.clear()
        else:
            parts.append(part)
    if too_large:
        raise BodyTooLargeError
    return b"".join(parts)


def make_event(
    environ: "WSGIEnvironment",
    path: str,
    resource: str,
    params: dict[str, str],
    body: bytes,
    binary_types: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Return the proxy event (format 1.0) that API Gateway would send for this request."""
    headers = _headers(environ)
    query: dict[str, list[str]] = {}
    query_text = str(environ.get("QUERY_STRING", "")).encode("latin-1", "replace").decode("utf-8", "replace")
    for name, value in parse_qsl(query_text, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    text, is_base64 = _encode_body(body, headers.get("content-type", ""), binary_types)
    now = datetime.now(UTC)
    return {
        "resource": resource,
        "path": path,
        "httpMethod": environ["REQUEST_METHOD"],
        "headers": headers or None,
        "multiValueHeaders": {name: [value] for name, value in headers.items()} or None,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": params or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": STAGE,
            "domainName": headers.get("host", "localhost").partition(":")[0],
            "httpMethod": environ["REQUEST_METHOD"],
            "identity": {"sourceIp": environ.get("REMOTE_ADDR") or "127.0.0.1", "userAgent": headers.get("user-agent")},
            "path": path,
            "protocol": environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
            "requestId": str(uuid.uuid4()),
            "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(time.time() * 1000),
            "resourcePath": resource,
            "stage": STAGE,
        },
        "body": text,
        "isBase64Encoded": is_base64,
    }


def _headers(environ: "WSGIEnvironment") -> dict[str, str]:
    headers = {
        name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = str(environ[name])
    # API Gateway always adds these; a reverse proxy in front of us may have done so already.
    headers.setdefault("x-forwarded-proto", str(environ.get("wsgi.url_scheme", "http")))
    headers.setdefault("x-forwarded-port", str(environ.get("SERVER_PORT", "")))
    headers.setdefault("x-forwarded-for", str(environ.get("REMOTE_ADDR") or "127.0.0.1"))
    return headers


def _encode_body(body: bytes, content_type: str, binary_types: frozenset[str]) -> tuple[str | None, bool]:
    if not body:
        return None, False
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in binary_types:
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            # API Gateway would put replacement characters here; the app is better told what really came.
            pass
    return base64.b64encode(body).decode("ascii"), True


def refusal(status: HTTPStatus, path: str) -> dict[str, Any]:
    """Return the result for a request that reaches no function, in the shape of the API that the path belongs to."""
    is_asimov = f"{path}/".startswith(ASIMOV_PREFIX)
    text = {
        HTTPStatus.NOT_FOUND: "Resource not found" if is_asimov else "Not found.",
        HTTPStatus.NOT_IMPLEMENTED: "No address knows this method.",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"The request body is larger than {MAX_BODY_BYTES} bytes.",
    }.get(status, "Internal server error")
    return {
        "statusCode": int(status),
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps({"error" if is_asimov else "detail": text}),
    }


def respond(result: Mapping[str, Any], method: str, start_response: "StartResponse") -> list[bytes]:
    """Send a function's result; returns the body in the form that WSGI wants."""
    status = int(result["statusCode"])
    headers: Headers = [(name, str(value)) for name, value in (result.get("headers") or {}).items()]
    for name, values in (result.get("multiValueHeaders") or {}).items():
        headers = [header for header in headers if header[0].lower() != name.lower()]
        headers.extend((name, str(value)) for value in values)
    body = result.get("body") or ""
    content = base64.b64decode(body) if result.get("isBase64Encoded") else str(body).encode()
    is_bodyless = method == "HEAD" or status in (204, 304) or status < 200
    headers = [header for header in headers if header[0].lower() != "content-length"]
    if not is_bodyless:
        headers.append(("Content-Length", str(len(content))))
    start_response(f"{status} {phrases.get(status, 'Unknown')}", headers)
    return [] if is_bodyless else [content]
