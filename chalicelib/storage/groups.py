"""Data product groups: `pk=GROUP#<id>, sk=GROUP`, their members under `sk=MEMBER#<product id>`."""

from collections.abc import Iterable, Sequence
from typing import Any

from chalicelib.errors import NotFoundError
from chalicelib.models.data_products import Group
from chalicelib.settings import get_settings
from chalicelib.storage import counters, lists, requests
from chalicelib.storage.requests import ConditionFailedError, Key, Write

LIST = "GROUPS"
_PRODUCTS_TOGETHER = 48
"""Products that join or leave in one transaction: two actions each, and DynamoDB takes 100."""


def key(group_id: int) -> Key:
    """Return the key of a group."""
    return {"pk": f"GROUP#{group_id}", "sk": "GROUP"}


def member_key(group_id: int, product_id: int) -> Key:
    """Return the key of a membership."""
    return {"pk": f"GROUP#{group_id}", "sk": f"MEMBER#{product_id:015d}"}


def exists(group_id: int) -> Write:
    """Describe the condition that a group exists and is not being deleted, for other records' transactions."""
    return requests.check_staying(_table(), key(group_id))


def next_id() -> int:
    """Return the id of the next group."""
    return counters.next_id("GROUP")


def create(group: Group, also: Sequence[Write] = ()) -> None:
    """Keep a new group, together with other writes. One transaction.

    Raises
    ------
    ConditionFailedError
        If a condition of the other writes does not hold; they come first.
    """

    def writes_at(place: lists.Place) -> list[Write]:
        record = {"id": group.id, "name": group.name, "created": group.created} | place._asdict()
        return [*also, requests.put(_table(), key(group.id), record)]

    lists.join(_table(), LIST, f"{group.id:015d}", writes_at)


def get(group_id: int) -> tuple[Group, list[int]]:
    """Return a group and the ids of its products in order. One Query of its partition per MB.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    group: Group | None = None
    members: list[int] = []
    for item in requests.query(_table(), f"GROUP#{group_id}", between=("GROUP", "MEMBER#~")):
        if item["sk"] == "GROUP":
            group = from_record(item)
        else:
            members.append(item["product_id"])
    if group is None:
        raise NotFoundError("Not found.")
    return group, members


def names_of(group_ids: Iterable[int]) -> dict[int, str]:
    """Return the names of those that exist, by id. One BatchGetItem per hundred, none for none."""
    keys = [key(each) for each in group_ids]
    items = requests.get_many(_table(), keys, projection={"#id": "id", "#name": "name"})
    return {item["id"]: item["name"] for item in items}


def read_page(limit: int, cursor: str | None) -> tuple[list[Group], int, lists.Page]:
    """Return groups in the order of their ids, how many there are, and the page with its cursors."""
    page = lists.read(_table(), LIST, limit, cursor)
    return [from_record(item) for item in page.items], lists.count(LIST), page


def rename(group_id: int, name: str) -> None:
    """Give a group another name. One UpdateItem.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    write = requests.update(
        _table(),
        key(group_id),
        "SET #name = :name",
        "attribute_exists(pk)",
        names={"#name": "name"},
        values={":name": name},
    )
    try:
        requests.run(write)
    except ConditionFailedError:
        raise NotFoundError("Not found.") from None


def add(group_id: int, product_ids: Sequence[int]) -> None:
    """Let products join a group; those in it already stay. One transaction for every 48.

    Raises
    ------
    NotFoundError
        If the group, or a product, is no longer there.
    """
    for chunk in _chunks(product_ids):
        writes = [exists(group_id)]
        for product_id in chunk:
            writes.append(requests.put(_table(), member_key(group_id, product_id), {"product_id": product_id}))
            writes.append(_mark(product_id, "ADD", group_id))
        _transact(writes)


def remove(group_id: int, product_ids: Sequence[int]) -> None:
    """Let products leave a group; those not in it, or deleted, do not matter. One transaction for every 48."""
    for chunk in _chunks(product_ids):
        leaving = [requests.delete(_table(), member_key(group_id, each)) for each in chunk]
        there = list(chunk)
        while True:
            try:
                requests.transact([*leaving, *(_mark(each, "DELETE", group_id) for each in there)])
            except ConditionFailedError as error:
                there = [each for each, is_gone in zip(there, error.failed[len(leaving) :], strict=True) if not is_gone]
            else:
                break


def delete(group_id: int) -> None:
    """Delete a group; its products stay, and none joins meanwhile.

    One UpdateItem, one Query, one transaction for every 48 products, and one for the group.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    try:
        requests.run(requests.mark_going(_table(), key(group_id)))
    except ConditionFailedError:
        raise NotFoundError("Not found.") from None
    _, members = get(group_id)
    remove(group_id, members)
    try:
        requests.transact([requests.delete(_table(), key(group_id), "attribute_exists(pk)"), lists.leave(LIST)])
    except ConditionFailedError:
        raise NotFoundError("Not found.") from None


def from_record(item: dict[str, Any]) -> Group:
    """Return the group that an item of the table holds."""
    return Group(id=item["id"], name=item["name"], created=item["created"])


def _chunks(product_ids: Sequence[int]) -> list[Sequence[int]]:
    unique = list(dict.fromkeys(product_ids))
    return [unique[start : start + _PRODUCTS_TOGETHER] for start in range(0, len(unique), _PRODUCTS_TOGETHER)]


def _mark(product_id: int, action: str, group_id: int) -> Write:
    return requests.update(
        _table(),
        {"pk": f"DATAPRODUCT#{product_id}", "sk": "DATAPRODUCT"},
        f"{action} #groups :group",
        "attribute_exists(pk)",
        names={"#groups": "groups"},
        values={":group": {group_id}},
    )


def _transact(writes: Sequence[Write]) -> None:
    try:
        requests.transact(writes)
    except ConditionFailedError:
        raise NotFoundError("Not found.") from None


def _table() -> str:
    return get_settings().telescope_table
