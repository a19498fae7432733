"""The pages of events: their productions as a drawing and one by one."""

import re
from typing import Any
from urllib.parse import quote

import pytest

from chalicelib.handlers.pages import events, rendering
from chalicelib.states import KINDS, PRODUCTION_STATUSES, kind_of
from tests.conftest import Api, Clock
from tests.handlers.test_pages import HOSTILE, Page

EVENT = "/api/v1/events"
GW = "/api/v1/productions/GW150914"


def produce(api: Api, name: str, *needs: str, pipeline: str = "bilby", status: str = "", **more: Any) -> None:
    body = {"name": name, "pipeline": pipeline, "dependencies": list(needs), **more}
    assert api.post(GW, body).status == 201
    if status:
        assert api.request("PUT", f"{GW}/{quote(name, safe='')}", {"status": status}).status == 200


@pytest.fixture
def event(api: Api) -> Api:
    assert api.post(EVENT, {"name": "GW150914"}).status == 201
    return api


def drawing(text: str) -> str:
    return re.search(r'<figure class="graph">.*?</figure>', text, re.DOTALL)[0]  # type: ignore[index]


def test_productions_are_drawn_with_their_states_and_lead_to_their_entries(event: Api) -> None:
    produce(event, "Prod0", pipeline="bayeswave", status="uploaded")
    produce(event, "Prod1", "Prod0", status="stuck")
    text = event.get("/events/GW150914").text
    boxes = re.findall(r'<a class="box is-(\w+)" href="([^"]+)".*?<title>([^<]+)</title>', drawing(text), re.DOTALL)
    assert boxes == [
        ("done", "#production-Prod0", "Prod0: uploaded, bayeswave"),
        ("failed", "#production-Prod1", "Prod1: stuck, bilby, needs Prod0"),
    ]
    assert {"production-Prod0", "production-Prod1"} <= set(Page(text).ids)
    assert drawing(text).count("<path d=") == 1 + len(set(KINDS) & {"done", "failed"})
    assert 'href="#production-Prod0"><bdi>Prod0</bdi>' in text.partition("</figure>")[2]


def test_a_name_that_is_not_there_is_drawn_dashed_and_leads_nowhere(event: Api) -> None:
    produce(event, "Prod1", "Prod0")
    text = event.get("/events/GW150914").text
    assert re.search(r'<g class="box is-missing"[^>]*>\s*<title>Prod0: there is no such production yet', text)
    assert "production-Prod0" not in text
    assert "Prod0</bdi> (not there yet)" in text


def test_those_that_others_need_stand_first_in_the_list(event: Api) -> None:
    produce(event, "late", "middle")
    produce(event, "middle", "early")
    produce(event, "early")
    ids = [each for each in Page(event.get("/events/GW150914").text).ids if each.startswith("production-")]
    assert ids == ["production-early", "production-middle", "production-late"]


def test_the_drawing_leads_to_entries_on_other_pages(event: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "FILES", 2)
    for name in ("A", "B", "C"):
        produce(event, name)
    page = Page(event.get("/events/GW150914").text)
    assert {"#production-A", "#production-B", "?page=2#production-C"} <= set(page.addresses)
    assert "production-C" in Page(event.get("/events/GW150914?page=2").text).ids


def test_names_that_bite_stay_text_inside_the_drawing(event: Api) -> None:
    name = HOSTILE.replace("/", "").replace("#", "")
    missing = f'" onload="x {name}'
    produce(event, name, missing, comment=HOSTILE)
    text = event.get("/events/GW150914").text
    page = Page(text)
    assert "<script>alert" not in text
    assert not [attribute for attribute, _ in page.attributes if attribute.startswith("on")]
    assert not [attribute for attribute, _ in page.attributes if attribute == "style"]
    address = next(each for each in page.addresses if each.startswith("#production-"))
    assert address[1:] in page.ids
    assert f"{name}: ready, bilby, needs {missing}" in page.words


def test_a_page_of_long_names_fits_into_an_answer(event: Api) -> None:
    names = ["日" * 199 + letter for letter in "ABC"]
    for number, name in enumerate(names):
        produce(event, name, *names[:number])
    text = event.get("/events/GW150914").text
    page = Page(text)
    anchors = [each for each in page.addresses if each.startswith("#production-")]
    assert len(set(anchors)) == len(names)
    assert all(anchor[1:] in page.ids and len(anchor) < 80 for anchor in anchors)


def test_a_comment_keeps_its_lines_and_a_long_one_is_folded(event: Api) -> None:
    produce(event, "short", comment="one\ntwo")
    produce(event, "long", comment="word " * 300)
    text = event.get("/events/GW150914").text
    assert '<p class="foreign">one\ntwo</p>' in text
    folded = r'comment of <bdi>long</bdi>: <bdi>(word )+word\.\.\.</bdi></summary><p class="foreign">word'
    assert re.search(f"<details><summary>{folded}", text)


def test_of_very_many_needs_some_are_named(event: Api) -> None:
    produce(event, "A", *[f"M{number}" for number in range(30)])
    text = event.get("/events/GW150914").text
    assert "M19</bdi>" in text
    assert "M20</bdi>" not in text
    assert "and 10 more</p>" in text


def test_long_meta_of_an_event_is_folded(api: Api) -> None:
    api.post(EVENT, {"name": "short", "meta": {"gps": 1126259462.4}})
    api.post(EVENT, {"name": "long", "meta": {f"key {number}": number for number in range(50)}})
    assert "<details><summary>" not in api.get("/events/short").text
    assert "<details><summary>50 keys</summary>" in api.get("/events/long").text


def test_events_tell_how_many_productions_are_in_which_state(event: Api) -> None:
    for name, status in (("A", "running"), ("B", "finished"), ("C", "running")):
        produce(event, name, status=status)
    text = event.get("/events").text
    assert re.findall(r'data-status="(\w+)">\w+</span> (\d+)', text) == [("running", "2"), ("finished", "1")]
    bar = re.search(r'<svg class="share".*?</svg>', text, re.DOTALL)[0]  # type: ignore[index]
    assert re.findall(r'is-(\w+)" x="(\d+)" width="(\d+)"', bar) == [("working", "0", "2"), ("done", "2", "1")]
    assert "Not all productions are counted" not in text


def test_a_page_of_events_counts_so_many_productions_and_says_so(event: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "COUNTED", 1)
    for name in ("A", "B"):
        produce(event, name)
    text = event.get("/events").text
    assert "2 productions" in text
    assert 'data-status="ready"' not in text
    assert "Not all productions are counted" in text


@pytest.mark.parametrize("address", ["/events", "/events/GW150914"])
def test_a_page_follows_the_ledger_from_where_it_was_read(clock: Clock, event: Api, address: str) -> None:
    clock.advance(3600)
    produce(event, "Prod0")
    position = re.search(r'data-position="([^"]+)"', event.get(address).text)[1]  # type: ignore[index]
    produce(event, "Prod1")
    told = event.get(f"/api/v1/stream?last_event_id={quote(position)}").text
    assert '"GW150914"' in told
    assert '"Prod1"' in told
    assert '"kind": "event"' not in told


@pytest.mark.parametrize("status", [*PRODUCTION_STATUSES, "pending", "created", "failed"])
def test_a_badge_has_the_colour_that_the_drawing_has(status: str) -> None:
    style = rendering._text("style.css")
    box = re.search(rf"[^{{}}]*\.is-{kind_of(status)}\b[^{{}}]*{{ color: var\((--\w+)\)", style)[1]  # type: ignore[index]
    badges = re.findall(rf"\.badge[^{{}}]*\[data-status={status}\][^{{}}]*{{ color: var\((--\w+)\)", style)
    expected = badges or [re.search(r"\.badge {[^}]*color: var\((--\w+)\)", style)[1]]  # type: ignore[index]
    # a process that waits is a person's next film: it stands out from productions that wait for others
    assert expected == (["--wait"] if status == "pending" else [box])


def test_every_status_of_a_production_is_of_one_kind() -> None:
    statuses = [status for its in KINDS.values() for status in its]
    assert len(statuses) == len(set(statuses))
    assert set(PRODUCTION_STATUSES) <= set(statuses)
    assert kind_of("Gathering data files") == "working"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Prod0", "Prod0"),
        ("l" * 18, "l" * 18),
        ("l" * 19, "l" * 17 + "…"),
        ("W" * 20, "W" * 10 + "…"),
        ("日" * 20, "日" * 9 + "…"),
        ("e\u0301" * 18, "e\u0301" * 18),
    ],
)
def test_a_name_is_cut_where_its_box_ends(text: str, shown: str) -> None:
    assert events.fit(text, 11.0) == shown
