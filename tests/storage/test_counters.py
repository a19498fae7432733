"""Integer ids."""

from chalicelib.storage import counters
from tests.conftest import Aws
from tests.storage.at_once import at_once


def test_ids_begin_with_one_and_each_kind_has_its_own(aws: Aws) -> None:
    assert [counters.next_id("A"), counters.next_id("A"), counters.next_id("B")] == [1, 2, 1]


def test_several_ids_are_taken_at_once(aws: Aws) -> None:
    counters.next_id("A")
    assert list(counters.next_ids("A", 3)) == [2, 3, 4]
    assert counters.next_id("A") == 5


def test_no_id_is_given_twice(aws: Aws) -> None:
    ids = at_once([lambda: counters.next_id("A")] * 20)
    assert sorted(ids) == list(range(1, 21))
