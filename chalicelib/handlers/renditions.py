"""Thumbnails of data products and archives of groups: made on request, kept, and downloaded from the bucket."""

from html import escape
from http import HTTPStatus

from chalice import Blueprint

from chalicelib.errors import NotFoundError
from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import REDIRECT, Content, operation
from chalicelib.handlers.replies import TELESCOPE, Reply
from chalicelib.handlers.request import Request
from chalicelib.models.answers import Detail
from chalicelib.models.data_products import segment_of
from chalicelib.services import renditions
from chalicelib.settings import get_settings
from chalicelib.storage import artefacts

blueprint = Blueprint(__name__)
router = Router(blueprint, TELESCOPE)

PAGE_WAIT_S = 0.4
"""A page asks for many pictures at once, and draws something else in the place of those that take longer."""

PENDING_PX = (7, 5)
"""Size of the picture that stands for one that is being made: an odd one, by which the script of a page knows it."""

NONE_PX = (256, 256)

DRAWING = Content("image/svg+xml", "What a page shows in the place of the picture.")


@operation({302: REDIRECT, 202: (Detail, DRAWING), 404: (Detail, DRAWING)}, refuses=(503,))
def get_thumbnail(request: Request) -> Reply:
    """Send the caller to the thumbnail of a data product; who wants a picture is given one, whatever comes of it."""
    wants_picture = str(request.raw.headers.get("accept", "")).lower().startswith("image/")
    wait_s = get_settings().rendition_wait_s
    product_id = request.id("product_id")
    try:
        key = renditions.find_thumbnail(product_id, min(wait_s, PAGE_WAIT_S) if wants_picture else wait_s)
    except NotFoundError as error:
        if not wants_picture:
            raise
        return _drawing(NONE_PX, HTTPStatus.NOT_FOUND, "no picture", str(error))
    if key is not None:
        link = artefacts.download_link(key, f"{product_id}.png")
        # Browsers keep a picture by its address: for as long as they may keep the redirect, they need not fetch it again.
        kept_s = get_settings().link_lifetime_s // 2
        return Reply(None, 302, {"Location": link, "Cache-Control": f"private, max-age={kept_s}"})
    if wants_picture:
        return _drawing(PENDING_PX, HTTPStatus.ACCEPTED)
    return pending("The thumbnail is being made; ask again in a moment.")


@operation({302: REDIRECT, 202: Detail}, refuses=(409, 503))
def get_archive(request: Request) -> Reply:
    """Send the caller to a zip file of all files of a group."""
    group, key = renditions.find_archive(request.id("group_id"), get_settings().rendition_wait_s)
    if key is None:
        return pending("The archive is being made; ask again in a moment.")
    return to_archive(group.name, key)


def to_archive(group_name: str, key: str) -> Reply:
    """Return the redirect to an archive, which is downloaded under the name of its group."""
    link = artefacts.download_link(key, f"{segment_of(group_name)}.zip")
    return Reply(None, 302, {"Location": link, "Cache-Control": "no-store"})


def pending(text: str) -> Reply:
    """Return the reply to who comes too early."""
    detail: Detail = {"detail": text}
    return Reply(detail, HTTPStatus.ACCEPTED, {"Retry-After": "2", "Cache-Control": "no-store"})


def _drawing(size_px: tuple[int, int], status: HTTPStatus, label: str = "", reason: str = "") -> Reply:
    """Return a drawing; browsers show it in the place of the picture, whatever the status says."""
    width, height = size_px
    title = f"<title>{escape(reason, quote=False)}</title>" if reason else ""
    words = (
        f'<text x="50%" y="50%" text-anchor="middle" dominant-baseline="central" font-family="system-ui, sans-serif"'
        f' font-size="20" fill="#76808c">{escape(label, quote=False)}</text>'
        if label
        else ""
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'{title}<rect width="100%" height="100%" fill="#808a96" fill-opacity=".15"/>{words}</svg>'
    )
    headers = {
        "Content-Type": "image/svg+xml",
        "Content-Security-Policy": "default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    if status == HTTPStatus.ACCEPTED:
        headers["Retry-After"] = "2"
    return Reply(svg, status, headers)


router.add("/api/dataproducts/{product_id}/thumbnail", GET=get_thumbnail)
router.add("/api/dataproductgroups/{group_id}/zip", GET=get_archive)
