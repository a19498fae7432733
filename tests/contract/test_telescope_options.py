"""Options of a run: given at `POST /api/pipeline/`, checked there, kept as they came."""

import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from pydantic import Field, model_validator

from chalicelib.pipelines.base import PipelineOptions, PipelineProcess
from chalicelib.pipelines.registry import all_pipelines
from chalicelib.settings import get_settings
from chalicelib.storage import processes
from tests.conftest import Api, Aws, Clock
from tests.jobs import pipelines_for_tests
from tests.jobs.conftest import FITS, Jobs


class TunedOptions(PipelineOptions):
    """One option of every kind."""

    scale: float = Field(0.5, gt=0, le=1, title="Scale", description="Fraction to keep")
    size: int = Field(500, ge=16, le=4096)
    colour: str = Field("grey", max_length=20)
    is_quick: bool = False
    seed: int | None = Field(None, ge=0)
    stars: list[tuple[float, float]] = Field(default_factory=list, max_length=3)

    @model_validator(mode="after")
    def _check_together(self) -> "TunedOptions":
        if self.is_quick and self.size > 1000:
            raise ValueError("A quick run has at most 1000 pixels.")
        return self


class Tuned(PipelineProcess):
    """Notes its options."""

    short_name = "tune"
    options_model = TunedOptions
    seen: ClassVar[list[Any]] = []

    def do_pipeline(self, tmpdir: Any, **flags: bool) -> Any:
        self.seen.append(self.options)
        return ()


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch, api: Api) -> Api:
    """The API with the pipeline of this module, and one target with one file."""
    monkeypatch.setenv("PIPELINES", json.dumps({**pipelines_for_tests.ALL, "Tuned": f"{__name__}.Tuned"}))
    get_settings.cache_clear()
    api.upload(api.target("M 13"), "a.fits", FITS)
    Tuned.seen.clear()
    return api


def start(api: Api, options: Any, pipeline: str = "Tuned") -> Any:
    return api.post("/api/pipeline/", {"target": 1, "pipeline": pipeline, "products": [1], "options": options})


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"nope": 1}, {"nope": ["Unknown field."]}),
        ({"scale": 0}, {"scale": ["Input should be greater than 0"]}),
        ({"scale": "0.5"}, {"scale": ["A valid number is required."]}),
        ({"scale": True}, {"scale": ["A valid number is required."]}),
        ({"scale": None}, {"scale": ["This field may not be null."]}),
        ({"size": True}, {"size": ["A valid integer is required."]}),
        ({"size": 100.5}, {"size": ["A valid integer is required."]}),
        ({"size": 10**300}, {"size": ["Input should be less than or equal to 4096"]}),
        ({"scale": 10**400}, {"scale": ["A valid number is required."]}),
        ({"colour": 5}, {"colour": ["Not a valid string."]}),
        ({"is_quick": 1}, {"is_quick": ["Must be a valid boolean."]}),
        ({"stars": [[1, "x"]]}, {"stars": {"0": {"1": ["A valid number is required."]}}}),
        ({"stars": [[1]]}, {"stars": {"0": {"1": ["This field is required."]}}}),
        ({"scale": 2, "size": 1}, {
            "scale": ["Input should be less than or equal to 1"],
            "size": ["Input should be greater than or equal to 16"],
        }),
        ({"is_quick": True, "size": 2000}, ["A quick run has at most 1000 pixels."]),
        ([], ["Expected a dictionary of items."]),
        (None, ["This field may not be null."]),
        ("fps", ["Expected a dictionary of items."]),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named_under_options_and_nothing_is_started(
    tuned: Api, aws: Aws, options: Any, wrong: Any
) -> None:
    answer = start(tuned, options)
    assert (answer.status, answer.json) == (400, {"options": wrong})
    assert tuned.get("/api/async/status/1/").json["processes"] == []
    assert aws.messages("sidereal-pipeline") == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"scale": NaN}', {"scale": ["number is not finite"]}),
        ('{"scale": -Infinity}', {"scale": ["number is not finite"]}),
        ('{"scale": 1e400}', {"scale": ["number is not finite"]}),
        ('{"scale": 1, "scale": 1}', {"scale": ["key appears more than once"]}),
        ('{"scale": ' + "[" * 200 + "]" * 200 + "}", ["nested deeper than 100 levels"]),
        ('{"scale": ' + "[" * 90 + "]" * 90 + "}", {"scale": ["A valid number is required."]}),
    ],
)
def test_what_is_no_proper_json_is_told_of_by_option(tuned: Api, text: str, wrong: Any) -> None:
    body = f'{{"target": 1, "pipeline": "Tuned", "products": [1], "options": {text}}}'
    answer = tuned.post("/api/pipeline/", body=body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json) == (400, {"options": wrong})


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 4000])
def test_a_number_of_thousands_of_digits_is_refused(tuned: Api, number: str) -> None:
    body = f'{{"target": 1, "pipeline": "Tuned", "products": [1], "options": {{"seed": {number}}}}}'
    answer = tuned.post("/api/pipeline/", body=body, headers={"Content-Type": "application/json"})
    assert answer.status == 400


def test_options_beyond_ten_kilobytes_are_refused_before_anything_looks_at_them(tuned: Api) -> None:
    answer = start(tuned, {"colour": "x" * 10_000})
    assert (answer.status, answer.json) == (400, {"options": ["takes 10008 bytes; at most 10000 can be kept"]})
    long_key = start(tuned, {"k" * 500: 1})
    assert (long_key.status, list(long_key.json["options"])) == (400, ["k" * 200])


def test_an_error_about_a_thousand_options_stays_small(tuned: Api) -> None:
    answer = start(tuned, {f"o{number}": 0 for number in range(1000)})
    assert (answer.status, len(answer.json["options"])) == (400, 100)


def test_options_are_kept_as_they_came_and_only_those(tuned: Api, aws: Aws) -> None:
    given = {"scale": 0.1, "size": 1000, "stars": [[10.0, 1e-7], [3, 0.30000000000000004]], "seed": None}
    answer = start(tuned, given)
    assert (answer.status, answer.json["options"]) == (202, given)
    shown = tuned.get("/api/pipeline/1/").text
    assert (
        '"options": {"scale": 0.1, "size": 1000, "stars": [[10.0, 1e-07], [3, 0.30000000000000004]], "seed": null}'
        in shown
    )
    assert processes.get(1).options == given
    for address in ("/api/pipeline/logs/1/", "/api/async/status/1/"):
        assert "options" not in tuned.get(address).text


def test_a_process_that_was_kept_before_there_were_options_has_none(tuned: Api, aws: Aws) -> None:
    start(tuned, {"scale": 1})
    aws.dynamodb.update_item(
        TableName=aws.name("sidereal-telescope"),
        Key={"pk": {"S": "PROCESS#1"}, "sk": {"S": "PROCESS"}},
        UpdateExpression="REMOVE #options",
        ExpressionAttributeNames={"#options": "options"},
    )
    assert tuned.get("/api/pipeline/1/").json["options"] == {}


def test_a_run_gets_the_options_given_and_the_defaults_of_the_others_at_its_retry_too(
    tuned: Api, aws: Aws, clock: Clock
) -> None:
    jobs = Jobs(tuned, aws, 1, 1)
    start(tuned, {"scale": 1, "stars": [[1, 2]]})
    tuned.post("/api/pipeline/1/cancel/")
    retried = tuned.post("/api/pipeline/1/retry/")
    assert retried.json["options"] == {"scale": 1, "stars": [[1, 2]]}
    jobs.run(1)
    assert jobs.get(1)["status"] == "created"
    assert Tuned.seen == [TunedOptions(scale=1.0, stars=[(1.0, 2.0)])]


def test_the_deployment_sets_defaults_that_a_caller_overrides(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMELAPSE_FPS", "24")
    get_settings.cache_clear()
    (timelapse,) = (each for each in api.get("/api/pipelines/").json if each["name"] == "Timelapse")
    assert timelapse["options"]["fps"]["default"] == 24
    api.upload(api.target("M 13"), "a.fits", FITS)
    answer = start(api, {"fps": 5}, "Timelapse")
    assert (answer.status, answer.json["options"]) == (202, {"fps": 5})


def test_what_the_deployment_has_set_wrong_is_told_by_the_run_and_not_to_the_caller(
    api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMELAPSE_FPS", "0")
    get_settings.cache_clear()
    api.upload(api.target("M 13"), "a.fits", FITS)
    wrong = start(api, {"fps": -1}, "Timelapse")
    assert (wrong.status, list(wrong.json["options"])) == (400, ["fps"])
    assert start(api, {"size": 100}, "Timelapse").status == 202
    jobs = Jobs(api, aws, 1, 1)
    jobs.run(1)
    assert jobs.get(1)["failure_message"] == "Invalid FPS 0"


@pytest.mark.parametrize(
    ("positions", "told"),
    [([[1, "a"]], {"0": {"1": ["A valid number is required."]}}), ([], ["List should have at least 1 item, not 0"])],
)
def test_a_list_counts_as_too_short_only_where_its_members_are_right(api: Api, positions: Any, told: Any) -> None:
    api.upload(api.target("M 13"), "a.fits", FITS)
    answer = start(api, {"comparison_positions": positions}, "Photometry")
    assert (answer.status, answer.json) == (400, {"options": {"comparison_positions": told}})


def test_pipelines_are_listed_with_type_limits_and_default_of_each_option(tuned: Api) -> None:
    (listed,) = (each for each in tuned.get("/api/pipelines/").json if each["name"] == "Tuned")
    assert listed["options"] == {
        "scale": {
            "long_name": "Fraction to keep", "type": "number", "maximum": 1, "exclusive_minimum": 0, "default": 0.5,
        },
        "size": {"long_name": "size", "type": "integer", "minimum": 16, "maximum": 4096, "default": 500},
        "colour": {"long_name": "colour", "type": "string", "default": "grey"},
        "is_quick": {"long_name": "is_quick", "type": "boolean", "default": False},
        "seed": {"long_name": "seed", "type": "integer", "minimum": 0, "default": None},
        "stars": {"long_name": "stars", "type": "array", "max_items": 3, "default": []},
    }  # fmt: skip


class CarelessOptions(PipelineOptions):
    """Options whose author did not think of a list."""

    value: Any = 1

    @model_validator(mode="after")
    def _check(self) -> "CarelessOptions":
        if self.value < 1:
            raise ValueError("too small")
        return self


def test_a_validator_that_raises_anything_refuses_the_options_and_is_in_the_log(
    tuned: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib.services import processes as service

    said: list[str] = []
    monkeypatch.setattr(service.logger, "exception", lambda text, **_: said.append(text))
    monkeypatch.setattr(Tuned, "options_model", CarelessOptions)
    answer = start(tuned, {"value": [1]})
    text = "The options could not be checked (TypeError); the log says why."
    assert (answer.status, answer.json, len(said)) == (400, {"options": [text]}, 1)


class DeployedOptions(PipelineOptions):
    """Options of the kinds that a deployment sets."""

    radius: float = Field(6, gt=0)
    label: str = "a"
    is_deep: bool = False
    stars: list[int] = Field(default_factory=list)
    lease_s: float = 1
    table: str = "own"


@pytest.fixture
def deployed(api: Api, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Return what the list shows as defaults of a pipeline of this name, under environment variables."""

    def defaults(name: str, **variables: str) -> dict[str, Any]:
        monkeypatch.setattr(Tuned, "options_model", DeployedOptions)
        for variable, value in {**variables, "PIPELINES": json.dumps({name: f"{__name__}.Tuned"})}.items():
            monkeypatch.setenv(variable, value)
        get_settings.cache_clear()
        all_pipelines.cache_clear()
        (listed,) = api.get("/api/pipelines/").json
        return {option: about["default"] for option, about in listed["options"].items()}

    return defaults


def test_a_deployment_has_defaults_of_its_own_for_anybodys_pipeline(deployed: Callable[..., dict[str, Any]]) -> None:
    found = deployed(
        "My star-1", MY_STAR_1_RADIUS="8", MY_STAR_1_LABEL="12", MY_STAR_1_IS_DEEP="true", MY_STAR_1_STARS="[1, 2]"
    )
    assert found == {"radius": 8, "label": "12", "is_deep": True, "stars": [1, 2], "lease_s": 1, "table": "own"}


@pytest.mark.parametrize("name", ["Job", "Telescope", "AWS"])
def test_settings_of_the_project_are_no_options_of_a_pipeline(
    deployed: Callable[..., dict[str, Any]], name: str
) -> None:
    found = deployed(name, JOB_LEASE_S="77", AWS_LABEL="secret")
    assert (found["lease_s"], found["table"], found["label"]) == (1, "own", "a")


def test_a_default_that_an_option_does_not_take_fails_the_run_in_words(
    deployed: Callable[..., dict[str, Any]], api: Api
) -> None:
    from chalicelib.services.runs import run_process

    api.upload(api.target("M 13"), "a.fits", FITS)
    assert deployed("Mine", MINE_RADIUS="wide")["radius"] == "wide"
    process = start(api, {}, "Mine").json["id"]
    run_process(process)
    assert api.get(f"/api/pipeline/{process}/").json["failure_message"] == "Invalid radius wide"
