"""Observation templates: checked against the form of their facility, kept as they were sent."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.models import observation_templates as models
from chalicelib.storage import observation_templates as storage
from tests.conftest import Api, Aws, Clock

TEMPLATES = "/api/observationtemplates/"
FIELDS: dict[str, Any] = {
    "proposal": "DEMO-2026-001",
    "ipp_value": 1.0,
    "instrument_type": "0M4-SCICAM-QHY600",
    "max_airmass": 1.6,
    "observation_mode": "NORMAL",
    "rp_exposure_count": 5,
    "rp_exposure_time": 30.0,
}
KEYS = ["id", "name", "target", "facility", "fields", "created", "modified"]

pytestmark = pytest.mark.usefixtures("portal")


@pytest.fixture
def target(api: Api) -> int:
    """A target."""
    return api.target()


def body(target: int, name: str = "transit", **more: Any) -> dict[str, Any]:
    """Return the body of a new template."""
    return {"name": name, "target": target, "facility": "LCO", "fields": FIELDS, **more}


def made(api: Api, target: int, name: str = "transit", **more: Any) -> dict[str, Any]:
    """Create a template and return it."""
    answer = api.post(TEMPLATES, body(target, name, **more))
    assert answer.status == 201, answer.text
    template: dict[str, Any] = answer.json
    return template


def cards(aws: Aws) -> list[str]:
    """Return the sort keys of all cards of templates."""
    return sorted(item["sk"]["S"] for item in aws.items() if item["sk"]["S"].startswith("OBSERVATIONTEMPLATE#"))


def test_a_new_template_is_answered_and_found_at_its_address(api: Api, target: int, clock: Clock) -> None:
    answer = api.post(TEMPLATES, body(target))
    assert answer.status == 201
    assert list(answer.json) == KEYS
    now = clock.moment.timestamp()
    assert answer.json == {"id": 1, **body(target), "created": now, "modified": now}
    assert answer.headers["location"] == f"{TEMPLATES}1/"
    assert api.get(answer.headers["location"]).json == answer.json
    assert api.get(TEMPLATES).json == {"count": 1, "next": None, "previous": None, "results": [answer.json]}


def test_blanks_around_the_facility_are_none_of_its_name(api: Api, target: int) -> None:
    assert made(api, target, facility=" LCO ")["facility"] == "LCO"


def test_fields_come_back_exactly(api: Api, target: int) -> None:
    text = (
        '{"name": "Ünï 重力波 😀", "ipp_value": 1.0, "min_lunar_distance": 1e-07, "max_airmass": "1.60", '
        '"rp_exposure_count": 5, "rp_exposure_time": 30.10, "proposal": "", "end": null}'
    )
    template = made(api, target, fields=json.loads(text))
    for answer in (
        api.get(f"{TEMPLATES}{template['id']}/"),
        api.get(f"{TEMPLATES}?target={target}"),
        api.get(TEMPLATES),
    ):
        assert text.replace("30.10", "30.1") in answer.text


def test_a_template_may_leave_out_what_overrides_will_give(api: Api, target: int) -> None:
    assert made(api, target, fields={})["fields"] == {}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"target": 99}, {"target": ['Invalid pk "99" - object does not exist.']}),
        ({"facility": "SOAR"}, {"facility": ["Facility not found."]}),
        ({"facility": "lco"}, {"facility": ["Facility not found."]}),
        ({"facility": ""}, {"facility": ["This field may not be blank."]}),
        ({"facility": "x" * 5000}, {"facility": ["Facility not found."]}),
        ({"facility": 7}, {"facility": ["Not a valid string."]}),
        ({"facility": None}, {"facility": ["This field may not be null."]}),
        ({"target": "x"}, {"target": ["A valid integer is required."]}),
        ({"target": True}, {"target": ["A valid number is required."]}),
        ({"name": " "}, {"name": ["This field may not be blank."]}),
        ({"name": "n" * 101}, {"name": ["Ensure this field has no more than 100 characters."]}),
        ({"fields": []}, {"fields": ["Expected a dictionary of items."]}),
        ({"fields": None}, {"fields": ["This field may not be null."]}),
        ({"colour": 1}, {"colour": ["Unknown field."]}),
    ],
)
def test_what_is_wrong_with_a_template_is_told_by_field(
    api: Api, aws: Aws, target: int, change: Any, told: Any
) -> None:
    answer = api.post(TEMPLATES, body(target) | change)
    assert (answer.status, answer.json) == (400, told)
    assert cards(aws) == []


def test_fields_that_are_missing_are_named(api: Api) -> None:
    required = ["This field is required."]
    assert api.post(TEMPLATES, {}).json == {
        "name": required,
        "target": required,
        "facility": required,
        "fields": required,
    }


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"ipp_value": 3}, "ipp_value", "Ensure this value is less than or equal to 2."),
        ({"ipp_value": "high"}, "ipp_value", "A valid number is required."),
        ({"nonsense": 1}, "nonsense", "Unknown field."),
        ({"zz_exposure_count": 1}, "zz_exposure_count", "Unknown field."),
        ({"rp_exposure_count": 0}, "rp_exposure_count", "Ensure this value is greater than or equal to 1."),
        ({"start": "garbage"}, "start", "Enter a valid date/time."),
        ({"n" * 5000: 1}, "n" * 200, "Unknown field."),
    ],
)
def test_the_facility_says_what_is_wrong_with_fields(
    api: Api, target: int, fields: dict[str, Any], field: str, text: str
) -> None:
    answer = api.post(TEMPLATES, body(target, fields=FIELDS | fields))
    assert (answer.status, answer.json) == (400, {"fields": {field: [text]}})
    template = made(api, target)
    answer = api.patch(f"{TEMPLATES}{template['id']}/", {"fields": fields})
    assert (answer.status, answer.json) == (400, {"fields": {field: [text]}})
    assert api.get(f"{TEMPLATES}{template['id']}/").json == template


@pytest.mark.parametrize("field", ["target_id", "facility"])
def test_fields_may_not_say_what_the_template_is_for(api: Api, target: int, field: str) -> None:
    answer = api.post(TEMPLATES, body(target, fields={field: "LCO", "ipp_value": 3}))
    assert answer.status == 400
    assert sorted(answer.json["fields"]) == sorted([field, "ipp_value"])
    template = made(api, target)
    assert api.patch(f"{TEMPLATES}{template['id']}/", {"fields": {field: target}}).status == 400


def test_fields_that_are_too_large_are_refused(api: Api, target: int) -> None:
    most = models.MAX_FIELDS_BYTES - len('name""')
    for text in ("n" * (most + 1), "é" * (most // 6 + 1)):
        answer = api.post(TEMPLATES, body(target, fields={"name": text}))
        assert answer.status == 400
        assert "at most 20000 can be kept" in answer.text
    answer = api.post(TEMPLATES, body(target, fields={"name": "n" * most}))
    assert list(answer.json["fields"]) == ["name"]  # whose length is for the facility to judge


def test_a_name_is_taken_for_its_target_and_facility_only(api: Api, aws: Aws, target: int) -> None:
    template = made(api, target)
    answer = api.post(TEMPLATES, body(target, fields={}))
    assert answer.status == 400
    told = "observation template with this name already exists for this target and facility."
    assert answer.json == {"name": [told]}
    assert api.get(f"{TEMPLATES}{template['id']}/").json == template
    made(api, api.target("M 31"))
    made(api, target, "Transit")
    assert api.get(TEMPLATES).json["count"] == 3
    assert cards(aws) == ["OBSERVATIONTEMPLATE#LCO#Transit", *["OBSERVATIONTEMPLATE#LCO#transit"] * 2]


def test_one_of_many_that_take_a_name_at_once_gets_it(api: Api, target: int, at_once: Callable[..., list[Any]]) -> None:
    made(api, target, "first")  # the form of the facility is known now
    answers = at_once(lambda _: api.post(TEMPLATES, body(target)).status, range(8))
    assert sorted(answers) == [201] + [400] * 7
    assert api.get(f"{TEMPLATES}?target={target}").json["count"] == 2


def test_a_change_sets_what_is_given(api: Api, target: int, clock: Clock) -> None:
    template = made(api, target)
    address = f"{TEMPLATES}{template['id']}/"
    clock.advance(10)
    answer = api.patch(address, {"fields": {"ipp_value": 1.5}})
    changed = {**template, "fields": {"ipp_value": 1.5}, "modified": template["created"] + 10}
    assert (answer.status, answer.json) == (200, changed)
    clock.advance(10)
    answer = api.patch(address, {"name": "other"})
    changed |= {"name": "other", "modified": template["created"] + 20}
    assert (answer.status, answer.json) == (200, changed)
    assert api.patch(address, {}).json == changed
    assert api.get(address).json == changed
    assert api.get(f"{TEMPLATES}?target={target}").json["results"] == [changed]


def test_what_was_read_may_be_sent_back_whole(api: Api, target: int) -> None:
    template = made(api, target)
    answer = api.patch(f"{TEMPLATES}{template['id']}/", template)
    assert answer.status == 200
    assert {**answer.json, "modified": template["modified"]} == template


def test_a_rename_takes_the_new_name_and_frees_the_old_one(api: Api, aws: Aws, target: int) -> None:
    template = made(api, target)
    made(api, target, "taken")
    address = f"{TEMPLATES}{template['id']}/"
    answer = api.patch(address, {"name": "taken"})
    assert answer.status == 400
    assert list(answer.json) == ["name"]
    assert api.get(address).json == template
    assert api.patch(address, {"name": "moved"}).status == 200
    assert cards(aws) == ["OBSERVATIONTEMPLATE#LCO#moved", "OBSERVATIONTEMPLATE#LCO#taken"]
    made(api, target)


@pytest.mark.parametrize("change", [{"target": 2}, {"facility": "SOAR"}, {"target": None}, {"facility": None}])
def test_a_template_stays_with_its_target_and_facility(api: Api, target: int, change: dict[str, Any]) -> None:
    api.target("M 31")
    template = made(api, target)
    answer = api.patch(f"{TEMPLATES}{template['id']}/", {"name": "other", **change})
    assert (answer.status, list(answer.json)) == (400, list(change))
    assert api.get(f"{TEMPLATES}{template['id']}/").json == template


def test_twenty_writers_at_once_lose_nothing(
    api: Api, aws: Aws, target: int, at_once: Callable[..., list[Any]]
) -> None:
    template = made(api, target)
    address = f"{TEMPLATES}{template['id']}/"
    changes = [
        {"name": f"n{number}"} if number % 2 else {"fields": {"ipp_value": 0.5 + number / 20}} for number in range(20)
    ]
    answers = at_once(lambda change: api.patch(address, change), changes)
    assert [answer.status for answer in answers] == [200] * 20
    kept = api.get(address).json
    assert kept == max((answer.json for answer in answers), key=lambda each: each["modified"])
    assert {"name": kept["name"]} in changes
    assert {"fields": kept["fields"]} in changes
    assert cards(aws) == [f"OBSERVATIONTEMPLATE#LCO#{kept['name']}"]
    assert api.get(f"{TEMPLATES}?target={target}").json["results"] == [kept]


def test_a_deleted_template_is_gone_and_its_name_free(api: Api, aws: Aws, target: int) -> None:
    before = len(aws.items())
    template = made(api, target)
    address = f"{TEMPLATES}{template['id']}/"
    assert (api.delete(address).status, api.delete(address).status) == (204, 404)
    assert len(aws.items()) == before
    for method, sent in (("GET", None), ("PATCH", {"name": "a"}), ("PATCH", {})):
        answer = api.request(method, address, sent)
        assert (answer.status, answer.json) == (404, {"detail": "Not found."})
    assert api.get(TEMPLATES).json["count"] == 0
    made(api, target)


def test_a_template_is_deleted_once(api: Api, target: int, at_once: Callable[..., list[Any]]) -> None:
    addresses = [f"{TEMPLATES}{made(api, target, name)['id']}/" for name in ("a", "b")]
    answers = at_once(lambda _: api.delete(addresses[0]).status, range(5))
    assert sorted(answers) == [204, 404, 404, 404, 404]
    assert api.get(TEMPLATES).json["count"] == api.get(f"{TEMPLATES}?target={target}").json["count"] == 1


def test_a_target_has_room_for_so_many_templates(api: Api, target: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_PER_TARGET", 2)
    first = made(api, target, "a")
    made(api, target, "b")
    answer = api.post(TEMPLATES, body(target, "c"))
    assert answer.status == 400
    assert list(answer.json) == ["target"]
    made(api, api.target("M 31"), "c")
    assert api.delete(f"{TEMPLATES}{first['id']}/").status == 204
    assert api.post(TEMPLATES, body(target, "b")).json == {
        "name": ["observation template with this name already exists for this target and facility."]
    }
    made(api, target, "c")


def test_lists_come_by_id_and_in_pages(api: Api, target: int) -> None:
    other = api.target("M 31")
    ids = [made(api, target, name)["id"] for name in ("c", "a", "ü", "b", "#")]
    elsewhere = made(api, other, "a")["id"]
    for query, expected in (("", sorted([*ids, elsewhere])), (f"target={target}", ids)):
        seen: list[int] = []
        address = f"{TEMPLATES}?limit=2&{query}"
        while address:
            page = api.get(address[address.index("/api/") :]).json
            assert page["count"] == len(expected)
            assert (page["previous"] is None) == (not seen)
            seen += [template["id"] for template in page["results"]]
            address = page["next"]
            last = page
        assert seen == expected
        back = api.get(last["previous"][last["previous"].index("/api/") :]).json
        assert [template["id"] for template in back["results"]] == expected[: -len(last["results"])][-2:]


def test_lists_of_a_target_can_be_narrowed(api: Api, target: int) -> None:
    made(api, target, "a")
    template = made(api, target, "b")
    page = {"count": 1, "next": None, "previous": None, "results": [template]}
    empty = {"count": 0, "next": None, "previous": None, "results": []}
    address = f"{TEMPLATES}?target={target}"
    assert api.get(f"{address}&name=b").json == page
    assert api.get(f"{address}&name=b&facility=LCO").json == page
    assert api.get(f"{address}&facility=LCO").json["count"] == 2
    for query in ("facility=SOAR", "name=c", f"name={'n' * 3000}", "name="):
        assert api.get(f"{address}&{query}").json == empty, query
    assert api.get(f"{TEMPLATES}?target=99").json == empty
    answer = api.get(f"{TEMPLATES}?name=b")
    assert (answer.status, list(answer.json)) == (400, ["target"])


@pytest.mark.parametrize(
    "query", ["target=x", "limit=0", "next=nonsense", "target=1&next=nonsense", "target=1&limit=x"]
)
def test_odd_parameters_are_refused_by_name(api: Api, query: str) -> None:
    answer = api.get(f"{TEMPLATES}?{query}")
    assert answer.status == 400
    assert list(answer.json) == [query.rpartition("&")[2].partition("=")[0]]


@pytest.mark.parametrize("template_id", ["0", "x", "1.5", "-1", "9" * 16, "1%20", "%00"])
def test_what_is_no_id_is_not_found(api: Api, template_id: str) -> None:
    for method, sent in (("GET", None), ("PATCH", {"name": "a"}), ("DELETE", None)):
        answer = api.request(method, f"{TEMPLATES}{template_id}/", sent)
        assert (answer.status, answer.json) == (404, {"detail": "Not found."})


def test_writing_needs_a_token_and_reading_does_not(api: Api, target: int) -> None:
    address = f"{TEMPLATES}{made(api, target)['id']}/"
    assert api.post(TEMPLATES, body(target), token=None).status == 401
    assert api.patch(address, {"name": "a"}, token=None).status == 401
    assert api.delete(address, token="wrong").status == 401
    assert api.get(address).status == api.get(TEMPLATES).status == 200
    assert api.put(address, {}).headers["allow"] == "GET, HEAD, PATCH, DELETE, OPTIONS"


@pytest.mark.parametrize(("kind", "status"), [("503", 503), ("502", 503), ("html", 502), ("garbage", 502)])
def test_a_portal_that_is_down_is_told_and_nothing_is_kept(
    api: Api, aws: Aws, target: int, portal: Any, kind: str, status: int
) -> None:
    portal.fail(kind, times=99)
    answer = api.post(TEMPLATES, body(target))
    assert (answer.status, list(answer.json)) == (status, ["detail"])
    assert status == 502 or int(answer.headers["retry-after"]) >= 1
    assert portal.token not in answer.text
    assert cards(aws) == []
    portal.faults.clear()


def test_renaming_and_reading_do_without_the_portal(api: Api, target: int, portal: Any) -> None:
    template = made(api, target)
    asked = len(portal.seen())
    portal.fail("503", times=99)
    assert api.patch(f"{TEMPLATES}{template['id']}/", {"name": "other"}).status == 200
    assert api.get(TEMPLATES).status == 200
    assert len(portal.seen()) == asked
