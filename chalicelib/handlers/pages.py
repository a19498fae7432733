"""The pages that the addresses in both APIs' answers lead to, for people with a browser.

Templates, style and script lie in `chalicelib/pages/`. A page is one answer with everything in it: style and script are
part of it, and the Content-Security-Policy names their hashes and nothing else.
"""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from chalice import Blueprint

from chalicelib import clock
from chalicelib.errors import InvalidInputError, NotFoundError, SiderealError
from chalicelib.handlers.http import Router
from chalicelib.handlers.renditions import PAGE_WAIT_S, to_archive
from chalicelib.handlers.replies import Family, Reply
from chalicelib.handlers.request import Request
from chalicelib.models.productions import Production
from chalicelib.models.renditions import may_have_picture
from chalicelib.services.renditions import find_archive
from chalicelib.settings import get_settings
from chalicelib.storage import (
    artefacts,
    data_products,
    events,
    groups,
    lists,
    processes,
    productions,
    reduced_data,
)
from chalicelib.storage import targets as target_records

if TYPE_CHECKING:
    from jinja2 import Environment

blueprint = Blueprint(__name__)

Member = TypeVar("Member")

ROWS = 25
"""Records of a list on one page."""

HOME_EVENTS = 10
"""Events on the first page."""

FILES = 100
"""Files of a group, and productions of an event, on one page."""

FILMS = 12
"""Timelapses that a target's page plays; all are among its data products."""

SHOWN_LOG_CHARACTERS = 200_000
"""The end of a log that its page begins with; a Lambda function answers at most 6 MB."""

_FOLDER = Path(__file__).resolve().parents[1] / "pages"
_SCRIPTS = ("process.js", "gallery.js")


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


def show_home(request: Request) -> Reply:
    """Show the newest targets, in pages, and the newest events."""
    targets, target_count, page = target_records.read_newest(ROWS, request.query.get("next"))
    newest_events, event_count, _ = events.read_newest(HOME_EVENTS, None)
    return render(
        request,
        "home.html",
        targets=targets,
        target_count=target_count,
        events=[(event, []) for event in newest_events],
        event_count=event_count,
        **_links(page),
    )


def show_target(request: Request) -> Reply:
    """Show a target with its timelapses, its newest processes, and its data products in pages."""
    target_id = request.id("target_id")
    target, timelapses = target_records.get_with_timelapses(target_id)
    photometry = reduced_data.summarise(target_id)
    its_processes = processes.list_of_target(target_id, ROWS + 1)
    products, product_count, page = data_products.read_newest(target_id, ROWS, request.query.get("next"))
    return render(
        request,
        "target.html",
        shows_files=bool(timelapses or products or photometry.plot_url),
        photometry=photometry,
        target=target,
        timelapses=timelapses[:FILMS],
        timelapse_count=len(timelapses),
        processes=its_processes[:ROWS],
        has_more_processes=len(its_processes) > ROWS,
        products=products,
        product_count=product_count,
        **_links(page),
    )


def show_process(request: Request) -> Reply:
    """Show a process with its log; the page follows one that has not ended."""
    process, log = processes.get_with_log(request.id("process_id"))
    try:
        target_name = target_records.get(process.target_id).name
    except NotFoundError:  # it is being deleted, with its processes
        target_name = str(process.target_id)
    return render(
        request,
        "process.html",
        process=process,
        target_name=target_name,
        flags=[flag for flag, is_set in process.flags.items() if is_set],
        options=[f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in process.options.items()],
        log=log[-SHOWN_LOG_CHARACTERS:],
        log_is_cut=len(log) > SHOWN_LOG_CHARACTERS,
    )


def show_group(request: Request) -> Reply:
    """Show a data product group with its files, in pages."""
    group, members = groups.get(request.id("group_id"))
    shown, numbers = _part(request, members)
    found = data_products.get_many(shown)
    products = [found[each] for each in shown if each in found]
    return render(
        request,
        "group.html",
        shows_files=True,
        group=group,
        products=products,
        count=len(members),
        target_ids=sorted({product.target_id for product in products}),
        process_ids=sorted({product.process_id for product in products if product.process_id}),
        **numbers,
    )


def download_group(request: Request) -> Reply:
    """Send the caller to a zip file of all files of a group; while it is made, show a page that asks again."""
    wait_s = min(PAGE_WAIT_S, get_settings().rendition_wait_s)
    group, key = find_archive(request.id("group_id"), wait_s)
    if key is not None:
        return to_archive(group.name, key)
    page = render(request, "waiting.html", group=group)
    return Reply(page.body, HTTPStatus.ACCEPTED, {**page.headers, "Retry-After": "2", "Cache-Control": "no-store"})


def list_events(request: Request) -> Reply:
    """Show the events, newest first, in pages, with the states of their productions."""
    found, event_count, page = events.read_newest(ROWS, request.query.get("next"))
    of_event = productions.get_many([(event.name, name) for event in found for name in event.production_names])
    return render(
        request,
        "events.html",
        events=[(event, of_event.get(event.name, [])) for event in found],
        event_count=event_count,
        **_links(page),
    )


def show_event(request: Request) -> Reply:
    """Show an event with its productions, in pages."""
    event, its = events.get(request.params["event_name"])
    shown, numbers = _part(request, its)
    return render(request, "event.html", event=event, productions=shown, count=len(its), **numbers)


def render(request: Request, template: str, /, **values: Any) -> Reply:
    """Return a page.

    Parameters
    ----------
    template : str
        Name of a file in `chalicelib/pages/`.
    values
        What the template shows; everything is escaped. With `shows_files`, the page may show pictures and films, whose
        addresses redirect to the bucket.
    """
    environment = _environment()
    body = environment.get_template(template).render(prefix=request.stage_prefix, **values)
    files = " ".join(["'self'", *(artefacts.origins() if values.get("shows_files") else ())])
    scripts = " ".join(f"'{_hash(_text(name))}'" for name in _SCRIPTS)
    policy = (
        "default-src 'none'",
        f"style-src '{_hash(_text('style.css'))}'",
        f"script-src {scripts}",
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


def _links(page: lists.Page) -> dict[str, str | None]:
    """Return the addresses of the pages before and after one that begins with the newest, relative to its own."""
    cursors = (("newer", page.previous), ("older", page.next))
    return {name: cursor and "?" + urlencode({"next": cursor}) for name, cursor in cursors}


def _part(request: Request, members: Sequence[Member]) -> tuple[Sequence[Member], dict[str, int]]:
    """Return the members on the page that the parameter `page` names, and its number and that of all pages."""
    text = request.query.get("page", "1")
    page_count = max(1, -(-len(members) // FILES))
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) >= 1):
        raise InvalidInputError.of("page", "must be a number from 1")
    page = int(text)
    if page > page_count:
        raise NotFoundError(f"There are {page_count} pages.")
    return members[(page - 1) * FILES : page * FILES], {"page": page, "page_count": page_count}


@cache
def _environment() -> "Environment":
    """Return the templates. Jinja is imported here: the APIs and the jobs start without it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

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
        "segment": lambda name: quote(name, safe=""),
        "may_have_picture": may_have_picture,
        "suffix": lambda name: Path(name).suffix.lstrip(".")[:8] or "file",
        "tally": _tally,
    }
    # Our own files, in which nothing of anybody else's stands.
    own = {"style": "style.css", "script": "process.js", "gallery_script": "gallery.js"}
    environment.globals |= {name: Markup(_text(file)) for name, file in own.items()}  # noqa: S704
    return environment


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


def _time(moment: str | float) -> datetime:
    return clock.from_text(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment, UTC)


def _tally(its: Sequence[Production]) -> list[tuple[str, int]]:
    return Counter(production.status for production in its).most_common()


@cache
def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


router.add("/", GET=show_home)
router.add("/targets/{target_id}", GET=show_target)
router.add("/pipeline/{process_id}", GET=show_process)
router.add("/dataproducts/data/group/{group_id}", GET=show_group)
router.add("/dataproducts/data/group/{group_id}/zip", GET=download_group)
router.add("/events", GET=list_events)
router.add("/events/{event_name}", GET=show_event)
