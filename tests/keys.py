"""Requests with an `Idempotency-Key` in tests, and a look at what is kept of them."""

import json
import zlib
from typing import Any

from tests.conftest import Aws

TABLE = "sidereal-idempotency"
KEYED = {"Idempotency-Key": "4f1c2a"}


def records(aws: Aws) -> list[dict[str, Any]]:
    """Return what is kept of requests, each with the text of its reply as `reply`."""
    found = []
    for item in aws.items(TABLE):
        record: dict[str, Any] = {name: next(iter(value.values())) for name, value in item.items()}
        if "data" in record:
            record["reply"] = json.loads(zlib.decompress(record["data"]))
        found.append(record)
    return found


def end_time(aws: Aws, attribute: str = "in_progress_expiration") -> None:
    """Let the time of every attempt be over, or with `expiration` that of every key: Powertools' clock is not ours."""
    for item in aws.items(TABLE):
        aws.dynamodb.update_item(
            TableName=aws.name(TABLE),
            Key={"id": item["id"]},
            UpdateExpression="SET #time = :past",
            ExpressionAttributeNames={"#time": attribute},
            ExpressionAttributeValues={":past": {"N": "1"}},
        )
