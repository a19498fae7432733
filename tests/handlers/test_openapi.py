"""The description of the API: valid, whole, and true of the routes and the models."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from chalice import Blueprint
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app import app
from chalicelib.handlers.http import READING, ROUTES, Router
from chalicelib.handlers.openapi import tags
from chalicelib.handlers.openapi.document import document
from chalicelib.handlers.openapi.examples import EXAMPLES
from chalicelib.handlers.operations import told
from chalicelib.handlers.replies import ASIMOV, Reply
from chalicelib.models.data_products import PresignedInput
from chalicelib.models.events import EventInput
from chalicelib.models.names import Name, Title
from chalicelib.models.productions import PipelineName, Status
from chalicelib.models.targets import TargetInput
from tests.conftest import Api

METHODS = ("get", "post", "put", "patch", "delete")


@cache
def described() -> dict[str, Any]:
    return document()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method and operation of all that is described."""
    for path, item in described()["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def is_valid(schema: dict[str, Any], value: Any) -> bool:
    whole = {**schema, "components": described()["components"]}
    return jsonschema_rs.validator_for(whole).is_valid(value)


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each JSON body of the document with the name of its operation: what is sent and what is answered."""
    for _, _, operation in operations():
        for place in [operation.get("requestBody", {}), *operation["responses"].values()]:
            media = place.get("content", {}).get("application/json")
            if media and not media["schema"].get("$ref", "").endswith(("Error", "Fault")):
                yield operation["operationId"], media


def test_the_document_is_valid() -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator  # takes long, and no other test needs it

    OpenAPIV31SpecValidator(described()).validate()


def schemas() -> Iterator[dict[str, Any]]:
    """Yield every schema of the document, and every schema within one."""
    for schema in described()["components"]["schemas"].values():
        yield from _within(schema)
    places: list[Any] = [described()["paths"]]
    while places:
        place = places.pop()
        if isinstance(place, dict):
            yield from _within(place.get("schema"))
            places += [value for key, value in place.items() if key != "schema"]
        elif isinstance(place, list):
            places += place


def _within(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, list):
        yield from (each for member in schema for each in _within(member))
    elif isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key in ("properties", "patternProperties", "$defs"):
                yield from _within(list(value.values()))
            elif key not in ("const", "default", "enum", "example", "examples"):
                yield from _within(value)


def test_schemas_have_no_words_but_those_of_json_schema() -> None:
    import jsonschema_specifications

    vocabularies = [jsonschema_specifications.REGISTRY.contents(uri) for uri in jsonschema_specifications.REGISTRY]
    known = {
        word
        for vocabulary in vocabularies
        if vocabulary["$schema"].endswith("/2020-12/schema")
        for word in vocabulary.get("properties", {})
    }
    assert known > {"minimum", "additionalProperties"}
    assert {word for schema in schemas() for word in schema} <= known | {
        "discriminator",
        "externalDocs",
        "xml",
        "example",
    }


def test_no_two_schemas_have_one_title() -> None:
    titles = [schema["title"] for schema in schemas() if "title" in schema]
    assert sorted(titles) == sorted(set(titles))


@pytest.mark.parametrize(
    ("name", "number", "is_taken"),
    [
        ("ra", 359.9, True),
        ("ra", "1.5", True),
        ("ra", "1e2", True),
        ("ra", 360, False),
        ("ra", -0.1, False),
        ("ra", True, False),
        ("ra", "north", False),
        ("dec", -90, True),
        ("dec", "-89.5", True),
        ("dec", 90.1, False),
        ("size", 1, True),
        ("size", "17", True),
        ("size", 0, False),
        ("size", "1.5", False),
    ],
)
def test_the_limits_of_numbers_are_described(name: str, number: object, is_taken: bool) -> None:
    model: Any = PresignedInput if name == "size" else TargetInput
    body = {"target": 1, "filename": "a.fits"} if name == "size" else {"name": "M 13", "ra": 1, "dec": 1}
    assert is_valid({"$ref": f"#/components/schemas/{model.__name__}"}, {**body, name: number}) is is_taken
    if is_taken:
        model.model_validate({**body, name: number})
    else:
        with pytest.raises(ValidationError):
            model.model_validate({**body, name: number})


def test_every_route_and_method_is_described_and_nothing_else() -> None:
    routes = {(route.path, method.lower()) for route in ROUTES for method in route.views}
    assert {(path.rstrip("/") or "/", method) for path, method, _ in operations()} == routes
    assert {path for path, _ in routes} == set(app.routes)


def test_a_view_that_does_not_tell_of_itself_is_not_served() -> None:
    router = Router(Blueprint("mute"), ASIMOV)
    with pytest.raises(LookupError, match="lacks @operation"):
        router.add("/mute", GET=lambda request: Reply())
    assert all(route.path != "/mute" for route in ROUTES)


def test_every_view_tells_of_itself_and_has_a_name_of_its_own_and_a_group() -> None:
    views = [view for route in ROUTES for view in route.views.values()]
    names = [told(view).name for view in views]
    assert sorted(names) == sorted(set(names))
    assert all(told(view).text for view in views)
    assert {tags.place_of(view) for view in views} == set(range(len(tags.ORDER)))


def test_every_body_has_an_example_that_its_schema_takes() -> None:
    for name, media in bodies():
        if name == "describe_api":
            continue
        assert "example" in media, name
        assert is_valid(media["schema"], media["example"]), name


def test_every_form_and_text_but_pages_has_an_example() -> None:
    shown = set()
    for _, _, operation in operations():
        for place in [operation.get("requestBody", {}), *operation["responses"].values()]:
            for kind, media in place.get("content", {}).items():
                if kind not in ("application/json", "text/html", "text/css", "text/javascript"):
                    shown.add(kind)
                    assert "example" in media, (operation["operationId"], kind)
                    assert is_valid(media["schema"], media["example"]), (operation["operationId"], kind)
    assert {"text/event-stream", "multipart/form-data", "application/x-www-form-urlencoded", "text/csv"} <= shown


@pytest.mark.parametrize("path", ["/api/v1/stream", "/api/pipeline/{process_id}/stream"])
def test_messages_of_streams_are_described_by_kind(path: str) -> None:
    media = described()["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]
    data = {}
    for message in media["schema"]["anyOf"]:
        data[message["properties"]["event"]["const"]] = message["properties"]["data"]["contentSchema"]
    told = re.findall(r"event: (\w+)\ndata: (.*)\n", media["example"])
    assert told
    for kind, text in told:
        assert is_valid(data[kind], json.loads(text)), kind
    assert "LedgerChange" in described()["components"]["schemas"]


def test_every_family_of_refusals_has_an_example_that_its_schema_takes() -> None:
    components = described()["components"]["schemas"]
    named = {name for name in components if name.endswith(("Error", "Fault", "Faults"))}
    assert len(named) == 8
    for name in named:
        for shown in components[name]["examples"]:
            assert is_valid({"$ref": f"#/components/schemas/{name}"}, shown), name


def test_no_example_is_left_over() -> None:
    assert EXAMPLES.keys() <= {operation["operationId"] for _, _, operation in operations()}


def test_what_writes_asks_for_the_token_and_can_be_refused_for_lack_of_it() -> None:
    opens = {route.path: route.open_methods() for route in ROUTES}
    for path, method, operation in operations():
        is_open = method.upper() in opens[path.rstrip("/") or "/"]
        assert operation["security"] == ([] if is_open else [{"bearer": []}]), path
        assert ("401" in operation["responses"]) is not is_open, path
    assert {route.open_methods() for route in ROUTES if route.path != "/api/observe"} == {READING}


def test_a_setting_that_closes_an_address_is_seen_in_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.conftest import forget

    assert document()["paths"]["/api/observe/"]["post"]["security"] == []
    monkeypatch.setenv("OBSERVE_REQUIRES_TOKEN", "true")
    forget()
    assert document()["paths"]["/api/observe/"]["post"]["security"] == [{"bearer": []}]


def test_the_statuses_of_the_published_document_are_described() -> None:
    paths = described()["paths"]
    published = {
        ("/api/v1/events/", "get"): {200},
        ("/api/v1/events/", "post"): {201, 400, 401, 409},
        ("/api/v1/events/{event_name}", "put"): {200, 400, 401, 404},
        ("/api/v1/events/{event_name}", "delete"): {204, 401, 404},
        ("/api/v1/productions/{event_name}", "post"): {201, 400, 401, 404, 409},
        ("/api/v1/productions/{event_name}/{production_name}", "put"): {200, 400, 401, 404},
        ("/api/observe/", "post"): {201, 400, 404, 429},
    }
    for (path, method), statuses in published.items():
        assert statuses <= set(map(int, paths[path][method]["responses"])), path
    reading = set(paths["/api/v1/events/{event_name}"]["get"]["responses"])
    assert reading == {"200", "404", "429", "500", "502", "504"}
    deleting = set(paths["/api/v1/events/{event_name}"]["delete"]["responses"])
    assert deleting == {"204", "401", "404", "429", "500", "502", "503", "504"}


def test_whoever_tries_out_a_redirect_is_told_that_browsers_follow_it() -> None:
    told = {name["operationId"] for _, _, name in operations() if "follow the redirect" in name.get("description", "")}
    assert {"download", "get_thumbnail", "get_archive"} <= told
    assert told == {operation["operationId"] for _, _, operation in operations() if "302" in operation["responses"]}


def test_what_can_be_asked_for_on_a_condition_says_so() -> None:
    for path, _, operation in operations():
        headers = {each["name"] for each in operation["parameters"] if each["in"] == "header"}
        assert ("304" in operation["responses"]) is ("If-None-Match" in headers), path


def test_what_fields_cannot_say_of_themselves_is_said() -> None:
    components = described()["components"]["schemas"]
    assert "exactly one of `products` and `group`" in components["ProcessInput"]["description"]
    assert components["ObserveInput"]["properties"]["email"]["format"] == "email"


def test_analyses_are_described_in_their_own_words() -> None:
    operation = described()["paths"]["/api/v1/analyses/{event_name}"]["post"]
    assert (operation["operationId"], operation["summary"]) == ("create_analysis", "Add an analysis to an event")
    assert operation["responses"]["201"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/AnalysisReply"
    }


def test_the_document_is_answered_for_the_stage_and_asked_for_once(api: Api) -> None:
    answer = api.get("/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == json.loads(json.dumps(described()))
    assert len(answer.text.encode()) < 1_000_000
    again = api.get("/openapi.json", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status, again.text) == (304, "")
    assert api.get("/openapi.json", headers={"If-None-Match": "*"}).status == 304
    assert api.get("/openapi.json", headers={"If-None-Match": '"another"'}).status == 200
    assert document("/dev")["servers"] == [{"url": "/dev"}]


@cache
def name_takers() -> list[tuple[TypeAdapter[str], Any]]:
    """Return what validates names and titles: the models' own, and that of their schemas."""
    adapters = [TypeAdapter[str](kind) for kind in (Name, Title)]
    return [(each, jsonschema_rs.validator_for(each.json_schema())) for each in adapters]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=8) | st.text(" a.\t\n/%\x85\xa0é", max_size=110))
@example("..")
@example("a" * 101)
@example(" " + "a" * 100 + "\t")
def test_the_schemas_of_names_take_what_their_models_take(text: str) -> None:
    for adapter, schema in name_takers():
        try:
            adapter.validate_python(text)
        except ValidationError:
            is_taken = False
        else:
            is_taken = True
        assert schema.is_valid(text) is is_taken, (adapter, text)


def test_readers_in_python_take_the_patterns_of_names_too() -> None:
    for adapter, _ in name_takers():
        re.compile(adapter.json_schema()["pattern"])


@pytest.mark.parametrize(
    ("kind", "word", "is_taken"),
    [
        (PipelineName, "Bilby", True),
        (PipelineName, "bilby ", False),
        (Status, "review_FAILED", True),
        (Status, "none", False),
    ],
)
def test_the_schemas_of_words_take_both_cases(kind: Any, word: str, is_taken: bool) -> None:
    assert jsonschema_rs.validator_for(TypeAdapter[str](kind).json_schema()).is_valid(word) is is_taken


@pytest.mark.parametrize(
    "keys", [("working_directory",), ("working directory",), ("working directory", "working_directory")]
)
def test_either_spelling_of_the_working_directory_is_described_but_not_both(keys: tuple[str, ...]) -> None:
    body = {"name": "GW150914", **dict.fromkeys(keys, "working/GW150914")}
    is_taken = len(keys) == 1
    assert jsonschema_rs.validator_for(EventInput.model_json_schema()).is_valid(body) is is_taken
    if is_taken:
        assert EventInput.model_validate(body).working_directory == "working/GW150914"
    else:
        with pytest.raises(ValidationError):
            EventInput.model_validate(body)


def test_an_answer_that_is_sent_back_fits_the_description_of_a_change(api: Api) -> None:
    api.post("/api/v1/events/", {"name": "GW150914", "repository": "https://example.org/GW150914.git"})
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    addresses = {
        "/api/v1/events/{event_name}": "/api/v1/events/GW150914",
        "/api/v1/productions/{event_name}/{production_name}": "/api/v1/productions/GW150914/Prod_A",
        "/api/v1/analyses/{event_name}/{production_name}": "/api/v1/analyses/GW150914/Prod_A",
    }
    for path, address in addresses.items():
        schema = described()["paths"][path]["put"]["requestBody"]["content"]["application/json"]["schema"]
        body = api.get(address).json
        assert is_valid(schema, body)
        assert is_valid(schema, next(iter(body.values())))
        assert api.put(address, body).status == 200
        wrong = {**body, "else": 1}
        assert not is_valid(schema, wrong)
        assert api.put(address, wrong).status == 400
