"""The two families of replies, and the one place where errors become HTTP."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from chalicelib import errors


class Upload(NamedTuple):
    """A file that the caller may put into the bucket: its key, its size in bytes, and until when (seconds since 1970)."""

    key: str
    size: int
    expires_at: int


@dataclass(frozen=True)
class Reply:
    """What a view answers: a status, a body (an object, HTML text, or nothing) and headers of its own.

    Parameters
    ----------
    upload : Upload, optional
        Becomes `upload` of the body, a form that is signed when the reply is sent, and never kept.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    upload: Upload | None = None

    @cached_property
    def text(self) -> str:
        """The body as it goes over the wire."""
        if self.body is None:
            return ""
        if isinstance(self.body, str):
            return self.body
        return json.dumps(self.body, ensure_ascii=False, allow_nan=False)


class Family(ABC):
    """How one of the two published APIs words its errors."""

    STATUS: ClassVar[tuple[tuple[type[errors.SiderealError], int], ...]] = (
        (errors.InvalidInputError, 400),
        (errors.MalformedBodyError, 400),
        (errors.UnauthenticatedError, 401),
        (errors.NotFoundError, 404),
        (errors.ConflictError, 409),
        (errors.TooLargeError, 413),
        (errors.UnsupportedMediaTypeError, 415),
        (errors.KeyReusedError, 422),
        (errors.ThrottledError, 429),
        (errors.UpstreamError, 502),
        (errors.UnavailableError, 503),
    )

    def error(self, error: errors.SiderealError) -> Reply:
        """Return the reply that tells the caller of `error`."""
        status = next(status for kind, status in self.STATUS if isinstance(error, kind))
        headers = {}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        elif isinstance(error, (errors.StillAtWorkError, errors.ThrottledError, errors.UnavailableError)):
            headers["Retry-After"] = str(error.retry_after_s)
        return Reply(self.error_body(error), status, headers)

    def method_not_allowed(self, method: str, allowed: str) -> Reply:
        """Return the 405 reply."""
        return Reply(self.message(f'Method "{method}" not allowed.'), 405, {"Allow": allowed})

    def unknown_error(self, request_id: str) -> Reply:
        """Return the 500 reply: a fixed text, and the request id under which the log has the rest."""
        return Reply({**self.message("Internal server error"), "request_id": request_id}, 500)

    @abstractmethod
    def message(self, text: str) -> dict[str, Any]:
        """Return a body that only says `text`."""

    @abstractmethod
    def error_body(self, error: errors.SiderealError) -> dict[str, Any]:
        """Return the body that tells of `error`."""


class AsimovFamily(Family):
    """`{"error": ...}`, with `details` for each field that is wrong."""

    def message(self, text: str) -> dict[str, Any]:  # noqa: D102
        return {"error": text}

    def error_body(self, error: errors.SiderealError) -> dict[str, Any]:  # noqa: D102
        if isinstance(error, errors.InvalidInputError):
            details = [{"loc": list(field.loc), "msg": field.msg, "type": field.type} for field in error.fields]
            return {"error": "Validation error", "details": details}
        if isinstance(error, (errors.MalformedBodyError, errors.UnsupportedMediaTypeError)):
            detail = {"loc": ["body"], "msg": str(error), "type": "value_error.jsondecode"}
            return {"error": "Invalid or missing JSON payload", "details": [detail]}
        return self.message(str(error))

    def error(self, error: errors.SiderealError) -> Reply:  # noqa: D102
        reply = super().error(error)
        # The published document knows no 415: a body of another kind is a missing JSON payload.
        return Reply(reply.body, 400, reply.headers) if reply.status == 415 else reply


class TelescopeFamily(Family):
    """`{"detail": ...}`, or `{field: [texts]}` where fields are wrong."""

    FORMS = ("options", "fields")
    """Fields whose members are fields, too: `{"options": {"fps": [texts]}}`. Elsewhere the path stands in the text."""

    def message(self, text: str) -> dict[str, Any]:  # noqa: D102
        return {"detail": text}

    def error_body(self, error: errors.SiderealError) -> dict[str, Any]:  # noqa: D102
        if isinstance(error, errors.InvalidInputError):
            return self._by_field(error.fields)
        if isinstance(error, errors.MalformedBodyError):
            text = str(error)
            return self.message(text if text.startswith("Multipart") else f"JSON parse error - {text}")
        return self.message(str(error))

    def _by_field(self, wrong: Sequence[errors.FieldError]) -> dict[str, Any]:
        body: dict[str, Any] = {}
        details: list[str] = []
        for fault in wrong:
            name, *path = map(str, fault.loc or ("detail",))
            if name in self.FORMS:
                body[name] = _with_fault(body.get(name), path, fault.msg)
                continue
            text = (f"{'.'.join(path)}: " if path else "") + fault.msg
            if name == "detail":  # of no single field: the published API has one text for all of these
                details.append(text)
            else:
                body.setdefault(name, []).append(text)
        return {**self.message(" ".join(details)), **body} if details else body


def _with_fault(told: Any, path: Sequence[str], msg: str) -> Any:
    """Return what is told of a form and its members, with one fault more; `detail` is the form's own, beside members'."""
    if path:
        members = told if isinstance(told, dict) else {"detail": told} if told else {}
        return {**members, path[0]: _with_fault(members.get(path[0]), path[1:], msg)}
    if isinstance(told, dict):
        return {**told, "detail": [*told.get("detail", []), msg]}
    return [*(told or []), msg]


ASIMOV = AsimovFamily()
TELESCOPE = TelescopeFamily()
