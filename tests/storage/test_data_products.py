"""Data products: one name once, nothing half kept, nothing half deleted."""

from dataclasses import replace

import pytest

from chalicelib.errors import ClaimLostError, InvalidInputError, NotFoundError
from chalicelib.models.data_products import DataProduct
from chalicelib.storage import data_products, groups, lists, process_moves, targets
from tests.conftest import Aws
from tests.storage import records
from tests.storage.at_once import at_once


def test_ten_files_of_one_name_at_once_make_one_product(aws: Aws) -> None:
    target = records.target()
    outcomes = at_once([lambda: records.product(target.id)] * 10)
    assert sum(isinstance(each, DataProduct) for each in outcomes) == 1
    assert sum(isinstance(each, InvalidInputError) for each in outcomes) == 9
    assert lists.count(data_products.list_name(target.id)) == 1


def test_sixty_products_are_listed_in_order_beyond_a_bucket(aws: Aws) -> None:
    target = records.target()
    ids = [records.product(target.id, f"{number}.fits").id for number in range(60)]
    assert [each.id for each in data_products.read_all(target.id)] == ids
    found, total, page = data_products.read_page(target.id, 55, None)
    assert ([each.id for each in found], total) == (ids[:55], 60)
    assert [each.id for each in data_products.read_page(target.id, 55, page.next)[0]] == ids[55:]


def test_nothing_is_kept_for_a_target_or_a_group_that_is_not_there(aws: Aws) -> None:
    with pytest.raises(InvalidInputError) as no_target:
        data_products.create(records.draft(9))
    target = records.target()
    before = aws.items()
    with pytest.raises(InvalidInputError) as no_group:
        data_products.create(records.draft(target.id, groups=(7,)))
    assert [error.value.fields[0].loc for error in (no_target, no_group)] == [("target",), ("group",)]
    assert aws.items() == before


def test_completing_at_once_counts_once(aws: Aws) -> None:
    target, group = records.target(), records.group()
    reserved = replace(records.draft(target.id, groups=(group.id,)), is_uploading=True)
    data_products.reserve(reserved, int(records.UNIX) + 100)
    outcomes = at_once([lambda: data_products.complete(reserved)] * 5)
    assert outcomes == [replace(reserved, is_uploading=False)] * 5
    assert lists.count(data_products.list_name(target.id)) == 1
    assert groups.get(group.id)[1] == [reserved.id]


def test_a_reservation_is_hidden_until_it_is_complete_and_after_its_end(aws: Aws) -> None:
    target = records.target()
    reserved = replace(records.draft(target.id), is_uploading=True)
    end = int(records.UNIX) + 100
    data_products.reserve(reserved, end)
    assert data_products.get_many([reserved.id]) == {}
    assert data_products.get(reserved.id, end) == reserved
    for now in (None, end + 1):
        with pytest.raises(NotFoundError):
            data_products.get(reserved.id, now)
    with pytest.raises(NotFoundError):
        data_products.find_by_address(reserved.folder, reserved.name)


def test_a_reservation_that_ended_gives_its_name_to_the_next_and_cannot_come_back(aws: Aws) -> None:
    target = records.target()
    first = replace(records.draft(target.id, created="2026-01-10T01:00:00.000000Z"), is_uploading=True)
    data_products.reserve(first, int(records.UNIX) - 100)
    second = records.product(target.id)
    with pytest.raises(NotFoundError):
        data_products.complete(first)
    assert data_products.find_by_address(second.folder, second.name) == (second.key, second.name)


def test_deleting_twice_and_at_once_counts_once(aws: Aws) -> None:
    target = records.target()
    records.product(target.id, "other.fits")
    product = records.product(target.id)
    assert at_once([lambda: data_products.delete(product)] * 5) == [None] * 5
    assert lists.count(data_products.list_name(target.id)) == 1


def test_a_deletion_sees_groups_that_were_joined_since_the_product_was_read(aws: Aws) -> None:
    target, group = records.target(), records.group()
    product = records.product(target.id)
    groups.add(group.id, [product.id])
    data_products.delete(product)
    assert groups.get(group.id)[1] == []
    with pytest.raises(NotFoundError):
        data_products.get(product.id)


def test_a_product_in_more_groups_than_one_transaction_takes_is_deleted(aws: Aws) -> None:
    target = records.target()
    product = records.product(target.id)
    ids = list(range(1, 103))
    for each in ids:
        key = {"pk": {"S": f"GROUP#{each}"}, "sk": {"S": f"MEMBER#{product.id:015d}"}}
        member = key | {"product_id": {"N": str(product.id)}}
        aws.dynamodb.put_item(TableName=aws.name("sidereal-telescope"), Item=member)
    aws.dynamodb.update_item(
        TableName=aws.name("sidereal-telescope"),
        Key={"pk": {"S": f"DATAPRODUCT#{product.id}"}, "sk": {"S": "DATAPRODUCT"}},
        UpdateExpression="SET #groups = :groups",
        ExpressionAttributeNames={"#groups": "groups"},
        ExpressionAttributeValues={":groups": {"NS": [str(each) for each in ids]}},
    )
    data_products.delete(data_products.get(product.id))
    assert [item for item in aws.items() if item["pk"]["S"].startswith(("GROUP#", "DATAPRODUCT#", "FILE#"))] == []


def test_an_output_is_kept_only_under_a_claim_that_stands(aws: Aws) -> None:
    target = records.target()
    process = records.process(target.id)
    process_moves.claim(process.id, "worker", records.UNIX)
    output = records.draft(target.id, groups=(3,), process_id=process.id)
    before = aws.items()
    with pytest.raises(ClaimLostError):
        data_products.publish_output(output, process_moves.holds_claim(process.id, "zombie"))
    assert aws.items() == before
    claim = process_moves.holds_claim(process.id, "worker")
    data_products.publish_output(output, claim)
    data_products.publish_output(replace(output, key="processes/1/2/a.fits", size=99), claim)
    kept = data_products.get(output.id)
    assert (kept.key, kept.size) == ("processes/1/2/a.fits", 99)
    assert data_products.find_by_address(output.folder, output.name)[0] == "processes/1/2/a.fits"
    with pytest.raises(ClaimLostError):
        data_products.publish_output(output, process_moves.holds_claim(process.id, "zombie"))
    assert data_products.get(output.id) == kept
    assert lists.count(data_products.list_name(target.id)) == 1


def test_no_output_is_kept_for_a_target_that_is_being_deleted(aws: Aws) -> None:
    target = records.target()
    process = records.process(target.id)
    process_moves.claim(process.id, "worker", records.UNIX)
    targets.mark_going(target.id)
    with pytest.raises(InvalidInputError):
        data_products.publish_output(records.draft(target.id), process_moves.holds_claim(process.id, "worker"))


def test_more_than_a_hundred_products_are_read_together(aws: Aws) -> None:
    target = records.target()
    product = records.product(target.id)
    assert list(data_products.get_many([product.id, product.id, *range(1000, 1150)])) == [product.id]


def test_an_address_longer_than_a_key_is_not_found(aws: Aws) -> None:
    with pytest.raises(NotFoundError):
        data_products.find_by_address("x" * 1500, "y" * 1500)


def test_a_record_without_a_type_is_read_as_one_of_no_type(aws: Aws) -> None:
    target = records.target()
    product = data_products.create(replace(records.draft(target.id), data_product_type=None))  # type: ignore[arg-type]
    assert data_products.get(product.id).data_product_type == ""
