"""The async process API, the pipeline process API, and this project's addresses of processes and pipelines."""

import json
from typing import Any

import pytest

from chalicelib.storage import clients
from tests.conftest import Api, Aws, Clock

FITS = b"SIMPLE  =                    T" + b" " * 2850
PROCESS = ["identifier", "created", "status", "terminal_timestamp", "failure_message", "view_url", "process_type"]
DETAIL = [
    "id",
    *PROCESS,
    *("target", "pipeline", "flags", "options", "progress", "status_url", "logs_url", "group_name", "group_url"),
]


@pytest.fixture
def target(api: Api) -> int:
    return api.target("M 13")


@pytest.fixture
def product(api: Api, target: int) -> int:
    return int(api.upload(target, "a.fits", FITS).json["id"])


@pytest.fixture
def body(target: int, product: int) -> dict[str, Any]:
    return {"target": target, "pipeline": "Timelapse", "products": [product], "flags": {}}


def test_pipelines_are_listed_with_flags_options_and_suffixes(api: Api) -> None:
    timelapse = next(each for each in api.get("/api/pipelines/").json if each["name"] == "Timelapse")
    assert list(timelapse) == ["name", "short_name", "flags", "options", "allowed_suffixes"]
    assert timelapse["short_name"] == "tl"
    assert timelapse["flags"]["crop"] == {"default": False, "long_name": "Keep only the central part"}
    assert timelapse["options"]["crop_scale"] == {
        "long_name": "Fraction of each side that the flag `crop` keeps",
        "type": "number",
        "maximum": 1,
        "exclusive_minimum": 0,
        "default": 0.5,
    }
    assert timelapse["allowed_suffixes"] == [".fits", ".fz", ".fits.gz"]


def test_starting_answers_202_with_the_process_and_where_it_is(api: Api, body: Any, clock: Clock) -> None:
    answer = api.post("/api/pipeline/", {**body, "flags": {"crop": True}})
    assert (answer.status, answer.headers["location"]) == (202, "/api/pipeline/1/")
    assert list(answer.json) == DETAIL
    assert answer.json == {
        "id": 1,
        "identifier": f"tl_{body['target']}_20260110030405",
        "created": clock().timestamp(),
        "status": "pending",
        "terminal_timestamp": None,
        "failure_message": None,
        "view_url": "/pipeline/1",
        "process_type": "TimelapsePipeline",
        "target": body["target"],
        "pipeline": "Timelapse",
        "flags": {"crop": True},
        "options": {},
        "progress": {"done": 0, "total": 0},
        "status_url": f"/api/async/status/{body['target']}/",
        "logs_url": "/api/pipeline/logs/1/",
        "group_name": None,
        "group_url": None,
    }
    for url in (answer.headers["location"], answer.json["status_url"], answer.json["logs_url"]):
        assert api.get(url).status == 200
    assert api.get("/api/pipeline/1/").json == answer.json


def test_the_async_process_api_has_the_documented_keys_in_their_order(api: Api, body: Any, clock: Clock) -> None:
    empty = api.get(f"/api/async/status/{body['target']}/")
    assert (empty.status, list(empty.json)) == (200, ["timestamp", "processes"])
    assert empty.json == {"timestamp": clock().timestamp(), "processes": []}
    api.post("/api/pipeline/", body)
    clock.advance(1.5)
    answer = api.get(f"/api/async/status/{body['target']}/").json
    assert answer["timestamp"] == clock().timestamp()
    assert [list(each) for each in answer["processes"]] == [PROCESS]
    (process,) = answer["processes"]
    assert isinstance(process["created"], float)
    assert (process["status"], process["terminal_timestamp"], process["failure_message"]) == ("pending", None, None)


def test_processes_are_listed_newest_first_and_those_of_other_targets_not_at_all(
    api: Api, body: Any, clock: Clock
) -> None:
    other = api.target("M 92")
    started = []
    for _ in range(12):
        clock.advance(1)
        started.append(api.post("/api/pipeline/", body).json["identifier"])
    listed = api.get(f"/api/async/status/{body['target']}/").json["processes"]
    assert [each["identifier"] for each in listed] == started[::-1]
    assert api.get(f"/api/async/status/{other}/").json["processes"] == []
    newest = api.get(f"/api/async/status/{body['target']}/?limit=2").json["processes"]
    assert newest == listed[:2]


def test_listing_many_processes_takes_one_request(api: Api, body: Any, clock: Clock) -> None:
    for _ in range(5):
        clock.advance(1)
        api.post("/api/pipeline/", body)
    calls: list[str] = []
    clients.dynamodb().meta.events.register("before-call.dynamodb", lambda model, **_: calls.append(model.name))
    api.get(f"/api/async/status/{body['target']}/")
    assert calls == ["Query"]


def test_the_pipeline_process_api_has_the_documented_keys_in_their_order(api: Api, body: Any) -> None:
    process = api.post("/api/pipeline/", body).json
    answer = api.get(process["logs_url"])
    assert (answer.status, list(answer.json)) == (200, [*PROCESS, "logs", "group_name", "group_url"])
    assert (answer.json["logs"], answer.json["group_name"], answer.json["group_url"]) == ("", None, None)
    listed = api.get(process["status_url"]).json["processes"][0]
    assert {key: answer.json[key] for key in PROCESS} == listed


def test_a_failed_process_tells_alike_everywhere(api: Api, body: Any, clock: Clock) -> None:
    process = api.post("/api/pipeline/", body).json
    clock.advance(2)
    api.post("/api/pipeline/1/cancel/")
    everywhere = [
        api.get(process["status_url"]).json["processes"][0],
        *({key: api.get(url).json[key] for key in PROCESS} for url in (process["logs_url"], "/api/pipeline/1/")),
    ]
    assert everywhere == [
        {
            **{key: process[key] for key in PROCESS},
            "status": "failed",
            "terminal_timestamp": clock().timestamp(),
            "failure_message": "Cancelled by tester",
        }
    ] * 3  # fmt: skip


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"pipeline": "nope"}, {"pipeline": ["Invalid pipeline name 'nope'"]}),
        ({"pipeline": None}, {"pipeline": ["This field may not be null."]}),
        ({"pipeline": ""}, {"pipeline": ["This field may not be blank."]}),
        ({"pipeline": 5}, {"pipeline": ["Not a valid string."]}),
        ({"target": 99}, {"target": ['Invalid pk "99" - object does not exist.']}),
        ({"target": "x"}, {"target": ["A valid integer is required."]}),
        ({"target": 1.5}, {"target": ["A valid integer is required."]}),
        ({"target": None}, {"target": ["This field may not be null."]}),
        ({"products": [99]}, {"products": ['Invalid pk "99" - object does not exist.']}),
        ({"products": 1}, {"products": ["Expected a list of items."]}),
        ({"products": ["x"]}, {"products": ["0: A valid integer is required."]}),
        ({"products": None}, {"products": ["Name the inputs either by `products` or by `group`."]}),
        ({"group": 1}, {"products": ["Name the inputs either by `products` or by `group`."]}),
        ({"products": None, "group": 9}, {"group": ['Invalid pk "9" - object does not exist.']}),
        ({"flags": {"zoom": True}}, {"flags": ["Unknown flag 'zoom'."]}),
        ({"flags": {"crop": "yes"}}, {"flags": ["crop: Must be a valid boolean."]}),
        ({"flags": []}, {"flags": ["Expected a dictionary of items."]}),
        ({"flags": None}, {"flags": ["This field may not be null."]}),
        ({"colour": "red"}, {"colour": ["Unknown field."]}),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_started(api: Api, aws: Aws, body: Any, change: Any, wrong: Any) -> None:
    answer = api.post("/api/pipeline/", {**body, **change})
    assert (answer.status, answer.json) == (400, wrong)
    assert api.get(f"/api/async/status/{body['target']}/").json["processes"] == []
    assert aws.messages() == []


@pytest.mark.parametrize("missing", ["target", "pipeline"])
def test_a_missing_field_is_named(api: Api, body: Any, missing: str) -> None:
    del body[missing]
    answer = api.post("/api/pipeline/", body)
    assert (answer.status, answer.json) == (400, {missing: ["This field is required."]})


def test_inputs_of_another_target_are_refused(api: Api, body: Any) -> None:
    foreign = api.upload(api.target("M 92"), "b.fits", FITS).json["id"]
    answer = api.post("/api/pipeline/", {**body, "products": [foreign]})
    assert (answer.status, answer.json) == (
        400,
        {"products": [f"Data product {foreign} belongs to another target."]},
    )


def test_an_upload_that_is_not_complete_is_no_input(api: Api, body: Any) -> None:
    reserved = {"target": body["target"], "filename": "b.fits", "size": 10}
    pk = api.post("/api/dataproducts/", reserved).json["id"]
    answer = api.post("/api/pipeline/", {**body, "products": [pk]})
    assert (answer.status, list(answer.json)) == (400, ["products"])


def test_two_thousand_inputs_are_taken_and_one_more_is_not(api: Api, body: Any) -> None:
    answer = api.post("/api/pipeline/", {**body, "products": body["products"] * 2000})
    assert answer.status == 202
    assert api.post("/api/pipeline/", {**body, "products": body["products"] * 2001}).status == 400


def test_a_pipeline_is_known_in_upper_and_lower_case(api: Api, body: Any) -> None:
    answer = api.post("/api/pipeline/", {**body, "pipeline": "timelapse"})
    assert (answer.status, answer.json["pipeline"]) == (202, "Timelapse")


@pytest.mark.parametrize("wrong", ["{", "[]", "", '{"target": NaN}'])
def test_a_body_that_is_no_proper_json_object_is_refused(api: Api, wrong: str) -> None:
    answer = api.post("/api/pipeline/", body=wrong, headers={"Content-Type": "application/json"})
    assert answer.status == 400


def test_a_body_of_another_kind_is_415(api: Api, body: Any) -> None:
    answer = api.post("/api/pipeline/", body=json.dumps(body), headers={"Content-Type": "text/plain"})
    assert (answer.status, answer.json) == (415, {"detail": 'Unsupported media type "text/plain" in request.'})
