"""Integer ids: one counter per kind of record in the operations table. Gaps happen, an id is never given twice."""

from chalicelib.settings import get_settings
from chalicelib.storage.clients import dynamodb
from chalicelib.storage.convert import to_item


def next_id(kind: str) -> int:
    """Return the next id of a kind of record. One UpdateItem."""
    return next_ids(kind, 1)[0]


def next_ids(kind: str, count: int) -> range:
    """Return the next `count` ids. One UpdateItem."""
    answer = dynamodb().update_item(
        TableName=get_settings().operations_table,
        Key=to_item({"pk": f"COUNTER#{kind}", "sk": "COUNTER"}),
        UpdateExpression="ADD #value :count",
        ExpressionAttributeNames={"#value": "value"},
        ExpressionAttributeValues=to_item({":count": count}),
        ReturnValues="UPDATED_NEW",
    )
    last = int(answer["Attributes"]["value"]["N"])
    return range(last - count + 1, last + 1)
