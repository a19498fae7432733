"""The DynamoDB requests that all record modules make: each function is one request, with a condition where it writes."""

import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.errors import InvalidInputError, UnavailableError
from chalicelib.storage.clients import dynamodb
from chalicelib.storage.convert import Item, from_item, to_item

CONFLICT_TRIES = 12
"""Attempts at a transaction that meets another one on the same item; DynamoDB refuses one of two at once."""

Key = dict[str, Any]


class ConditionFailedError(Exception):
    """Raised when the condition of a write does not hold; `items` has what stood there instead, None for nothing.

    For a transaction there is one entry per action, `failed` tells which of them refused.
    """

    def __init__(self, items: Sequence[dict[str, Any] | None], failed: Sequence[bool]) -> None:
        super().__init__("condition failed")
        self.items = list(items)
        self.failed = list(failed)

    @property
    def item(self) -> dict[str, Any] | None:
        """What stood under the key of a single write."""
        return self.items[0]


@dataclass(frozen=True)
class Write:
    """One action: put, update, delete or check; `expression` is the update, `condition` must hold.

    `refusal` is raised where it does not hold in a transaction, whatever else does not.
    """

    kind: str
    table: str
    key: Key
    condition: str | None = None
    expression: str | None = None
    item: dict[str, Any] | None = None
    names: Mapping[str, str] | None = None
    values: Mapping[str, Any] | None = None
    refusal: Exception | None = None

    def arguments(self) -> dict[str, Any]:
        """Return boto3's arguments of this action."""
        arguments: dict[str, Any] = {"TableName": self.table}
        if self.kind == "Put":
            arguments["Item"] = to_item({**self.key, **(self.item or {})})
        else:
            arguments["Key"] = to_item(self.key)
        if self.expression:
            arguments["UpdateExpression"] = self.expression
        if self.condition:
            arguments["ConditionExpression"] = self.condition
            arguments["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if self.names:
            arguments["ExpressionAttributeNames"] = dict(self.names)
        if self.values:
            arguments["ExpressionAttributeValues"] = to_item(dict(self.values))
        return arguments


def put(table: str, key: Key, item: dict[str, Any], condition: str | None = None, **extra: Any) -> Write:
    """Describe putting an item; `extra` takes `names` and `values` of the condition."""
    return Write("Put", table, key, condition, item=item, **extra)


def update(table: str, key: Key, expression: str, condition: str, **extra: Any) -> Write:
    """Describe an update; `extra` takes `names`, `values` and `refusal`."""
    return Write("Update", table, key, condition, expression, **extra)


def delete(table: str, key: Key, condition: str | None = None, **extra: Any) -> Write:
    """Describe deleting an item."""
    return Write("Delete", table, key, condition, **extra)


def check(table: str, key: Key, condition: str, **extra: Any) -> Write:
    """Describe a condition on an item that the transaction leaves as it is."""
    return Write("ConditionCheck", table, key, condition, **extra)


_GONE = {"#gone": "is_going"}


def check_staying(table: str, key: Key) -> Write:
    """Describe the condition that a record exists and is not being deleted, for other records' transactions."""
    return check(table, key, "attribute_exists(pk) AND attribute_not_exists(#gone)", names=_GONE)


def mark_going(table: str, key: Key) -> Write:
    """Describe marking a record as being deleted, so that nothing new is added to it."""
    return update(table, key, "SET #gone = :true", "attribute_exists(pk)", names=_GONE, values={":true": True})


def get(table: str, key: Key, *, projection: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    """Return the item under `key`, or None. One consistent GetItem.

    Parameters
    ----------
    projection : mapping, optional
        Placeholder -> attribute, when only these are wanted; an item that has none of them counts as none.
    """
    arguments: dict[str, Any] = {"TableName": table, "Key": to_item(key), "ConsistentRead": True}
    if projection:
        arguments |= {"ProjectionExpression": ", ".join(projection), "ExpressionAttributeNames": dict(projection)}
    item = dynamodb().get_item(**arguments).get("Item")
    return from_item(item) if item else None


def get_many(table: str, keys: Sequence[Key], *, projection: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Return the items that exist among `keys`, in any order. One consistent BatchGetItem per hundred.

    Parameters
    ----------
    projection : mapping, optional
        Placeholder -> attribute, when only these are wanted.
    """
    wanted: dict[str, Any] = {"ConsistentRead": True}
    if projection:
        wanted |= {"ProjectionExpression": ", ".join(projection), "ExpressionAttributeNames": dict(projection)}
    found: list[dict[str, Any]] = []
    waiting: list[Any] = [to_item(key) for key in keys]
    pauses = 0
    while waiting:
        now, waiting = waiting[:100], waiting[100:]
        asked: Any = {table: {"Keys": now, **wanted}}
        answer = dynamodb().batch_get_item(RequestItems=asked)
        found.extend(from_item(item) for item in answer["Responses"].get(table, []))
        unprocessed: dict[str, Any] = dict(answer.get("UnprocessedKeys", {}))
        left = unprocessed.get(table, {}).get("Keys", [])
        waiting.extend(left)
        if left:
            pauses += 1
            if pauses > CONFLICT_TRIES:
                raise UnavailableError("The records cannot be read at the moment; try again.")
            pause(pauses)
    return found


def query(
    table: str,
    pk: str,
    *,
    between: tuple[str, str] | None = None,
    is_forward: bool = True,
    limit: int | None = None,
    projection: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the items of one partition in the order of their sort keys. One consistent Query per page of 1 MB or `limit`.

    Parameters
    ----------
    between : (str, str), optional
        Only sort keys in this range, both ends included.
    limit : int, optional
        Stop after so many.
    projection : mapping, optional
        Placeholder -> attribute, when only these are wanted.
    """
    arguments: dict[str, Any] = {
        "TableName": table,
        "ConsistentRead": True,
        "ScanIndexForward": is_forward,
        "KeyConditionExpression": "#pk = :pk",
        "ExpressionAttributeNames": {"#pk": "pk", **(projection or {})},
        "ExpressionAttributeValues": to_item({":pk": pk}),
    }
    if between is not None:
        arguments["KeyConditionExpression"] += " AND #sk BETWEEN :low AND :high"
        arguments["ExpressionAttributeNames"]["#sk"] = "sk"
        arguments["ExpressionAttributeValues"] |= to_item({":low": between[0], ":high": between[1]})
    if projection:
        arguments["ProjectionExpression"] = ", ".join(projection)
    left = limit
    while left is None or left > 0:
        if left is not None:
            arguments["Limit"] = left
        answer = dynamodb().query(**arguments)
        yield from (from_item(item) for item in answer["Items"])
        if "LastEvaluatedKey" not in answer:
            return
        left = None if left is None else left - len(answer["Items"])
        arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def run(write: Write) -> dict[str, Any]:
    """Do one write by itself; for an update the new item is returned, for the others the old one or {}.

    One request, again where a transaction stood in the way.

    Raises
    ------
    ConditionFailedError
        If its condition does not hold.
    InvalidInputError
        If the item would grow past what DynamoDB keeps.
    UnavailableError
        If others stood in the way every time.
    """
    from botocore.exceptions import ClientError

    client = dynamodb()
    arguments = write.arguments()
    calls: dict[str, Callable[..., Any]] = {
        "Put": client.put_item,
        "Update": client.update_item,
        "Delete": client.delete_item,
    }
    arguments["ReturnValues"] = "ALL_NEW" if write.kind == "Update" else "ALL_OLD"
    for attempt in range(CONFLICT_TRIES):
        try:
            answer = calls[write.kind](**arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ConditionalCheckFailedException":
                old: Item | None = error.response.get("Item")  # type: ignore[assignment]
                raise ConditionFailedError([from_item(old) if old else None], [True]) from None
            if code != "TransactionConflictException":
                _raise_if_too_large(error)
                raise
            pause(attempt)
        else:
            return from_item(answer.get("Attributes", {}))
    raise _too_busy()


def transact(writes: Sequence[Write]) -> None:
    """Do all writes or none. One TransactWriteItems, again where another transaction stood in the way.

    A repeat after a lost answer, or while the attempt before is still in progress, has the same token: what that one did
    is not done again, and is the answer. A cancelled one has done nothing and will not, so the next is another transaction.

    Raises
    ------
    ConditionFailedError
        If a condition does not hold; says which. If its write has a refusal, that.
    UnavailableError
        If others stood in the way every time.
    """
    from botocore.exceptions import ClientError

    actions = [{write.kind: write.arguments()} for write in writes]
    token = secrets.token_hex(16)
    for attempt in range(CONFLICT_TRIES):
        try:
            dynamodb().transact_write_items(TransactItems=actions, ClientRequestToken=token)  # type: ignore[arg-type]
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "TransactionInProgressException":
                pause(attempt)
                continue
            if code != "TransactionCanceledException":
                _raise_if_too_large(error)
                raise
            reasons: list[Any] = error.response.get("CancellationReasons", [])
            failed = [reason.get("Code") == "ConditionalCheckFailed" for reason in reasons]
            for write, has_failed in zip(writes, failed, strict=False):
                if has_failed and write.refusal is not None:
                    raise write.refusal from None
            if any(failed):
                olds = [reason.get("Item") for reason in reasons]
                raise ConditionFailedError([from_item(old) if old else None for old in olds], failed) from None
            if not any(reason.get("Code") in ("TransactionConflict", "ThrottlingError") for reason in reasons):
                _raise_if_too_large(error, *(reason.get("Message") for reason in reasons))
                raise
            token = secrets.token_hex(16)
            pause(attempt)
        else:
            return
    raise _too_busy()


def _too_busy() -> UnavailableError:
    return UnavailableError("Too many changes of the same record at once; try again.")


def pause(attempt: int) -> None:
    """Wait for a moment before another attempt: at random, and longer the more there were."""
    time.sleep(random.uniform(0, min(1.0, 0.01 * 2**attempt)))  # noqa: S311 - spreads retries, keeps no secret


def _raise_if_too_large(*found: Any) -> None:
    text = " ".join(map(str, found)).lower()
    if "size" in text and ("exceed" in text or "maximum allowed" in text):
        raise InvalidInputError.of(
            "meta", "the record would grow past 400 KB, which is all that can be kept", "value_error.too_large"
        ) from None
