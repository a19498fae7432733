"""Between Python values and the items of DynamoDB."""

from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

Item = dict[str, Any]


def to_item(values: dict[str, Any]) -> Item:
    """Return `values` in DynamoDB's form; attributes that are None or empty sets are left out."""
    serialize = _serializer().serialize
    return {
        key: serialize(value)
        for key, value in values.items()
        if value is not None and not (isinstance(value, (set, frozenset)) and not value)
    }


def from_item(item: Item) -> dict[str, Any]:
    """Return an item of DynamoDB as Python values; whole numbers as int, others as float."""
    deserialize = _deserializer().deserialize
    return {key: _native(deserialize(value)) for key, value in item.items()}


def number(value: float) -> Decimal:
    """Return a finite float in the form in which boto3 takes it."""
    return Decimal(repr(value))


def _native(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: _native(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_native(member) for member in value]
    if isinstance(value, set):
        return {_native(member) for member in value}
    return value


@cache
def _serializer() -> "TypeSerializer":
    from boto3.dynamodb.types import TypeSerializer

    return TypeSerializer()


@cache
def _deserializer() -> "TypeDeserializer":
    from boto3.dynamodb.types import TypeDeserializer

    return TypeDeserializer()
