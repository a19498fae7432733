"""Requests to the deployed API as its users send them."""

from collections.abc import Mapping
from typing import Any

import requests

from deployment.e2e.asking import Asker, Form, Reply
from deployment.e2e.stack import Deployment

TIMEOUT_S = 60.0


class Http:
    """Sends requests to one address.

    Parameters
    ----------
    base_url : str
        What stands before each path.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy or a .netrc has nothing to do with this machine

    def __call__(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Reply:
        """Send one request, and return the reply; redirects are not followed."""
        content: dict[str, Any] = {}
        if isinstance(body, Form):
            content = {"data": dict(body.fields), "files": {"file": (body.name, body.content, "application/fits")}}
        elif isinstance(body, dict | list):
            content = {"json": body}
        elif body is not None:
            content = {"data": body.encode()}
        found = self._session.request(
            method, self._base_url + path, headers=dict(headers), timeout=TIMEOUT_S, allow_redirects=False, **content
        )
        return Reply(found.status_code, {name.lower(): value for name, value in found.headers.items()}, found.text)


def asker(deployment: Deployment) -> Asker:
    """Return an asker of the deployed API."""
    return Asker(Http(deployment.api), deployment.token, deployment.stage)
