"""What the scripts here share that read the tables and write to the queues: docs/data-model.md, in a few functions."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
from boto3.dynamodb.conditions import Key
from botocore.config import Config
from shared import need

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

SOON = Config(connect_timeout=5, retries={"mode": "standard", "max_attempts": 4})
"""Who waits at a terminal wants to know soon that nothing answers."""

WAIT_S = 2
"""For how long a queue is asked for a message before it counts as empty."""


def s3() -> "S3Client":
    """Return a client of S3."""
    return boto3.client("s3", config=SOON)


def sqs() -> "SQSClient":
    """Return a client of SQS."""
    return boto3.client("sqs", config=SOON)


def queue_url(client: "SQSClient", name: str) -> str:
    """Return the URL of a queue that is given by name or URL."""
    return name if name.startswith("http") else client.get_queue_url(QueueName=name)["QueueUrl"]


def receive(client: "SQSClient", url: str, hidden_s: int) -> Iterator[Any]:
    """Yield message after message until there is none; each is nobody else's for some seconds."""
    more: Any = {"AttributeNames": ["All"], "MessageAttributeNames": ["All"], "WaitTimeSeconds": WAIT_S}
    while found := client.receive_message(QueueUrl=url, VisibilityTimeout=hidden_s, **more).get("Messages"):
        yield from found


def table_of(variable: str) -> Any:
    """Return the DynamoDB table that an environment variable names; its numbers come as Decimals."""
    name = need(variable)
    return boto3.resource("dynamodb", config=SOON).Table(name)


def get(table: Any, pk: str, sk: str) -> dict[str, Any]:
    """Return an item, {} if there is none."""
    return dict(table.get_item(Key={"pk": pk, "sk": sk}, ConsistentRead=True).get("Item", {}))


def query(table: Any, condition: Any, **more: Any) -> Iterator[dict[str, Any]]:
    """Yield the items that a condition on the keys finds, whatever the number of pages."""
    pages = table.meta.client.get_paginator("query").paginate
    yield from pages(TableName=table.name, KeyConditionExpression=condition, **more).search("Items[]")


def members(table: Any, name: str) -> Iterator[dict[str, Any]]:
    """Yield the members of a list in order: it lies in buckets, and where one goes on in the next, its last item is `~`."""
    bucket, goes_on = 0, True
    while goes_on:
        goes_on = False
        for item in query(table, Key("list_pk").eq(f"{name}#{bucket}"), IndexName="by_list"):
            goes_on = item["list_sk"] == "~"
            if not goes_on:
                yield item
        bucket += 1


def target_id(table: Any, target: str) -> int:
    """Return the id of a target that is given by name or id."""
    found = get(table, f"TARGETNAME#{target}", "TARGETNAME").get("target_id")
    if found is None and target.isdecimal():
        found = get(table, f"TARGET#{int(target)}", "TARGET").get("id")
    return int(found) if found is not None else sys.exit(f"error: there is no target {target!r}")
