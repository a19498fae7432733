"""Requests with the answers that they must get, sent to the deployed API here, and to the app itself by the tests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

READING = ("GET", "HEAD", "OPTIONS")


class E2EError(Exception):
    """Raised when something is not as it should be; says what."""


@dataclass(frozen=True)
class Reply:
    """What came back; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.text)


class Send(Protocol):
    """Sends one request: `body` is JSON, a form (`fields`, `files`: name -> file name and content), text, or nothing."""

    def __call__(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Reply:
        """Send it, and return the reply; redirects are not followed."""


@dataclass(frozen=True)
class Form:
    """A multipart form with one file."""

    fields: Mapping[str, str]
    name: str
    content: bytes


class Asker:
    """Asks the API, and compares what it answers with what it should.

    Parameters
    ----------
    send : Send
        How requests get there.
    token : str
        An API key.
    stage : str
        What stands before each path that an answer names: `/dev`.
    """

    def __init__(self, send: Send, token: str, stage: str = "") -> None:
        self._send = send
        self._token = token
        self.stage = stage
        self.asked: list[tuple[str, str]] = []

    def __call__(
        self,
        method: str,
        path: str,
        status: Any,
        answer: Any = ...,
        body: Any = None,
        *,
        authorization: str | None = "",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request that must be answered like this.

        Parameters
        ----------
        status, answer : object
            The JSON, keys in their order; in the place of a value `...` stands for anything, a type for any value of it.
        authorization : str or None
            The header; "" for the API key where something is written, None for none.

        Raises
        ------
        E2EError
            If it is answered otherwise.
        """
        sent = dict(headers or {})
        if authorization == "" and method not in READING:
            sent["Authorization"] = f"Bearer {self._token}"
        elif authorization:
            sent["Authorization"] = authorization
        self.asked.append((method, path.partition("?")[0]))
        reply = self._send(method, path, body, sent)
        if not is_like(reply.status, status):
            raise E2EError(f"{method} {path} answers {reply.status}, not {status}: {reply.text[:1000]}")
        if answer is not ...:
            found = reply.json if reply.text else None
            if not is_like(found, answer):
                raise E2EError(f"{method} {path} answers {json.dumps(found)[:2000]}, not {answer!r}")
        return reply

    def check_header(self, reply: Reply, name: str, expected: str) -> None:
        """Make sure of a header.

        Raises
        ------
        E2EError
            If it is another, or missing.
        """
        if reply.headers.get(name) != expected:
            raise E2EError(f"the header {name} is {reply.headers.get(name)!r}, not {expected!r}")


def is_like(found: Any, expected: Any) -> bool:
    """Say whether a JSON value is the expected one: `...` is like anything, a type like any value of it."""
    if expected is ...:
        return True
    if isinstance(expected, type):
        # true and false are no numbers
        return isinstance(found, expected) and isinstance(found, bool) == (expected is bool)
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and list(found) == list(expected)
            and all(is_like(found[key], value) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(is_like(*pair) for pair in zip(found, expected, strict=True))
        )
    return type(found) is type(expected) and bool(found == expected)
