"""Productions, and analyses, which are the same records, as the asimov REST API document has them."""

from typing import Any

import pytest

from chalicelib.states import PRODUCTION_STATUSES

SUMMARY = ["name", "pipeline", "status", "comment"]
WHOLE = [*SUMMARY, "dependencies", "meta"]
NAMES = [("production", "productions"), ("analysis", "analyses")]

both_names = pytest.mark.parametrize(("noun", "plural"), NAMES)


@pytest.fixture(autouse=True)
def _event(api: Any) -> None:
    api.post("/api/v1/events/", {"name": "GW150914"})


@both_names
def test_documented_creation_answers_201_with_the_whole_record(api: Any, noun: str, plural: str) -> None:
    body = {"name": "Prod_A", "pipeline": "bilby", "comment": "High-spin prior", "meta": {"sampler": "dynesty"}}
    answer = api.post(f"/api/v1/{plural}/GW150914", body)
    assert answer.status == 201
    assert answer.json == {noun: {**body, "status": "ready", "dependencies": []}}
    assert list(answer.json[noun]) == WHOLE


@both_names
def test_get_answers_the_documented_example(api: Any, noun: str, plural: str) -> None:
    api.post(f"/api/v1/{plural}/GW150914", {"name": "Prod_A", "pipeline": "bilby", "comment": "Test production"})
    answer = api.get(f"/api/v1/{plural}/GW150914/Prod_A")
    assert answer.status == 200
    assert answer.json == {
        noun: {
            "name": "Prod_A",
            "pipeline": "bilby",
            "status": "ready",
            "comment": "Test production",
            "dependencies": [],
            "meta": {},
        }
    }
    assert list(answer.json[noun]) == WHOLE


@both_names
def test_list_of_an_event_answers_the_documented_example(api: Any, noun: str, plural: str) -> None:
    api.post(f"/api/v1/{plural}/GW150914", {"name": "Prod_A", "pipeline": "bilby", "comment": "Test production"})
    answer = api.get(f"/api/v1/events/GW150914/{plural}")
    assert answer.status == 200
    assert answer.json == {
        plural: [{"name": "Prod_A", "pipeline": "bilby", "status": "ready", "comment": "Test production"}]
    }
    assert list(answer.json[plural][0]) == SUMMARY


@both_names
def test_list_of_an_event_is_in_creation_order(api: Any, noun: str, plural: str) -> None:
    assert api.get(f"/api/v1/events/GW150914/{plural}").json == {plural: []}
    names = ["Prod_Z", "Prod_A", "b", "Ä"]
    for name in names:
        api.post(f"/api/v1/{plural}/GW150914", {"name": name, "pipeline": "rift"})
    assert [each["name"] for each in api.get(f"/api/v1/events/GW150914/{plural}").json[plural]] == names


def test_both_names_serve_the_same_records(api: Any) -> None:
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    api.put("/api/v1/analyses/GW150914/Prod_A", {"comment": "seen"})
    production = api.get("/api/v1/productions/GW150914/Prod_A").json["production"]
    assert production == api.get("/api/v1/analyses/GW150914/Prod_A").json["analysis"]
    assert production["comment"] == "seen"
    assert api.delete("/api/v1/analyses/GW150914/Prod_A").status == 204
    assert api.get("/api/v1/productions/GW150914/Prod_A").status == 404


@both_names
def test_documented_update_answers_200_with_the_whole_record(api: Any, noun: str, plural: str) -> None:
    api.post(f"/api/v1/{plural}/GW150914", {"name": "Prod_A", "pipeline": "bilby", "meta": {"a": 1}})
    answer = api.put(f"/api/v1/{plural}/GW150914/Prod_A", {"status": "finished", "comment": "Completed successfully"})
    assert answer.status == 200
    assert list(answer.json[noun]) == WHOLE
    assert answer.json[noun] == {
        "name": "Prod_A",
        "pipeline": "bilby",
        "status": "finished",
        "comment": "Completed successfully",
        "dependencies": [],
        "meta": {"a": 1},
    }
    assert answer.json == api.get(f"/api/v1/{plural}/GW150914/Prod_A").json


@both_names
def test_delete_answers_204_and_deletes(api: Any, noun: str, plural: str) -> None:
    api.post(f"/api/v1/{plural}/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    answer = api.delete(f"/api/v1/{plural}/GW150914/Prod_A")
    assert (answer.status, answer.text) == (204, "")
    assert api.get(f"/api/v1/{plural}/GW150914/Prod_A").status == 404
    assert api.get(f"/api/v1/events/GW150914/{plural}").json == {plural: []}
    assert api.get("/api/v1/events/GW150914").json["event"]["productions"] == []
    assert api.delete(f"/api/v1/{plural}/GW150914/Prod_A").status == 404
    assert api.post(f"/api/v1/{plural}/GW150914", {"name": "Prod_A", "pipeline": "bilby"}).status == 201


@both_names
def test_second_creation_of_a_name_is_a_conflict(api: Any, noun: str, plural: str) -> None:
    api.post(f"/api/v1/{plural}/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    for dependencies in ([], ["Prod_B"]):
        again = {"name": "Prod_A", "pipeline": "rift", "dependencies": dependencies}
        answer = api.post(f"/api/v1/{plural}/GW150914", again)
        assert (answer.status, answer.json) == (409, {"error": f"{noun.capitalize()} already exists"})
    assert api.get(f"/api/v1/{plural}/GW150914/Prod_A").json[noun]["pipeline"] == "bilby"


@both_names
@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PUT", {"comment": ""}), ("PUT", {}), ("DELETE", None)])
def test_absent_record_is_not_found_under_its_name(api: Any, noun: str, plural: str, method: str, body: Any) -> None:
    answer = api.request(method, f"/api/v1/{plural}/GW150914/Nope", body)
    assert (answer.status, answer.json) == (404, {"error": f"{noun.capitalize()} not found"})


@both_names
@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PUT", {"comment": ""}), ("PUT", {}), ("DELETE", None)])
def test_absent_event_is_not_found(api: Any, noun: str, plural: str, method: str, body: Any) -> None:
    answer = api.request(method, f"/api/v1/{plural}/Nope/Prod_A", body)
    assert (answer.status, answer.json) == (404, {"error": "Event not found"})


@both_names
@pytest.mark.parametrize("dependencies", [[], ["Prod_B"]])
def test_creation_in_an_absent_event_is_not_found_and_leaves_nothing(
    api: Any, aws: Any, noun: str, plural: str, dependencies: list[str]
) -> None:
    before = aws.items("sidereal-ledger")
    answer = api.post(f"/api/v1/{plural}/Nope", {"name": "Prod_A", "pipeline": "bilby", "dependencies": dependencies})
    assert (answer.status, answer.json) == (404, {"error": "Event not found"})
    assert aws.items("sidereal-ledger") == before


def test_missing_fields_answer_the_documented_detail(api: Any) -> None:
    answer = api.post("/api/v1/productions/GW150914", {})
    assert answer.status == 400
    assert answer.json == {
        "error": "Validation error",
        "details": [
            {"loc": ["name"], "msg": "field required", "type": "value_error.missing"},
            {"loc": ["pipeline"], "msg": "field required", "type": "value_error.missing"},
        ],
    }


@pytest.mark.parametrize("pipeline", ["bilby", "rift", "bayeswave", "lalinference"])
def test_pipelines_are_known_in_any_case_and_kept_in_lower_case(api: Any, pipeline: str) -> None:
    answer = api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": pipeline.upper()})
    assert answer.json["production"]["pipeline"] == pipeline


@pytest.mark.parametrize("pipeline", ["", "pycbc", " bilby", "bilby\n"])
def test_unknown_pipeline_is_refused_with_the_known_ones(api: Any, pipeline: str) -> None:
    answer = api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": pipeline})
    assert answer.status == 400
    (detail,) = answer.json["details"]
    assert detail["loc"] == ["pipeline"]
    assert detail["msg"] == "unknown pipeline; known are bilby, rift, bayeswave, lalinference"


def test_every_status_word_is_taken_in_any_case_and_answered_in_lower_case(api: Any) -> None:
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    for status in PRODUCTION_STATUSES:
        answer = api.put("/api/v1/productions/GW150914/Prod_A", {"status": status.upper()})
        assert answer.json["production"]["status"] == status


@pytest.mark.parametrize("status", ["", "done", " ready", "none", None, 1, ["ready"]])
def test_other_status_is_refused_and_changes_nothing(api: Any, status: Any) -> None:
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    answer = api.put("/api/v1/productions/GW150914/Prod_A", {"status": status, "comment": "changed"})
    assert answer.status == 400
    assert answer.json["details"][0]["loc"] == ["status"]
    if isinstance(status, str):
        assert ", ".join(PRODUCTION_STATUSES) in answer.json["details"][0]["msg"]
    assert api.get("/api/v1/productions/GW150914/Prod_A").json["production"]["comment"] == ""


@pytest.mark.parametrize("comment", ["", None])
def test_comment_can_be_cleared(api: Any, comment: Any) -> None:
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby", "comment": "text"})
    api.put("/api/v1/productions/GW150914/Prod_A", {"comment": comment})
    assert api.get("/api/v1/productions/GW150914/Prod_A").json["production"]["comment"] == ""


def test_update_merges_meta_and_leaves_what_is_absent(api: Any) -> None:
    body = {"name": "Prod_A", "pipeline": "bilby", "comment": "c", "meta": {"a": {"x": 1}, "b": 2}}
    api.post("/api/v1/productions/GW150914", body)
    changed = api.put("/api/v1/productions/GW150914/Prod_A", {"meta": {"a": None, "c": []}}).json["production"]
    assert changed["meta"] == {"a": None, "b": 2, "c": []}
    assert (changed["comment"], changed["status"]) == ("c", "ready")
    assert api.put("/api/v1/productions/GW150914/Prod_A", {}).json["production"] == changed


@both_names
@pytest.mark.parametrize("is_wrapped", [True, False])
def test_update_takes_the_body_that_get_answered(api: Any, noun: str, plural: str, is_wrapped: bool) -> None:
    first = {"name": "Prod_A", "pipeline": "bilby", "dependencies": ["Prod_B"], "meta": {"a": 1}}
    api.post(f"/api/v1/{plural}/GW150914", first)
    body = api.get(f"/api/v1/{plural}/GW150914/Prod_A").json
    body[noun]["comment"] = "seen"
    answer = api.put(f"/api/v1/{plural}/GW150914/Prod_A", body if is_wrapped else body[noun])
    assert (answer.status, answer.json) == (200, body)


def test_update_takes_a_member_of_the_list_and_any_number_of_meta_keys(api: Any) -> None:
    meta = {str(index): index for index in range(400)}
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby", "meta": meta})
    (listed,) = api.get("/api/v1/events/GW150914/productions").json["productions"]
    assert api.put("/api/v1/productions/GW150914/Prod_A", listed).status == 200
    body = {"status": "running", "meta": {**meta, "more": True}}
    answer = api.put("/api/v1/productions/GW150914/Prod_A", body)
    assert (answer.status, answer.json["production"]["meta"]) == (200, body["meta"])
    assert answer.json["production"]["status"] == "running"


def test_update_ignores_what_cannot_be_changed(api: Any) -> None:
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    body = {"name": "Prod_B", "pipeline": "rift", "dependencies": ["Prod_A"], "comment": "seen"}
    answer = api.put("/api/v1/productions/GW150914/Prod_A", body).json["production"]
    assert (answer["name"], answer["pipeline"], answer["dependencies"]) == ("Prod_A", "bilby", [])


def test_unknown_fields_are_refused_by_name(api: Any) -> None:
    wrong = {"name": "Prod_A", "pipeline": "bilby", "status": "running", "needs": []}
    answer = api.post("/api/v1/productions/GW150914", wrong)
    assert answer.status == 400
    assert [detail["loc"] for detail in answer.json["details"]] == [["status"], ["needs"]]
    answer = api.put("/api/v1/productions/GW150914/Prod_A", {"sampler": "dynesty"})
    assert (answer.status, answer.json["details"][0]["loc"]) == (400, ["sampler"])


def test_dependencies_are_kept_in_order_without_repeats(api: Any) -> None:
    body = {"name": "Prod_C", "pipeline": "bilby", "dependencies": ["Prod_B", "Prod_A", "Prod_B"]}
    answer = api.post("/api/v1/productions/GW150914", body)
    assert answer.json["production"]["dependencies"] == ["Prod_B", "Prod_A"]


def test_production_that_names_itself_is_refused(api: Any) -> None:
    body = {"name": "Prod_A", "pipeline": "bilby", "dependencies": ["Prod_A"]}
    answer = api.post("/api/v1/productions/GW150914", body)
    assert answer.status == 400
    assert answer.json["details"] == [
        {"loc": ["dependencies"], "msg": "close a circle: Prod_A -> Prod_A", "type": "value_error.circle"}
    ]


def test_production_that_closes_a_circle_is_refused(api: Any) -> None:
    for name, needs in (("Prod_A", "Prod_B"), ("Prod_B", "Prod_C")):
        body = {"name": name, "pipeline": "bilby", "dependencies": [needs]}
        assert api.post("/api/v1/productions/GW150914", body).status == 201
    body = {"name": "Prod_C", "pipeline": "bilby", "dependencies": ["Prod_Z", "Prod_A"]}
    answer = api.post("/api/v1/productions/GW150914", body)
    assert answer.status == 400
    assert answer.json["details"][0]["msg"] == "close a circle: Prod_C -> Prod_A -> Prod_B -> Prod_C"
    assert api.post("/api/v1/productions/GW150914", body | {"dependencies": ["Prod_Z"]}).status == 201


@pytest.mark.parametrize("dependencies", [None, "Prod_B", {"Prod_B": 1}, [1], [None], [["Prod_B"]], ["a/b"], [""]])
def test_dependencies_that_are_no_list_of_names_are_refused(api: Any, dependencies: Any) -> None:
    body = {"name": "Prod_A", "pipeline": "bilby", "dependencies": dependencies}
    answer = api.post("/api/v1/productions/GW150914", body)
    assert answer.status == 400
    assert answer.json["details"][0]["loc"][0] == "dependencies"


def test_slash_at_the_end_changes_nothing(api: Any) -> None:
    assert api.post("/api/v1/productions/GW150914/", {"name": "Prod_A", "pipeline": "bilby"}).status == 201
    assert api.put("/api/v1/productions/GW150914/Prod_A/", {"comment": "c"}).status == 200
    assert api.get("/api/v1/productions/GW150914/Prod_A/").status == 200
    assert api.delete("/api/v1/productions/GW150914/Prod_A/").status == 204


def test_checks_come_in_order_token_body_existence_conflict(api: Any) -> None:
    assert api.post("/api/v1/productions/Nope", {}, token=None).status == 401
    assert api.post("/api/v1/productions/Nope", {}).status == 400
    assert api.post("/api/v1/productions/Nope", {"name": "Prod_A", "pipeline": "bilby"}).status == 404
