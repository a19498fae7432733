"""tom_education's create observation alert API, and the addresses of observations."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from chalicelib.errors import InvalidInputError
from chalicelib.handlers.replies import TELESCOPE
from chalicelib.models.observing import ObserveInput
from chalicelib.models.validation import validate_telescope
from local.portal.stand_in import StandIn
from tests.asking import FIRST_NAME, TEMPLATE, asked, prepare
from tests.conftest import Answer, Api, Aws, Clock, forget

URL = "/api/observe/"
LIMITED = {"detail": "Request was throttled. Expected available in 60 seconds."}


@pytest.fixture
def target(api: Api, portal: StandIn, clock: Clock) -> int:
    return prepare(api)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait between tries."""
    monkeypatch.setattr(time, "sleep", lambda _: None)


def observe(api: Api, body: Any, **more: Any) -> Answer:
    return api.post(URL, body, **{"token": None, **more})


def form(api: Api, fields: dict[str, Any]) -> Answer:
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return api.post(URL, body=urlencode(fields), headers=headers, token=None)


def multipart(api: Api, fields: dict[str, Any]) -> Answer:
    parts = "".join(f'--xx\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items())
    headers = {"Content-Type": "multipart/form-data; boundary=xx"}
    return api.post(URL, body=f"{parts}--xx--\r\n", headers=headers, token=None)


def test_the_validated_input_is_echoed(api: Api, target: int) -> None:
    overrides = {"start": "2026-01-11T00:00:00", "end": "2026-01-16T00:00:00"}
    body = asked(str(target), overrides=overrides, colour="blue")  # type: ignore[arg-type]
    answer = observe(api, body)
    assert (answer.status, answer.json) == (201, asked(target, overrides=overrides))
    assert answer.headers["location"] == "/api/observations/1/"


def test_overrides_that_were_not_given_are_not_echoed(api: Api, target: int) -> None:
    assert observe(api, asked(target)).json == asked(target)
    assert observe(api, asked(target, overrides={})).json == asked(target, overrides={})


def test_what_is_submitted_is_the_template_then_the_name_then_the_overrides(
    api: Api, target: int, portal: StandIn
) -> None:
    observe(api, asked(target, overrides={"rp_exposure_count": "3", "ipp_value": 1.5}))
    (group,) = portal.submissions[FIRST_NAME]
    assert (group["name"], group["ipp_value"], group["proposal"]) == (FIRST_NAME, 1.5, "DEMO-2026-001")
    (configuration,) = group["requests"][0]["configurations"]
    assert configuration["instrument_configs"][0]["exposure_count"] == 3
    assert configuration["target"]["name"] == "HAT-P-32"


def test_the_record_and_its_alert_are_there_at_once(api: Api, aws: Aws, target: int, portal: StandIn) -> None:
    observe(api, asked(target))
    (group,) = portal.submissions[FIRST_NAME]
    seen = api.get("/api/observations/1/").json
    assert (seen["observation_id"], seen["status"]) == (str(group["requests"][0]["id"]), "")
    assert seen["parameters"]["name"] == FIRST_NAME
    alerts = [item for item in aws.items() if item["sk"]["S"] == "ALERT"]
    assert [item["email"]["S"] for item in alerts] == ["someone@someplace.net"]
    assert left_behind(aws) == []


def left_behind(aws: Aws) -> list[str]:
    """Return the keys of submissions that are not settled."""
    return [item["pk"]["S"] for item in aws.items() if item["pk"]["S"].startswith("SUBMISSION#")]


def test_an_override_may_name_the_observation(api: Api, target: int, portal: StandIn) -> None:
    assert observe(api, asked(target, overrides={"name": " transit  of b "})).status == 201
    assert list(portal.submissions) == ["transit  of b"]


def test_a_null_or_blank_name_is_none(api: Api, target: int, portal: StandIn) -> None:
    answers = [observe(api, asked(target, overrides={"name": name})) for name in (None, "", " ")]
    assert [answer.status for answer in answers] == [201] * 3
    assert list(portal.submissions) == [FIRST_NAME, f"{FIRST_NAME}_2", f"{FIRST_NAME}_3"]


def test_a_name_that_gets_a_number_is_not_longer_than_the_portal_takes(
    api: Api, target: int, portal: StandIn, clock: Clock
) -> None:
    body = asked(target, overrides={"name": "n" * 50})
    assert [observe(api, body).status for _ in range(2)] == [201] * 2
    assert list(portal.submissions) == ["n" * 50, "n" * 48 + "_2"]


def test_a_name_in_use_gets_a_number(api: Api, target: int, portal: StandIn, clock: Clock) -> None:
    body = asked(target, overrides={"name": "transit"})
    assert [observe(api, body).status for _ in range(3)] == [201] * 3
    assert list(portal.submissions) == ["transit", "transit_2", "transit_3"]
    assert api.get("/api/observations/3/").json["parameters"]["name"] == "transit_3"
    clock.advance(2 * 86_400)
    assert observe(api, body).status == 201
    assert len(portal.submissions["transit"]) == 2
    assert api.get("/api/observations/4/").json["observation_id"] == "4"


def test_the_address_works_without_its_slash(api: Api, target: int) -> None:
    assert api.post("/api/observe", asked(target), token=None).status == 201


@pytest.mark.parametrize("send", [form, multipart])
def test_forms_are_accepted(api: Api, target: int, send: Callable[..., Answer], portal: StandIn) -> None:
    overrides = {"name": "from a form", "ipp_value": 1.5}
    answer = send(api, asked(target, overrides=json.dumps(overrides)))
    assert (answer.status, answer.json) == (201, asked(target, overrides=overrides))
    (group,) = portal.submissions["from a form"]
    assert group["ipp_value"] == 1.5


@pytest.mark.parametrize("send", [form, multipart])
def test_an_empty_field_of_a_form_is_no_override(api: Api, target: int, send: Callable[..., Answer]) -> None:
    assert send(api, asked(target, overrides="")).json == asked(target)


@pytest.mark.parametrize("overrides", ["{", "[1]", "name=x", '{"a": NaN}', '{"a": 1, "a": 2}'])
def test_overrides_of_a_form_must_be_a_json_object(api: Api, overrides: str) -> None:
    answer = form(api, asked(1, overrides=overrides))
    assert (answer.status, list(answer.json)) == (400, ["overrides"])


@pytest.mark.parametrize("kind", ["text/plain", "application/xml"])
def test_bodies_of_other_types_are_refused(api: Api, kind: str) -> None:
    answer = api.post(URL, body=json.dumps(asked(1)), headers={"Content-Type": kind}, token=None)
    assert (answer.status, answer.json) == (415, {"detail": f'Unsupported media type "{kind}" in request.'})


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"", "application/json"),
        (b"target=%ff", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=1" for _ in range(1001)), "application/x-www-form-urlencoded"),
        (b"nonsense", "multipart/form-data; boundary=xx"),
        (b"nonsense", "multipart/form-data"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_detail(api: Api, body: bytes, content_type: str) -> None:
    answer = api.post(URL, body=body, headers={"Content-Type": content_type}, token=None)
    assert answer.status == 400
    assert list(answer.json) == ["detail"]


REQUIRED = ["This field is required."]


def test_every_missing_field_is_named(api: Api) -> None:
    answer = observe(api, {})
    assert answer.status == 400
    assert answer.json == dict.fromkeys(("target", "template_name", "facility", "email"), REQUIRED)


@pytest.mark.parametrize(
    ("field", "value", "texts"),
    [
        ("target", "abc", ["A valid integer is required."]),
        ("target", "", ["A valid integer is required."]),
        ("target", None, ["This field may not be null."]),
        ("target", 1.5, ["A valid integer is required."]),
        ("target", True, None),
        ("target", 0, None),
        ("target", -1, None),
        ("target", 10**30, None),
        ("target", [1], ["A valid integer is required."]),
        ("template_name", "", ["This field may not be blank."]),
        ("template_name", " \t", ["This field may not be blank."]),
        ("template_name", None, ["This field may not be null."]),
        ("template_name", 5, ["Not a valid string."]),
        ("template_name", "x" * 101, ["Ensure this field has no more than 100 characters."]),
        ("template_name", "a\x00b", None),
        ("facility", "  ", ["This field may not be blank."]),
        ("facility", {}, ["Not a valid string."]),
        ("facility", "x" * 5000, None),
        ("overrides", None, ["This field may not be null."]),
        ("overrides", "text", ["Expected a dictionary of items."]),
        ("overrides", [["a", 1]], ["Expected a dictionary of items."]),
        ("overrides", {"note": "x" * 10_000}, None),
        ("email", "", ["This field may not be blank."]),
        ("email", None, ["This field may not be null."]),
        ("email", 7, ["Not a valid string."]),
        ("email", "a@b", ["Enter a valid email address."]),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any, texts: list[str] | None) -> None:
    told = refusal({**asked(1), field: value})
    assert list(told) == [field]
    assert texts is None or told[field] == texts


def refusal(body: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a body that is refused."""
    with pytest.raises(InvalidInputError) as caught:
        validate_telescope(ObserveInput, body)
    reply = TELESCOPE.error(caught.value)
    assert reply.status == 400
    answer: dict[str, Any] = reply.body
    return answer


@pytest.mark.parametrize("fixed", ["target_id", "facility"])
def test_an_override_may_not_replace_the_target_or_the_facility(api: Api, fixed: str) -> None:
    answer = observe(api, asked(1, overrides={fixed: 1, "name": "x"}))
    assert (answer.status, answer.json) == (400, {"overrides": [f"May not replace {fixed}."]})


@pytest.mark.parametrize(
    "address",
    [
        "someone@someplace.net",
        "first.last+tag@sub.some-place.co.uk",
        "o'neill_%!#$&*=?^`{|}~/@x.io",
        " padded@someplace.net\n",
        "a@xn--bcher-kva.example",
        f"{'a' * 64}@someplace.net",
    ],
)
def test_addresses_that_mail_can_be_sent_to(address: str) -> None:
    assert validate_telescope(ObserveInput, asked(1, email=address)).email == address.strip()


@pytest.mark.parametrize(
    "address",
    [
        "plain",
        "a@b",
        "@someplace.net",
        "a@",
        "a@.net",
        "a@someplace..net",
        "a@-some.net",
        "a@some-.net",
        "a@someplace.net.",
        ".a@someplace.net",
        "a.@someplace.net",
        "a..b@someplace.net",
        "a b@someplace.net",
        "a@b@someplace.net",
        "a@someplace.net\nBcc: all@someplace.net",
        "a\r\n@someplace.net",
        "a@some\x00place.net",
        "a@someplace.net, b@someplace.net",
        "Some One <a@someplace.net>",
        "jürgen@someplace.net",
        "a@bücher.example",
        "a@127.0.0.1",
        "a@[127.0.0.1]",
        f"{'a' * 65}@someplace.net",
        f"a@{'b' * 64}.net",
        f"a@{'b.' * 126}net",
        "a" * 100_000,
        "a@" + "a." * 50_000,
    ],
)
def test_addresses_that_are_refused(address: str) -> None:
    assert refusal(asked(1, email=address)) == {"email": ["Enter a valid email address."]}


def test_what_does_not_exist_is_told_in_order(api: Api, target: int) -> None:
    def refusal(**more: Any) -> tuple[int, Any]:
        answer = observe(api, {**asked(target), **more})
        return answer.status, answer.json

    unknown = {"facility": "SOAR", "template_name": "none"}
    assert refusal(target=99, **unknown) == (404, {"detail": "Target not found."})
    assert refusal(**unknown) == (404, {"detail": "Facility not found."})
    text = "Template 'none' not found for target 'HAT-P-32' and facility 'LCO'"
    assert refusal(template_name="none") == (404, {"detail": text})


def test_a_template_of_another_target_is_not_found(api: Api, target: int) -> None:
    other = api.target("M 13")
    text = f"Template '{TEMPLATE}' not found for target 'M 13' and facility 'LCO'"
    assert observe(api, asked(other)).json == {"detail": text}


def test_faults_of_the_form_are_told_by_field(api: Api, target: int, portal: StandIn) -> None:
    overrides = {"ipp_value": 3, "max_airmass": "low", "shutter": 1, "rp_exposure_time": None}
    answer = observe(api, asked(target, overrides=overrides))
    assert answer.status == 400
    assert answer.json["ipp_value"] == ["Ensure this value is less than or equal to 2."]
    assert answer.json["shutter"] == ["Unknown field."]
    assert set(answer.json) == {"ipp_value", "max_airmass", "shutter", "detail"}
    assert answer.json["detail"].startswith("Exposure time missing for filter ")
    assert portal.submissions == {}


def test_a_fault_of_the_whole_form_is_a_detail(api: Api, target: int) -> None:
    nothing = {"rp_exposure_count": None, "rp_exposure_time": None}
    answer = observe(api, asked(target, overrides=nothing))
    assert (answer.status, answer.json) == (400, {"detail": "No filters selected"})


ODD: list[dict[str, Any]] = [
    {"start": "garbage"},
    {"start": {"a": 1}},
    {"end": 10**40},
    {"name": ["x"]},
    {"name": "x" * 5000},
    {"": 1},
    {"rp_exposure_count": 1e300},
    {"rp_exposure_count": True},
    {"instrument_type": []},
    {"~": "\u2028"},
]


def test_odd_overrides_are_faults_of_the_form(api: Api, aws: Aws, target: int, portal: StandIn, clock: Clock) -> None:
    for overrides in ODD:
        clock.advance(60)
        answer = observe(api, asked(target, overrides=overrides))
        assert answer.status == 400, overrides
    assert portal.submissions == {}
    assert left_behind(aws) == []


def test_what_the_portal_refuses_is_told_by_field_and_leaves_nothing(
    api: Api, aws: Aws, target: int, portal: StandIn
) -> None:
    before = {item["pk"]["S"] for item in aws.items()}
    answer = observe(api, asked(target, overrides={"proposal": "NOPE"}))
    assert (answer.status, answer.json) == (400, {"proposal": ['Invalid pk "NOPE" - object does not exist.']})
    assert {item["pk"]["S"] for item in aws.items()} == before
    assert portal.submissions == {}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_not_allowed(api: Api, method: str) -> None:
    answer = api.request(method, URL)
    assert (answer.status, answer.json) == (405, {"detail": f'Method "{method}" not allowed.'})
    assert answer.headers["allow"] == "POST, OPTIONS"


def test_anybody_may_ask_and_whose_token_it_is_is_kept(api: Api, aws: Aws, target: int) -> None:
    for token in (None, "unknown", "a-token-for-tests"):
        assert observe(api, asked(target), token=token).status == 201
    users = [item["user"]["S"] for item in aws.items() if item["sk"]["S"] == "OBSERVATION"]
    assert sorted(users) == ["", "", "tester"]


def test_a_closed_stage_wants_a_token(api: Api, target: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBSERVE_REQUIRES_TOKEN", "true")
    forget()
    answer = observe(api, asked(target))
    assert (answer.status, answer.json) == (401, {"detail": "Authorization header missing"})
    assert observe(api, asked(target), token="unknown").status == 401
    assert observe(api, asked(target), token="a-token-for-tests").status == 201


def test_the_seventh_request_of_a_minute_is_refused_whatever_the_six_were(api: Api, target: int, clock: Clock) -> None:
    answers = [observe(api, body) for body in (asked(target), {}, asked(99), asked(target), {}, {})]
    assert [answer.status for answer in answers] == [201, 400, 404, 201, 400, 400]
    refused = observe(api, asked(target))
    assert (refused.status, refused.json, refused.headers["retry-after"]) == (429, LIMITED, "60")
    clock.advance(60)
    assert observe(api, asked(target)).status == 201


def test_a_forged_address_does_not_help(api: Api, target: int) -> None:
    for number in range(6):
        observe(api, {}, headers={"X-Forwarded-For": f"10.0.0.{number}"})
    assert observe(api, {}, headers={"X-Forwarded-For": "10.0.0.9"}).status == 429
    assert observe(api, {}, token="unknown").status == 429
    assert observe(api, {}, token="a-token-for-tests").status == 400


def test_requests_without_a_token_do_not_count_where_one_is_needed(
    api: Api, target: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBSERVE_REQUIRES_TOKEN", "true")
    forget()
    assert {observe(api, {}).status for _ in range(8)} == {401}
    assert observe(api, {}, token="a-token-for-tests").status == 400


def test_of_fifty_requests_at_once_six_become_observations_of_different_names(
    api: Api, aws: Aws, target: int, portal: StandIn, at_once: Callable[..., list[Answer]]
) -> None:
    answers = at_once(lambda _: observe(api, asked(target)), range(50))
    statuses = [answer.status for answer in answers]
    assert (statuses.count(201), statuses.count(429)) == (6, 44)
    names = [FIRST_NAME, *(f"{FIRST_NAME}_{number}" for number in range(2, 7))]
    assert sorted(portal.submissions) == names
    assert all(len(groups) == 1 for groups in portal.submissions.values())
    listed = api.get(f"/api/observations/?target={target}").json
    assert sorted(each["parameters"]["name"] for each in listed["results"]) == names
    assert left_behind(aws) == []


@pytest.mark.parametrize(
    ("kind", "status"),
    [("500", 503), ("503", 503), ("429", 503), ("refuse", 503), ("forbidden", 502), ("garbage", 502)],
)
def test_a_portal_that_fails_before_anything_is_sent_is_told_and_leaves_nothing(
    api: Api, aws: Aws, target: int, portal: StandIn, kind: str, status: int, no_pauses: None
) -> None:
    before = {item["pk"]["S"] for item in aws.items()}
    portal.fail(kind, "/api/requestgroups/validate/", 10)
    answer = observe(api, asked(target))
    assert answer.status == status
    assert list(answer.json) == ["detail"]
    assert ("retry-after" in answer.headers) == (status == 503)
    assert portal.token not in answer.text
    assert {item["pk"]["S"] for item in aws.items()} == before
    assert portal.submissions == {}
    portal.faults.clear()


# Observations


def test_observations_of_a_target_are_listed_newest_first(api: Api, target: int, clock: Clock) -> None:
    for _ in range(3):
        observe(api, asked(target))
        clock.advance(1)
    page = api.get(f"/api/observations/?target={target}&limit=2").json
    assert (page["count"], page["previous"]) == (3, None)
    assert [each["id"] for each in page["results"]] == [3, 2]
    assert api.get(f"/api/observations/?target={target}&next=nonsense").status == 400
    rest = api.get(f"/api/observations/?{page['next'].partition('?')[2]}").json
    assert ([each["id"] for each in rest["results"]], rest["next"]) == ([1], None)
    keys = ["id", "target", "facility", "observation_id", "status", "parameters", "created", "modified"]
    assert list(rest["results"][0]) == [*keys, "scheduled_start", "scheduled_end"]
    assert rest["results"][0] == api.get("/api/observations/1").json


def test_a_list_of_observations_needs_a_target(api: Api, target: int) -> None:
    assert api.get("/api/observations/").json == {"target": ["This parameter is required."]}
    assert api.get("/api/observations/?target=x").status == 400
    empty = {"count": 0, "next": None, "previous": None, "results": []}
    assert api.get("/api/observations/?target=99").json == empty


@pytest.mark.parametrize("pk", ["99", "0", "abc", "9" * 30])
def test_an_observation_that_does_not_exist_is_not_found(api: Api, pk: str) -> None:
    assert api.get(f"/api/observations/{pk}/").json == {"detail": "Not found."}
    assert api.patch(f"/api/observations/{pk}/cancel/").json == {"detail": "Not found."}


def test_an_observation_is_cancelled_at_the_portal(api: Api, target: int, portal: StandIn) -> None:
    observe(api, asked(target))
    cancel = "/api/observations/1/cancel/"
    assert api.patch(cancel, token=None).status == 401
    answers = [api.patch(cancel), api.patch(cancel)]
    assert [(answer.status, answer.json["status"]) for answer in answers] == [(200, "CANCELED")] * 2
    assert portal.submissions[FIRST_NAME][0]["state"] == "CANCELED"
    assert api.get("/api/observations/1/").json == answers[0].json


def test_a_completed_observation_cannot_be_cancelled(api: Api, target: int, portal: StandIn) -> None:
    observe(api, asked(target))
    portal.complete(1)
    answer = api.patch("/api/observations/1/cancel/")
    assert answer.status == 409
    assert "Cannot transition from request state COMPLETED to CANCELED" in answer.json["detail"]
    assert api.get("/api/observations/1/").json["status"] == "COMPLETED"


def test_a_refusal_to_cancel_is_told_even_if_the_state_cannot_be_read(
    api: Api, target: int, portal: StandIn, no_pauses: None
) -> None:
    observe(api, asked(target))
    portal.complete(1)
    portal.fail("503", "/api/requests/", 10)
    assert api.patch("/api/observations/1/cancel/").status == 409
    assert api.get("/api/observations/1/").json["status"] == ""
    portal.faults.clear()


def test_an_observation_that_is_cancelled_while_the_portal_is_down_stays_as_it_was(
    api: Api, target: int, portal: StandIn, no_pauses: None
) -> None:
    observe(api, asked(target))
    before = api.get("/api/observations/1/").json
    portal.fail("503", "/api/requestgroups/", 10)
    assert api.patch("/api/observations/1/cancel/").status == 503
    assert api.get("/api/observations/1/").json == before
    portal.faults.clear()
    assert api.patch("/api/observations/1/cancel/").json["status"] == "CANCELED"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/observations/", "GET, HEAD, OPTIONS"),
        ("DELETE", "/api/observations/1/", "GET, HEAD, OPTIONS"),
        ("POST", "/api/observations/1/cancel/", "PATCH, OPTIONS"),
        ("GET", "/api/observations/1/cancel/", "PATCH, OPTIONS"),
    ],
)
def test_observations_have_no_other_methods(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api.request(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
