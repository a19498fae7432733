"""The stream of the ledger: each change once, in the order in which its record changed, however the connection breaks."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib import clock as project_clock
from chalicelib.errors import UnavailableError
from chalicelib.services import change_stream
from chalicelib.storage import changes, clients, requests
from chalicelib.storage.requests import ConditionFailedError
from tests.conftest import Api, Aws, Clock
from tests.event_source import EventSource
from tests.storage.at_once import at_once

STREAM = "/api/v1/stream"
GW = "/api/v1/events/GW150914"
PROD = "/api/v1/productions/GW150914/Prod_A"

Told = tuple[str, str, str | None]


@pytest.fixture
def source(api: Api) -> EventSource:
    return EventSource(lambda headers: api.get(STREAM, headers=headers))


def told(source: EventSource) -> list[Told]:
    """Return action, event and production of all that was heard."""
    data = [json.loads(each.data) for each in source.heard if each.type != "reset"]
    return [(each["action"], each["event"], each.get("name")) for each in data]


def keep(moment: str, event: str, action: str = "changed") -> None:
    """Keep a change as its writer's transaction would, at the time when this is called."""
    requests.transact([changes.record(moment, action, event)])


def at(clock: Clock, ago_s: float = 0) -> str:
    """Return the moment so many seconds ago."""
    moment = project_clock.from_text(project_clock.to_text(clock.moment))
    return project_clock.to_text(moment - timedelta(seconds=ago_s))


def test_each_change_is_told_with_what_it_is_about(api: Api, source: EventSource) -> None:
    api.post("/api/v1/events/", {"name": "GW150914"})
    api.put(GW, {"meta": {"a": 1}})
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    api.put(PROD, {"status": "running"})
    api.put(PROD, {"comment": "secret"})
    api.delete(PROD)
    api.delete(GW)
    source.connect()
    data = [json.loads(each.data) for each in source.heard]
    assert [each.type for each in source.heard] == ["event"] * 2 + ["production"] * 4 + ["event"]
    times = [each.pop("time") for each in data]
    assert times == sorted(times)
    about = {"kind": "production", "event": "GW150914", "name": "Prod_A"}
    assert data == [
        {"action": "created", "kind": "event", "event": "GW150914"},
        {"action": "changed", "kind": "event", "event": "GW150914"},
        {"action": "created", **about, "status": "ready"},
        {"action": "changed", **about, "status": "running"},
        {"action": "changed", **about},
        {"action": "deleted", **about},
        {"action": "deleted", "kind": "event", "event": "GW150914"},
    ]


def test_what_is_refused_and_what_changes_nothing_is_not_told(api: Api, source: EventSource) -> None:
    api.post("/api/v1/events/", {"name": "GW150914"})
    source.connect()
    api.post("/api/v1/events/", {"name": "GW150914"})
    api.put(GW, {})
    api.put("/api/v1/events/GW2", {"meta": {"a": 1}})
    api.post("/api/v1/productions/GW2", {"name": "Prod_A", "pipeline": "bilby"})
    api.put(PROD, {"status": "running"})
    api.delete(PROD)
    source.connect()
    assert told(source) == [("created", "GW150914", None)]


def test_a_stream_goes_on_where_it_was_cut(source: EventSource, clock: Clock) -> None:
    chance = random.Random(150914)
    made: list[Told] = []
    for number in range(40):
        name = f"GW{number}-\u00fc"
        keep(next(changes.moments()), name, "created")
        made.append(("created", name, None))
        source.cut_anywhere(chance)
        clock.advance(chance.choice((0, 0.1, 3, 45, 200)))  # over the borders of buckets, and of what is settled
    for _ in range(8):
        source.connect()
    assert told(source) == made


def late_commits(clock: Clock, chance: random.Random) -> Iterator[str]:
    """Let writers begin and end as they like, in the time that each may take; yield names when their changes are there."""
    waiting: list[tuple[str, str, float]] = []
    for number in range(50):
        ends = clock.moment.timestamp() + chance.uniform(0, changes.SETTLED_S - 0.1)
        waiting.append((at(clock), f"GW{number}", ends))
        clock.advance(chance.choice((0.001, 0.5, 15)))
        now = clock.moment.timestamp()
        for moment, name, end in [each for each in waiting if each[2] <= now or chance.random() < 0.1]:
            waiting.remove((moment, name, end))
            keep(moment, name)
            yield name
    for moment, name, _ in waiting:
        keep(moment, name)
        yield name


@pytest.mark.parametrize("most", [300, 4])
def test_a_change_whose_writer_took_long_is_told_all_the_same(
    source: EventSource, clock: Clock, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(change_stream, "MOST_TAGS", most)
    chance = random.Random(most)
    made = []
    source.connect()
    for name in late_commits(clock, chance):
        made.append(name)
        if chance.random() < 0.5:
            source.cut_anywhere(chance)
    clock.advance(changes.SETTLED_S)
    for _ in range(5):
        source.connect()
    heard = [event for _, event, _ in told(source)]
    assert sorted(heard) == sorted(made)
    assert len(set(heard)) == 50


def test_more_than_a_batch_is_told_in_several(
    source: EventSource, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_stream, "BATCH_MESSAGES", 3)
    source.connect()
    for number in range(10):
        keep(at(clock), f"GW{number}")
        clock.advance(1)
    source.connect()
    assert (len(source.heard), source.retry_ms) == (3, 20)
    clock.advance(7200)
    for _ in range(5):
        source.connect()
    assert [event for _, event, _ in told(source)] == [f"GW{number}" for number in range(10)]
    assert source.retry_ms == 1000


def test_who_was_away_for_long_is_told_all_that_is_kept(source: EventSource, clock: Clock) -> None:
    source.connect()
    for hour in range(20):
        keep(at(clock), f"GW{hour}")
        clock.advance(3600)
    while source.retry_ms != 1000 or not source.heard:
        source.connect()
    assert [event for _, event, _ in told(source)] == [f"GW{hour}" for hour in range(20)]


def test_who_was_away_for_longer_is_told_so(source: EventSource, clock: Clock) -> None:
    source.connect()
    keep(at(clock), "GW1")
    clock.advance(changes.KEPT_S + 400)
    keep(at(clock), "GW2")
    source.connect()
    source.connect()
    assert [(each.type, json.loads(each.data).get("event")) for each in source.heard] == [
        ("reset", None),
        ("event", "GW2"),
    ]


def test_a_position_moves_on_where_nothing_happens(source: EventSource, clock: Clock, calls: list[str]) -> None:
    source.connect()
    for _ in range(100):
        clock.advance(50)
        source.connect()
    calls.clear()
    source.connect()
    assert calls in (["Query"], ["Query", "Query"])
    assert source.heard == []


def test_a_batch_ends_when_it_is_large(source: EventSource, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_stream, "BATCH_BYTES", 1500)
    names = [f"GW{number}" for number in range(30)]
    for name in names:
        keep(at(clock), name)
        clock.advance(0.01)
    sizes: list[int] = []
    for _ in range(10):
        source.connect(lambda size: sizes.append(size) or size)
    assert [event for _, event, _ in told(source)] == names
    assert max(sizes) < 2500


def test_an_id_stays_short_however_much_happens(source: EventSource, clock: Clock) -> None:
    source.connect()
    for first in range(0, 330, 66):
        batch = [changes.record(at(clock, -n / 100), "changed", f"GW{n + first}") for n in range(66)]
        requests.transact(batch)
        clock.advance(0.66)
    for _ in range(3):
        source.connect()
    assert len(told(source)) == change_stream.MOST_TAGS
    assert len(source.last_id) < 4096
    clock.advance(changes.SETTLED_S)
    source.connect()
    assert [event for _, event, _ in told(source)] == [f"GW{number}" for number in range(330)]


def test_changes_of_a_record_have_moments_in_their_order_whatever_a_clock_says(
    api: Api, source: EventSource, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def to_another_machine(behind_s: float) -> None:
        clock.advance(-behind_s)
        monkeypatch.setattr(changes, "_latest", datetime.min.replace(tzinfo=UTC))

    api.post("/api/v1/events/", {"name": "GW150914"})
    to_another_machine(3)
    api.put(GW, {"meta": {"a": 1}})
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    to_another_machine(1)
    api.put(PROD, {"status": "running"})
    api.delete(GW)
    to_another_machine(0.5)
    api.post("/api/v1/events/", {"name": "GW150914"})
    source.connect()
    assert [(action, name) for action, _, name in told(source)] == [
        ("created", None),
        ("changed", None),
        ("created", "Prod_A"),
        ("changed", "Prod_A"),
        ("deleted", None),
        ("created", None),
    ]


def test_a_clock_that_was_far_ahead_keeps_nobody_from_writing(api: Api, clock: Clock) -> None:
    clock.advance(86_400)
    api.post("/api/v1/events/", {"name": "GW150914"})
    clock.advance(-86_400)
    assert api.put(GW, {"meta": {"a": 1}}).status == 200
    assert api.delete(GW).status == 204


def test_of_two_changes_of_one_record_the_second_is_not_there_without_a_later_moment(api: Api, clock: Clock) -> None:
    api.post("/api/v1/events/", {"name": "GW150914"})
    early = changes.later(at(clock, 1))
    write = requests.update(
        "sidereal-ledger", {"pk": "EVENT#GW150914", "sk": "EVENT"}, "SET #changed = :moment", changes.IS_LATER,
        names=changes.CHANGED, values={":moment": early[":moment"], ":ahead": early[":ahead"]},
    )  # fmt: skip
    with pytest.raises(ConditionFailedError):
        requests.transact([write])


def test_twenty_writers_at_once_are_told_one_by_one(api: Api, aws: Aws, source: EventSource) -> None:
    api.post("/api/v1/events/", {"name": "GW150914"})
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    calls: list[Callable[[], Any]] = [lambda n=number: api.put(PROD, {"meta": {f"k{n}": n}}) for number in range(16)]
    calls += [
        lambda: api.delete(PROD),
        lambda: api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"}),
        lambda: api.delete(GW),
        lambda: api.post("/api/v1/events/", {"name": "GW150914"}),
    ]
    at_once(calls)
    source.connect()
    heard = told(source)
    # replayed, they tell what is there
    events, productions = set(), set()
    for action, event, name in heard:
        there = productions if name else events
        if action == "created":
            assert (event, name) not in there
            there.add((event, name))
        else:
            assert (event, name) in there
        if action == "deleted":
            there.discard((event, name))
            if not name:
                productions.clear()
    answer = api.get(GW)
    assert (answer.status == 200) == bool(events)
    left = [each["name"] for each in answer.json["event"]["productions"]] if events else []
    assert left == [name for _, name in productions]
    assert len(heard) == len(
        [each for each in aws.items("sidereal-operations") if each["pk"]["S"].startswith("CHANGES#")]
    )


def test_an_event_with_many_productions_is_told_as_changed_and_then_as_deleted(
    api: Api, source: EventSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.storage.events.MAX_TOGETHER", 2)
    api.post("/api/v1/events/", {"name": "GW150914"})
    for number in range(3):
        api.post("/api/v1/productions/GW150914", {"name": f"Prod_{number}", "pipeline": "bilby"})
    source.connect()
    before = len(source.heard)
    assert api.delete(GW).status == 204
    source.connect()
    assert told(source)[before:] == [("changed", "GW150914", None), ("deleted", "GW150914", None)]


@pytest.mark.parametrize(
    "text",
    [
        "nonsense", "1", "2.1768014245678901..", "1.1768014245678901", "1.1768014245678901.short.",
        "1.1768014245678901..tag", "1.9768014245678901..", "1.١٧٦٨٠١٤٢٤٥٦٧٨٩٠١..", "1.1768014245678901.." + "a" * 8 * 301,
    ],
)  # fmt: skip
def test_a_text_that_is_no_id_of_this_stream_is_refused(api: Api, clock: Clock, text: str) -> None:
    query = {"١": "%D9%A1"}.get(text[2:3], text)
    answer = api.get(f"{STREAM}?last_event_id={query}")
    assert (answer.status, answer.json["error"]) == (400, "Validation error")
    assert answer.json["details"][0]["loc"] == ["Last-Event-ID"]


def test_the_header_wins_over_the_query_and_head_is_answered(api: Api, source: EventSource) -> None:
    source.connect()
    assert api.get(f"{STREAM}?last_event_id=nonsense", headers={"Last-Event-ID": source.last_id}).status == 200
    answer = api.request("HEAD", STREAM)
    assert (answer.status, answer.text) == (200, "")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store"


def test_changes_are_small_and_go_after_a_day(api: Api, aws: Aws, clock: Clock) -> None:
    api.post("/api/v1/events/", {"name": "G" * 200})
    change = next(each for each in aws.items("sidereal-operations") if each["pk"]["S"].startswith("CHANGES#"))
    assert len(json.dumps(change)) < 1000
    assert int(change["expires_at"]["N"]) >= clock.moment.timestamp() + changes.KEPT_S


def test_the_time_that_a_writer_may_take_follows_from_its_function_and_its_client() -> None:
    from tests.conftest import PROJECT

    config = json.loads((PROJECT / ".chalice" / "config.json").read_text())
    assert config["lambda_timeout"] == changes.REQUEST_S
    client = clients.dynamodb().meta.config
    assert client.connect_timeout + client.read_timeout <= changes.LAST_CALL_S


def test_who_changes_a_record_that_others_change_waits_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[int] = []
    monkeypatch.setattr(requests, "pause", pauses.append)
    with pytest.raises(UnavailableError):
        list(changes.moments())
    assert pauses == list(range(requests.CONFLICT_TRIES - 1))
