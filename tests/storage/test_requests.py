"""What AWS does to a single write that moto and the emulator do not: a transaction on the same item stands in its way."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.errors import UnavailableError
from chalicelib.settings import get_settings
from chalicelib.storage import clients, requests

KEY = {"pk": "A", "sk": "A"}


def refuse(times: int) -> list[int]:
    """Let the next UpdateItem calls meet a transaction; returns the list of their numbers."""
    seen: list[int] = []

    def conflict(**_: Any) -> None:
        seen.append(len(seen))
        if len(seen) <= times:
            raise ClientError({"Error": {"Code": "TransactionConflictException", "Message": ""}}, "UpdateItem")

    clients.dynamodb().meta.events.register("before-call.dynamodb.UpdateItem", conflict)
    return seen


def write() -> requests.Write:
    return requests.update(
        get_settings().operations_table,
        KEY,
        "SET #v = :v",
        "attribute_not_exists(pk)",
        names={"#v": "value"},
        values={":v": 1},
    )


@pytest.mark.usefixtures("aws")
def test_a_write_that_meets_a_transaction_is_tried_again() -> None:
    seen = refuse(2)
    assert requests.run(write())["value"] == 1
    assert len(seen) == 3


@pytest.mark.usefixtures("aws")
def test_a_write_that_always_meets_a_transaction_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "CONFLICT_TRIES", 3)
    seen = refuse(100)
    with pytest.raises(UnavailableError):
        requests.run(write())
    assert len(seen) == 3
    assert requests.get(get_settings().operations_table, KEY) is None
