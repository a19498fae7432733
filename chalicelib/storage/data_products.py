"""Data products: `pk=DATAPRODUCT#<id>, sk=DATAPRODUCT`; `pk=FILE#<folder>/<name>` finds one by its address."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from chalicelib import clock
from chalicelib.errors import ClaimLostError, InvalidInputError, NotFoundError, UnavailableError
from chalicelib.models.data_products import DataProduct
from chalicelib.settings import get_settings
from chalicelib.storage import counters, groups, lists, requests, targets
from chalicelib.storage.requests import ConditionFailedError, Key, Write

_GROUPS_TOGETHER = 50
"""Groups that a product leaves in the transaction that deletes it; DynamoDB takes 100 actions."""

UPLOAD_PENDING = "value_error.uploading"
"""Kind of the fault that a file of this name is yet to be uploaded; it may never be."""

_MAX_KEY_BYTES = 2048
"""DynamoDB refuses even to look for a longer key."""


def key(product_id: int) -> Key:
    """Return the key of a data product."""
    return {"pk": f"DATAPRODUCT#{product_id}", "sk": "DATAPRODUCT"}


def list_name(target_id: int) -> str:
    """Return the list of a target's data products."""
    return f"TARGET#{target_id}#PRODUCTS"


def next_id() -> int:
    """Return the id of the next data product."""
    return counters.next_id("DATAPRODUCT")


def next_ids(count: int) -> range:
    """Return the ids of the next `count` data products."""
    return counters.next_ids("DATAPRODUCT", count)


Seal = Callable[[DataProduct], Sequence[Write]]
"""What is written together with a data product, given what it is in the end."""


def create(product: DataProduct, also: Sequence[Write] = (), seal: Seal = lambda _: ()) -> DataProduct:
    """Keep a new data product whose file is there, and return it. One transaction, with `also` and `seal` others.

    Two targets may share a folder (`a/b` and `a_b`; a name that another target had before): where the address belongs to
    the other target, the file goes into a folder of its own, with a second transaction.

    Raises
    ------
    InvalidInputError
        If its target or one of its groups does not exist, or the target has a file of this name.
    ClaimLostError
        If a condition of `also` does not hold: the claim under which the caller works.
    """

    def keep(product: DataProduct) -> None:
        def writes_at(place: lists.Place) -> list[Write]:
            checks = [*also, targets.exists(product.target_id), _guard(product)]
            return [*checks, *_writes(product, place), *seal(product)]

        try:
            lists.join(_table(), list_name(product.target_id), _order(product.id), writes_at)
        except ConditionFailedError as error:
            if any(error.failed[: len(also)]) and not error.failed[len(also)]:
                raise ClaimLostError("the claim of who keeps the data product no longer stands") from None
            raise ConditionFailedError(error.items[len(also) :], error.failed[len(also) :]) from None

    return _under_free_address(product, keep)


def reserve(product: DataProduct, expires_at: int, seal: Seal = lambda _: ()) -> DataProduct:
    """Keep a data product whose file is yet to be uploaded, and return it; it vanishes unless it is completed.

    One transaction, or two as for `create`.

    Parameters
    ----------
    expires_at : int
        Seconds since 1970.

    Raises
    ------
    InvalidInputError
        As for `create`.
    """

    def keep(product: DataProduct) -> None:
        record = {**_record(product), "expires_at": expires_at}
        writes = [
            targets.exists(product.target_id),
            _guard(product, expires_at),
            *(groups.exists(each) for each in product.groups),
            requests.put(_table(), key(product.id), record, "attribute_not_exists(pk)"),
            *seal(product),
        ]
        requests.transact(writes)

    return _under_free_address(product, keep)


def complete(product: DataProduct) -> DataProduct:
    """Make a reserved data product an ordinary one, and return it. One transaction; done already is done.

    Raises
    ------
    InvalidInputError
        If its target or one of its groups does not exist any more.
    NotFoundError
        If the reservation is gone.
    """
    whole = replace(product, is_uploading=False)

    def writes_at(place: lists.Place) -> list[Write]:
        guard = requests.update(
            _table(),
            _file_key(product),
            "REMOVE #expires",
            "#id = :id",
            names={"#expires": "expires_at", "#id": "product_id"},
            values={":id": product.id},
        )
        condition = "attribute_exists(#expires)"
        put = requests.put(
            _table(), key(product.id), _record(whole) | place._asdict(), condition, names={"#expires": "expires_at"}
        )
        return [targets.exists(product.target_id), guard, put, *_memberships(whole), *plot_entry(whole)]

    try:
        lists.join(_table(), list_name(product.target_id), _order(product.id), writes_at)
    except ConditionFailedError as error:
        if error.failed[2] and error.items[2] is not None:
            return from_record(error.items[2])
        if error.failed[1] or error.failed[2]:
            raise NotFoundError("Not found.") from None
        raise _explain(error, product) from None
    return whole


def get(product_id: int, now: int | None = None) -> DataProduct:
    """Return a data product; with `now` (seconds since 1970) also one that is being uploaded. One GetItem.

    Raises
    ------
    NotFoundError
        If there is none of this id, or its upload is not complete.
    """
    item = requests.get(_table(), key(product_id))
    if item is None or ("expires_at" in item and (now is None or item["expires_at"] < now)):
        raise NotFoundError("Not found.")
    return from_record(item)


def get_many(product_ids: Sequence[int]) -> dict[int, DataProduct]:
    """Return those that exist and are complete, by id. One BatchGetItem per hundred."""
    items = requests.get_many(_table(), [key(each) for each in dict.fromkeys(product_ids)])
    return {item["id"]: from_record(item) for item in items if "expires_at" not in item}


def find_by_address(folder: str, name: str) -> tuple[str, str]:
    """Return key in the bucket and name of the file at `/data/<folder>/.../<name>`. One GetItem.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    file_key = {"pk": f"FILE#{folder}/{name}", "sk": "FILE"}
    item = requests.get(_table(), file_key) if len(file_key["pk"].encode()) <= _MAX_KEY_BYTES else None
    if item is None or "expires_at" in item:
        raise NotFoundError("Not found.")
    return item["key"], item["key"].rpartition("/")[2]


def read_page(target_id: int, limit: int, cursor: str | None) -> tuple[list[DataProduct], int, lists.Page]:
    """Return data products of a target in the order of their ids, how many there are, and the page with its cursors."""
    page = lists.read(_table(), list_name(target_id), limit, cursor)
    return [from_record(item) for item in page.items], lists.count(list_name(target_id)), page


def drop_list(target_id: int) -> None:
    """Remove what is left of the list of a target without data products; see `lists.drop`."""
    lists.drop(_table(), list_name(target_id))


def read_newest(target_id: int, limit: int, cursor: str | None) -> tuple[list[DataProduct], int, lists.Page]:
    """Return the newest data products of a target, how many there are, and the page with its cursors."""
    page, total = lists.read_newest(_table(), list_name(target_id), limit, cursor)
    return [from_record(item) for item in page.items], total, page


def read_all(target_id: int) -> Iterator[DataProduct]:
    """Yield all data products of a target."""
    return (from_record(item) for item in lists.read_all(_table(), list_name(target_id)))


def delete(product: DataProduct, also: Sequence[Write] = ()) -> None:
    """Delete the record of a data product, its memberships and its timelapse entry, `also` others; done is done.

    One transaction (condition: its groups are those that are known), again where it joined or left one meanwhile; one more
    for every group beyond 50.

    Raises
    ------
    UnavailableError
        If it was changed every time.
    """
    for _ in range(requests.CONFLICT_TRIES):
        for each in product.groups[_GROUPS_TOGETHER:]:
            groups.remove(each, [product.id])
        product = replace(product, groups=product.groups[:_GROUPS_TOGETHER])
        try:
            requests.transact([*_deletion(product), *also])
        except ConditionFailedError as error:
            if error.items[0] is None:
                return
            product = from_record(error.items[0])
        else:
            return
    raise UnavailableError("Too many changes of the same data product at once; try again.")


def _deletion(product: DataProduct) -> list[Write]:
    # A comparison of whole sets would do, but emulators take the order of their members for a part of them.
    known = [f"contains(#groups, :group{each})" for each in product.groups]
    condition = " AND ".join(["size(#groups) = :count", *known]) if known else "attribute_not_exists(#groups)"
    values = {f":group{each}": each for each in product.groups} | {":count": len(known)}
    writes = [
        requests.delete(
            _table(),
            key(product.id),
            f"attribute_exists(pk) AND {condition}",
            names={"#groups": "groups"},
            values=values if known else None,
        ),
        requests.delete(_table(), _file_key(product)),
        *(requests.delete(_table(), groups.member_key(each, product.id)) for each in product.groups),
    ]
    if product.timelapse_card:
        writes.append(requests.delete(_table(), {"pk": f"TARGET#{product.target_id}", "sk": product.timelapse_card}))
    if product.plot_card:
        writes.append(requests.delete(_table(), {"pk": f"TARGET#{product.target_id}", "sk": product.plot_card}))
    if not product.is_uploading:
        writes.append(lists.leave(list_name(product.target_id)))
    return writes


def publish_output(product: DataProduct, claim: Write) -> None:
    """Keep a data product that a process made; a repeat puts the newer attempt's file in the older one's place.

    One transaction; two where an earlier attempt had come as far.

    Parameters
    ----------
    claim : Write
        The condition that the worker still holds the process.

    Raises
    ------
    ClaimLostError
        If it does not.
    InvalidInputError
        If the target does not exist any more.
    """

    def writes_at(place: lists.Place) -> list[Write]:
        return [
            targets.exists(product.target_id),
            _guard(product),
            requests.put(_table(), key(product.id), _record(product) | place._asdict(), "attribute_not_exists(pk)"),
            *(
                requests.put(_table(), groups.member_key(each, product.id), {"product_id": product.id})
                for each in product.groups
            ),
            claim,
        ]

    try:
        lists.join(_table(), list_name(product.target_id), _order(product.id), writes_at)
    except ConditionFailedError as error:
        if error.failed[3 + len(product.groups)]:
            raise ClaimLostError("the claim on the process no longer stands") from None
        is_repeat = error.failed[2] or (error.items[1] or {}).get("product_id") == product.id
        if not is_repeat:
            raise _explain(error, product) from None
        attributes = {"key": product.key, "size": product.size}
        record = attributes | {"created": product.created}  # which the keys of its entries hold, too
        record |= {"timelapse_card": product.timelapse_card} if product.timelapse_card else {}
        try:
            requests.transact([claim, _overwrite(key(product.id), record), _overwrite(_file_key(product), attributes)])
        except ConditionFailedError as lost:
            if lost.failed[0]:
                raise ClaimLostError("the claim on the process no longer stands") from None
            raise


def plot_entry(product: DataProduct) -> list[Write]:
    """Describe the entry by which the newest plot of a target is found, if the product is one."""
    if product.plot_card is None:
        return []
    entry = {"name": product.name, "url": product.url, "product_id": product.id}
    return [requests.put(_table(), {"pk": f"TARGET#{product.target_id}", "sk": product.plot_card}, entry)]


def from_record(item: dict[str, Any]) -> DataProduct:
    """Return the data product that an item of the table holds."""
    return DataProduct(
        id=item["id"],
        target_id=item["target_id"],
        name=item["name"],
        data_product_type=str(item.get("data_product_type") or ""),
        size=item["size"],
        key=item["key"],
        folder=item["folder"],
        created=item["created"],
        groups=tuple(sorted(item.get("groups", ()))),
        process_id=item.get("process_id"),
        is_uploading="expires_at" in item,
        timelapse_card=item.get("timelapse_card"),
    )


def _under_free_address(product: DataProduct, keep: Callable[[DataProduct], None]) -> DataProduct:
    own_folder = replace(product, folder=f"{product.folder}_{product.target_id}")
    for candidate in (product, own_folder):
        try:
            keep(candidate)
        except ConditionFailedError as error:
            holder = (error.items[1] or {}).get("target_id") if error.failed[1] and not error.failed[0] else None
            if candidate is own_folder or holder in (None, product.target_id):
                raise _explain(error, product) from None
        else:
            return candidate
    raise AssertionError("one of the two was kept or refused")


def _record(product: DataProduct) -> dict[str, Any]:
    return {
        "id": product.id,
        "target_id": product.target_id,
        "name": product.name,
        "data_product_type": product.data_product_type,
        "size": product.size,
        "key": product.key,
        "folder": product.folder,
        "created": product.created,
        "groups": set(product.groups),
        "process_id": product.process_id,
        "timelapse_card": product.timelapse_card,
    }


def _writes(product: DataProduct, place: lists.Place) -> list[Write]:
    put = requests.put(_table(), key(product.id), _record(product) | place._asdict(), "attribute_not_exists(pk)")
    return [put, *_memberships(product), *plot_entry(product)]


def _memberships(product: DataProduct) -> list[Write]:
    members = [
        requests.put(_table(), groups.member_key(each, product.id), {"product_id": product.id})
        for each in product.groups
    ]
    return [*(groups.exists(each) for each in product.groups), *members]


def _overwrite(record_key: Key, values: dict[str, Any]) -> Write:
    return requests.update(
        _table(),
        record_key,
        "SET " + ", ".join(f"#{name} = :{name}" for name in values),
        "attribute_exists(pk)",
        names={f"#{name}": name for name in values},
        values={f":{name}": value for name, value in values.items()},
    )


def _file_key(product: DataProduct) -> Key:
    return {"pk": f"FILE#{product.folder}/{product.address_name}", "sk": "FILE"}


def _guard(product: DataProduct, expires_at: int | None = None) -> Write:
    """Describe taking the file's address; that of an upload which was never completed is free again."""
    record = {
        "product_id": product.id,
        "target_id": product.target_id,
        "key": product.key,
        "size": product.size,
        "expires_at": expires_at,
    }
    return requests.put(
        _table(),
        _file_key(product),
        record,
        "attribute_not_exists(pk) OR #expires < :now",
        names={"#expires": "expires_at"},
        values={":now": int(clock.to_unix(product.created))},
    )


def _order(product_id: int) -> str:
    return f"{product_id:015d}"


def _explain(error: ConditionFailedError, product: DataProduct) -> InvalidInputError:
    """Say which condition failed: the target's, the name's, else that of a group."""
    if error.failed[0]:
        text = f'Invalid pk "{product.target_id}" - object does not exist.'
        return InvalidInputError.of("target", text, "value_error.missing_record")
    if error.failed[1]:
        text = f"A data product named '{product.name}' already exists, or is being uploaded, for this target."
        kind = UPLOAD_PENDING if "expires_at" in (error.items[1] or {}) else "value_error.unique"
        return InvalidInputError.of("filename" if product.is_uploading else "file", text, kind)
    wrong = ", ".join(map(str, product.groups))
    return InvalidInputError.of("group", f'Invalid pk "{wrong}" - object does not exist.', "value_error.missing_record")


def _table() -> str:
    return get_settings().telescope_table
