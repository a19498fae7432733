"""How a page is made from its template: escaped, with its style and scripts in it, and nothing else let in."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import quote, urlencode

from chalice import Blueprint
from pydantic import Field

from chalicelib import clock
from chalicelib.errors import InvalidInputError, NotFoundError, SiderealError
from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import Parameter
from chalicelib.handlers.replies import Family, Reply
from chalicelib.handlers.request import Request
from chalicelib.models.data_products import DataProduct
from chalicelib.models.productions import Production
from chalicelib.models.renditions import may_have_picture
from chalicelib.states import shown_status
from chalicelib.storage import artefacts, lists

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

blueprint = Blueprint(__name__)

Member = TypeVar("Member")

ROWS = 25
"""Records of a list on one page."""

FILES = 100
"""Files of a group, and productions of an event, on one page."""

PAGE = Parameter("page", "Number of the page, from 1.", Annotated[int, Field(ge=1, le=99_999)])
OLDER = Parameter("next", "Where the page begins: from the links between pages.")

_FILMS = (".mp4", ".webm", ".gif")

_FOLDER = Path(__file__).resolve().parents[2] / "pages"


class PagesFamily(Family):
    """Errors as pages."""

    def message(self, text: str) -> dict[str, Any]:  # noqa: D102
        return {"text": text}

    def error_body(self, error: SiderealError) -> dict[str, Any]:  # noqa: D102
        return self.message(str(error))

    def error(self, error: SiderealError) -> Reply:  # noqa: D102
        return self._dress(super().error(error))

    def method_not_allowed(self, method: str, allowed: str) -> Reply:  # noqa: D102
        return self._dress(super().method_not_allowed(method, allowed))

    def unknown_error(self, request_id: str) -> Reply:  # noqa: D102
        return self._dress(super().unknown_error(request_id))

    def _dress(self, plain: Reply) -> Reply:
        title = HTTPStatus(plain.status).phrase
        request = Request(blueprint.current_request, {})
        page = render(request, "error.html", title=title, **plain.body)
        return Reply(page.body, plain.status, {**plain.headers, **page.headers})


router = Router(blueprint, PagesFamily())


def render(request: Request, template: str, /, *, scripts: Sequence[str] = (), **values: Any) -> Reply:
    """Return a page.

    Parameters
    ----------
    template : str
        Name of a file in `chalicelib/pages/`.
    scripts : sequence of str
        Names of the scripts in that folder that are part of the page, in order. With `api.js` first, the others can call
        the API in the name of whoever has a key.
    values
        What the template shows; everything is escaped. With `shows_files`, the page may show pictures and films, whose
        addresses redirect to the bucket.
    """
    page = _environment().get_template(template)
    values = {**values, "acts": "api.js" in scripts, "scripts": [_own(name) for name in scripts]}
    body = page.render(prefix=request.stage_prefix, **values)
    files = " ".join(["'self'", *(artefacts.origins() if values.get("shows_files") else ())])
    policy = (
        "default-src 'none'",
        f"style-src '{_hash(_text('style.css'))}'",
        f"script-src {_sources(scripts)}",
        f"img-src data: {files}",
        f"media-src {files}",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }
    return Reply(body, 200, headers)


def links(page: lists.Page, parameter: str = "next") -> dict[str, Any]:
    """Return the addresses of the pages before and after one that begins with the newest, relative to its own."""
    cursors = (("newer", page.previous), ("older", page.next))
    return {name: cursor and "?" + urlencode({parameter: cursor}) for name, cursor in cursors}


def part_of(request: Request, members: Sequence[Member]) -> tuple[Sequence[Member], dict[str, Any]]:
    """Return the members on the page that the parameter `page` names, and its number and that of all pages."""
    text = request.query.get("page", "1")
    page_count = max(1, -(-len(members) // FILES))
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) >= 1):
        raise InvalidInputError.of("page", "must be a number from 1")
    page = int(text)
    if page > page_count:
        raise NotFoundError(f"There are {page_count} pages.")
    return members[(page - 1) * FILES : page * FILES], {"page": page, "page_count": page_count}


def is_film(product: DataProduct) -> bool:
    """Say whether a file is shown as a film."""
    return product.name.lower().endswith(_FILMS)


def json_text(value: Any, limit: int) -> str:
    """Return a free-form object as indented JSON; what goes beyond `limit` characters is left out for `…`."""
    # Piece by piece, so that a deeply nested object, whose indentation grows with the square of its depth, costs no more.
    pieces = json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value)
    text = ""
    for piece in pieces:
        text += piece
        if len(text) > limit:
            return text[:limit] + "…"
    return text


@cache
def _environment() -> "Environment":
    """Return the templates. Jinja is imported here: the APIs and the jobs start without it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "is_web_address": lambda text: text.startswith(("https://", "http://")),
        "iso": lambda moment: _time(moment).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "json_text": json_text,
        "moment": lambda moment: _time(moment).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "state": lambda process: shown_status(process.status, process.total),
        "segment": lambda name: quote(name, safe=""),
        "may_have_picture": may_have_picture,
        "suffix": lambda name: Path(name).suffix.lstrip(".")[:8] or "file",
        "tally": _tally,
    }
    environment.tests["film"] = is_film
    environment.globals["style"] = _own("style.css")
    return environment


def _time(moment: str | float) -> datetime:
    return clock.from_text(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment, UTC)


def _tally(its: Sequence[Production]) -> list[tuple[str, int]]:
    return Counter(production.status for production in its).most_common()


def _own(name: str) -> "Markup":
    """Return a file of ours as part of a page: nothing of anybody else's stands in it."""
    from markupsafe import Markup

    return Markup(_text(name))  # noqa: S704


def _sources(scripts: Sequence[str]) -> str:
    return " ".join(f"'{_hash(_text(name))}'" for name in scripts) or "'none'"


@cache
def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
