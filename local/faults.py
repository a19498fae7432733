"""What can go wrong between a client and a server, in words for people."""

import requests


class ClientError(Exception):
    """Raised when a request has not done what it should; its text is one for people."""


class RefusedError(ClientError):
    """Raised when the API refuses a request; carries the status and what it said.

    Parameters
    ----------
    retry_after : str, optional
        Seconds after which it might be taken.
    """

    def __init__(self, method: str, path: str, status: int, text: str, retry_after: str | None = None) -> None:
        super().__init__(f"{method} {path} answered {status}: {text}")
        self.status = status
        self.text = text
        self.retry_after = retry_after


class UnreachableError(ClientError):
    """Raised when a server does not answer."""

    def __init__(self, address: str, error: requests.RequestException) -> None:
        super().__init__(f"{_trouble(error)} {address}")


class NotSiderealError(ClientError):
    """Raised when something answers that is no Sidereal."""

    def __init__(self, address: str, status: int) -> None:
        super().__init__(
            f"{address} answers, but is no Sidereal (status {status}): does SIDEREAL_URL end in its stage?"
        )


class UnreadableError(ClientError):
    """Raised when a file that is being sent cannot be read as it was when it was looked at."""


def _trouble(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "there is no trusted connection to"
    if isinstance(error, requests.ReadTimeout):
        return "no answer in time from"
    if isinstance(error, (requests.ConnectionError, requests.Timeout)):
        return "no server answers at"
    if isinstance(error, ValueError):  # requests' own errors of addresses are these, too
        return "this is no address of a server:"
    return f"the connection broke ({type(error).__name__}) to"


def is_of_no_route(reply: requests.Response) -> bool:
    """Say whether a gateway has answered by itself that it knows no such address; what a view answers has an id."""
    is_gateways = "X-Request-Id" not in reply.headers
    return is_gateways and (reply.status_code == 404 or (reply.status_code == 403 and '"message"' in reply.text))


def error_text(reply: requests.Response) -> str:
    """Return what an error reply of either family says, naming the fields that are wrong."""
    try:
        content = reply.json()
    except ValueError:
        return " ".join(reply.text[:300].split()) or str(reply.reason)
    if not isinstance(content, dict):
        return str(content)[:300]
    if isinstance(content.get("details"), list):
        return "; ".join(map(_asimov_fault, content["details"]))
    found = content.get("detail") or content.get("error") or content.get("message")
    faults = [f"{name}: {text}" for name, text in _by_field(content)]
    return "; ".join(([found] if isinstance(found, str) else []) + faults) or str(content)[:300]


def _asimov_fault(detail: object) -> str:
    if not isinstance(detail, dict):
        return str(detail)
    path = ".".join(map(str, detail.get("loc") or ()))
    return f"{path}: {detail.get('msg')}" if path else str(detail.get("msg"))


def _by_field(content: dict[str, object], path: str = "") -> list[tuple[str, str]]:
    """Return (field, text) for `{"name": ["too long"], "options": {"fps": ["too many"]}}`."""
    found = []
    for name, value in content.items():
        place = f"{path}.{name}" if path else name
        if isinstance(value, list):
            found.append((place, " ".join(map(str, value))))
        elif isinstance(value, dict):
            found.extend(_by_field(value, place))
    return found
