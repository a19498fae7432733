"""Tables, bucket and queues of `chalicelib.storage.schema`, made where they are missing."""

import json
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.settings import get_settings
from chalicelib.storage import clients, schema


class SchemaMismatchError(Exception):
    """Raised when a table exists with other keys or indexes than this version of the project needs."""


def provision() -> None:
    """Make what is missing; what is there already stays as it is.

    Raises
    ------
    SchemaMismatchError
        If a table of another version is in the way.
    """
    for table in schema.tables():
        _ensure_table(table)
    _ensure_bucket(get_settings().bucket)
    dead_letters, *others = schema.queues()
    dead_letter_arn = _ensure_queue(dead_letters, None)
    for queue in others:
        _ensure_queue(queue, dead_letter_arn)


def _ensure_table(table: schema.Table) -> None:
    client = clients.dynamodb()
    wanted = table.creation()
    try:
        client.create_table(**wanted)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceInUseException":
            raise
        _check_table(wanted)
    client.get_waiter("table_exists").wait(TableName=table.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    if table.ttl_attribute:
        described = client.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
        if described.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
            client.update_time_to_live(
                TableName=table.name,
                TimeToLiveSpecification={"Enabled": True, "AttributeName": table.ttl_attribute},
            )


def _check_table(wanted: dict[str, Any]) -> None:
    found: Any = clients.dynamodb().describe_table(TableName=wanted["TableName"])["Table"]
    if _shape(found) != _shape(wanted):
        raise SchemaMismatchError(
            f"the table {wanted['TableName']} was made by another version of this project (other keys or indexes); "
            "move its data by hand, or remove the state folder to start anew"
        )


def _shape(table: dict[str, Any]) -> tuple[Any, ...]:
    def keys(schema_: list[dict[str, str]]) -> list[tuple[str, str]]:
        return [(key["AttributeName"], key["KeyType"]) for key in schema_]

    indexes = {index["IndexName"]: keys(index["KeySchema"]) for index in table.get("GlobalSecondaryIndexes") or []}
    return keys(table["KeySchema"]), indexes


def _ensure_bucket(name: str) -> None:
    client = clients.s3()
    try:
        client.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        client.create_bucket(Bucket=name)
    cors: Any = schema.bucket_cors()
    if cors:
        client.put_bucket_cors(Bucket=name, CORSConfiguration=cors)
    else:
        client.delete_bucket_cors(Bucket=name)


def _ensure_queue(queue: schema.Queue, dead_letter_arn: str | None) -> str:
    client = clients.sqs()
    name = queue.name.rpartition("/")[2]
    # SQS takes every attribute as text.
    attributes: Any = {
        key: json.dumps(value) if isinstance(value, dict) else str(value)
        for key, value in queue.attributes(dead_letter_arn).items()
    }
    try:
        url = client.get_queue_url(QueueName=name)["QueueUrl"]
    except client.exceptions.QueueDoesNotExist:
        url = client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    else:
        client.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
