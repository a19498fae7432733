"""The page on which the description of the API can be read, and every call be tried out: Swagger UI, served by us."""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from chalicelib.errors import NotFoundError
from chalicelib.handlers.operations import HTML, Content, Parameter, operation
from chalicelib.handlers.pages.rendering import render, router
from chalicelib.handlers.replies import Reply
from chalicelib.handlers.request import Request
from chalicelib.storage import artefacts

STYLES = ("swagger-ui.min.css", "docs.css")
SCRIPTS = ("swagger-ui-bundle.min.js", "docs.js")

_OWN = Path(__file__).resolve().parents[2] / "pages"
_YEAR_S = 365 * 86_400
_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


@operation(answers={200: HTML})
def show_docs(request: Request) -> Reply:
    """Show the description of the API, with all that can be tried out."""
    page = render(
        request,
        "docs.html",
        styles=[_address(name) for name in STYLES],
        scripts_from=[_address(name) for name in SCRIPTS],
    )
    files = " ".join(artefacts.origins())  # downloads are redirects to the bucket
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        # what a call has answered is shown from the memory of the page
        "img-src 'self' data: blob:",
        "media-src blob:",
        f"connect-src 'self' {files}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return Reply(page.body, 200, {**page.headers, "Content-Security-Policy": "; ".join(policy)})


@operation(
    answers={200: (Content("text/javascript", "A script."), Content("text/css", "A style."))},
    parameters=(
        Parameter(
            "v", "The version that a page was made for; with it, the file may be kept for a year.", is_checked=False
        ),
    ),
)
def send_asset(request: Request) -> Reply:
    """Send a script or a style of the page about the API."""
    name = request.params["asset"]
    if name not in (*STYLES, *SCRIPTS):
        raise NotFoundError("Not found.")
    is_this_one = request.query.get("v") == _version(name)
    headers = {
        "Content-Type": _KINDS[Path(name).suffix],
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": f"public, max-age={_YEAR_S}, immutable" if is_this_one else "no-cache",
    }
    return Reply(_text(name), 200, headers)


def _address(name: str) -> str:
    return f"/docs/{name}?v={_version(name)}"


@cache
def _version(name: str) -> str:
    return hashlib.sha256(_text(name).encode()).hexdigest()[:12]


@cache
def _text(name: str) -> str:
    """Return a file of ours, or one of Swagger UI's, which Powertools ships."""
    own = _OWN / name
    return (own if own.is_file() else swagger_ui() / name).read_text(encoding="utf-8")


def swagger_ui() -> Path:
    """Return the folder of Swagger UI. Powertools itself is not imported for it."""
    found = find_spec("aws_lambda_powertools")
    if found is None or found.origin is None:
        raise FileNotFoundError("aws_lambda_powertools")
    return Path(found.origin).parent / "event_handler" / "openapi" / "swagger_ui"


router.add("/docs", GET=show_docs)
router.add("/docs/{asset}", GET=send_asset)
