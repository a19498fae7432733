"""`Idempotency-Key`: a POST that is sent again with the same key is not done again, but answered as it was."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from chalicelib import clock
from chalicelib.errors import InvalidInputError, SiderealError
from chalicelib.handlers.replies import Reply, Upload
from chalicelib.handlers.request import Request
from chalicelib.observability import note

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"

_KEY = re.compile(r"[!-~]{1,255}")


class _NotKeptError(Exception):
    """Raised with a reply that tells of nothing done, so that it is not kept."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def answer(request: Request, view: Callable[[Request], Reply]) -> Reply:
    """Return what the view answers; for a POST with a key what it answered when that came first.

    Raises
    ------
    InvalidInputError
        If the key is not one.
    KeyReusedError, StillAtWorkError, UnavailableError
        If the key came with another body; if the first such request has not ended; if that cannot be known now.
    """
    key = request.raw.headers.get(HEADER)
    if request.raw.method != "POST" or key is None:
        return view(request)
    if not _KEY.fullmatch(key):
        raise InvalidInputError.of(HEADER, "Give 1 to 255 visible ASCII characters.", "value_error.key")
    # loads boto3 and more: only for those who ask for it
    from chalicelib.storage import idempotency

    fresh: list[Reply] = []
    request.identity = _identity(request, key)

    def work(attempt: idempotency.Attempt) -> dict[str, Any]:
        def kept(reply: Reply) -> dict[str, Any]:
            if reply.upload is not None:
                attempt.keep_for(int(reply.upload.expires_at - clock.now().timestamp()))
            return _to_kept(reply)

        request.seal = lambda reply: [attempt.seal(kept(reply))]
        reply = view(request)
        if not 200 <= reply.status < 300:
            raise _NotKeptError(reply)
        fresh.append(reply)
        return kept(reply)

    try:
        found = idempotency.perform(request.identity, _fingerprint(request), work, request.raw.lambda_context)
    except _NotKeptError as error:
        return error.reply
    if fresh:
        return fresh[0]
    note(is_replayed=True)
    return _from_kept(found)


def _identity(request: Request, key: str) -> str:
    """Return what all attempts at one request have in common, and nobody else's: user, address, and key."""
    route = str(request.raw.context.get("resourcePath", "")).rstrip("/")
    return _digest([request.user, route, request.params, key])


def _fingerprint(request: Request) -> str:
    """Return a digest of what the body means: spaces, the order of keys, and the boundaries of forms do not matter."""
    try:
        return _digest(_meaning(request))
    except SiderealError:
        # The view will say what is wrong with it.
        return hashlib.sha256(request.body).hexdigest()


def _meaning(request: Request) -> Any:
    if not request.body:
        return None
    if not (request.is_multipart or request.is_urlencoded):
        return request.json_object()
    form = request.form()
    files = [
        [field, [[file.name, hashlib.sha256(file.content).hexdigest()] for file in several]]
        for field, several in sorted(form.files.items())
    ]
    return [form.fields, files]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _to_kept(reply: Reply) -> dict[str, Any]:
    """Return what is kept of a reply: its own text, and of an upload only where it leads, for a form is signed."""
    reply.text.encode()  # what cannot be sent fails here, and is not kept
    return {
        "status": reply.status,
        "headers": dict(reply.headers),
        "text": None if reply.body is None else reply.text,
        "upload": None if reply.upload is None else list(reply.upload),
    }


def _from_kept(kept: dict[str, Any]) -> Reply:
    text, upload = kept["text"], kept["upload"]
    return Reply(
        json.loads(text) if upload else text,
        kept["status"],
        {**kept["headers"], REPLAYED: "true"},
        Upload(*upload) if upload else None,
    )
