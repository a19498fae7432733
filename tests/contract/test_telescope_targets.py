"""Targets: create, read, change, delete, list, cone search; and the target detail API."""

from typing import Any

import pytest

from tests.conftest import Api, Aws, Clock

FIELDS = ["id", "name", "type", "ra", "dec", "extra_fields", "created", "modified"]
NO_IDS = ["abc", "-1", "0", "1.0", "1e3", "9" * 15, "9" * 100, "%20", "1%20", "٣", "%2B1", "null", "1_0"]
NOT_FOUND = (404, {"detail": "Not found."})


# Create


def test_create_answers_201_with_the_target_and_where_it_is(api: Api, clock: Clock) -> None:
    answer = api.post("/api/targets/", {"name": "M 13", "ra": 250.42, "dec": 36.46, "extra_fields": {"mykey": "v"}})
    assert answer.status == 201
    assert list(answer.json) == FIELDS
    assert answer.json == {
        "id": 1,
        "name": "M 13",
        "type": "SIDEREAL",
        "ra": 250.42,
        "dec": 36.46,
        "extra_fields": {"mykey": "v"},
        "created": clock().timestamp(),
        "modified": clock().timestamp(),
    }
    assert isinstance(answer.json["created"], float)
    assert api.get(answer.headers["location"]).json == answer.json


def test_a_target_that_moves_needs_no_position(api: Api) -> None:
    answer = api.post("/api/targets/", {"name": "2713 Luxembourg", "type": "NON_SIDEREAL"})
    assert (answer.status, answer.json["ra"], answer.json["dec"]) == (201, None, None)
    assert api.get("/api/targets/1/").json == answer.json


@pytest.mark.parametrize(
    "name", ["C/2020 F3 (NEOWISE)", "ünïcode ✨", "100% #1?", "..", "a" * 100, "Hercules & 'M' \"13\"", "\\", "日本"]
)
def test_any_printable_name_is_taken(api: Api, name: str) -> None:
    target = api.target(name)
    assert api.get(f"/api/targets/{target}/").json["name"] == name
    assert api.get(f"/api/target/{target}/").json["target"]["name"] == name


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"name": ["This field is required."]}),
        ({"name": "M 13"}, {"ra": ["This field is required."], "dec": ["This field is required."]}),
        ({"name": "", "ra": 1, "dec": 1}, {"name": ["This field may not be blank."]}),
        ({"name": "  ", "ra": 1, "dec": 1}, {"name": ["This field may not be blank."]}),
        ({"name": None, "ra": 1, "dec": 1}, {"name": ["This field may not be null."]}),
        ({"name": 13, "ra": 1, "dec": 1}, {"name": ["Not a valid string."]}),
        (
            {"name": "x" * 300, "ra": 1, "dec": 1},
            {"name": ["Ensure this field has no more than 100 characters."]},
        ),
        ({"name": "a\nb", "ra": 1, "dec": 1}, {"name": ["must not contain control characters"]}),
        ({"name": "M", "ra": "east", "dec": 1}, {"ra": ["A valid number is required."]}),
        ({"name": "M", "ra": True, "dec": 1}, {"ra": ["A valid number is required."]}),
        ({"name": "M", "ra": 1, "dec": 1, "extra_fields": []}, {"extra_fields": ["Expected a dictionary of items."]}),
        ({"name": "M", "ra": 1, "dec": 1, "extra_fields": None}, {"extra_fields": ["This field may not be null."]}),
        ({"name": "M", "ra": 1, "dec": 1, "colour": "red"}, {"colour": ["Unknown field."]}),
    ],
)
def test_a_wrong_field_is_named_with_what_is_wrong(api: Api, aws: Aws, body: dict[str, Any], wrong: Any) -> None:
    answer = api.post("/api/targets/", body)
    assert (answer.status, answer.json) == (400, wrong)
    assert aws.items() == []


@pytest.mark.parametrize(
    ("field", "value"), [("ra", 360), ("ra", -0.1), ("dec", 90.1), ("dec", -91), ("type", "PLANET"), ("type", None)]
)
def test_a_value_out_of_range_is_refused_by_its_field(api: Api, field: str, value: Any) -> None:
    answer = api.post("/api/targets/", {"name": "M 13", "ra": 1, "dec": 1, field: value})
    assert (answer.status, list(answer.json)) == (400, [field])


@pytest.mark.parametrize(
    "body",
    [
        *("", "{", "[]", '"M 13"', "null", "3", '{"name": "a", "name": "b"}', '{"name": "M", "ra": NaN, "dec": 1}'),
        *('{"name": "M", "ra": 1e999, "dec": 1}', '{"name": "\\ud800", "ra": 1, "dec": 1}', b"\xff\xfe{}"),
    ],
)
def test_a_body_that_is_no_proper_json_object_is_refused(api: Api, body: str | bytes) -> None:
    answer = api.post("/api/targets/", body=body, headers={"Content-Type": "application/json"})
    assert answer.status == 400
    assert isinstance(answer.json, dict)
    assert api.get("/api/targets/").json["count"] == 0


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_of_another_kind_is_415(api: Api, kind: str) -> None:
    answer = api.post("/api/targets/", body=b'{"name": "M 13"}', headers={"Content-Type": kind})
    media = kind.partition(";")[0]
    assert (answer.status, answer.json) == (415, {"detail": f'Unsupported media type "{media}" in request.'})


def test_a_name_in_use_is_refused(api: Api) -> None:
    api.target("M 13")
    answer = api.post("/api/targets/", {"name": "M 13", "ra": 1, "dec": 1})
    assert (answer.status, answer.json) == (400, {"name": ["target with this name already exists."]})


@pytest.mark.parametrize("ra", [1e-300, -0.0, 1e-7, 359.9999999999999, 250.42345678901234])
def test_a_position_comes_back_as_it_was_sent(api: Api, ra: float) -> None:
    answer = api.post("/api/targets/", {"name": "M 13", "ra": ra, "dec": -ra if ra < 90 else 5e-324})
    assert answer.status == 201
    assert answer.json["ra"] == pytest.approx(ra, abs=1e-99)
    assert api.get("/api/targets/1/").json == answer.json
    near = api.get(f"/api/targets/?cone_search={ra!r},{answer.json['dec']!r},0.001").json["results"]
    assert [each["name"] for each in near] == ["M 13"]


def test_extra_fields_come_back_exactly(api: Api) -> None:
    extra = {
        "one": 1.0,
        "small": 1e-7,
        "huge": 1e300,
        "far": 10**40,
        "none": None,
        "": "empty",
        "~x": [{"a": []}],
        "ü": "✨",
    }
    target = api.target(extra_fields=extra)
    text = api.get(f"/api/targets/{target}/").text
    assert api.get(f"/api/targets/{target}/").json["extra_fields"] == extra
    assert '"one": 1.0' in text
    assert api.get(f"/api/target/{target}/").json["target"]["extra_fields"] == extra


def test_extra_fields_larger_than_a_record_are_refused_by_name(api: Api) -> None:
    answer = api.post("/api/targets/", {"name": "M", "ra": 1, "dec": 1, "extra_fields": {"a": "x" * 1_000_000}})
    assert (answer.status, list(answer.json)) == (400, ["extra_fields"])


# Authentication and methods


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (None, "Authorization header missing"),
        ("Token a-token-for-tests", "Invalid authorization scheme"),
        ("Bearer", "Invalid authorization header"),
        ("Bearer wrong", "Invalid token"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/targets/"),
        ("PATCH", "/api/targets/1/"),
        ("DELETE", "/api/targets/1/"),
        ("POST", "/api/dataproducts/"),
        ("POST", "/api/dataproducts/1/complete/"),
        ("DELETE", "/api/dataproducts/1/"),
        ("POST", "/api/dataproductgroups/"),
        ("PATCH", "/api/dataproductgroups/1/"),
        ("DELETE", "/api/dataproductgroups/1/"),
        ("POST", "/api/pipeline/"),
        ("POST", "/api/pipeline/1/cancel/"),
        ("POST", "/api/pipeline/1/retry/"),
    ],
)
def test_writing_without_a_valid_token_is_401(
    client: Api, method: str, path: str, header: str | None, text: str
) -> None:
    headers = {"Authorization": header} if header else {}
    answer = client.request(method, path, {"name": "M 13"}, token=None, headers=headers)
    assert (answer.status, answer.json, answer.headers["www-authenticate"]) == (401, {"detail": text}, "Bearer")


@pytest.fixture(scope="module")
def client() -> Any:
    """The app without AWS: whoever is turned away at the door needs none."""
    from chalice.test import Client

    from app import app
    from tests.conftest import PROJECT

    with Client(app, project_dir=str(PROJECT)) as made:
        yield Api(made)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/targets/1/", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("DELETE", "/api/targets/", "GET, HEAD, POST, OPTIONS"),
        ("POST", "/api/async/status/1/", "GET, HEAD, OPTIONS"),
        ("POST", "/api/pipeline/logs/1/", "GET, HEAD, OPTIONS"),
        ("POST", "/api/target/1/", "GET, HEAD, OPTIONS"),
        ("GET", "/api/pipeline/", "POST, OPTIONS"),
        ("PATCH", "/api/pipelines/", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_405_and_says_which_are_right(client: Api, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    assert (answer.status, answer.json) == (405, {"detail": f'Method "{method}" not allowed.'})
    assert answer.headers["allow"] == allowed


# Read


@pytest.mark.parametrize(
    "path",
    [
        "/api/targets/{}/",
        "/api/target/{}/",
        "/api/async/status/{}/",
        "/api/pipeline/logs/{}/",
        "/api/pipeline/{}/",
        "/api/dataproducts/{}/",
        "/api/dataproductgroups/{}/",
    ],
)
def test_an_id_that_no_record_has_is_404(api: Api, path: str) -> None:
    answers = {no_id: api.get(path.format(no_id)) for no_id in NO_IDS}
    assert {no_id: (each.status, each.json) for no_id, each in answers.items()} == dict.fromkeys(NO_IDS, NOT_FOUND)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/api/targets/{}/"),
        ("DELETE", "/api/targets/{}/"),
        ("DELETE", "/api/dataproducts/{}/"),
        ("POST", "/api/dataproducts/{}/complete/"),
        ("PATCH", "/api/dataproductgroups/{}/"),
        ("DELETE", "/api/dataproductgroups/{}/"),
        ("POST", "/api/pipeline/{}/cancel/"),
        ("POST", "/api/pipeline/{}/retry/"),
    ],
)
def test_writing_to_an_id_that_no_record_has_is_404(api: Api, method: str, path: str) -> None:
    body = {} if method == "PATCH" else None
    answers = {no_id: api.request(method, path.format(no_id), body) for no_id in NO_IDS}
    assert {no_id: (each.status, each.json) for no_id, each in answers.items()} == dict.fromkeys(NO_IDS, NOT_FOUND)


def test_a_zero_padded_id_is_no_second_address_of_a_record(api: Api) -> None:
    api.target()
    assert api.get("/api/target/01/").status == 404


# Change


def test_a_change_sets_what_is_given_and_merges_extra_fields(api: Api, clock: Clock) -> None:
    target = api.target("Luxembourg", extra_fields={"a": 1, "b": {"x": 1}})
    clock.advance(5)
    answer = api.patch(f"/api/targets/{target}/", {"ra": 1.5, "extra_fields": {"b": {"y": 2}, "c": None}})
    assert (answer.status, list(answer.json)) == (200, FIELDS)
    assert (answer.json["name"], answer.json["ra"], answer.json["dec"]) == ("Luxembourg", 1.5, 36.46)
    assert answer.json["extra_fields"] == {"a": 1, "b": {"y": 2}, "c": None}
    assert answer.json["modified"] == answer.json["created"] + 5
    assert api.get(f"/api/targets/{target}/").json == answer.json


def test_a_target_that_the_server_sent_can_be_sent_back(api: Api) -> None:
    target = api.target()
    body = api.get(f"/api/targets/{target}/").json
    assert api.patch(f"/api/targets/{target}/", {**body, "id": 99, "name": "New"}).json["id"] == target
    assert api.get(f"/api/targets/{target}/").json["name"] == "New"


def test_a_rename_frees_the_old_name_and_takes_the_new_one(api: Api) -> None:
    target = api.target("Old")
    assert api.patch(f"/api/targets/{target}/", {"name": "New"}).status == 200
    assert api.post("/api/targets/", {"name": "New", "ra": 1, "dec": 1}).status == 400
    assert api.target("Old") != target
    assert [each["id"] for each in api.get("/api/targets/?name=New").json["results"]] == [target]


def test_a_rename_to_a_name_in_use_changes_nothing(api: Api) -> None:
    api.target("Taken")
    target = api.target("Mine")
    answer = api.patch(f"/api/targets/{target}/", {"name": "Taken", "ra": 3})
    assert (answer.status, answer.json) == (400, {"name": ["target with this name already exists."]})
    assert api.get(f"/api/targets/{target}/").json["ra"] == 250.42


def test_a_position_can_be_taken_away_from_a_target_that_moves(api: Api) -> None:
    target = api.target()
    answer = api.patch(f"/api/targets/{target}/", {"type": "NON_SIDEREAL", "ra": None, "dec": None})
    assert (answer.status, answer.json["ra"], answer.json["dec"]) == (200, None, None)
    assert api.get(f"/api/targets/{target}/").json == answer.json
    assert api.get("/api/targets/?cone_search=250.42,36.46,1").json["results"] == []


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"ra": None}, {"ra": ["This field is required."]}),
        ({"name": ""}, {"name": ["This field may not be blank."]}),
        ({"name": None}, {"name": ["This field may not be null."]}),
        ({"colour": 1}, {"colour": ["Unknown field."]}),
    ],
)
def test_a_wrong_change_is_refused(api: Api, body: Any, wrong: Any) -> None:
    answer = api.patch(f"/api/targets/{api.target()}/", body)
    assert (answer.status, answer.json) == (400, wrong)


def test_extra_fields_cannot_grow_past_a_record_by_merging(api: Api) -> None:
    target = api.target(extra_fields={"a": "x" * 200_000})
    answer = api.patch(f"/api/targets/{target}/", {"extra_fields": {"b": "x" * 200_000}})
    assert (answer.status, list(answer.json)) == (400, ["extra_fields"])


# Lists


def test_the_list_is_paged_by_id_with_addresses_of_both_neighbours(api: Api) -> None:
    for number in range(5):
        api.target(f"T{number}")
    first = api.get("/api/targets/?limit=2").json
    assert list(first) == ["count", "next", "previous", "results"]
    assert (first["count"], first["previous"], [each["id"] for each in first["results"]]) == (5, None, [1, 2])
    second = follow(api, first["next"])
    third = follow(api, second["next"])
    assert [each["id"] for each in second["results"]] == [3, 4]
    assert ([each["id"] for each in third["results"]], third["next"]) == ([5], None)
    assert [each["id"] for each in follow(api, third["previous"])["results"]] == [3, 4]


def follow(api: Api, address: str) -> Any:
    assert address.startswith("https://")
    return api.get("/" + address.split("/", 3)[3]).json


def test_a_list_whose_targets_are_large_ends_its_page_before_a_lambda_answer_does(api: Api) -> None:
    for number in range(13):
        api.target(f"T{number}", extra_fields={"a": "x" * 370_000})
    pages = [api.get("/api/targets/")]
    assert len(pages[0].text) < 5_000_000
    assert pages[0].json["next"]
    rest = follow(api, pages[0].json["next"])["results"]
    assert [each["id"] for each in pages[0].json["results"] + rest] == list(range(1, 14))


def test_a_wrong_limit_is_refused(api: Api) -> None:
    for wrong in ["0", "501", "-1", "x", "1.5", "9" * 5000, "", "0&name=M%2013", "0&cone_search=1,2,3"]:
        answer = api.get(f"/api/targets/?limit={wrong}")
        assert (answer.status, list(answer.json)) == (400, ["limit"]), wrong


def test_a_wrong_cursor_is_refused(api: Api) -> None:
    for wrong in ["x", "!!!", "W10", "WzEsMCwiYSIsMV0", "9" * 5000]:
        answer = api.get(f"/api/targets/?next={wrong}")
        assert (answer.status, list(answer.json)) == (400, ["next"]), wrong


@pytest.mark.parametrize(("name", "found"), [("M%2013", 1), ("m 13", 0), ("", 0), ("x" * 5000, 0), ("%00", 0)])
def test_targets_are_found_by_their_whole_name(api: Api, name: str, found: int) -> None:
    api.target("M 13")
    answer = api.get(f"/api/targets/?name={name}")
    assert (answer.status, answer.json["count"], answer.json["next"]) == (200, found, None)


def test_a_cone_finds_what_is_inside_nearest_first(api: Api) -> None:
    for name, ra, dec in (("far", 10.9, 20), ("near", 10.1, 20), ("centre", 10, 20), ("outside", 12, 20)):
        api.target(name, ra=ra, dec=dec)
    found = api.get("/api/targets/?cone_search=10,20,1").json
    assert ([each["name"] for each in found["results"]], found["count"]) == (["centre", "near", "far"], 3)


def test_a_cone_reaches_across_zero_hours_and_round_the_poles(api: Api) -> None:
    for name, ra, dec in (("left", 359.9, 0.9), ("right", 0.1, -0.1), ("north", 200, 89.5), ("south", 20, -90)):
        api.target(name, ra=ra, dec=dec)
    names = {
        cone: [each["name"] for each in api.get(f"/api/targets/?cone_search={cone}").json["results"]]
        for cone in ("0,0.5,1", "359.95,0.5,1", "20,89.8,1", "200,-89.9,0.2", "0.1,-0.1,0")
    }
    assert names == {
        "0,0.5,1": ["left", "right"],
        "359.95,0.5,1": ["left", "right"],
        "20,89.8,1": ["north"],
        "200,-89.9,0.2": ["south"],
        "0.1,-0.1,0": ["right"],
    }


def test_a_target_that_moved_is_found_where_it_is_now_and_one_that_is_deleted_nowhere(api: Api) -> None:
    target = api.target(ra=10, dec=20)
    api.patch(f"/api/targets/{target}/", {"ra": 100, "dec": 20.5})
    assert api.get("/api/targets/?cone_search=10,20,1").json["count"] == 0
    assert api.get("/api/targets/?cone_search=100,20.5,0.1").json["count"] == 1
    api.delete(f"/api/targets/{target}/")
    assert api.get("/api/targets/?cone_search=100,20.5,0.1").json["count"] == 0


def test_a_wrong_cone_is_refused(api: Api) -> None:
    for wrong in ["", "1", "1,2", "1,2,3,4", "a,b,c", "nan,0,1", "360,0,1", "0,91,1", "0,0,-1", "0,0,11"]:
        answer = api.get(f"/api/targets/?cone_search={wrong}")
        assert (answer.status, list(answer.json)) == (400, ["cone_search"]), wrong


# Delete, and the target detail API


def test_a_deleted_target_is_gone_and_its_name_free(api: Api, aws: Aws) -> None:
    target = api.target("M 13")
    answer = api.delete(f"/api/targets/{target}/")
    assert (answer.status, answer.text) == (204, "")
    for path in ("targets", "target", "async/status"):
        assert api.get(f"/api/{path}/{target}/").status == 404
    assert api.delete(f"/api/targets/{target}/").status == 404
    assert aws.items() == []
    assert api.target("M 13") == target + 1


def test_target_detail_has_the_documented_keys_in_their_order(api: Api) -> None:
    target = api.target("Hercules Globular Cluster", extra_fields={"mykey": "myvalue"})
    answer = api.get(f"/api/target/{target}/")
    assert answer.status == 200
    assert answer.text == (
        '{"target": {"name": "Hercules Globular Cluster", "extra_fields": {"mykey": "myvalue"}}, "timelapses": []}'
    )
