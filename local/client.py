"""Talks HTTP to a deployment: what the command line and the demonstration make of the two APIs."""

import copy
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import requests

from local.faults import NotSiderealError, RefusedError, UnreachableError, error_text, is_of_no_route
from local.forms import Form

TIMEOUT_S = (5.0, 120.0)

PATIENCE_S = 40.0
"""For how long a request that finds the server busy is sent again; one that died is answered for after 35 s at most."""

BUSY = (429, 502, 503, 504)

MAX_PAGE = 500
"""Members of a list that the API answers at once."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Client:
    """Talks to a running server. Threads may share one.

    Parameters
    ----------
    base_url : str
        Its address, with the stage of a deployed one.
    token : str or callable
        An API key, or what finds it when it is needed first: reading is open. "" where there is none.
    sleep : callable
        Waits for so many seconds.

    Raises
    ------
    UnreachableError
        If the address is none.
    """

    def __init__(
        self, base_url: str, token: str | Callable[[], str] = "", sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._token = token
        self._sleep = sleep
        self._session = requests.Session()
        try:
            # A proxy has nothing to do with this machine.
            self._session.trust_env = urlsplit(base_url).hostname not in LOOPBACK
        except ValueError:
            raise UnreachableError(self.base_url, requests.exceptions.InvalidURL()) from None
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=32))

    def pausing(self, sleep: Callable[[float], None]) -> "Client":
        """Return one of the same connections that waits otherwise."""
        other = copy.copy(self)
        other._sleep = sleep
        return other

    def call(self, method: str, path: str, *, key: str = "", accepts: tuple[int, ...] = (), **body: Any) -> Any:
        """Send a request and return the JSON it is answered with; {} where there is none.

        Parameters
        ----------
        key : str
            The `Idempotency-Key` of a POST; by default a new one, the same for every time that it is sent.
        accepts : tuple of int
            Statuses beyond the good ones that are no refusals, nor sent again.

        Raises
        ------
        RefusedError
            If the answer is an error.
        UnreachableError, NotSiderealError
            If there is no answer, or one that cannot be from here.
        """
        return self._call(method, path, key, accepts, body)[0]

    def create(self, path: str, key: str, **body: Any) -> tuple[dict[str, Any], bool]:
        """POST, and return the answer, and whether it is that of an earlier request with the same key.

        Raises
        ------
        RefusedError, UnreachableError, NotSiderealError
            As `call` does.
        """
        answer, headers = self._call("POST", path, key, (), body)
        return dict(answer), headers.get("Idempotency-Replayed") == "true"

    def pages(
        self, path: str, member: str = "results", limit: int | None = None, **query: str
    ) -> Iterator[dict[str, Any]]:
        """Yield what a list has, page after page, at most `limit` of it; `member` is its key in the answer.

        Raises
        ------
        RefusedError, UnreachableError, NotSiderealError
            As `call` does.
        """
        left = limit
        while left is None or left > 0:
            query["limit"] = str(MAX_PAGE if left is None else min(left, MAX_PAGE))
            answer = self.call("GET", f"{path}?{urlencode(query)}")
            try:
                found = answer[member][:left]
            except (KeyError, TypeError):
                raise NotSiderealError(self.base_url, 200) from None
            yield from found
            left = None if left is None else left - len(found)
            onward = answer.get("next")
            if not onward:
                return
            # One family answers an address, the other a cursor.
            query["next"] = _cursor(onward)

    def find_target(self, name: str) -> dict[str, Any] | None:
        """Return the target of this name, else of this id; None where there is neither."""
        for target in self.pages("/api/targets/", name=name):
            return target
        if not (name.isascii() and name.isdecimal()):
            return None
        try:
            target = self.call("GET", f"/api/targets/{quote(name)}/")
        except RefusedError as error:
            if error.status != 404:
                raise
            return None
        return dict(target)

    def send_to_storage(self, url: str, form: Form) -> None:
        """Send a presigned form past the API. The key stays here.

        Raises
        ------
        RefusedError, UnreachableError
            If the storage does not take it, or does not answer.
        """
        headers = {"Content-Type": form.media_type}
        try:
            reply = self._session.post(url, data=form, headers=headers, auth=_Bearer(""), timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise UnreachableError(_public(url), error) from None
        if not reply.ok:
            raise RefusedError("POST", _public(url), reply.status_code, f"the storage: {error_text(reply)}")

    def stream(self, path: str, headers: Mapping[str, str]) -> requests.Response:
        """Open a stream of events; whoever opens it closes it.

        Raises
        ------
        RefusedError, UnreachableError, NotSiderealError
            As `call` does.
        """
        reply = self._ask("GET", path, (), headers=dict(headers), stream=True)
        kind = reply.headers.get("Content-Type", "")
        if reply.status_code == 204 or (reply.ok and kind.startswith("text/event-stream")):
            return reply
        with reply:
            if reply.ok or "json" not in kind or is_of_no_route(reply):
                raise NotSiderealError(self.base_url, reply.status_code)
            raise RefusedError("GET", path, reply.status_code, error_text(reply), reply.headers.get("Retry-After"))

    def download(self, url: str, file: Path) -> int:
        """Fetch an artefact, following the redirect to the storage; returns its size in bytes.

        The file has its name only when it is whole.

        Raises
        ------
        RefusedError, UnreachableError
            If it does not come.
        """
        address = url if url.startswith("http") else self.base_url + url
        draft = file.with_name(f"{file.name}.part")
        try:
            with self._session.get(address, timeout=TIMEOUT_S, stream=True) as reply:
                if not reply.ok:
                    raise RefusedError("GET", _public(url), reply.status_code, error_text(reply))
                with draft.open("wb") as target:
                    size = sum(target.write(chunk) for chunk in reply.iter_content(1 << 16))
            draft.replace(file)
        except requests.RequestException as error:
            raise UnreachableError(_public(address), error) from None
        finally:
            draft.unlink(missing_ok=True)
        return size

    def _call(
        self, method: str, path: str, key: str, accepts: tuple[int, ...], body: dict[str, Any]
    ) -> tuple[Any, Mapping[str, str]]:
        headers = {"Idempotency-Key": key or str(uuid.uuid4())} if method == "POST" else {}
        reply = self._ask(method, path, accepts, headers=headers, **body)
        answer = self._read(reply) if reply.content else {}
        if not reply.ok and reply.status_code not in accepts:
            if is_of_no_route(reply):
                raise NotSiderealError(self.base_url, reply.status_code)
            raise RefusedError(method, path, reply.status_code, error_text(reply), reply.headers.get("Retry-After"))
        return answer, reply.headers

    def _ask(self, method: str, path: str, accepts: tuple[int, ...], **request: Any) -> requests.Response:
        """Send a request; one that may be sent twice is sent again while the server is busy, or an answer is lost."""
        may_repeat = method in ("GET", "POST")  # a POST has a key
        left_s, pause_s, is_lost = PATIENCE_S, 0.5, False
        while True:
            wait_s = pause_s
            try:
                reply = self._send(method, path, request)
            except requests.RequestException as error:
                # An answer may be lost, once; whoever is not there then will not be there in a second either.
                if not may_repeat or is_lost or isinstance(error, ValueError):
                    raise UnreachableError(self.base_url, error) from None
                is_lost = True
            else:
                if not may_repeat or reply.status_code in accepts or not _is_busy(reply):
                    return reply
                wait_s = max(_retry_after_s(reply), pause_s)
                if wait_s > left_s:
                    return reply
                reply.close()
            self._sleep(wait_s)
            left_s, pause_s = left_s - wait_s, pause_s * 2

    def _send(self, method: str, path: str, request: dict[str, Any]) -> requests.Response:
        headers = dict(request.get("headers", {}))
        form = request.get("data")
        if isinstance(form, Form):
            form.rewind()
            headers["Content-Type"] = form.media_type
        token = "" if method == "GET" else self._find_token()
        given = {"timeout": TIMEOUT_S, **request, "headers": headers, "auth": _Bearer(token)}
        return self._session.request(method, self.base_url + path, **given)

    def _find_token(self) -> str:
        if not isinstance(self._token, str):
            self._token = self._token()
        return self._token

    def _read(self, reply: requests.Response) -> Any:
        try:
            return reply.json()
        except ValueError:
            if reply.status_code >= 500:
                return {}
            raise NotSiderealError(self.base_url, reply.status_code) from None


class _Bearer(requests.auth.AuthBase):
    """Sends a token, and keeps a .netrc from sending another."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _is_busy(reply: requests.Response) -> bool:
    """Say whether the same request may be answered otherwise in a while; 409 so far as an earlier try is at work."""
    return reply.status_code in BUSY or (reply.status_code == 409 and "Retry-After" in reply.headers)


def _retry_after_s(reply: requests.Response) -> float:
    text = reply.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdecimal() else 0.0


def _cursor(onward: str) -> str:
    """Return the cursor of the next page from what a list answers: the cursor, or the address that has it."""
    if not onward.startswith(("http://", "https://")):
        return onward
    return parse_qs(urlsplit(onward).query).get("next", [""])[0]


def _public(url: str) -> str:
    """Return what may be told of an address: a signed link lets whoever reads it in."""
    return url.partition("?")[0]
