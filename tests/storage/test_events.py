"""Events in the ledger: many writers, exact meta, deletion with everything that belongs to them."""

from typing import Any

import botocore.awsrequest
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.errors import ConflictError, InvalidInputError, NotFoundError
from chalicelib.models.events import Event
from chalicelib.models.productions import Production
from chalicelib.storage import clients, events, freeform, lists, productions

EXACT: dict[str, Any] = {
    "float": 1.0, "small": 1e-7, "gps": 1126259462.4, "huge": 1e300, "tiny": 5e-324, "max": 1.7976931348623157e308,
    "negative zero": -0.0, "whole": 1, "big": 10**40, "minus": -(10**40), "null": None, "true": True, "false": False,
    "empty": "", "text": "é 星 😀 \u0000 \u2028 \" \\ /", "list": [], "object": {}, "nested": [{"a": [1.0, [None, {}]]}, ""],
    "": "no key", "~": 1, "~~": 2, "~a": 3, "a.b": 4, "a b": 5, "#": 6, ":x": 7, "é": 8, "size": 9, "\u0000": 10, "meta": 11,
}  # fmt: skip

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def add(name: str = "GW150914", **more: Any) -> None:
    """Create an event."""
    events.create(Event(name, "w", "2026-01-01T00:00:00.000000Z", **more))


def add_production(name: str, event: str = "GW150914") -> None:
    """Create a production."""
    productions.create(Production(event, name, "bilby", "2026-01-01T00:00:00.000000Z"))


def is_same(one: Any, other: Any) -> bool:
    """Say whether two values are alike in type, sign and order of keys, too."""
    return repr(one) == repr(other)


@pytest.mark.usefixtures("aws")
def test_meta_comes_back_as_it_was_given() -> None:
    add(meta=EXACT)
    meta = events.get("GW150914")[0].meta
    assert meta.keys() == EXACT.keys()
    assert all(is_same(meta[key], value) for key, value in EXACT.items())


@pytest.mark.usefixtures("aws")
def test_changed_meta_comes_back_as_it_was_given() -> None:
    add()
    answered = events.change("GW150914", {}, EXACT)
    assert events.get("GW150914")[0].meta == answered.meta
    assert all(is_same(answered.meta[key], value) for key, value in EXACT.items())


@pytest.mark.usefixtures("aws")
def test_any_json_object_comes_back_over_http(api: Any) -> None:
    api.post("/api/v1/events/", {"name": "GW150914", "meta": EXACT})
    meta = api.get("/api/v1/events/GW150914").json["event"]["meta"]
    assert all(is_same(meta[key], value) for key, value in EXACT.items())


@given(st.dictionaries(st.text(), VALUES, max_size=6))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_packing_loses_nothing(meta: dict[str, Any]) -> None:
    packed = freeform.pack(meta)
    assert all(packed)
    assert is_same(freeform.unpack(packed), meta)


@pytest.mark.usefixtures("aws")
def test_one_of_twenty_creations_at_once_wins(at_once: Any) -> None:
    def one(number: int) -> int:
        lists.forget()
        try:
            add(meta={"number": number})
        except ConflictError:
            return 409
        return 201

    answers = at_once(one, range(20))
    assert sorted(answers) == [201] + [409] * 19
    event, _ = events.get("GW150914")
    assert event.meta == {"number": answers.index(201)}
    assert lists.count("EVENTS") == 1


def test_one_of_twenty_requests_at_once_creates(api: Any, at_once: Any) -> None:
    api.get("/api/v1/health")
    answers = at_once(lambda n: api.post("/api/v1/events/", {"name": "GW", "meta": {"n": n}}).status, range(20))
    assert sorted(answers) == [201] + [409] * 19
    (event,) = api.get("/api/v1/events/").json["events"]
    assert event["meta"] == {"n": answers.index(201)}


def test_twenty_changes_at_once_of_different_keys_all_survive(api: Any, at_once: Any) -> None:
    api.post("/api/v1/events/", {"name": "GW"})
    answers = at_once(lambda n: api.put("/api/v1/events/GW", {"meta": {f"k{n}": n}}).status, range(20))
    assert answers == [200] * 20
    assert api.get("/api/v1/events/GW").json["event"]["meta"] == {f"k{n}": n for n in range(20)}


@pytest.mark.usefixtures("aws")
def test_changes_too_large_for_one_expression_undo_nobody_elses(at_once: Any) -> None:
    add(meta={"kept": True})

    def one(number: int) -> None:
        keys = 200 if number % 2 else 1
        events.change("GW150914", {"repository": "r"} if number % 2 else {}, {f"{number} {n}": n for n in range(keys)})

    assert at_once(one, range(8)) == [None] * 8
    event, _ = events.get("GW150914")
    assert len(event.meta) == 1 + 4 * 200 + 4
    assert event.repository == "r"


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("keys", [0, 1, freeform.MAX_KEYS_PER_CHANGE, freeform.MAX_KEYS_PER_CHANGE + 1, 1000])
def test_any_number_of_keys_can_be_changed_together_with_attributes(keys: int) -> None:
    add(repository="old", meta={"k0": "old", "other": 1})
    meta = {f"k{number}": number for number in range(keys)}
    event = events.change("GW150914", {"working_directory": "new", "repository": None}, meta)
    assert (event.working_directory, event.repository) == ("new", None)
    assert event.meta == {"k0": "old", "other": 1} | meta
    assert events.get("GW150914")[0] == event


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("keys", [0, 1, 200])
def test_change_of_an_absent_event_makes_none(aws: Any, keys: int) -> None:
    with pytest.raises(NotFoundError, match="Event not found"):
        events.change("GW150914", {}, {str(number): number for number in range(keys)})
    assert aws.items("sidereal-ledger") == []


@pytest.mark.parametrize("count", [0, 1, 5, 90, 91, 150])
def test_deletion_takes_all_productions(aws: Any, count: int) -> None:
    add()
    add("Other")
    add_production("Prod_A", "Other")
    for number in range(count):
        add_production(f"Prod_{number}")
    events.delete("GW150914")
    assert {item["pk"]["S"] for item in aws.items("sidereal-ledger")} == {"EVENT#Other"}
    with pytest.raises(NotFoundError):
        events.delete("GW150914")


@pytest.mark.parametrize("count", [0, 1, 95])
def test_production_created_while_its_event_is_deleted_leaves_nothing_behind(aws: Any, count: int) -> None:
    add()
    for number in range(count):
        add_production(f"Prod_{number}")
    waiting = ["Late_A", "Late_B"]

    def create_meanwhile(model: Any, **_: Any) -> None:
        if waiting and model.name in ("DeleteItem", "TransactWriteItems"):
            name = waiting.pop()
            aws_side.update_item(
                TableName=aws.name("sidereal-ledger"),
                Key={"pk": {"S": "EVENT#GW150914"}, "sk": {"S": "EVENT"}},
                UpdateExpression="ADD production_names :name",
                ExpressionAttributeValues={":name": {"SS": [name]}},
            )
            record = {"pk": {"S": "EVENT#GW150914"}, "sk": {"S": f"PRODUCTION#{name}"}}
            aws_side.put_item(TableName=aws.name("sidereal-ledger"), Item=record)

    aws_side = aws.dynamodb
    clients.dynamodb().meta.events.register("before-call", create_meanwhile)
    events.delete("GW150914")
    assert not waiting or not count
    assert aws.items("sidereal-ledger") == []


@pytest.mark.usefixtures("aws")
def test_creations_and_a_deletion_at_once_leave_no_orphans(aws: Any, at_once: Any) -> None:
    add()

    def one(number: int) -> int:
        try:
            events.delete("GW150914") if number == 0 else add_production(f"Prod_{number}")
        except NotFoundError:
            return 404
        return 200

    assert set(at_once(one, range(12))) <= {200, 404}
    assert aws.items("sidereal-ledger") == []


@pytest.mark.usefixtures("aws")
def test_deleted_name_can_be_used_again_and_is_last_in_the_list() -> None:
    for name in ("A", "B"):
        add(name)
    events.delete("A")
    events.create(Event("A", "w", "2026-01-02T00:00:00.000000Z"))
    page, _ = events.read_page(10, None, 1_000_000)
    assert [event.name for event, _ in page] == ["B", "A"]


def answer_of_dynamodb(operation: str, body: dict[str, Any]) -> None:
    """Let DynamoDB answer an operation with an error which moto does not know."""
    answer = botocore.awsrequest.AWSResponse("https://dynamodb", 400, {}, None)
    clients.dynamodb().meta.events.register_first(f"before-call.dynamodb.{operation}", lambda **_: (answer, body))


@pytest.mark.usefixtures("aws")
def test_event_that_a_change_would_make_too_large_is_told_as_wrong_meta() -> None:
    add()
    text = "Item size to update has exceeded the maximum allowed size"
    reasons = [{"Code": "ValidationError", "Message": text}, {"Code": "None"}]
    error = {"Code": "TransactionCanceledException", "Message": "Transaction cancelled [ValidationError, None]"}
    answer_of_dynamodb("TransactWriteItems", {"Error": error, "CancellationReasons": reasons})
    with pytest.raises(InvalidInputError, match="400 KB"):
        events.change("GW150914", {}, {"a": 1})


@pytest.mark.usefixtures("aws")
def test_event_that_one_more_production_would_make_too_large_is_told_as_wrong_input() -> None:
    add()
    reasons = [
        {"Code": "ValidationError", "Message": "Item size to update has exceeded the maximum allowed size"},
        {"Code": "None"},
    ]
    text = "Transaction cancelled, please refer cancellation reasons for specific reasons [ValidationError, None]"
    body = {"Error": {"Code": "TransactionCanceledException", "Message": text}, "CancellationReasons": reasons}
    answer_of_dynamodb("TransactWriteItems", body)
    with pytest.raises(InvalidInputError, match="400 KB"):
        add_production("Prod_A")


@pytest.mark.usefixtures("aws")
def test_a_page_ends_before_the_summaries_of_its_productions_grow_too_large() -> None:
    for name in ("E1", "E2", "E3"):
        add(name)
        productions.create(Production(name, "P", "bilby", "2026-01-10T00:00:00.000000Z", comment="x" * 1000))
    first, cursor = events.read_page(10, None, 2500)
    assert [each.name for each, _ in first] == ["E1"]
    rest, end = events.read_page(10, cursor, 10**6)
    assert ([each.name for each, _ in rest], end) == (["E2", "E3"], None)


@pytest.mark.usefixtures("aws")
def test_the_list_counts_its_events_down_when_they_are_deleted() -> None:
    for name in ("E1", "E2"):
        add(name)
    productions.create(Production("E1", "P", "bilby", "2026-01-10T00:00:00.000000Z"))
    events.delete("E1")
    assert lists.count(events.LIST) == 1
    events.delete("E2")
    assert lists.count(events.LIST) == 0
