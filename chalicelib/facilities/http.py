"""JSON over HTTP with a service of somebody else's: bounded in time and size, repeated only where that is safe.

Nothing of what it says or is told goes into the log but method, path, status and seconds.
"""

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from chalicelib.errors import UnavailableError, UpstreamError
from chalicelib.facilities.budget import time_budget, time_left
from chalicelib.facilities.connections import pool
from chalicelib.metrics import Metric
from chalicelib.observability import logger, metrics
from chalicelib.storage.circuits import call_guarded
from chalicelib.storage.secrets import portal_token

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

CONNECT_S = 3.0
READ_S = 9.0
"""Longest silence of a service."""

MAX_TRIES = 3
MAX_ANSWER_BYTES = 20_000_000
"""A page of 1,000 frames, each with the links of several versions, has 5 MB."""

_LEAST_S = 0.1
_PIECE_BYTES = 65_536
_MAX_WAIT_S = 86_400


class OutageError(UnavailableError):
    """Raised when a service cannot be reached, is silent, breaks off, or says that it is broken.

    `was_sent` says whether it may have got the request; `may_still_arrive` whether it may still be at work on it.
    """

    def __init__(self, text: str, *, was_sent: bool, may_still_arrive: bool = False, retry_after_s: int = 10) -> None:
        super().__init__(text, retry_after_s)
        self.was_sent = was_sent
        self.may_still_arrive = may_still_arrive


@dataclass(frozen=True)
class Answer:
    """What came back, whatever its status below 500."""

    service: str
    status: int
    content: bytes | None
    """None where it is longer than we read."""

    @cached_property
    def json(self) -> Any:
        """What the content says.

        Raises
        ------
        UpstreamError
            If it is too long, or not JSON.
        """
        if self.content is None:
            raise UpstreamError(f"The {self.service} gave an answer that is too long.")
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            raise UpstreamError(f"The {self.service} answered with something that is not JSON.") from None

    def object(self) -> dict[str, Any]:
        """Return the JSON object that a call which went well answers.

        Raises
        ------
        UpstreamError
            If it is something else.
        """
        if self.status not in (200, 201) or not isinstance(self.json, dict):
            raise self.unexpected()
        return self.json

    def unexpected(self) -> UpstreamError:
        """Return the error that tells of an answer which makes no sense."""
        return UpstreamError(f"The {self.service} gave an answer that makes no sense (status {self.status}).")


class JsonClient:
    """Asks one service, with the portal's token.

    Parameters
    ----------
    service : str
        What people call it, `telescope portal`; also the name of its circuit.
    address : str
        Its address, without a path.
    """

    def __init__(self, service: str, address: str) -> None:
        self.service = service
        self.address = address.rstrip("/")

    def get(self, path: str, query: Mapping[str, Any] | None = None, *, is_open: bool = False) -> Answer:
        """Ask for something, again where no answer comes.

        Raises
        ------
        UnavailableError, UpstreamError
            If the service does not answer (`OutageError`), is left alone or wants to be; if it refuses our token, or we have
            none and what is asked is not open: who asks without a token is told that nothing is there. What is open is
            asked without it, so that a wrong one does no harm.
        """
        path = f"{path}?{urlencode(query)}" if query else path
        return self._ask("GET", path, None, MAX_TRIES, is_open=is_open)

    def post(self, path: str, body: Any, *, is_repeatable: bool) -> Answer:
        """Send something; only what is repeatable is sent again where no answer comes. Raises as `get` does."""
        return self._ask("POST", path, body, MAX_TRIES if is_repeatable else 1)

    def _ask(self, method: str, path: str, body: Any, tries: int, *, is_open: bool = False) -> Answer:
        token = None if is_open else portal_token()
        if token is None and not is_open:
            raise UnavailableError("No token of the telescope portal is configured.")
        answer = self._ask_with(token, method, path, body, tries)
        if answer.status in (401, 403):
            fresh = portal_token(refresh=not is_open)
            if fresh != token:
                answer = self._ask_with(fresh, method, path, body, tries)
        if answer.status in (401, 403):
            raise UpstreamError(f"The {self.service} refused our token.")
        if 300 <= answer.status < 400:  # to follow it would lose the body, or show the token to somebody else
            raise UpstreamError(f"The {self.service} sends us elsewhere (status {answer.status}).")
        return answer

    def _ask_with(self, token: str | None, method: str, path: str, body: Any, tries: int) -> Answer:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "sidereal"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if token is not None:
            headers["Authorization"] = f"Token {token}"
        content = None if body is None else json.dumps(body, allow_nan=False).encode()
        return call_guarded(
            self.service, lambda: self._ask_patiently(method, path, content, headers, tries), OutageError
        )

    def _ask_patiently(
        self, method: str, path: str, content: bytes | None, headers: dict[str, str], tries: int
    ) -> Answer:
        # By hand: urllib3's own repeats know nothing of the time that is left.
        for attempt in range(1, tries + 1):
            try:
                return self._ask_once(method, path, content, headers)
            except OutageError:
                pause_s = random.uniform(0.5, 1) * 0.2 * 2**attempt  # noqa: S311 - spreads repeats, keeps no secret
                if attempt == tries or time_left() < pause_s + _LEAST_S:
                    raise
                time.sleep(pause_s)
        raise AssertionError("there is at least one try")

    def _ask_once(self, method: str, path: str, content: bytes | None, headers: dict[str, str]) -> Answer:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        left_s = time_left()
        if left_s < _LEAST_S:
            raise UnavailableError(f"There is no time left to ask the {self.service}.")
        started = time.monotonic()
        status = 0
        try:
            with time_budget(left_s):
                response = pool().request(
                    method,
                    self.address + path,
                    body=content,
                    headers=headers,
                    timeout=Timeout(connect=min(CONNECT_S, left_s), read=min(READ_S, left_s)),
                    retries=False,
                    redirect=False,
                    preload_content=False,
                )
                status = response.status
                answer = Answer(self.service, status, _read(response))
        except HTTPError as error:
            raise self._outage(error) from None
        finally:
            seconds = round(time.monotonic() - started, 3)
            metrics.add(Metric.PORTAL_SECONDS, seconds)
            told = {"service": self.service, "method": method, "path": path.partition("?")[0]}
            logger.info("asked", extra={**told, "status": status, "seconds": seconds})
        self._raise_for(response)
        return answer

    def _raise_for(self, response: "BaseHTTPResponse") -> None:
        if response.status == 429:
            raise UnavailableError(
                f"The {self.service} takes no more requests of ours for a while.", _wait_s(response, 60)
            )
        if response.status >= 500:
            metrics.add(Metric.PORTAL_ERRORS)
            raise OutageError(
                f"The {self.service} is out of order (status {response.status}).",
                was_sent=True,
                # Only these are the portal's own words: a gateway that gives up says nothing of what is behind it.
                may_still_arrive=response.status not in (500, 501, 503),
                retry_after_s=_wait_s(response, 10),
            )

    def _outage(self, error: Exception) -> OutageError:
        from urllib3 import exceptions

        was_sent = not isinstance(
            error, (exceptions.NewConnectionError, exceptions.ConnectTimeoutError, exceptions.LocationValueError)
        )
        is_silent = isinstance(error, exceptions.ReadTimeoutError) or any(
            isinstance(argument, TimeoutError) for argument in error.args
        )
        how = "does not answer in time" if is_silent else "breaks off" if was_sent else "cannot be reached"
        metrics.add(Metric.PORTAL_ERRORS)
        logger.warning("no answer", extra={"service": self.service, "reason": type(error).__name__})
        # A connection that breaks off, perhaps by the hand of a gateway, says nothing of what is done behind it.
        return OutageError(f"The {self.service} {how}.", was_sent=was_sent, may_still_arrive=was_sent)


def _read(response: "BaseHTTPResponse") -> bytes | None:
    content = bytearray()
    try:
        while piece := response.read1(_PIECE_BYTES):
            content += piece
            if len(content) > MAX_ANSWER_BYTES:
                return None
    finally:
        response.close()  # gives back nothing that was not read to its end
    return bytes(content)


def _wait_s(response: "BaseHTTPResponse", otherwise: int) -> int:
    text = response.headers.get("Retry-After", "")
    return min(max(int(text), 1), _MAX_WAIT_S) if text.isascii() and text.isdigit() and len(text) < 10 else otherwise
