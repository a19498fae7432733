"""The page of a process and that of a group; and the colours of all pages."""

import json
import re
from html import unescape
from itertools import product
from pathlib import Path

import pytest

from chalicelib.handlers.pages.processes import SHOWN_LOG_CHARACTERS, end_of
from tests.conftest import Api
from tests.handlers.test_pages import HOSTILE, Failing, Filming, Measuring, Page, make_process

PAGES = Path(__file__).resolve().parents[2] / "chalicelib/pages"


@pytest.fixture(autouse=True)
def _pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {each.__name__: f"{each.__module__}.{each.__name__}" for each in (Filming, Failing, Measuring)}
    monkeypatch.setenv("PIPELINES", json.dumps(paths))


@pytest.fixture
def observed(api: Api) -> Api:
    """A target with one file."""
    target = api.target("M 13")
    assert api.upload(target, "a.csv", b"1,2\n").status == 201
    return api


def start(api: Api) -> None:
    """Start a process that no worker takes."""
    api.post("/api/pipeline/", {"target": 1, "pipeline": "Filming", "products": [1]})


def attribute(text: str, name: str) -> str:
    """Return the value of an attribute that one element of a page has."""
    return unescape(re.findall(rf' {name}="([^"]*)"', text)[0])


def is_hidden(text: str, element: str) -> bool:
    return " hidden" in re.search(rf'<\w+ id="{element}"[^>]*>', text)[0]  # type: ignore[index]


def test_the_page_begins_where_the_stream_goes_on(observed: Api) -> None:
    start(observed)
    running = observed.get("/pipeline/1").text
    seen = observed.get(f"/api/pipeline/1/stream?last_event_id={attribute(running, 'data-position')}")
    assert "event:" not in seen.text
    assert "data-ended" not in running
    ended = observed.get(f"/pipeline/{make_process(observed, 1, 1, Failing)}").text
    assert "data-ended" in ended
    assert observed.get(f"/api/pipeline/2/stream?last_event_id={attribute(ended, 'data-position')}").status == 204


def test_only_what_is_allowed_can_be_pressed(observed: Api) -> None:
    start(observed)
    make_process(observed, 1, 1, Failing)
    make_process(observed, 1, 1, Filming)
    pages = [observed.get(f"/pipeline/{number}").text for number in (1, 2, 3)]
    assert [is_hidden(text, "cancel") for text in pages] == [False, True, True]
    assert [is_hidden(text, "retry") for text in pages] == [True, False, True]


def test_outputs_are_shown_when_the_process_has_ended(observed: Api) -> None:
    start(observed)
    assert "They are shown here when it has ended." in observed.get("/pipeline/1").text
    make_process(observed, 1, 1, Filming)
    make_process(observed, 1, 1, Measuring)
    film = next(each for each in observed.get("/api/dataproducts/?target=1").json["results"] if "gif" in each["name"])
    text = observed.get("/pipeline/2").text
    assert f'<img src="{film["url"]}"' in text
    assert f'(prefers-reduced-motion: reduce)" srcset="/api/dataproducts/{film["id"]}/thumbnail/"' in text
    assert '<figure class="plot">' in observed.get("/pipeline/3").text


def test_the_whole_log_is_plain_text(observed: Api) -> None:
    make_process(observed, 1, 1, Filming)
    answer = observed.get("/pipeline/1/log")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text == observed.get("/api/pipeline/logs/1/").json["logs"]
    assert HOSTILE in answer.text
    assert observed.get("/pipeline/9/log").status == 404


def test_a_log_is_cut_between_lines() -> None:
    assert end_of("one\ntwo\n", 8) == "one\ntwo\n"
    assert end_of("one\ntwo\n", 7) == "two\n"
    assert end_of("one\ntwo\n", 4) == "two\n"
    assert end_of("one\n" + "x" * 10, 5) == "x" * 5


def test_page_and_script_hold_as_much_of_a_log() -> None:
    script = (PAGES / "process.js").read_text(encoding="utf-8")
    assert f"SHOWN_CHARACTERS = {SHOWN_LOG_CHARACTERS};" in script


def test_a_group_shows_its_films_and_who_made_them(observed: Api) -> None:
    make_process(observed, 1, 1, Filming)
    page = Page(observed.get("/dataproducts/data/group/1").text)
    assert {"/pipeline/1", "/targets/1", "/dataproducts/data/group/1/zip"} <= set(page.addresses)
    assert {"video", "picture"} & set(page.tags)
    assert "M 13" in page.words


def test_a_group_without_files_offers_no_download(api: Api) -> None:
    api.post("/api/dataproductgroups/", {"name": "empty"})
    page = Page(api.get("/dataproducts/data/group/1").text)
    assert "There are no files." in page.words
    assert not [each for each in page.addresses if each.endswith("zip")]


def test_the_key_is_asked_for_only_where_something_can_be_done(observed: Api) -> None:
    start(observed)
    page = Page(observed.get("/pipeline/1").text)
    assert {"key-dialog", "forget"} <= set(page.ids)
    assert ("autocomplete", "off") in page.attributes
    assert "key-dialog" not in Page(observed.get("/events").text).ids


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("is_dark", [False, True])
def test_every_text_can_be_read_on_every_ground(*, is_dark: bool) -> None:
    style = (PAGES / "style.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6});", block)) for block in re.findall(r":root {(.*?)}", style, re.S)
    )
    tokens = {**light, **dark} if is_dark else light
    grounds = ("ground", "raised", "sunk")
    texts = [*product(("ink", "quiet", "link", "good", "bad", "busy", "wait"), grounds), ("on-accent", "accent")]
    texts += [("night-ink", "night"), ("night-quiet", "night")]
    edges = [*product(("edge",), grounds), ("accent", "line")]
    ratios = {pair: contrast(tokens[pair[0]], tokens[pair[1]]) for pair in (*texts, *edges)}
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < (3 if pair in edges else 4.5)} == {}
