"""Data product groups: memberships stand on both sides, and survive each other's changes."""

import pytest

from chalicelib.errors import NotFoundError
from chalicelib.storage import data_products, groups
from tests.conftest import Aws
from tests.storage import records
from tests.storage.at_once import at_once


def members_on_both_sides(aws: Aws) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Return (group, product) pairs as the groups have them, and as the products have them."""
    there, here = set(), set()
    for item in aws.items():
        kind, _, number = item["pk"]["S"].partition("#")
        if item["sk"]["S"].startswith("MEMBER#"):
            there.add((int(number), int(item["product_id"]["N"])))
        elif kind == "DATAPRODUCT":
            here |= {(int(each), int(number)) for each in item.get("groups", {}).get("NS", [])}
    return there, here


def test_products_added_to_a_group_at_once_are_all_in_it(aws: Aws) -> None:
    target, group = records.target(), records.group()
    ids = [records.product(target.id, f"{number}.fits").id for number in range(10)]
    outcomes = at_once([lambda each=each: groups.add(group.id, [each]) for each in ids])
    assert outcomes == [None] * 10
    assert groups.get(group.id)[1] == ids
    assert members_on_both_sides(aws)[0] == members_on_both_sides(aws)[1]


def test_one_product_joins_many_groups_at_once(aws: Aws) -> None:
    product = records.product(records.target().id)
    ids = [records.group(f"G{number}").id for number in range(8)]
    at_once([lambda each=each: groups.add(each, [product.id]) for each in ids])
    assert data_products.get(product.id).groups == tuple(ids)


def test_joining_and_leaving_at_once_leaves_both_sides_agreed(aws: Aws) -> None:
    group = records.group()
    product = records.product(records.target().id)
    at_once([lambda: groups.add(group.id, [product.id]), lambda: groups.remove(group.id, [product.id])] * 4)
    there, here = members_on_both_sides(aws)
    assert there == here


def test_more_products_than_one_transaction_takes_join_and_leave(aws: Aws) -> None:
    group = records.group()
    ids = list(range(1, 101))
    put_products(aws, ids)
    groups.add(group.id, [*ids, 1, 2])
    assert groups.get(group.id)[1] == ids
    groups.remove(group.id, ids[1:])
    assert groups.get(group.id)[1] == [1]
    assert members_on_both_sides(aws) == ({(group.id, 1)}, {(group.id, 1)})


def put_products(aws: Aws, ids: list[int]) -> None:
    """Put the barest records of data products."""
    for each in ids:
        key = {"pk": {"S": f"DATAPRODUCT#{each}"}, "sk": {"S": "DATAPRODUCT"}}
        aws.dynamodb.put_item(TableName=aws.name("sidereal-telescope"), Item=key | {"id": {"N": str(each)}})


def test_a_group_with_many_products_is_deleted_whole(aws: Aws) -> None:
    group = records.group()
    put_products(aws, list(range(1, 61)))
    groups.add(group.id, range(1, 61))
    groups.delete(group.id)
    assert [item for item in aws.items() if item["pk"]["S"].startswith("GROUP#")] == []
    assert members_on_both_sides(aws) == (set(), set())
    with pytest.raises(NotFoundError):
        groups.delete(group.id)


def test_an_interrupted_deletion_of_a_group_can_be_repeated(aws: Aws) -> None:
    from chalicelib.storage import clients

    group = records.group()
    put_products(aws, list(range(1, 61)))
    groups.add(group.id, range(1, 61))
    left = [2]

    def interrupt(**_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise ConnectionError("gone")

    events = clients.dynamodb().meta.events
    events.register("before-call.dynamodb.TransactWriteItems", interrupt)
    with pytest.raises(ConnectionError):
        groups.delete(group.id)
    events.unregister("before-call.dynamodb.TransactWriteItems", interrupt)
    with pytest.raises(NotFoundError):
        groups.add(group.id, [1])  # nothing joins a group that goes
    groups.delete(group.id)
    assert members_on_both_sides(aws) == (set(), set())


def test_a_product_that_is_gone_cannot_join_and_its_leaving_is_no_error(aws: Aws) -> None:
    group, target = records.group(), records.target()
    product = records.product(target.id)
    with pytest.raises(NotFoundError):
        groups.add(group.id, [product.id, 99])
    assert groups.get(group.id)[1] == []
    groups.add(group.id, [product.id])
    groups.remove(group.id, [99, product.id, 98])
    assert groups.get(group.id)[1] == []


def test_nothing_joins_a_group_that_is_gone(aws: Aws) -> None:
    product = records.product(records.target().id)
    with pytest.raises(NotFoundError):
        groups.add(5, [product.id])
    with pytest.raises(NotFoundError):
        groups.rename(5, "New")
    assert members_on_both_sides(aws) == (set(), set())


@pytest.mark.parametrize("times", range(3))
def test_a_product_deleted_while_it_joins_a_group_leaves_no_membership(aws: Aws, times: int) -> None:
    group = records.group()
    product = records.product(records.target().id)
    at_once([lambda: data_products.delete(product), lambda: groups.add(group.id, [product.id])])
    assert members_on_both_sides(aws) == (set(), set())
    assert groups.get(group.id)[1] == []
