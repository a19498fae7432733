"""Answers in the manner of the frameworks behind portal and archive: JSON with `detail`, pages, HTML where they have it."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from werkzeug import Request, Response

Json = dict[str, Any]


class RefusedError(Exception):
    """Raised to answer with an error; carries the whole answer."""

    def __init__(self, status: int, content: Any) -> None:
        super().__init__(f"{status}: {content}")
        self.status = status
        self.content = content


def reply(content: Any, status: int = 200, **headers: str) -> Response:
    """Return an answer in JSON."""
    return Response(json.dumps(content), status, headers, mimetype="application/json")


def html(status: int, title: str) -> Response:
    """Return a page for people, as the server in front of the application sends it."""
    return Response(
        f"<!doctype html><html><head><title>{title}</title></head><h1>{title}</h1></html>", status, mimetype="text/html"
    )


def read_json(request: Request) -> Any:
    """Return the body of a request.

    Raises
    ------
    RefusedError
        If it is no JSON.
    """
    if not request.get_data():
        return {}
    if request.mimetype != "application/json":
        raise RefusedError(415, {"detail": f'Unsupported media type "{request.content_type}" in request.'})
    try:
        return json.loads(request.get_data())
    except ValueError as error:
        raise RefusedError(400, {"detail": f"JSON parse error - {error}"}) from error


def page(request: Request, items: Sequence[Any], default: int, largest: int | None = None) -> Json:
    """Return one page of a list: `count`, `next`, `previous`, `results`, by `limit` and `offset`."""
    limit = max(request.args.get("limit", default, int), 0) or default
    limit = min(limit, largest) if largest else limit
    offset = max(request.args.get("offset", 0, int), 0)

    def address(start: int) -> str:
        arguments = [(name, value) for name, value in request.args.items(multi=True) if name not in ("limit", "offset")]
        return (
            f"{request.base_url}?{urlencode([*arguments, ('limit', limit), *([('offset', start)] if start else [])])}"
        )

    return {
        "count": len(items),
        "next": address(offset + limit) if offset + limit < len(items) else None,
        "previous": address(max(offset - limit, 0)) if offset > 0 else None,
        "results": list(items[offset : offset + limit]),
    }


def is_allowed(request: Request, token: str) -> bool:
    """Say whether a request carries the token; one without any, or with one of another scheme, is a stranger's.

    Raises
    ------
    RefusedError
        If it carries a wrong token, which is refused on reads, too.
    """
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "token":
        return False
    if not given.strip():
        raise RefusedError(403, {"detail": "Invalid token header. No credentials provided."})
    if " " in given.strip():
        raise RefusedError(403, {"detail": "Invalid token header. Token string should not contain spaces."})
    if given.strip() != token:
        raise RefusedError(403, {"detail": "Invalid token."})
    return True


def require_token(request: Request, token: str) -> None:
    """Let only the user in.

    Raises
    ------
    RefusedError
        403, never 401: the portal names no way to authenticate.
    """
    if not is_allowed(request, token):
        raise RefusedError(403, {"detail": "Authentication credentials were not provided."})
