"""One HTTP request as views see it: its body parsed, its path decoded, its address known."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chalice.app import Request as ChaliceRequest

from chalicelib.errors import MalformedBodyError, NotFoundError, TooLargeError, UnsupportedMediaTypeError
from chalicelib.handlers.body import Form, parse_json_object, parse_multipart, parse_urlencoded
from chalicelib.handlers.replies import Reply
from chalicelib.settings import get_settings

if TYPE_CHECKING:
    from chalicelib.storage.requests import Write

_ID = re.compile(r"[1-9][0-9]{0,14}")


@dataclass
class Request:
    """One HTTP request as views see it.

    Parameters
    ----------
    raw : chalice.app.Request
        What Chalice made of the event.
    params : dict of str
        The path parameters, decoded.
    user : str
        Who sent a writing request; "" for a reading one, and for somebody unknown where nobody needs to be known.
    identity : str
        What this request has in common with its repetitions, and with nothing else; "" without an `Idempotency-Key`.
    seal : callable
        Returns the writes that keep a reply for the repetitions of this request, for the transaction that does what the
        reply tells of: after a crash either both are there or neither. Without one the reply is kept when it is sent.
    """

    raw: ChaliceRequest
    params: dict[str, str]
    user: str = ""
    identity: str = ""
    seal: "Callable[[Reply], Sequence[Write]]" = lambda _: ()
    query: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.query = {key: str(value) for key, value in (self.raw.query_params or {}).items()}

    @cached_property
    def content_type(self) -> str:
        """The media type of the body in lower case, without parameters."""
        return str(self.raw.headers.get("content-type", "")).partition(";")[0].strip().lower()

    @property
    def is_multipart(self) -> bool:
        """Whether the body is a multipart form."""
        return self.content_type == "multipart/form-data"

    @property
    def body(self) -> bytes:
        """The body as it came."""
        raw = self.raw.raw_body
        return raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else bytes(raw)

    def json_object(self) -> dict[str, Any]:
        """Return the body, which must be one JSON object.

        Raises
        ------
        TooLargeError, UnsupportedMediaTypeError, MalformedBodyError, InvalidInputError
            If the body is too large, of another kind, broken, or holds something that cannot be kept.
        """
        self._check_size()
        if not self.body:
            raise MalformedBodyError("the body is empty")
        if self.content_type and not re.fullmatch(r"application/(.+\+)?json", self.content_type):
            raise UnsupportedMediaTypeError(f'Unsupported media type "{self.content_type}" in request.')
        return parse_json_object(self.body)

    @property
    def is_urlencoded(self) -> bool:
        """Whether the body is a form as browsers send it without files."""
        return self.content_type == "application/x-www-form-urlencoded"

    def form(self) -> Form:
        """Return the form that the body holds.

        Raises
        ------
        TooLargeError, MalformedBodyError, InvalidInputError
            If the body is too large, broken, or holds too many fields.
        """
        self._check_size()
        if self.is_urlencoded:
            return parse_urlencoded(self.body)
        return parse_multipart(self.body, str(self.raw.headers.get("content-type", "")))

    def _check_size(self) -> None:
        size, limit = len(self.body), get_settings().max_body_bytes
        if size > limit:
            raise TooLargeError(
                f"The request body has {size} bytes; at most {limit} are taken. "
                "Larger files go through a presigned upload."
            )

    def id(self, name: str) -> int:
        """Return the path parameter `name` as the integer id of a record.

        Raises
        ------
        NotFoundError
            If it is no such number: no record can have that id.
        """
        text = self.params[name]
        if not _ID.fullmatch(text):
            raise NotFoundError("Not found.")
        return int(text)

    @property
    def base_url(self) -> str:
        """The address of this deployment with its stage, without a slash at the end."""
        context = self.raw.context
        headers = self.raw.headers
        host = headers.get("host") or context.get("domainName") or "localhost"
        scheme = headers.get("x-forwarded-proto", "https").partition(",")[0].strip()
        return f"{scheme}://{host}{self.stage_prefix}"

    @property
    def stage_prefix(self) -> str:
        """What API Gateway puts before every path of a stage: `/dev`; "" on a custom domain and on a laptop."""
        context = self.raw.context
        segments = str(context.get("path", "")).strip("/").split("/")
        resource = str(context.get("resourcePath", "")).strip("/")
        stage = str(context.get("stage", ""))
        # requestContext.path carries the stage on API Gateway's own domain names only; resourcePath never does.
        is_staged = segments[0] == stage and len(segments) > len(resource.split("/") if resource else [])
        return f"/{stage}" if stage and is_staged else ""
