"""Targets: names are unique, changes are not lost, positions are found."""

from dataclasses import replace

import pytest

from chalicelib.errors import InvalidInputError, NotFoundError
from chalicelib.models.targets import Target, TargetChange
from chalicelib.services import targets as service
from chalicelib.storage import lists, targets
from chalicelib.storage.targets import TargetChangedError
from tests.conftest import Aws, Clock
from tests.storage import records
from tests.storage.at_once import at_once


def test_twenty_creates_of_one_name_at_once_make_one_target(aws: Aws) -> None:
    outcomes = at_once([records.target] * 20)
    made = [each for each in outcomes if isinstance(each, Target)]
    assert len(made) == 1
    assert {type(each) for each in outcomes} == {Target, InvalidInputError}
    assert targets.find_by_name("M 13") == made[0]
    assert lists.count(targets.LIST) == 1
    assert len(aws.items()) == 3  # the record, the guard of its name, its card in the sky


def test_twenty_changes_of_different_extra_fields_at_once_all_survive(aws: Aws) -> None:
    made = records.target(extra_fields={"kept": 1})
    changes = [TargetChange(extra_fields={f"k{number}": number}) for number in range(20)]
    outcomes = at_once([lambda change=change: service.change_target(made.id, change) for change in changes])
    assert [each for each in outcomes if isinstance(each, Exception)] == []
    assert targets.get(made.id).extra_fields == {"kept": 1} | {f"k{number}": number for number in range(20)}


def test_changes_in_one_instant_are_told_apart(aws: Aws, clock: Clock) -> None:
    made = records.target()
    first = service.change_target(made.id, TargetChange(extra_fields={"a": 1}))
    second = service.change_target(made.id, TargetChange(extra_fields={"b": 1}))
    assert made.modified < first.modified < second.modified
    with pytest.raises(TargetChangedError):
        targets.replace(first, replace(first, extra_fields={}))


def test_two_targets_that_take_each_others_new_name_at_once_never_share_it(aws: Aws) -> None:
    ids = [records.target(name=name).id for name in ("A", "B")]
    at_once([lambda each=each: service.change_target(each, TargetChange(name="C")) for each in ids])
    names = sorted(targets.get(each).name for each in ids)
    assert names in (["A", "C"], ["B", "C"])
    found = targets.find_by_name("C")
    assert found
    assert found.name == "C"
    guards = sorted(item["pk"]["S"] for item in aws.items() if item["sk"]["S"] == "TARGETNAME")
    assert guards == [f"TARGETNAME#{name}" for name in names]


def test_a_position_that_is_taken_away_leaves_no_attribute_and_no_card(aws: Aws) -> None:
    made = records.target()
    targets.replace(made, replace(made, type="NON_SIDEREAL", ra=None, dec=None, modified="2026-01-11T00:00:00.000000Z"))
    assert targets.get(made.id).ra is None
    assert not [item for item in aws.items() if item["pk"]["S"].startswith("SKY#") or "ra" in item]


def test_a_change_of_position_within_the_precision_of_a_card_keeps_one_card(aws: Aws) -> None:
    made = records.target(ra=10.0, dec=20.0)
    targets.replace(made, replace(made, ra=10.00000001, modified="2026-01-11T00:00:00.000000Z"))
    cards = [item for item in aws.items() if item["pk"]["S"].startswith("SKY#")]
    assert len(cards) == 1
    assert targets.find_near(10.00000001, 20.0, 0.0, 100)[0][0].id == made.id


def test_a_target_that_is_being_deleted_takes_no_change(aws: Aws) -> None:
    made = records.target()
    targets.mark_going(made.id)
    with pytest.raises(NotFoundError):
        targets.replace(made, replace(made, name="New"))


def test_deleting_twice_counts_once(aws: Aws) -> None:
    records.target(name="other")
    made = records.target()
    for _ in range(2):
        targets.delete(made)
    assert lists.count(targets.LIST) == 1


def test_a_name_longer_than_a_key_is_not_found(aws: Aws) -> None:
    assert targets.find_by_name("x" * 3000) is None


def test_all_targets_of_one_zone_are_found(aws: Aws) -> None:
    for number in range(30):
        records.target(name=f"T{number}", ra=10 + number / 100, dec=20.5)
    assert targets.find_near(10.15, 20.5, 1, 5)[1] == 30
    assert len(targets.find_near(10.15, 20.5, 1, 5)[0]) == 5
