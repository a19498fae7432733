"""The pages: what people see who follow an address out of an answer of the APIs."""

import base64
import hashlib
import json
import re
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import pytest

from chalicelib.pipelines.base import AsyncError, DataProduct, PipelineOptions, PipelineProcess, ReducedDatum
from tests.conftest import Answer, Api, Aws

HOSTILE = '<script>alert("x")</script>\'&amp;'
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


class Page(HTMLParser):
    """What a page holds: addresses, ids, texts, and the contents of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.inline: list[tuple[str, str]] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._inside = tag
        for name, value in attrs:
            if name in ("href", "src"):
                self.addresses.append(value or "")
            elif name == "id":
                self.ids.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("style", "script"):
            self.inline.append((self._inside, data))
        else:
            self.words += data


class Filming(PipelineProcess):
    """Makes a film of whatever it is given."""

    short_name = "tl"
    flags: ClassVar[dict[str, dict[str, Any]]] = {"crop": {"default": False, "long_name": "Crop"}}

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> list[tuple[Any, ...]]:
        self.log(f"Processing frame 12/12 {HOSTILE}")
        self.progress(12, 12)
        film = tmpdir / "t.gif"
        film.write_bytes(GIF)
        return [(film, DataProduct, "timelapse", {"frames": 12})]


class Failing(PipelineProcess):
    """Fails, and says why."""

    short_name = "fail"

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> list[Any]:
        raise AsyncError(f"No frame {HOSTILE}")


class Breaking(PipelineProcess):
    """Breaks in the middle, so that its process waits for another try."""

    short_name = "break"

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> list[Any]:
        self.log("the beginning\n" + "x" * 250_000 + f"\nProcessing frame 3/12 {HOSTILE}")
        self.progress(3, 12)
        self.update_status("running")
        raise ZeroDivisionError


class SampleOptions(PipelineOptions):
    """One option."""

    label: str = ""


class Measuring(PipelineProcess):
    """Measures two points, and draws them."""

    short_name = "ph"
    options_model = SampleOptions

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> list[tuple[Any, ...]]:
        plot = tmpdir / "curve.png"
        plot.write_bytes(GIF)
        points = [(60000.0 + day, 12.5, 0.01, self.input_files[0].name) for day in range(2)]
        return [(plot, DataProduct, "plot"), (None, ReducedDatum, "", points)]


def make_process(api: Api, target: int, product: int, pipeline: type[PipelineProcess]) -> int:
    """Start a process, run it, and return its id."""
    from chalicelib.services.runs import run_process

    body = {"target": target, "pipeline": pipeline.__name__, "products": [product]}
    if pipeline is Filming:
        body["flags"] = {"crop": True}
    if pipeline is Measuring:
        body["options"] = {"label": HOSTILE}
    process_id = int(api.post("/api/pipeline/", body).json["id"])
    with suppress(ZeroDivisionError):
        run_process(process_id)
    return process_id


@pytest.fixture(autouse=True)
def _pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {each.__name__: f"{__name__}.{each.__name__}" for each in (Filming, Failing, Breaking, Measuring)}
    monkeypatch.setenv("PIPELINES", json.dumps(paths))


@pytest.fixture
def world(api: Api) -> Api:
    """A target with files, a finished and a failed process, and an event; all of them with names that bite."""
    target = api.target(f"M 13 {HOSTILE}", extra_fields={"note": HOSTILE})
    group = api.post("/api/dataproductgroups/", {"name": f"group {HOSTILE}"}).json["id"]
    assert api.upload(target, 'a & b "<i>.csv', b"1,2\n", group=[group]).status == 201
    assert api.upload(target, "dark?.gif", GIF, group=[group]).status == 201
    for pipeline in (Filming, Failing, Breaking):
        make_process(api, target, 1, pipeline)
    event = {"name": 'GW <b>"1"', "repository": HOSTILE, "working directory": HOSTILE, "meta": {HOSTILE: [HOSTILE]}}
    assert api.post("/api/v1/events", event).status == 201
    path = "/api/v1/productions/GW%20%3Cb%3E%221%22"
    production = {"name": 'Prod <b>"0', "pipeline": "bilby", "comment": HOSTILE, "meta": {"x": HOSTILE}}
    assert api.post(path, production).status == 201
    return api


EVENT = "/events/GW%20%3Cb%3E%221%22"
PAGES = (
    "/",
    "/targets/1",
    "/targets/1/",
    "/pipeline/1",
    "/pipeline/2/",
    "/pipeline/3",
    "/dataproducts/data/group/1",
    "/dataproducts/data/group/2/",
    "/events",
    EVENT,
)
MISSING = (
    "/targets/99",
    "/targets/M13",
    "/targets/0",
    "/pipeline/99",
    "/pipeline/x",
    "/dataproducts/data/group/99",
    "/events/none",
)


def invoke_on_stage(path: str, resource: str, params: dict[str, str], stage: str = "dev") -> Answer:
    """Send the event that API Gateway sends for a stage on its own domain name."""
    from app import app

    event = {
        "resource": resource,
        "path": path,
        "httpMethod": "GET",
        "headers": {"host": "abc.execute-api.us-east-1.amazonaws.com", "x-forwarded-proto": "https"},
        "multiValueHeaders": {},
        "multiValueQueryStringParameters": None,
        "pathParameters": params or None,
        "stageVariables": None,
        "requestContext": {
            "httpMethod": "GET",
            "resourcePath": resource,
            "path": f"/{stage}{path}",
            "stage": stage,
            "requestId": "r-1",
        },
        "body": None,
        "isBase64Encoded": False,
    }
    answer = app(event, None)
    return Answer(answer["statusCode"], {k.lower(): v for k, v in answer["headers"].items()}, answer["body"])


def test_a_page_is_html(world: Api) -> None:
    for path in PAGES:
        answer = world.get(path)
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        page = Page(answer.text)
        assert answer.text.startswith("<!DOCTYPE html>")
        assert page.tags.count("h1") == 1
        assert page.tags.count("main") == 1
        assert len(page.ids) == len(set(page.ids))
        assert "set-cookie" not in answer.headers


def test_what_does_not_exist_is_a_404_page(world: Api) -> None:
    for path in MISSING:
        answer = world.get(path)
        assert answer.status == 404
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "not found" in Page(answer.text).words.lower()


def test_the_home_page_of_an_empty_project_says_so(api: Api) -> None:
    words = Page(api.get("/").text).words
    assert "There are no targets." in words
    assert "There are no events." in words
    assert "There are no events." in Page(api.get("/events").text).words


def test_a_page_takes_no_other_method(world: Api) -> None:
    answer = world.post("/targets/1", {})
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_an_unknown_error_is_a_page_that_says_nothing(world: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("chalicelib.storage.groups.get", fail)
    answer = world.get("/dataproducts/data/group/1")
    assert answer.status == 500
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "secret" not in answer.text


def test_names_cannot_become_markup(world: Api) -> None:
    for path in (*PAGES, *MISSING):
        answer = world.get(path)
        page = Page(answer.text)
        assert "<script>alert" not in answer.text
        assert "b" not in page.tags
        assert "i" not in page.tags
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        assert not [name for name, _ in page.attributes if name == "style"]


def test_hostile_names_are_shown_as_they_are(world: Api) -> None:
    assert HOSTILE in Page(world.get("/targets/1").text).words
    assert HOSTILE in Page(world.get("/pipeline/2").text).words
    assert f"No frame {HOSTILE}" in Page(world.get("/pipeline/2").text).words
    assert HOSTILE in Page(world.get(EVENT).text).words
    assert 'Prod <b>"0' in Page(world.get(EVENT).text).words


def test_only_a_web_address_becomes_the_link_of_a_repository(api: Api) -> None:
    api.post("/api/v1/events", {"name": "A", "repository": "https://example.org/a.git"})
    api.post("/api/v1/events", {"name": "B", "repository": "javascript:alert(1)"})
    assert "https://example.org/a.git" in Page(api.get("/events/A").text).addresses
    page = Page(api.get("/events/B").text)
    assert "javascript:alert(1)" in page.words
    assert not [each for each in page.addresses if each.startswith("javascript")]


def test_every_address_on_a_page_is_answered(world: Api) -> None:
    answers: dict[str, Answer] = {}
    for path in (*PAGES, *MISSING):
        page = Page(world.get(path).text)
        for address in page.addresses:
            where, _, fragment = address.partition("#")
            if address.startswith("data:"):
                continue
            if not where:
                assert fragment in page.ids
                continue
            where = path + where if where.startswith("?") else where
            if where not in answers:
                answers[where] = world.get(where)
            # 202: what is shown or downloaded is being made
            assert answers[where].status in (200, 202, 302), address
            assert not fragment or fragment in Page(answers[where].text).ids, address


def test_addresses_that_the_apis_hand_out_are_pages(world: Api) -> None:
    process = world.get("/api/pipeline/1/").json
    listed = world.get("/api/async/status/1/").json["processes"]
    for address in [process["group_url"], *(each["view_url"] for each in listed)]:
        assert world.get(address).headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "resource", "params"),
    [
        ("/", "/", {}),
        ("/targets/1", "/targets/{target_id}", {"target_id": "1"}),
        ("/targets/99", "/targets/{target_id}", {"target_id": "99"}),
        ("/pipeline/1", "/pipeline/{process_id}", {"process_id": "1"}),
        ("/pipeline/3", "/pipeline/{process_id}", {"process_id": "3"}),
        ("/dataproducts/data/group/1", "/dataproducts/data/group/{group_id}", {"group_id": "1"}),
        ("/events", "/events", {}),
        (EVENT, "/events/{event_name}", {"event_name": "GW%20%3Cb%3E%221%22"}),
    ],
)
def test_links_stay_on_the_stage(world: Api, path: str, resource: str, params: dict[str, str]) -> None:
    answer = invoke_on_stage(path, resource, params)
    assert answer.status in (200, 404)
    page = Page(answer.text)
    local = [each for each in page.addresses if not each.startswith(("#", "?", "data:"))]
    assert local
    assert not [each for each in local if not each.startswith("/dev/")]
    assert ("data-prefix", "/dev") in page.attributes or "pipeline" not in path


def test_the_policy_allows_what_is_on_the_page_and_nothing_else(world: Api) -> None:
    for path in (*PAGES, *MISSING):
        answer = world.get(path)
        rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
        assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == rules["frame-ancestors"] == "'none'"
        assert rules["connect-src"] == "'self'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        for kind, text in Page(answer.text).inline:
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in rules[f"{kind}-src"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_pictures_may_come_from_where_their_addresses_lead(world: Api) -> None:
    page = world.get("/targets/1")
    source = next(each for each in Page(page.text).addresses if each.endswith("_t.gif"))
    origin = re.match(r"https?://[^/]+", world.get(source).headers["location"])[0]  # type: ignore[index]
    policy = page.headers["content-security-policy"]
    assert re.search(rf"img-src [^;]*{re.escape(origin)}(?=[ ;])", policy)
    assert origin not in world.get("/events").headers["content-security-policy"]


def test_a_running_process_shows_how_far_it_is_and_follows_without_scripts_too(world: Api) -> None:
    running, ended = Page(world.get("/pipeline/3").text), Page(world.get("/pipeline/2").text)
    assert "3 of 12" in running.words
    assert ("value", "3") in running.attributes
    assert "noscript" in running.tags
    assert "noscript" not in ended.tags


def test_a_finished_process_leads_to_its_outputs(world: Api) -> None:
    assert "/dataproducts/data/group/2/" in Page(world.get("/pipeline/1").text).addresses


def test_of_a_long_log_the_page_begins_with_the_end(world: Api) -> None:
    text = world.get("/pipeline/3").text
    assert "Processing frame 3/12" in text
    assert "the beginning" not in text
    assert len(text) < 250_000
    assert "the beginning" in world.get("/api/pipeline/logs/3/").json["logs"]


def test_the_newest_targets_come_first_and_older_pages_lead_to_the_first(api: Api) -> None:
    for number in range(1, 61):
        api.target(f"T{number}")
    path, seen, counts = "/", [], []
    while path:
        page = Page(api.get(path).text)
        numbers = [int(each.rpartition("/")[2]) for each in page.addresses if re.fullmatch(r"/targets/\d+", each)]
        seen += numbers
        counts.append(len(numbers))
        older = re.search(r'href="(\?next=[^"]+)" rel="next"', api.get(path).text)
        path = f"/{older[1]}" if older else ""
        assert len(counts) < 10
    assert seen == list(range(60, 0, -1))
    assert counts == [25, 25, 10]


def test_newer_leads_back(api: Api) -> None:
    for number in range(30):
        api.post("/api/v1/events", {"name": f"E{number:02}"})
    older = re.search(r'href="(\?next=[^"]+)" rel="next"', api.get("/events").text)
    page = api.get(f"/events{older[1]}").text  # type: ignore[index]
    assert re.findall(r'href="/events/(E\d\d)"', page) == ["E04", "E03", "E02", "E01", "E00"]
    newer = re.search(r'href="(\?next=[^"]+)" rel="prev"', page)
    back = api.get(f"/events{newer[1]}").text  # type: ignore[index]
    assert re.findall(r'href="/events/(E\d\d)"', back) == [f"E{number:02}" for number in range(29, 4, -1)]


def test_a_cursor_of_another_list_is_refused_with_a_page(api: Api) -> None:
    api.target()
    answer = api.get("/?next=nonsense")
    assert answer.status == 400
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_the_files_of_a_large_group_come_in_pages(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.handlers.pages.rendering.FILES", 2)
    target = api.target()
    group = api.post("/api/dataproductgroups/", {"name": "g"}).json["id"]
    for name in ("a.csv", "b.csv", "c.csv"):
        api.upload(target, name, b"1", group=[group])
    first, second = (api.get(f"/dataproducts/data/group/1/?page={number}").text for number in (1, 2))
    assert ("a.csv" in first, "b.csv" in first, "c.csv" in first) == (True, True, False)
    assert ("a.csv" in second, "b.csv" in second, "c.csv" in second) == (False, False, True)
    assert api.get("/dataproducts/data/group/1/?page=3").status == 404
    assert api.get("/dataproducts/data/group/1/?page=x").status == 400


def test_a_large_object_is_cut(api: Api) -> None:
    deep: Any = 0
    for _ in range(50):
        deep = [deep]
    meta = {f"key {number}": deep for number in range(1000)}
    assert api.post("/api/v1/events", {"name": "deep", "meta": meta}).status == 201
    text = api.get("/events/deep").text
    assert "…" in text
    assert len(text) < 50_000


def test_numbers_of_meta_look_as_they_were_sent(api: Api) -> None:
    api.post("/api/v1/events", {"name": "E", "meta": {"far": 1e-7, "one": 1.0, "gps": 1126259462.4}})
    words = Page(api.get("/events/E").text).words
    shown = json.loads(re.search(r"\{.*\}", words, re.DOTALL)[0])  # type: ignore[index]
    assert shown == {"far": 1e-7, "one": 1.0, "gps": 1126259462.4}
    assert '"one": 1.0' in words


def test_a_page_costs_few_requests(world: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.storage.clients import dynamodb

    calls: list[str] = []
    dynamodb().meta.events.register("before-call.dynamodb", lambda model, **_: calls.append(model.name))
    counts = {}
    for path in PAGES:
        calls.clear()
        assert world.get(path).status == 200
        counts[path] = sorted(calls)
    # eight Queries are those of the partitions of what is running; names of its targets, states of productions
    assert counts["/"] == [*["BatchGetItem"] * 2, *["GetItem"] * 2, *["Query"] * 10]
    # points; how far the running process is; names of groups
    assert counts["/targets/1"] == [*["BatchGetItem"] * 3, *["GetItem"] * 2, *["Query"] * 5]
    assert counts["/pipeline/1"] == ["BatchGetItem", "GetItem", "Query"]
    # files, and names of their targets
    assert counts["/dataproducts/data/group/1"] == ["BatchGetItem", "BatchGetItem", "Query"]
    assert counts["/events"] == ["BatchGetItem", "GetItem", "Query"]
    assert counts[EVENT] == ["Query"]


def test_the_app_starts_without_the_template_engine() -> None:
    import subprocess
    import sys

    project = Path(__file__).resolve().parents[2]
    code = "import sys, app; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=project, check=False).returncode == 0


@pytest.mark.parametrize("path", ["/targets/1", "/dataproducts/data/group/1"])
def test_files_are_shown_by_their_thumbnails_which_take_their_room_from_the_start(world: Api, path: str) -> None:
    text = world.get(path).text
    gallery = re.search(r'<ul class="gallery">.*?</ul>', text, re.DOTALL)[0]  # type: ignore[index]
    products = world.get("/api/dataproducts/?target=1").json["results"]
    if "group" in path:
        products = [each for each in products if 1 in each["groups"]]
    pictures = [each for each in products if each["name"].endswith(".gif")]
    assert 0 < len(pictures) < len(products)
    page = Page(gallery)
    assert page.tags.count("li") == len(products)
    for product in products:
        assert product["url"] in page.addresses
        is_shown = f"/api/dataproducts/{product['id']}/thumbnail/" in page.addresses
        assert is_shown == (product in pictures)
    for tag in re.findall(r"<img [^>]*>", gallery):
        for attribute in ('alt="Thumbnail of"', 'width="256"', 'height="256"', 'loading="lazy"'):
            assert attribute in tag
    assert "script" in [kind for kind, _ in Page(text).inline]


def test_thumbnails_may_come_from_the_bucket(api: Api, aws: Aws) -> None:
    from chalicelib.services.thumbnails import make_thumbnail

    api.upload(api.target(), "a.gif", GIF)
    make_thumbnail(1)
    link = api.get("/api/dataproducts/1/thumbnail/").headers["location"]
    origin = re.match(r"https?://[^/]+", link)[0]  # type: ignore[index]
    policy = api.get("/targets/1").headers["content-security-policy"]
    assert re.search(rf"img-src [^;]*'self' [^;]*{re.escape(origin)}(?=[ ;])", policy)


def test_the_files_of_a_group_come_as_one(world: Api) -> None:
    from chalicelib.services.archives import make_archive

    assert "/dataproducts/data/group/1/zip" in Page(world.get("/dataproducts/data/group/1").text).addresses
    assert "/dataproducts/data/group/2/zip" in Page(world.get("/pipeline/1").text).addresses
    answer = world.get("/dataproducts/data/group/1/zip")
    assert (answer.status, answer.headers["content-type"]) == (202, "text/html; charset=utf-8")
    assert re.search(r'<meta http-equiv="refresh" content="\d+">', answer.text)
    assert answer.headers["cache-control"] == "no-store"
    make_archive(1, lambda: 900)
    answer = world.get("/dataproducts/data/group/1/zip")
    assert (answer.status, ".zip?" in answer.headers["location"]) == (302, True)


def test_a_group_without_files_offers_no_archive(api: Api) -> None:
    api.post("/api/dataproductgroups/", {"name": "empty"})
    assert "zip" not in api.get("/dataproducts/data/group/1").text
    answer = api.get("/dataproducts/data/group/1/zip")
    assert (answer.status, answer.headers["content-type"]) == (409, "text/html; charset=utf-8")
    assert "The group has no files." in Page(answer.text).words
    assert api.get("/dataproducts/data/group/9/zip").status == 404


def test_a_target_shows_its_light_curve_and_where_its_points_are(api: Api) -> None:
    target = api.target(f"M 13 {HOSTILE}")
    api.upload(target, "a.csv", b"1")
    assert "Photometry" not in Page(api.get("/targets/1").text).words
    make_process(api, target, 1, Measuring)
    page = Page(api.get("/targets/1").text)
    assert "Photometry 2 points" in page.words
    assert "/targets/1/data/download/" in page.addresses
    plot = api.get("/api/target/1/photometry/").json["plot"]
    assert page.addresses.count(plot[plot.index("/data/") :]) >= 2  # the picture, and the link around it
    assert "b" not in page.tags


def test_a_process_shows_its_options(api: Api) -> None:
    target = api.target()
    api.upload(target, "a.csv", b"1")
    process = make_process(api, target, 1, Measuring)
    words = Page(api.get(f"/pipeline/{process}").text).words
    assert f"label {json.dumps(HOSTILE)}" in words
