"""Requests for processes that came as messages: `pk=REQUEST#<token>, sk=REQUEST` says what became of one."""

from dataclasses import asdict, dataclass
from typing import Any

from chalicelib.settings import get_settings
from chalicelib.storage import requests
from chalicelib.storage.requests import ConditionFailedError, Key


@dataclass(frozen=True)
class ProcessRequest:
    """One request as it is kept.

    Parameters
    ----------
    process_id : int
        The id under which its process is made; there need not be one yet.
    digest : str
        Of what was asked for.
    created : str
        When its message came first.
    expires_at : int
        When it is forgotten, seconds since 1970.
    refusal : str, optional
        Why there is no process, and will be none.
    """

    process_id: int
    digest: str
    created: str
    expires_at: int
    refusal: str | None = None


def find(token: str, now: float) -> ProcessRequest | None:
    """Return the request of this token, or None. One GetItem."""
    item = requests.get(_table(), _key(token))
    return _from_record(item) if item and item["expires_at"] > now else None


def keep(token: str, request: ProcessRequest, now: float) -> ProcessRequest:
    """Keep a request, and return it; where there is one of this token, that one. One PutItem (condition: there is none)."""
    write = requests.put(
        _table(),
        _key(token),
        asdict(request),
        "attribute_not_exists(pk) OR #expires <= :now",
        names={"#expires": "expires_at"},
        values={":now": int(now)},
    )
    try:
        requests.run(write)
    except ConditionFailedError as error:
        return _from_record(error.item or asdict(request))
    return request


def refuse(token: str, reason: str) -> None:
    """Note that there will be no process. One UpdateItem."""
    _change(token, "SET #refusal = :reason", {":reason": reason})


def reopen(token: str) -> None:
    """Take a refusal back. One UpdateItem."""
    _change(token, "REMOVE #refusal", None)


def _change(token: str, expression: str, values: dict[str, Any] | None) -> None:
    requests.run(
        requests.update(
            _table(),
            _key(token),
            expression,
            "attribute_exists(pk)",
            names={"#refusal": "refusal"},
            values=values,
        )
    )


def _from_record(item: dict[str, Any]) -> ProcessRequest:
    return ProcessRequest(**{name: item[name] for name in ProcessRequest.__dataclass_fields__ if name in item})


def _key(token: str) -> Key:
    return {"pk": f"REQUEST#{token}", "sk": "REQUEST"}


def _table() -> str:
    return get_settings().telescope_table
