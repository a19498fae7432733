"""The few calls of the two APIs that the demonstration makes."""

import mimetypes
from pathlib import Path
from typing import Any

import requests

DIRECT_BYTES = 4_000_000
"""Files up to this size go through the API; larger ones through a presigned upload."""

TIMEOUT_S = (5.0, 120.0)


class RefusedError(Exception):
    """Raised when the API refuses a request; carries the status and what it said."""

    def __init__(self, method: str, path: str, status: int, text: str) -> None:
        super().__init__(f"{method} {path} answered {status}: {text}")
        self.status = status
        self.text = text


class Client:
    """Talks to a running server.

    Parameters
    ----------
    base_url : str
        Its address.
    token : str
        An API key.
    """

    def __init__(self, base_url: str, token: str) -> None:
        self.base_url = base_url
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy or a .netrc has nothing to do with this machine
        self._token = token

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Send a request and return the JSON it is answered with.

        Raises
        ------
        RefusedError
            If the answer is an error.
        """
        headers = {"Authorization": f"Bearer {self._token}"}
        reply = self._session.request(method, self.base_url + path, headers=headers, timeout=TIMEOUT_S, **body)
        if not reply.ok:
            raise RefusedError(method, path, reply.status_code, _error_text(reply))
        answer: dict[str, Any] = reply.json() if reply.content else {}
        return answer

    def upload_frame(self, file: Path, target: int) -> int:
        """Make a data product of a FITS file and return its id.

        Raises
        ------
        RefusedError
            If the API does not take the file.
        """
        size = file.stat().st_size
        if size > DIRECT_BYTES:
            return self._upload_past_the_api(file, size, target)
        fields = {"target": str(target), "data_product_type": "fits_file"}
        with file.open("rb") as content:
            files = {"file": (file.name, content, mimetypes.guess_type(file.name)[0] or "application/octet-stream")}
            return int(self.call("POST", "/api/dataproducts/", data=fields, files=files)["id"])

    def _upload_past_the_api(self, file: Path, size: int, target: int) -> int:
        fields = {"target": target, "filename": file.name, "size": size, "data_product_type": "fits_file"}
        product = self.call("POST", "/api/dataproducts/", json=fields)
        upload = product["upload"]
        with file.open("rb") as content:
            # The token stays here: this goes to the storage, not to the API.
            reply = self._session.post(
                upload["url"], data=upload["fields"], files={"file": (file.name, content)}, timeout=TIMEOUT_S
            )
        if not reply.ok:
            raise RefusedError("POST", upload["url"], reply.status_code, _error_text(reply))
        self.call("POST", f"/api/dataproducts/{product['id']}/complete/")
        return int(product["id"])

    def download(self, url: str, file: Path) -> int:
        """Fetch an artefact, following the redirect to the storage; returns its size in bytes."""
        address = url if url.startswith("http") else self.base_url + url
        with self._session.get(address, timeout=TIMEOUT_S, stream=True) as reply:
            if not reply.ok:
                raise RefusedError("GET", url, reply.status_code, _error_text(reply))
            with file.open("wb") as target:
                return sum(target.write(chunk) for chunk in reply.iter_content(1 << 16))


def _error_text(reply: requests.Response) -> str:
    try:
        content = reply.json()
    except ValueError:
        return reply.text[:300]
    if isinstance(content, dict):
        found = content.get("detail") or content.get("error")
        if isinstance(found, str):
            return found
        return "; ".join(
            f"{key}: {' '.join(map(str, value))}" for key, value in content.items() if isinstance(value, list)
        )
    return str(content)[:300]
