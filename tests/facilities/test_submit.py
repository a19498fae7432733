"""Validating and submitting: what goes to the portal, and what each of its answers means."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.errors import FieldError, InvalidInputError, UnavailableError, UpstreamError
from chalicelib.facilities import http
from chalicelib.facilities.base import LostAnswerError, Submitted
from chalicelib.facilities.lco import LcoFacility
from chalicelib.models.targets import Target
from tests.conftest import forget
from tests.facilities.scripted import TOKEN, ScriptedServer, Told

VALIDATE = "/api/requestgroups/validate/"
SUBMIT = "/api/requestgroups/"


def test_a_form_becomes_one_request_with_one_configuration_for_each_filter(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target
) -> None:
    assert lco.submit(lco.check_form(form, target), target) == Submitted("12", "11")

    shared = {
        "type": "EXPOSE",
        "instrument_type": "0M4-SCICAM-QHY600",
        "target": {"name": "HAT-P-32", "type": "ICRS", "ra": 31.04275, "dec": 46.68785, "epoch": 2000},
        "acquisition_config": {},
        "guiding_config": {},
        "constraints": {"max_airmass": 1.6},
    }
    of_v = {"exposure_count": 2, "exposure_time": 60.0, "optical_elements": {"filter": "V"}}
    of_rp = {"exposure_count": 5, "exposure_time": 30.0, "optical_elements": {"filter": "rp"}}
    sent = server.asked[-1]
    assert sent.json == {
        "name": "demo-2026-01-10-030405",
        "proposal": "DEMO-2026-001",
        "ipp_value": 1.05,
        "operator": "SINGLE",
        "observation_type": "NORMAL",
        "requests": [
            {
                # sorted by the filters' names: Bessell-V, SDSS-rp
                "configurations": [{**shared, "instrument_configs": [of_v]}, {**shared, "instrument_configs": [of_rp]}],
                "windows": [{"start": "2026-11-22T13:45:45Z", "end": "2026-11-29T13:45:45Z"}],
                "location": {"telescope_class": "0m4"},
            }
        ],
    }
    assert sent.headers["Authorization"] == f"Token {TOKEN}"
    assert server.paths("POST") == [VALIDATE, SUBMIT]
    assert server.asked[-2].json == sent.json


def test_what_may_be_left_out_is_sent_where_it_is_given(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target
) -> None:
    given = {**form, "min_lunar_distance": "20", "max_lunar_phase": 0.5, "readout_mode": "central30x30"}
    lco.submit(lco.check_form(given, target), target)
    [first, _] = server.asked[-1].json["requests"][0]["configurations"]
    assert first["constraints"] == {"max_airmass": 1.6, "min_lunar_distance": 20.0, "max_lunar_phase": 0.5}
    assert first["instrument_configs"][0]["mode"] == "central30x30"


def test_what_the_portal_finds_wrong_is_told_by_field_although_it_answers_200(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target
) -> None:
    tree = {"requests": [{"windows": [{"end": ["Window end time must be in the future"]}]}]}
    server.on("POST", VALIDATE, Told(200, {"request_durations": {}, "errors": tree}))
    with pytest.raises(InvalidInputError) as caught:
        lco.submit(form, target)
    assert caught.value.fields == (FieldError(("end",), "Window end time must be in the future"),)
    assert server.paths("POST") == [VALIDATE]


def test_a_refusal_of_the_submission_itself_is_a_bare_tree(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target
) -> None:
    server.on("POST", SUBMIT, Told(400, {"proposal": ['Invalid pk "NOPE" - object does not exist.']}))
    with pytest.raises(InvalidInputError) as caught:
        lco.submit(form, target)
    assert caught.value.fields == (FieldError(("proposal",), 'Invalid pk "NOPE" - object does not exist.'),)


@pytest.mark.parametrize("told", [{}, [], "well", {"errors": None}, {"errors": 3}, b"<html>", b"", b"[" * 100_000])
def test_a_validation_that_makes_no_sense_submits_nothing(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target, told: Any
) -> None:
    server.on("POST", VALIDATE, Told(200, told))
    with pytest.raises(UpstreamError):
        lco.submit(form, target)
    assert server.paths("POST") == [VALIDATE]


def test_validation_is_tried_again_where_the_portal_fails(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target
) -> None:
    server.on("POST", VALIDATE, Told(503), Told(breaks="before"), Told(200, {"errors": {}}))
    assert lco.submit(form, target) == Submitted("12", "11")
    assert server.paths("POST") == [VALIDATE] * 3 + [SUBMIT]


@pytest.mark.parametrize(
    ("told", "may_still_arrive"),
    [
        (Told(500, b"<h1>Server Error</h1>"), False),
        (Told(503, b""), False),
        (Told(502, b""), True),
        (Told(504, b""), True),
        (Told(524, b""), True),
        (Told(breaks="before"), True),
        (Told(201, {"id": 11, "requests": [{"id": 12}]}, breaks="within"), True),
        (Told(201, b"<html>"), False),
        (Told(201, {"id": 11, "requests": []}), False),
        (Told(201, {"id": 11, "requests": [{"id": 1}, {"id": 2}]}), False),
        (Told(201, {"id": None, "requests": [{"id": 1}]}), False),
        (Told(201, {"id": 11, "requests": [{"id": True}]}), False),
        (Told(204, b""), False),
    ],
)
def test_a_submission_that_may_have_been_taken_is_never_sent_again_by_itself(
    lco: LcoFacility,
    server: ScriptedServer,
    form: dict[str, Any],
    target: Target,
    told: Told,
    may_still_arrive: bool,
) -> None:
    server.on("POST", SUBMIT, told)
    with pytest.raises(LostAnswerError) as caught:
        lco.submit(form, target)
    assert caught.value.may_still_arrive is may_still_arrive
    assert server.paths("POST") == [VALIDATE, SUBMIT]


def test_a_portal_that_stays_silent_may_still_take_the_submission(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    lco.check_form(form, target)
    monkeypatch.setattr(http, "READ_S", 0.2)
    server.on("POST", SUBMIT, Told(201, {}, wait_s=30))
    with pytest.raises(LostAnswerError) as caught:
        lco.submit(form, target)
    assert caught.value.may_still_arrive


def test_a_submission_that_was_never_sent_is_not_lost(
    lco: LcoFacility, form: dict[str, Any], target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTAL_URL", "http://127.0.0.1:9")
    forget()
    with pytest.raises(UnavailableError):
        LcoFacility().submit(form, target)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target, status: int
) -> None:
    server.on("POST", SUBMIT, Told(status, b"", {"Location": f"{server.address}/elsewhere/"}))
    with pytest.raises(UpstreamError):
        lco.submit(form, target)
    assert "/elsewhere/" not in server.paths()


@pytest.mark.parametrize("status", [404, 405, 415])
def test_an_answer_that_took_nothing_is_told_as_such(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target, status: int
) -> None:
    server.on("POST", SUBMIT, Told(status, {"detail": "no"}))
    with pytest.raises(UpstreamError):
        lco.submit(form, target)


@pytest.mark.parametrize(("sent", "wait_s"), [("120", 120), ("0", 1), ("soon", 60), ("9" * 30, 60)])
def test_a_portal_that_takes_no_more_says_for_how_long(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target, sent: str, wait_s: int
) -> None:
    server.on("POST", SUBMIT, Told(429, {"detail": "Request was throttled."}, {"Retry-After": sent}))
    with pytest.raises(UnavailableError) as caught:
        lco.submit(form, target)
    assert caught.value.retry_after_s == wait_s


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_told_without_the_token(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target, status: int
) -> None:
    server.on("POST", VALIDATE, Told(status, {"detail": "Invalid token."}))
    with pytest.raises(UpstreamError, match="refused our token") as caught:
        lco.submit(form, target)
    assert TOKEN not in repr(caught.value)


def test_without_a_token_nothing_is_asked_that_needs_one(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORTAL_TOKEN")
    forget()
    with pytest.raises(UnavailableError, match="No token"):
        LcoFacility().submit(form, target)
    assert server.paths() == ["/api/instruments/"]


def test_a_long_name_of_a_target_is_cut(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target
) -> None:
    lco.submit(form, replace(target, name="x" * 80))
    assert server.asked[-1].json["requests"][0]["configurations"][0]["target"]["name"] == "x" * 50
