"""Lists in buckets: borders, paging, cursors, and writers that do not know of each other."""

import base64
import json
from itertools import pairwise
from typing import Any

import pytest

from chalicelib.errors import InvalidInputError, UnavailableError
from chalicelib.models.events import Event
from chalicelib.settings import get_settings
from chalicelib.storage import events, lists

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture(autouse=True)
def _small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "BUCKET_SIZE", 3)


def add(*numbers: int) -> None:
    """Create events that sort by their number."""
    for number in numbers:
        events.create(Event(f"GW{number:03}", "w", f"2026-01-01T00:00:00.{number:06}Z"))


def names(page: lists.Page) -> list[int]:
    """Return the numbers of a page's events."""
    return [int(item["name"][2:]) for item in page.items]


def read(limit: int, cursor: str | None = None, max_bytes: int | None = None) -> lists.Page:
    """Return one page."""
    return lists.read(get_settings().ledger_table, "EVENTS", limit, cursor, max_bytes)


def walk(limit: int) -> list[list[int]]:
    """Return all pages, forward."""
    pages, cursor = [], None
    while True:
        page = read(limit, cursor)
        pages.append(names(page))
        cursor = page.next
        if cursor is None:
            return pages


def buckets() -> list[str]:
    """Return the bucket of each member in order."""
    found = lists.read_all(get_settings().ledger_table, "EVENTS")
    return [item["list_pk"] for item in found]


def cursor_of(value: Any) -> str:
    """Return a made-up cursor."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize("members", range(11))
def test_pages_of_any_size_join_to_the_whole_list(members: int) -> None:
    add(*range(members))
    for limit in (1, 2, 3, 4, 7, 500):
        pages = walk(limit)
        assert [number for page in pages for number in page] == list(range(members))
        assert all(len(page) == limit for page in pages[:-1])
        assert members == 0 or pages[-1]


@pytest.mark.parametrize("members", [1, 3, 4, 6, 7, 10])
def test_pages_backward_are_the_pages_forward(members: int) -> None:
    add(*range(members))
    for limit in (1, 2, 3, 4):
        cursors: list[str | None] = [None]
        while (following := read(limit, cursors[-1]).next) is not None:
            cursors.append(following)
        for before, after in pairwise(cursors):
            previous = read(limit, after).previous
            assert previous is not None
            assert names(read(limit, previous)) == names(read(limit, before))


def test_first_page_has_no_previous_and_last_page_no_next() -> None:
    add(*range(4))
    assert read(2).previous is None
    last = read(2, read(2).next)
    assert (last.next, last.previous is None) == (None, False)


def test_bucket_takes_so_many_members_and_no_more() -> None:
    add(*range(7))
    assert buckets() == ["EVENTS#0"] * 3 + ["EVENTS#1"] * 3 + ["EVENTS#2"]


def test_member_deleted_between_two_pages_is_left_out_and_moves_nobody() -> None:
    add(*range(8))
    first = read(3)
    for gone in (2, 3, 5):
        events.delete(f"GW{gone:03}")
    assert names(read(3, first.next)) == [4, 6, 7]


def test_page_after_members_that_all_were_deleted_is_empty_and_the_last() -> None:
    add(*range(6))
    first = read(3)
    for gone in (3, 4, 5):
        events.delete(f"GW{gone:03}")
    assert first.next is not None
    last = read(3, first.next)
    assert (last.items, last.next) == ([], None)


def test_bucket_that_was_emptied_does_not_end_the_list() -> None:
    add(*range(10))
    for gone in range(3, 9):
        events.delete(f"GW{gone:03}")
    assert walk(2) == [[0, 1], [2, 9]]
    add(10, 11)
    assert walk(500) == [[0, 1, 2, 9, 10, 11]]


def test_member_added_behind_the_cursor_is_on_a_later_page() -> None:
    add(*range(3))
    first = read(2)
    add(3, 4)
    assert names(read(5, first.next)) == [2, 3, 4]


def test_page_ends_early_at_its_bytes_and_goes_on_from_there() -> None:
    for number in range(5):
        events.create(Event(f"GW{number:03}", "w", f"2026-01-01T00:00:00.{number:06}Z", meta={"a": "x" * 1000}))
    first = read(500, None, 1500)
    assert names(first) == [0, 1]
    assert names(read(500, first.next, 100_000)) == [2, 3, 4]
    assert len(read(500, None, 1).items) == 1


def test_writer_that_knows_nothing_finds_the_open_bucket() -> None:
    for number in range(8):
        lists.forget()
        add(number)
    assert buckets() == ["EVENTS#0"] * 3 + ["EVENTS#1"] * 3 + ["EVENTS#2"] * 2


def test_writer_that_remembers_a_closed_bucket_finds_the_open_one() -> None:
    add(0)
    remembered = dict(lists._open_buckets)
    add(*range(1, 8))
    lists._open_buckets.clear()
    lists._open_buckets.update(remembered)
    add(8)
    assert walk(500) == [list(range(9))]
    assert buckets()[-1] == "EVENTS#2"


def test_writer_that_remembers_a_bucket_that_does_not_exist_is_set_right() -> None:
    lists._open_buckets["EVENTS"] = 7
    add(0, 1)
    assert buckets() == ["EVENTS#0"] * 2


def test_failed_creation_takes_no_place() -> None:
    from chalicelib.errors import ConflictError

    add(0, 1)
    for _ in range(5):
        with pytest.raises(ConflictError):
            add(1)
    add(2, 3)
    assert buckets() == ["EVENTS#0"] * 3 + ["EVENTS#1"]


def test_twenty_writers_at_once_fill_every_bucket_exactly(at_once: Any) -> None:
    def one(number: int) -> None:
        lists.forget()
        add(number)

    assert at_once(one, range(20)) == [None] * 20
    found = buckets()
    assert sorted(name for page in walk(4) for name in page) == list(range(20))
    assert [found.count(f"EVENTS#{bucket}") for bucket in range(7)] == [3, 3, 3, 3, 3, 3, 2]
    assert lists.count("EVENTS") == 20


@pytest.mark.parametrize(
    "cursor",
    [
        "x", "====", "%%%", "é", "\ud800", "\x00", "a" * 5000, cursor_of(b"[" * 5000), cursor_of(b"\xff"), cursor_of(b"{}"),
        cursor_of(None), cursor_of([]), cursor_of([1]), cursor_of([2, 0, "a", True]), cursor_of([1, -1, "a", True]),
        cursor_of([1, 1.0, "a", True]), cursor_of([1, True, "a", True]), cursor_of([1, 10**8, "a", True]),
        cursor_of([1, 0, "", True]), cursor_of([1, 0, None, True]), cursor_of([1, 0, [], True]), cursor_of([1, 0, 1, True]),
        cursor_of([1, 0, "\ud800", True]), cursor_of([1, 0, "a" * 1025, True]), cursor_of([1, 0, "é" * 600, True]),
        cursor_of([1, 0, "a", 1]), cursor_of([1, 0, "a", None]), cursor_of([1, 0, "a", True, 1]), cursor_of(b"1e999"),
        cursor_of(b"[1,NaN,\"a\",true]"), cursor_of(b"9" * 5000),
    ],
)  # fmt: skip
def test_cursor_that_is_none_of_ours_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(2, cursor)
    assert caught.value.fields[0].loc == ("next",)


@pytest.mark.parametrize(
    ("bucket", "order", "is_forward"),
    [(0, "~", True), (0, "\x00", False), (99_999_999, "a", True), (5, "a", True), (0, "zzz", True), (0, "0", True)],
)
def test_cursor_that_points_nowhere_gives_a_page(bucket: int, order: str, is_forward: bool) -> None:
    add(*range(5))
    assert len(read(2, cursor_of([1, bucket, order, is_forward])).items) <= 2


def test_a_dropped_list_leaves_nothing_behind(aws: Any) -> None:
    add(*range(5))
    table = get_settings().ledger_table
    with pytest.raises(UnavailableError):
        lists.drop(table, "EVENTS")
    for number in range(5):
        events.delete(f"GW{number:03}")
    for _ in range(2):
        lists.drop(table, "EVENTS")
        assert aws.items(table) == []
        # changes are told for a day, and go by themselves
        assert all(
            item["pk"]["S"].startswith(("CHANGES#", "CHANGED#")) for item in aws.items(get_settings().operations_table)
        )


def test_a_list_that_was_refused_to_drop_is_still_whole() -> None:
    add(*range(7))
    table = get_settings().ledger_table
    with pytest.raises(UnavailableError):
        lists.drop(table, "EVENTS")
    assert len(list(lists.read_all(table, "EVENTS"))) == 7
