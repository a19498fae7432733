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


def cancelled(code: str) -> ClientError:
    answer: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": [{"Code": code}]}
    return ClientError(answer, "TransactWriteItems")


def test_a_transaction_in_progress_is_asked_for_again_and_a_cancelled_one_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_progress = ClientError({"Error": {"Code": "TransactionInProgressException"}}, "TransactWriteItems")
    answers = iter([in_progress, in_progress, cancelled("TransactionConflict"), in_progress, None])
    tokens: list[str] = []

    class Client:
        def transact_write_items(self, *, TransactItems: Any, ClientRequestToken: str) -> None:  # noqa: N803 - boto3's
            tokens.append(ClientRequestToken)
            if (error := next(answers)) is not None:
                raise error

    monkeypatch.setattr(requests, "dynamodb", Client)
    monkeypatch.setattr(requests, "pause", lambda _: None)
    requests.transact([write()])
    first, second = dict.fromkeys(tokens)
    assert tokens == [first] * 3 + [second] * 2
    assert len(first) <= 36
