"""The archive: which reduced frames there are, and their files."""

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from chalicelib.errors import UpstreamError
from chalicelib.facilities.base import Frame, FrameUnavailableError
from chalicelib.facilities.budget import DEFAULT_S, time_budget
from chalicelib.facilities.connections import pool
from chalicelib.facilities.http import JsonClient
from chalicelib.observability import logger

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

REDUCED = "e91"
PAGE_SIZE = 1000
MAX_PAGES = 100
LISTING_S = 30.0
"""For all pages together."""

PIECE_BYTES = 1_000_000
PIECE_S = 2.0
"""A piece is handed on after this time, however small it is."""

GRACE_S = 30.0
SLOWEST_BYTES_PER_S = 50_000
"""A file that comes more slowly than this, after a while, is given up for now."""

_READ_BYTES = 65_536

CONNECT_S = 3.0
READ_S = 20.0
_EXPIRED = (400, 401, 403, 404, 410)
"""What stores answer to a signed link that has run out, each its own."""

_MD5 = re.compile(r"[0-9a-f]{32}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,50}")
_NAME = re.compile(r"[A-Za-z0-9_+=,@~][A-Za-z0-9_+=,@~. -]{0,199}")


def list_frames(archive: JsonClient, request_id: str) -> Iterator[Frame]:
    """Yield the reduced frames of a request, page by page.

    Raises
    ------
    UnavailableError, UpstreamError
        If the archive does not answer, or with something that makes no sense.
    """
    path: str | None = "/frames/?" + urlencode({"request_id": request_id, "limit": PAGE_SIZE})
    seen: set[str] = set()
    until = time.monotonic() + LISTING_S
    while path is not None:
        if path in seen or len(seen) == MAX_PAGES:
            raise UpstreamError("The archive's list of frames does not end.")
        seen.add(path)
        with time_budget(min(DEFAULT_S, until - time.monotonic())):
            page = archive.get(path).object()
        for entry in _results(page):
            frame = _frame(entry)
            if frame is not None and _is_of(entry, request_id):
                yield frame
        path = next_path(archive, page.get("next"))


def next_path(client: JsonClient, link: Any) -> str | None:
    """Return the path of the next page, None at the end; nobody else's address is ever asked, and none without TLS.

    Raises
    ------
    UpstreamError
        If the link leads elsewhere.
    """
    if link is None or link == "":
        return None
    try:
        own = urlsplit(client.address)
        parts = urlsplit(link if isinstance(link, str) else "?")
        # A service behind a proxy may not know its own scheme and port, so these are ours.
        is_own = parts.hostname in (None, own.hostname) and parts.path.startswith(own.path + "/")
    except ValueError:
        is_own = False
    if not is_own:
        raise UpstreamError(f"The {client.service} sends us elsewhere for its next page.")
    return f"{parts.path[len(own.path) :]}?{parts.query}"


def _results(page: dict[str, Any]) -> list[dict[str, Any]]:
    results = page.get("results")
    if not isinstance(results, list):
        raise UpstreamError("The archive's list of frames makes no sense.")
    return [entry for entry in results if isinstance(entry, dict)]


def _is_of(entry: dict[str, Any], request_id: str) -> bool:
    """Say whether a frame is of this request, by the field's new name or the old one, which is to be removed."""
    told = entry.get("request_id")
    told = entry.get("REQNUM") if told is None else told
    return told is None or str(told).lstrip("0") == request_id


def _frame(entry: dict[str, Any]) -> Frame | None:
    """Return one entry as a frame, None where it is not a reduced one with a name that files can have."""
    frame_id = entry.get("id")
    version = _newest_version(entry.get("version_set"))
    name = entry.get("filename")
    if not isinstance(name, str) or not name:
        name = f"{entry.get('basename')}{version.get('extension') or '.fits.fz'}"
    if REDUCED not in name:
        return None
    has_id = isinstance(frame_id, (int, str)) and not isinstance(frame_id, bool) and _ID.fullmatch(str(frame_id))
    if not has_id or not _NAME.fullmatch(name):
        logger.warning("a frame is left out", extra={"frame": ascii(frame_id)[:50], "reason": "its name is no file's"})
        return None
    url = entry.get("url")
    md5 = version.get("md5")
    is_digest = isinstance(md5, str) and _MD5.fullmatch(md5.lower())
    return Frame(
        str(frame_id), name, url if isinstance(url, str) and url else None, str(md5).lower() if is_digest else None
    )


def _newest_version(versions: Any) -> dict[str, Any]:
    found = [one for one in versions if isinstance(one, dict)] if isinstance(versions, list) else []
    return max(found, key=lambda one: str(one.get("created") or ""), default={})


@contextmanager
def open_frame(archive: JsonClient, frame: Frame) -> Iterator[Iterator[bytes]]:
    """Open the file of a frame; see `Facility.open_frame`."""
    response = _fetch(frame, frame.url) if frame.url else None
    if response is None:
        frame = _ask_again(archive, frame)
        response = _fetch(frame, frame.url) if frame.url else None
    if response is None:
        raise FrameUnavailableError(f"The archive has no file for {frame.name}.")
    try:
        yield _pieces(response, frame)
    finally:
        response.close()


def _ask_again(archive: JsonClient, frame: Frame) -> Frame:
    answer = archive.get(f"/frames/{quote(frame.id, safe='')}/")
    if answer.status == 404:
        raise FrameUnavailableError(f"The archive has no {frame.name} any more.")
    fresh = _frame(answer.object())
    if fresh is None or fresh.name != frame.name:
        raise FrameUnavailableError(f"The archive has another file in the place of {frame.name}.")
    return fresh


def _fetch(frame: Frame, link: str) -> "BaseHTTPResponse | None":
    """Ask for a file by its signed link, without the token; None where the link has run out. The link is never told."""
    from urllib3 import Retry, Timeout
    from urllib3.exceptions import HTTPError

    if not link.startswith(("https://", "http://")):
        raise FrameUnavailableError(f"The archive's link to {frame.name} is none.")
    repeats = Retry(total=5, connect=2, read=1, redirect=3, status=0, other=0, backoff_factor=0.2, backoff_jitter=0.2)
    try:
        response = pool().request(
            "GET",
            link,
            headers={"Accept-Encoding": "identity", "User-Agent": "sidereal"},
            timeout=Timeout(connect=CONNECT_S, read=READ_S),
            retries=repeats,
            preload_content=False,
        )
    except HTTPError as error:
        logger.warning("a frame cannot be fetched", extra={"frame": frame.id, "reason": type(error).__name__})
        raise FrameUnavailableError(f"The file of {frame.name} cannot be fetched at the moment.") from None
    if response.status == 200:
        return response
    response.close()
    logger.warning("a frame cannot be fetched", extra={"frame": frame.id, "status": response.status})
    if response.status in _EXPIRED:
        return None
    raise FrameUnavailableError(f"The file of {frame.name} cannot be fetched (status {response.status}).")


def _pieces(response: "BaseHTTPResponse", frame: Frame) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    digest = hashlib.md5(usedforsecurity=False)
    size = 0
    piece = bytearray()
    started = handed_on = time.monotonic()
    try:
        # urllib3 itself refuses a content that is shorter than its header says.
        while got := response.read1(min(_READ_BYTES, PIECE_BYTES - len(piece)), decode_content=False):
            digest.update(got)
            size += len(got)
            piece += got
            now = time.monotonic()
            if now - started > GRACE_S + size / SLOWEST_BYTES_PER_S:
                raise FrameUnavailableError(f"The file of {frame.name} comes too slowly.")
            if len(piece) == PIECE_BYTES or now - handed_on > PIECE_S:
                yield bytes(piece)
                piece.clear()
                handed_on = time.monotonic()
        if piece:
            yield bytes(piece)
    except HTTPError:
        raise FrameUnavailableError(f"The file of {frame.name} broke off after {size} bytes.") from None
    if size == 0:
        raise FrameUnavailableError(f"The file of {frame.name} is empty.")
    # The archive's checksum is the ETag that S3 gave the file, and that is no MD5 where KMS has encrypted it.
    is_known = frame.md5 is not None and "kms" not in response.headers.get("x-amz-server-side-encryption", "")
    if is_known and digest.hexdigest() != frame.md5:
        raise FrameUnavailableError(f"The file of {frame.name} does not fit its checksum.")
