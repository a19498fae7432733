"""A PUT between whose transaction and whose reading others delete, create and change answers what it changed, or 404."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.settings import get_settings
from chalicelib.storage import changes, requests
from tests.conftest import Answer, Api, Aws, Clock

EVENTS = "/api/v1/events/"
GW = "/api/v1/events/GW150914"
ADD = "/api/v1/productions/GW150914"
PROD = "/api/v1/productions/GW150914/Prod_A"

Between = Callable[[Callable[[], None]], None]


@pytest.fixture(autouse=True)
def _records(api: Api, clock: Clock) -> None:
    add_event(api)
    add_production(api)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Between:
    """Let others do something when the next transaction has been done, on a machine whose clock is 3 s behind."""

    def arrange(others: Callable[[], None]) -> None:
        transact = requests.transact

        def then_others(writes: Any) -> None:
            transact(writes)
            monkeypatch.setattr(requests, "transact", transact)
            clock.advance(-3)
            monkeypatch.setattr(changes, "_latest", datetime.min.replace(tzinfo=UTC))
            others()

        monkeypatch.setattr(requests, "transact", then_others)

    return arrange


def add_event(api: Api) -> None:
    assert api.post(EVENTS, {"name": "GW150914"}).status == 201


def add_production(api: Api) -> None:
    assert api.post(ADD, {"name": "Prod_A", "pipeline": "bilby"}).status == 201


def replace_event(api: Api) -> None:
    assert api.delete(GW).status == 204
    add_event(api)
    add_production(api)


def replace_production(api: Api) -> None:
    assert api.delete(PROD).status == 204
    add_production(api)


def change_again(api: Api) -> None:
    for path in (GW, PROD):
        assert api.put(path, {"meta": {"b": 2}}).status == 200


@pytest.mark.parametrize(
    ("path", "others", "reason"),
    [
        (GW, lambda api: api.delete(GW), "Event not found"),
        (GW, replace_event, "Event not found"),
        (PROD, lambda api: api.delete(PROD), "Production not found"),
        (PROD, lambda api: api.delete(GW), "Event not found"),
        (PROD, replace_production, "Production not found"),
        (PROD, replace_event, "Production not found"),
        (PROD, lambda api: (replace_event(api), change_again(api)), "Production not found"),
    ],
)
@pytest.mark.parametrize("keys", [1, 100])
def test_a_change_of_what_is_gone_since_is_never_answered_with_another_record(
    api: Api, between: Between, path: str, others: Callable[[Api], Any], reason: str, keys: int
) -> None:
    between(lambda: others(api))
    answer: Answer = api.put(path, {"meta": {f"a{number}": 1 for number in range(keys)}})
    assert (answer.status, answer.json) == (404, {"error": reason})


@pytest.mark.parametrize(("path", "noun"), [(GW, "event"), (PROD, "production")])
@pytest.mark.parametrize("is_old", [False, True])
def test_a_change_is_answered_with_the_later_ones_of_the_same_record(
    api: Api, aws: Aws, between: Between, path: str, noun: str, is_old: bool
) -> None:
    if is_old:  # it was made before its moment was kept
        table = get_settings().ledger_table
        for item in aws.items(table):
            if "made_at" in item:
                key = {"pk": item["pk"], "sk": item["sk"]}
                aws.dynamodb.update_item(TableName=table, Key=key, UpdateExpression="REMOVE made_at, changed_at")
    between(lambda: change_again(api))
    answer = api.put(path, {"meta": {"a": 1}})
    assert (answer.status, answer.json[noun]["meta"]) == (200, {"a": 1, "b": 2})


def test_a_large_change_that_meets_another_is_not_read_again(
    api: Api, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    transact = requests.transact

    def after_another(writes: Any) -> None:
        monkeypatch.setattr(requests, "transact", transact)
        api.put(GW, {"meta": {"b": 2}})
        calls.clear()
        transact(writes)

    monkeypatch.setattr(requests, "transact", after_another)
    answer = api.put(GW, {"meta": {f"a{number}": 1 for number in range(100)}})
    assert len(answer.json["event"]["meta"]) == 101
    assert calls == ["TransactWriteItems", "TransactWriteItems", "GetItem", "BatchGetItem"]


@pytest.mark.parametrize("path", [GW, PROD])
def test_what_was_made_by_a_clock_far_ahead_is_known_again(api: Api, clock: Clock, path: str) -> None:
    clock.advance(600)
    replace_event(api)
    clock.advance(-600)
    assert api.put(path, {"meta": {"a": 1}}).status == 200
