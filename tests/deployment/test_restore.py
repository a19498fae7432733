"""Bringing a table back."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from deployment import restore as restoring
from deployment.account import DeployError
from deployment.restore import Differences, restore

COUNT = 60
"""More than two batches."""


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("dynamodb")
        for name, key in (("stack", "sk"), ("other", "other")):
            client.create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in ("pk", key)],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": key, "KeyType": "RANGE"}],
            )
        client.update_continuous_backups(
            TableName="stack", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        yield client


def put(dynamodb: Any, number: int, meta: str) -> None:
    item = {
        "pk": {"S": f"EVENT#{number}"},
        "sk": {"S": "EVENT"},
        "meta": {"M": {"far": {"S": meta}}},
        "n": {"N": "1.50"},
    }
    dynamodb.put_item(TableName="stack", Item=item)


def test_a_table_holds_again_what_it_held_at_that_moment_and_only_differences_are_written(dynamodb: Any) -> None:
    for number in range(COUNT):
        put(dynamodb, number, "right")
    before = restoring._items(dynamodb, "stack")
    held = {item["pk"]["S"]: item for item in before}
    dynamodb.restore_table_to_point_in_time(
        SourceTableName="stack", TargetTableName="restored", RestoreDateTime=datetime.now(UTC)
    )
    for number in range(30):
        dynamodb.delete_item(TableName="stack", Key={"pk": {"S": f"EVENT#{number}"}, "sk": {"S": "EVENT"}})
    put(dynamodb, 40, "wrong")
    for number in range(COUNT, COUNT + 27):
        put(dynamodb, number, "new")

    written: list[int] = []
    dynamodb.meta.events.register(
        "before-parameter-build.dynamodb.BatchWriteItem",
        lambda params, **_: written.append(len(params["RequestItems"]["stack"])),
    )
    differences = Differences(missing=30, changed=1, surplus=27, same=29)
    said: list[str] = []
    assert restore("restored", "stack", dynamodb, look_only=True, say=said.append) == differences
    assert written == []
    assert said[-1] == "stack: 30 missing, 1 changed, 27 too many, 29 as they should be"
    assert restore("restored", "stack", dynamodb, say=said.append) == differences
    assert written == [25, 2, 25, 6]
    assert {item["pk"]["S"]: item for item in restoring._items(dynamodb, "stack")} == held
    assert restore("restored", "stack", dynamodb, say=said.append) == Differences(0, 0, 0, COUNT)


def test_sets_are_the_same_in_any_order_and_lists_are_not() -> None:
    def digests(value: Any, reversed_value: Any) -> tuple[bytes, bytes]:
        return restoring._digest({"production_names": value}), restoring._digest({"production_names": reversed_value})

    one, other = digests({"SS": ["a", "b"]}, {"SS": ["b", "a"]})
    assert one == other
    one, other = digests({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]})
    assert one != other


def test_what_the_table_does_not_take_at_once_is_sent_again(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)

    class Busy:
        def batch_write_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
            first, *rest = RequestItems["stack"]
            taken.append(first)
            return {"UnprocessedItems": {"stack": rest}} if rest else {}

    restoring._write(Busy(), "stack", ({"n": number} for number in range(3)))
    assert taken == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert pauses == [0.1, 0.2]


@pytest.mark.parametrize(("source", "target"), [("stack", "stack"), ("other", "stack")])
def test_tables_that_cannot_be_meant_are_refused(dynamodb: Any, source: str, target: str) -> None:
    with pytest.raises(DeployError, match="are one, or have different keys"):
        restore(source, target, dynamodb)


def test_nothing_is_written_over_unless_the_name_is_said_again(
    dynamodb: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    monkeypatch.setenv("CONFIRM", "restored")
    assert restoring.main(["restored", "stack"]) == 1
    assert capsys.readouterr().err == "error: 'restored' is not 'stack': nothing is done\n"
