"""The first page and that of a target: what runs, what can be selected, started, asked for and cancelled."""

import json
import re
from html.parser import HTMLParser
from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field

from chalicelib.handlers.pages.coordinates import declination, right_ascension
from chalicelib.handlers.pages.pipeline_forms import pipeline_forms
from chalicelib.pipelines.base import PipelineOptions, PipelineProcess
from tests.asking import FIELDS, asked
from tests.conftest import Api, Aws, Clock

HOSTILE = '<i>"x"</i>\'&amp;'


class Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def having(self, attribute: str) -> list[dict[str, str | None]]:
        """Return the attributes of the elements that have one."""
        return [attributes for _, attributes in self.found if attribute in attributes]


class OddOptions(PipelineOptions):
    """One option of each kind."""

    name: str = HOSTILE
    count: int = Field(3, ge=1, le=9)
    scale: float | None = Field(None, gt=0, description=f"Scale {HOSTILE} of the flag `sharp`, or `none`")
    quick: bool = True
    sure: bool | None = None
    mode: Literal["a", HOSTILE] = "a"  # type: ignore[valid-type]
    step: Literal[1, 2] | None = None
    places: tuple[float, ...] = Field((1.5,), min_length=1, max_length=3)


class Odd(PipelineProcess):
    """Asks for all kinds of things."""

    short_name = "odd"
    flags: ClassVar[dict[str, dict[str, Any]]] = {"sharp": {"default": True, "long_name": f"Flag {HOSTILE}"}}
    options_model = OddOptions

    def do_pipeline(self, tmpdir: Any, **flags: bool) -> list[Any]:
        return []


@pytest.mark.parametrize(
    ("degrees", "text"),
    [
        (0.0, "00h 00m 00.00s"),
        (250.42183, "16h 41m 41.24s"),
        (15 - 1e-9, "01h 00m 00.00s"),  # 59.99999 s carry into the minutes, and these into the hours
        (359.99999, "00h 00m 00.00s"),  # 23h 59m 59.998s: a day begins anew
        (359.9999, "23h 59m 59.98s"),
    ],
)
def test_a_right_ascension_is_told_in_hours(degrees: float, text: str) -> None:
    assert right_ascension(degrees) == text


@pytest.mark.parametrize(
    ("degrees", "text"),
    [
        (36.459861, "+36° 27′ 35.5″"),
        (-0.5, "−00° 30′ 00.0″"),
        (-5.99999, "−06° 00′ 00.0″"),
        (89.99999, "+90° 00′ 00.0″"),
        (-1e-9, "+00° 00′ 00.0″"),
    ],
)
def test_a_declination_is_told_in_degrees(degrees: float, text: str) -> None:
    assert declination(degrees) == text


def test_an_option_has_the_field_that_its_type_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINES", json.dumps({"Odd": f"{__name__}.Odd"}))
    (form,) = pipeline_forms()
    fields = {field.name: field for field in form.options}
    assert {name: (field.kind, field.value) for name, field in fields.items()} == {
        "name": ("string", HOSTILE),
        "count": ("integer", "3"),
        "scale": ("number", ""),
        "quick": ("boolean", "true"),
        "sure": ("choice", "null"),
        "mode": ("choice", '"a"'),
        "step": ("choice", "null"),
        "places": ("json", "[1.5]"),
    }
    assert (fields["count"].minimum, fields["count"].maximum, fields["count"].limits) == (1, 9, "1 to 9")
    assert fields["scale"].limits == "more than 0"
    assert fields["scale"].words == f"Scale {HOSTILE} of the flag “Flag {HOSTILE}”, or none"
    assert fields["places"].limits == "1 to 3 of them, as JSON"
    assert [value for value, _ in fields["sure"].choices] == ["null", "true", "false"]
    assert [value for value, _ in fields["step"].choices] == ["null", "1", "2"]
    assert fields["mode"].choices[1] == (json.dumps(HOSTILE), HOSTILE)


@pytest.fixture
def _odd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINES", json.dumps({HOSTILE: f"{__name__}.Odd"}))


@pytest.mark.usefixtures("_odd")
def test_a_target_offers_every_pipeline_with_its_flags_and_options(api: Api) -> None:
    api.target()
    text = api.get("/targets/1").text
    page = Elements(text)
    assert [each["data-pipeline"] for each in page.having("data-pipeline")] == [HOSTILE]
    assert [(each["data-flag"], "checked" in each) for each in page.having("data-flag")] == [("sharp", True)]
    fields = {each["data-option"]: each for each in page.having("data-option")}
    assert list(fields) == list(OddOptions.model_fields)
    count = fields["count"]
    assert [count[each] for each in ("type", "min", "max", "step", "value")] == ["number", "1", "9", "1", "3"]
    assert fields["name"]["value"] == HOSTILE
    assert "i" not in [tag for tag, _ in page.found]
    for field in page.having("data-field"):  # where its fault is told
        place = (field["aria-describedby"] or "").split()[-1]
        assert place in [each["id"] for each in page.having("id")]


def test_files_can_be_selected_and_groups_of_them_be_taken(api: Api) -> None:
    target = api.target()
    group = api.post("/api/dataproductgroups/", {"name": HOSTILE}).json["id"]
    api.upload(target, "a.csv", b"1", group=[group])
    api.upload(target, "b.dat", b"SIMPLE  =", data_product_type="fits_file")
    page = Elements(api.get("/targets/1").text)
    boxes = {
        each["value"]: "data-fits" in each
        for _, each in page.found
        if each.get("type") == "checkbox" and "value" in each
    }
    assert boxes == {"2": True, "1": False}
    assert f'<option value="{group}">' in api.get("/targets/1").text
    assert "i" not in [tag for tag, _ in page.found]


def test_the_first_page_shows_the_newest_of_what_is_running(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.handlers.pages.home.RUNNING", 2)
    api.upload(api.target("M 13"), "a.fits", b"SIMPLE  =" + b" " * 2880)
    for _ in range(3):
        api.post("/api/pipeline/", {"target": 1, "pipeline": "Timelapse", "products": [1]})
    text = api.get("/").text
    assert re.findall(r'href="/pipeline/(\d+)"', text) == ["3", "2"]
    assert 'TimelapsePipeline of <a href="/targets/1"><bdi>M 13</bdi></a>' in text
    assert "<strong>3</strong> running processes" in text
    monkeypatch.setattr("chalicelib.handlers.pages.home.RUNNING", 1)
    monkeypatch.setattr("chalicelib.storage.processes.OPEN_SHARDS", 1)
    api.post(
        "/api/pipeline/", {"target": 1, "pipeline": "Timelapse", "products": [1]}
    )  # not all of a partition is read
    api.post("/api/pipeline/", {"target": 1, "pipeline": "Timelapse", "products": [1]})
    text = api.get("/").text
    assert "<strong>at least 4</strong> running processes" in text
    assert re.findall(r'href="/pipeline/(\d+)"', text) == ["5"]
    api.post("/api/pipeline/5/cancel/")
    assert re.findall(r'href="/pipeline/(\d+)"', api.get("/").text) == ["4"]


def test_a_page_tells_how_far_a_process_is(api: Api, aws: Aws) -> None:
    api.upload(api.target(), "a.fits", b"SIMPLE  =" + b" " * 2880)
    api.post("/api/pipeline/", {"target": 1, "pipeline": "Timelapse", "products": [1]})
    assert "not begun" in api.get("/targets/1").text
    aws.dynamodb.update_item(
        TableName=aws.name("sidereal-telescope"),
        Key={"pk": {"S": "PROCESS#1"}, "sk": {"S": "PROCESS"}},
        UpdateExpression="SET done = :done, #total = :total",
        ExpressionAttributeNames={"#total": "total"},
        ExpressionAttributeValues={":done": {"N": "3"}, ":total": {"N": "12"}},
    )
    for path in ("/", "/targets/1"):
        (bar,) = [each for tag, each in Elements(api.get(path).text).found if tag == "progress"]
        assert (bar["value"], bar["max"]) == ("3", "12")
    for path in ("/", "/targets/1", "/pipeline/1"):  # the pipeline has not said that it runs
        assert 'data-status="running">running<' in api.get(path).text
    assert api.get("/api/pipeline/1/").json["status"] == "pending"
    api.post("/api/pipeline/1/cancel/")
    assert "progress" not in [tag for tag, _ in Elements(api.get("/targets/1").text).found]


def test_a_target_shows_its_observations_and_what_can_still_be_cancelled(api: Api, portal: Any, clock: Clock) -> None:
    target = api.target("HAT-P-32", ra=31.04275, dec=46.68785)
    template = {"name": HOSTILE, "target": target, "facility": "LCO", "fields": FIELDS}
    assert "once the target has an observation template" in api.get("/targets/1").text
    assert api.post("/api/observationtemplates/", template).status == 201
    for number in range(2):
        clock.advance(1)
        answer = api.post(
            "/api/observe/", asked(target, template_name=HOSTILE, overrides={"name": f"{HOSTILE} {number}"})
        )
        assert answer.status == 201
    assert api.patch("/api/observations/1/cancel/").status == 200
    page = Elements(api.get("/targets/1").text)
    assert [each["data-name"] for each in page.having("data-cancel")] == [f"{HOSTILE} 1"]
    assert [each["value"] for each in page.having("data-facility")] == [HOSTILE]
    assert "i" not in [tag for tag, _ in page.found]


def test_older_observations_are_a_link_away(
    api: Api, portal: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.handlers.pages.targets.OBSERVATIONS", 1)
    target = api.target("HAT-P-32", ra=31.04275, dec=46.68785)
    api.post("/api/observationtemplates/", {"name": "t", "target": target, "facility": "LCO", "fields": FIELDS})
    for name in ("first", "second"):
        api.post("/api/observe/", asked(target, template_name="t", overrides={"name": name}))
    older = re.search(r'href="(\?observations=[^"#]+)#observations" rel="next"', api.get("/targets/1").text)
    page = Elements(api.get(f"/targets/1{older[1]}").text)  # type: ignore[index]
    assert [each["data-name"] for each in page.having("data-cancel")] == ["first"]
