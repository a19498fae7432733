"""Events, as the asimov REST API document has them."""

from typing import Any

import pytest

EVENTS = "/api/v1/events/"
GW = "/api/v1/events/GW150914"
KEYS = ["name", "working directory", "productions", "meta"]


def test_list_of_no_events_is_an_empty_list(api: Any) -> None:
    answer = api.get(EVENTS)
    assert (answer.status, answer.json) == (200, {"events": []})


def test_list_answers_the_documented_example(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914", "working_directory": "/path/to/working/GW150914"})
    answer = api.get(EVENTS)
    assert answer.status == 200
    assert answer.json == {
        "events": [
            {"name": "GW150914", "working directory": "/path/to/working/GW150914", "productions": [], "meta": {}}
        ]
    }
    assert list(answer.json["events"][0]) == KEYS


def test_list_is_in_creation_order(api: Any) -> None:
    names = ["GW9", "GW1", "a", "Z", "Ä"]
    for name in names:
        api.post(EVENTS, {"name": name})
    assert [event["name"] for event in api.get(EVENTS).json["events"]] == names


def test_list_shows_the_productions_of_each_event(api: Any) -> None:
    for event in ("GW1", "GW2"):
        api.post(EVENTS, {"name": event})
        api.post(f"/api/v1/productions/{event}", {"name": f"Prod_{event}", "pipeline": "rift"})
    found = {event["name"]: event["productions"] for event in api.get(EVENTS).json["events"]}
    assert found == {
        name: [{"name": f"Prod_{name}", "pipeline": "rift", "status": "ready", "comment": ""}]
        for name in ("GW1", "GW2")
    }


def test_get_answers_the_documented_example(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914", "working_directory": "/path/to/working/GW150914"})
    answer = api.get(GW)
    assert answer.status == 200
    assert answer.json == {
        "event": {"name": "GW150914", "working directory": "/path/to/working/GW150914", "productions": [], "meta": {}}
    }
    assert list(answer.json["event"]) == KEYS


def test_get_shows_productions_as_their_list_does(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914"})
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby", "comment": "Test production"})
    shown = api.get(GW).json["event"]["productions"]
    assert shown == [{"name": "Prod_A", "pipeline": "bilby", "status": "ready", "comment": "Test production"}]
    assert shown == api.get(f"{GW}/productions").json["productions"]


def test_documented_creation_without_a_directory_gets_one_named_after_the_event(api: Any) -> None:
    answer = api.post(EVENTS, {"name": "GW150914", "meta": {"gps_time": 1126259462.4, "far": 1e-7}})
    assert answer.status == 201
    assert answer.json["event"]["working directory"].endswith("/GW150914")
    assert '"meta": {"gps_time": 1126259462.4, "far": 1e-07}' in answer.text


def test_repository_is_answered_once_it_is_given(api: Any) -> None:
    url = "https://git.example.org/gw150914.git"
    api.post(EVENTS, {"name": "GW150914", "repository": url})
    assert list(api.get(GW).json["event"]) == ["name", "working directory", "repository", "productions", "meta"]
    assert api.get(GW).json["event"]["repository"] == url


@pytest.mark.parametrize("path", ["/api/v1/events", "/api/v1/events/"])
def test_both_forms_of_the_address_create(api: Any, path: str) -> None:
    assert api.post(path, {"name": "GW150914"}).status == 201


@pytest.mark.parametrize("path", [GW, GW + "/", f"{GW}/productions", f"{GW}/productions/"])
def test_both_forms_of_the_address_answer(api: Any, path: str) -> None:
    api.post(EVENTS, {"name": "GW150914"})
    assert api.get(path).status == 200


def test_second_creation_of_a_name_is_a_conflict_and_changes_nothing(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914", "meta": {"first": True}})
    answer = api.post(EVENTS, {"name": "GW150914", "meta": {"second": True}})
    assert (answer.status, answer.json) == (409, {"error": "Event already exists"})
    assert api.get(GW).json["event"]["meta"] == {"first": True}
    assert len(api.get(EVENTS).json["events"]) == 1


def test_missing_name_answers_the_documented_detail(api: Any) -> None:
    answer = api.post(EVENTS, {"meta": {}})
    assert answer.status == 400
    assert answer.json == {
        "error": "Validation error",
        "details": [{"loc": ["name"], "msg": "field required", "type": "value_error.missing"}],
    }
    assert list(answer.json) == ["error", "details"]
    assert list(answer.json["details"][0]) == ["loc", "msg", "type"]


def test_unknown_fields_are_refused_by_name(api: Any) -> None:
    answer = api.post(EVENTS, {"name": "GW150914", "metadata": {}, "colour": 1})
    assert answer.status == 400
    assert [detail["loc"] for detail in answer.json["details"]] == [["metadata"], ["colour"]]
    assert api.get(GW).status == 404


def test_update_answers_the_changed_event(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914", "meta": {"kept": 1}})
    answer = api.put(GW, {"meta": {"updated": True}})
    assert answer.status == 200
    assert list(answer.json) == ["event"]
    assert list(answer.json["event"]) == KEYS
    assert answer.json["event"]["meta"] == {"kept": 1, "updated": True}
    assert answer.json == api.get(GW).json


def test_update_shows_the_productions(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914"})
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    answer = api.put(GW, {"meta": {"updated": True}})
    assert answer.json == api.get(GW).json
    assert [production["name"] for production in answer.json["event"]["productions"]] == ["Prod_A"]


def test_update_merges_meta_at_its_top_level_only(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914", "meta": {"a": {"x": 1}, "b": 2, "c": 3}})
    api.put(GW, {"meta": {"a": {"y": 2}, "b": None}})
    assert api.get(GW).json["event"]["meta"] == {"a": {"y": 2}, "b": None, "c": 3}


def test_update_leaves_what_is_absent(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914", "repository": "r", "working_directory": "w", "meta": {"a": 1}})
    before = api.get(GW).json
    assert api.put(GW, {}).json == before
    assert api.put(GW, {"meta": {}}).json == before
    changed = api.put(GW, {"working_directory": "elsewhere"}).json["event"]
    assert changed == before["event"] | {"working directory": "elsewhere"}


def test_update_with_null_takes_the_repository_away(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914", "repository": "r"})
    assert "repository" not in api.put(GW, {"repository": None}).json["event"]


def test_meta_keys_named_like_fields_mean_nothing(api: Any) -> None:
    meta = {"name": "Other", "productions": ["x"], "working directory": 1, "pipeline": "rift", "subject": 0, "pk": "x"}
    api.post(EVENTS, {"name": "GW150914", "meta": meta})
    event = api.put(GW, {"meta": meta}).json["event"]
    assert (event["name"], event["productions"], event["meta"]) == ("GW150914", [], meta)


@pytest.mark.parametrize("is_wrapped", [True, False])
def test_update_takes_the_body_that_get_answered(api: Any, is_wrapped: bool) -> None:
    api.post(EVENTS, {"name": "GW150914", "repository": "r", "working_directory": "w", "meta": {"a": 1}})
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    body = api.get(GW).json
    body["event"]["meta"]["b"] = 2
    body["event"]["working directory"] = "elsewhere"
    answer = api.put(GW, body if is_wrapped else body["event"])
    assert (answer.status, answer.json) == (200, body)


def test_update_takes_an_answered_body_with_any_number_of_meta_keys(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914", "meta": {f"key {index}": index for index in range(400)}})
    body = api.get(GW).json
    body["event"]["meta"]["key 7"] = "changed"
    answer = api.put(GW, body)
    assert (answer.status, answer.json) == (200, body)


def test_documented_name_of_the_directory_wins_over_the_answered_one(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914", "working_directory": "old"})
    body = api.get(GW).json["event"] | {"working_directory": "new"}
    assert api.put(GW, body).json["event"]["working directory"] == "new"


def test_update_ignores_fields_that_only_the_server_sets(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914"})
    answer = api.put(GW, {"name": "Other", "productions": [{"name": "Prod_X"}], "meta": {"a": 1}})
    assert answer.status == 200
    assert (answer.json["event"]["name"], answer.json["event"]["productions"]) == ("GW150914", [])


def test_delete_answers_204_without_a_body(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914"})
    answer = api.delete(GW)
    assert (answer.status, answer.text) == (204, "")
    assert "content-type" not in answer.headers
    assert api.get(GW).status == 404
    assert api.get(EVENTS).json == {"events": []}
    assert api.delete(GW).status == 404


def test_deleted_event_takes_its_productions_with_it(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914"})
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    api.delete(GW)
    api.post(EVENTS, {"name": "GW150914"})
    assert api.get(GW).json["event"]["productions"] == []
    assert api.get("/api/v1/productions/GW150914/Prod_A").json == {"error": "Production not found"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", GW, None),
        ("PUT", GW, {"meta": {"a": 1}}),
        ("PUT", GW, {}),
        ("PUT", GW, {"meta": {str(index): index for index in range(200)}}),
        ("DELETE", GW, None),
        ("GET", f"{GW}/productions", None),
        ("GET", f"{GW}/analyses", None),
    ],
)
def test_event_that_is_not_there_is_not_found(api: Any, method: str, path: str, body: Any) -> None:
    answer = api.request(method, path, body)
    assert (answer.status, answer.json) == (404, {"error": "Event not found"})


def test_checks_come_in_order_token_body_existence(api: Any) -> None:
    assert api.put(GW, {"nonsense": 1}, token=None).status == 401
    assert api.put(GW, {"nonsense": 1}).status == 400
    assert api.put(GW, {}).status == 404
    api.post(EVENTS, {"name": "GW150914"})
    assert api.post(EVENTS, {"name": "GW150914", "nonsense": 1}).status == 400


def test_list_in_pages_joins_to_the_whole_list(api: Any) -> None:
    names = [f"GW{number}" for number in range(7)]
    for name in names:
        api.post(EVENTS, {"name": name})
    found: list[str] = []
    path = f"{EVENTS}?limit=3"
    sizes = []
    while path:
        page = api.get(path).json
        sizes.append(len(page["events"]))
        found += [event["name"] for event in page["events"]]
        path = f"{EVENTS}?limit=3&next={page['next']}" if "next" in page else ""
    assert (found, sizes) == (names, [3, 3, 1])


@pytest.mark.parametrize("limit", ["0", "501", "-1", "", "x", "1e2", "٣", "99999999999"])
def test_limit_that_is_no_number_from_1_to_500_is_refused(api: Any, limit: str) -> None:
    answer = api.get(f"{EVENTS}?limit={limit}")
    assert answer.status == 400
    assert [detail["loc"] for detail in answer.json["details"]] == [["limit"]]
