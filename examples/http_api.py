"""The HTTP API, for the scripts here that use it."""

import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from shared import need
from urllib3 import Retry

AT_WORK_S = 35
"""For how long the API can be at work on one request, or on one that died."""


def reason(answer: requests.Response) -> str:
    """Return why a request was refused, in one line."""
    return f"{answer.status_code} {' '.join(answer.text.split())[:500]}"


class Api:
    """The HTTP API at SIDEREAL_URL; what is lost or comes too early is asked again, which the key makes safe for a POST."""

    def __init__(self) -> None:
        busy = (429, 502, 503, 504)
        again = Retry(
            5, connect=2, backoff_factor=0.5, status_forcelist=busy, allowed_methods=None, raise_on_status=False
        )
        self.url, self.session = need("SIDEREAL_URL").rstrip("/"), requests.Session()
        self.session.headers["Authorization"] = f"Bearer {need('SIDEREAL_TOKEN')}"
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(pool_maxsize=32, max_retries=again))

    def ask(self, method: str, path: str, body: object = None, key: str = "") -> requests.Response:
        """Send one request; a token that is not taken ends the script.

        409 with Retry-After says that an earlier try is still at work, and nothing of what will come of it. So that is
        asked again, and never returned.
        """
        headers = {"Idempotency-Key": key or str(uuid.uuid4())} if method == "POST" else {}
        end = time.monotonic() + AT_WORK_S
        while True:
            answer = self.session.request(method, self.url + path, json=body, headers=headers, timeout=60)
            if answer.status_code == 401:
                sys.exit(f"error: SIDEREAL_TOKEN: {reason(answer)}")
            if answer.status_code != 409 or "Retry-After" not in answer.headers:
                return answer
            if time.monotonic() >= end:
                raise requests.Timeout(request=answer.request)
            time.sleep(int(answer.headers["Retry-After"]))

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield what a list of the telescope API has, page after page; an answer that is no list ends the script."""
        while path:
            answer = self.ask("GET", path)
            if not answer.ok:
                sys.exit(f"error: {reason(answer)}")
            yield from answer.json()["results"]
            onward = answer.json()["next"]
            path = f"{path.partition('?')[0]}?{urlsplit(onward).query}" if onward else ""
