"""Lists that grow without end: members lie in buckets of an index, so that no partition grows past a bucket.

The head of a list (operations table) knows the open bucket and how many joined it. A member joins in the same transaction
that creates its record: the head's condition makes sure that the bucket is still the open one. When a bucket is full, a
marker at its end says that the list goes on in the next one; so a reader needs no head.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from chalicelib.errors import InvalidInputError, UnavailableError
from chalicelib.settings import get_settings
from chalicelib.storage import requests
from chalicelib.storage.clients import dynamodb
from chalicelib.storage.convert import from_item, to_item
from chalicelib.storage.requests import ConditionFailedError, Write
from chalicelib.storage.schema import LIST_INDEX

BUCKET_SIZE = 50
"""Members of a bucket. A page reads one bucket, or two where it crosses a border; the local emulator's time for a page
grows with the bucket, which is why it is not larger."""

MAX_PAGE_BYTES = 4_000_000
"""A page ends early at about this size: a Lambda function answers at most 6 MB."""

_MARKER = "~"
_CARDS_TOGETHER = 100
"""Members of a partition that are read at once where few of their attributes are wanted."""

_open_buckets: dict[str, int] = {}


class Place(NamedTuple):
    """Where a member stands: the two attributes that put its item into the index."""

    list_pk: str
    list_sk: str


@dataclass(frozen=True)
class Page:
    """One page of a list; the cursors are None at the ends."""

    items: list[dict[str, Any]]
    next: str | None
    previous: str | None


def place(name: str, bucket: int, order: str) -> Place:
    """Return the place of a member in a bucket of the list `name`."""
    return Place(f"{name}#{bucket}", order)


def join(table: str, name: str, order: str, writes_at: Callable[[Place], Sequence[Write]]) -> None:
    """Do the writes that create a member, together with its joining the list. One transaction; two where a bucket is full.

    Parameters
    ----------
    table : str
        The table in which the members lie.
    name : str
        The list: ``EVENTS``.
    order : str
        Sorts the member within its bucket; must be unique in the list and begin with a letter or digit.
    writes_at : callable
        Given the place, returns the writes; the record has the place's two attributes.

    Raises
    ------
    ConditionFailedError
        If a condition of the writes does not hold; `items` and `failed` are in the order of the writes.
    """
    bucket = _open_buckets.get(name, 0)
    for _ in range(requests.CONFLICT_TRIES):
        writes = list(writes_at(place(name, bucket, order)))
        try:
            requests.transact([*writes, _step(name, bucket)])
        except ConditionFailedError as error:
            if any(error.failed[: len(writes)]):
                raise
            head = error.items[len(writes)] or {"bucket": 0, "size": 0}
            bucket = head["bucket"]
            if head["size"] >= BUCKET_SIZE:
                bucket = _open_next(table, name, bucket)
            _remember(name, bucket)
        else:
            _remember(name, bucket)
            return
    raise UnavailableError("Too many records are created at once; try again.")


def size_of(item: dict[str, Any]) -> int:
    """Return about how many bytes a member takes in an answer."""
    return len(json.dumps(item, default=str))


def cursor_after(item: dict[str, Any]) -> str:
    """Return the cursor of the page that begins behind a member."""
    return _encode(item, is_forward=True)


def leave(name: str) -> Write:
    """Describe that a member leaves the list, for the transaction that deletes its record."""
    return requests.update(
        get_settings().operations_table,
        _head_key(name),
        "ADD #total :minus",
        "attribute_exists(pk)",
        names={"#total": "total"},
        values={":minus": -1},
    )


def drop(table: str, name: str) -> None:
    """Remove what is left of a list without members: its head and its markers.

    Raises
    ------
    UnavailableError
        If it still has members: the index shows new ones a moment late.
    """
    head = requests.get(get_settings().operations_table, _head_key(name))
    if head is None:
        return
    if head["total"] > 0:  # the markers must stay: without them the members could not be found
        raise _has_members()
    for bucket in range(head["bucket"]):
        requests.run(requests.delete(table, _marker_key(name, bucket)))
    empty = requests.delete(
        get_settings().operations_table,
        _head_key(name),
        "attribute_not_exists(pk) OR #total <= :zero",
        names={"#total": "total"},
        values={":zero": 0},
    )
    try:
        requests.run(empty)
    except ConditionFailedError:
        raise _has_members() from None
    _open_buckets.pop(name, None)


def _has_members() -> UnavailableError:
    return UnavailableError("Not all that belongs to it could be deleted yet; try again.")


def read_partition(
    table: str, name: str, *, before: str | None = None, projection: Mapping[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield what stands in one partition of the index, in its order: of records that enter and leave, without buckets.

    One Query, or more; the index shows changes a moment late.

    Parameters
    ----------
    before : str, optional
        Only members whose order comes before this.
    projection : mapping, optional
        Placeholder -> attribute, when only these are wanted; the pages are small then.
    """
    arguments: dict[str, Any] = {
        "TableName": table,
        "IndexName": LIST_INDEX,
        "KeyConditionExpression": "#pk = :pk",
        "ExpressionAttributeNames": {"#pk": "list_pk", **(projection or {})},
        "ExpressionAttributeValues": to_item({":pk": name}),
    }
    if before is not None:
        arguments["KeyConditionExpression"] += " AND #sk < :before"
        arguments["ExpressionAttributeNames"]["#sk"] = "list_sk"
        arguments["ExpressionAttributeValues"] |= to_item({":before": before})
    if projection:
        arguments |= {"ProjectionExpression": ", ".join(projection), "Limit": _CARDS_TOGETHER}
    while True:
        answer = dynamodb().query(**arguments)
        yield from (from_item(item) for item in answer["Items"])
        if "LastEvaluatedKey" not in answer:
            return
        arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def count(name: str) -> int:
    """Return how many members the list has. One GetItem."""
    head = requests.get(get_settings().operations_table, _head_key(name))
    return int(head["total"]) if head else 0


def read(table: str, name: str, limit: int, cursor: str | None = None, max_bytes: int | None = None) -> Page:
    """Return one page of a list in its order. One Query for each bucket that the page touches.

    Parameters
    ----------
    limit : int
        Members at most.
    cursor : str, optional
        Where to go on: `next` or `previous` of an earlier page.
    max_bytes : int, optional
        A page ends early once its members have about so many bytes.

    Raises
    ------
    InvalidInputError
        If the cursor is not one of this list; names the parameter `next`.
    """
    bucket, after, is_forward = decode_cursor(name, cursor) if cursor else (0, None, True)
    found: list[dict[str, Any]] = []
    stopped_at: dict[str, Any] | None = None
    size = 0
    for item in _walk(table, name, bucket, after, is_forward, limit):
        if len(found) == limit or (max_bytes is not None and found and size > max_bytes):
            stopped_at = item
            break
        if _is_marker(item):
            continue
        found.append(item)
        size += size_of(item) if max_bytes is not None else 0
    if not is_forward:
        found.reverse()
    has_more = stopped_at is not None
    onward = has_more or not is_forward
    backward = cursor is not None and (is_forward or has_more)
    # A page that ends with its bucket says so: the next one then need not look into that bucket again.
    last = stopped_at if is_forward and stopped_at and _is_marker(stopped_at) else found[-1] if found else None
    return Page(
        found,
        _encode(last, is_forward=True) if last and onward else None,
        _encode(found[0], is_forward=False) if found and backward else None,
    )


def read_newest(table: str, name: str, limit: int, cursor: str | None = None) -> tuple[Page, int]:
    """Return one page of a list from its end, newest first, and how many members the list has.

    `next` of the page leads to older members, `previous` to newer ones. One GetItem of the head, one Query for each bucket
    that the page touches. Raises as `read` does.
    """
    head = requests.get(get_settings().operations_table, _head_key(name))
    if head is None:
        return Page([], None, None), 0
    # Everything in the open bucket sorts before the marker: reading back from there begins with the newest.
    end = _encode(place(name, head["bucket"], _MARKER)._asdict(), is_forward=False)
    page = read(table, name, limit, cursor or end, MAX_PAGE_BYTES)
    return Page(page.items[::-1], page.previous, page.next if cursor else None), int(head["total"])


def read_all(table: str, name: str) -> Iterator[dict[str, Any]]:
    """Yield every member in order."""
    return (item for item in _walk(table, name, 0, None, True, BUCKET_SIZE) if not _is_marker(item))


def _walk(
    table: str, name: str, bucket: int, after: str | None, is_forward: bool, limit: int
) -> Iterator[dict[str, Any]]:
    """Yield members, and the markers at the ends of full buckets."""
    if is_forward and after == _MARKER:
        bucket, after = bucket + 1, None
    wanted = limit + 1  # one more than asked for tells whether there is a next page
    while bucket >= 0:
        is_last = is_forward
        for item in _query(table, place(name, bucket, after or ""), is_forward, max(1, wanted)):
            if _is_marker(item):
                is_last = False
            else:
                wanted -= 1
            yield item
        if is_last:
            return
        bucket += 1 if is_forward else -1
        after = None


def _is_marker(item: dict[str, Any]) -> bool:
    return bool(item["list_sk"] == _MARKER)


def _query(table: str, at: Place, is_forward: bool, limit: int) -> Iterator[dict[str, Any]]:
    condition, values = "#pk = :pk", {":pk": at.list_pk}
    names = {"#pk": "list_pk"}
    if at.list_sk:
        condition += f" AND #sk {'>' if is_forward else '<'} :sk"
        values[":sk"] = at.list_sk
        names["#sk"] = "list_sk"
    start: dict[str, Any] = {}
    while True:
        answer = dynamodb().query(
            TableName=table,
            IndexName=LIST_INDEX,
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=to_item(values),
            ScanIndexForward=is_forward,
            Limit=limit,
            **start,
        )
        for item in answer["Items"]:
            yield from_item(item)
        is_whole = bool(answer["Items"]) and is_forward and answer["Items"][-1]["list_sk"]["S"] == _MARKER
        if is_whole or "LastEvaluatedKey" not in answer:
            return
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def _step(name: str, bucket: int) -> Write:
    """Describe that one more member joins `bucket`, if it is the open one and has room."""
    condition = "#bucket = :bucket AND #size < :capacity"
    return requests.update(
        get_settings().operations_table,
        _head_key(name),
        "SET #bucket = :bucket ADD #size :one, #total :one",
        condition if bucket else f"attribute_not_exists(pk) OR ({condition})",
        names={"#bucket": "bucket", "#size": "size", "#total": "total"},
        values={":bucket": bucket, ":capacity": BUCKET_SIZE, ":one": 1},
    )


def _open_next(table: str, name: str, bucket: int) -> int:
    """Close a full bucket and return the next; whoever comes second finds it done."""
    marker = place(name, bucket, _MARKER)
    close = requests.put(table, _marker_key(name, bucket), marker._asdict())
    turn = requests.update(
        get_settings().operations_table,
        _head_key(name),
        "SET #bucket = :next, #size = :zero",
        "#bucket = :bucket",
        names={"#bucket": "bucket", "#size": "size"},
        values={":bucket": bucket, ":next": bucket + 1, ":zero": 0},
    )
    try:
        requests.transact([close, turn])
    except ConditionFailedError as error:
        head = error.items[1]
        return int(head["bucket"]) if head else bucket
    return bucket + 1


def _marker_key(name: str, bucket: int) -> requests.Key:
    return {"pk": f"LIST#{name}", "sk": f"END#{bucket:08d}"}


def _head_key(name: str) -> requests.Key:
    return {"pk": f"LIST#{name}", "sk": "HEAD"}


def _remember(name: str, bucket: int) -> None:
    if len(_open_buckets) > 10_000:
        _open_buckets.clear()
    _open_buckets[name] = bucket


def forget() -> None:
    """Forget which buckets are open; for tests, whose tables come and go."""
    _open_buckets.clear()


def encode_cursor(number: int, order: str, *, is_forward: bool) -> str:
    """Return the cursor that stands behind, or before, a place in a list: a number and a text that sorts."""
    text = json.dumps([1, number, order, is_forward], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(name: str, cursor: str) -> tuple[int, str, bool]:
    """Return what `encode_cursor` encoded.

    Raises
    ------
    InvalidInputError
        If it is no cursor, or none that DynamoDB would take for a key; names the parameter `next`.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
        version, number, order, is_forward = json.loads(text)
        size = len(order.encode())  # which fails for half a surrogate pair
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise bad_cursor(name) from None
    shapes = (
        version == 1,
        type(number) is int and 0 <= number < 10**8,
        0 < size <= 1024,  # DynamoDB refuses longer sort keys
    )
    if not all(shapes) or type(is_forward) is not bool:
        raise bad_cursor(name)
    return number, order, is_forward


def bad_cursor(name: str) -> InvalidInputError:
    """Return the error that says that a cursor is none of the list `name`."""
    return InvalidInputError.of(
        "next", f"not a cursor of this list ({name.partition('#')[0].lower()})", "value_error.cursor"
    )


def _encode(item: dict[str, Any], *, is_forward: bool) -> str:
    bucket = int(item["list_pk"].rpartition("#")[2])
    return encode_cursor(bucket, item["list_sk"], is_forward=is_forward)
