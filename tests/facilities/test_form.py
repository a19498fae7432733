"""The form of an observation with LCO."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.errors import InvalidInputError, UnavailableError, UpstreamError
from chalicelib.facilities import lco_form, lco_instruments
from chalicelib.facilities.lco import LcoFacility
from chalicelib.facilities.lco_instruments import parse_instruments
from chalicelib.models.targets import Target
from tests.facilities.scripted import INSTRUMENTS, TOKEN, ScriptedServer, Told

Faults = Callable[..., dict[str, list[str]]]


@pytest.fixture
def faults(form: dict[str, Any]) -> Faults:
    """Return what is wrong with the good form after these changes; None leaves a field out."""

    def check(**changes: Any) -> dict[str, list[str]]:
        try:
            lco_form.check_form({**form, **changes}, lambda: parse_instruments(INSTRUMENTS))
        except InvalidInputError as error:
            return by_field(error)
        return {}

    return check


def by_field(error: InvalidInputError) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for fault in error.fields:
        told.setdefault(".".join(map(str, fault.loc)), []).append(fault.msg)
    return told


def test_a_good_form_comes_back_with_numbers_as_numbers_and_times_in_utc(
    lco: LcoFacility, form: dict[str, Any], target: Target
) -> None:
    sent = {
        **form,
        "ipp_value": "1.05",
        "max_airmass": " 1.6 ",
        "rp_exposure_count": "5",
        "rp_exposure_time": "30.0",
        "start": "2026-11-22T13:45:45",
        "end": "2026-11-29T15:45:45+02:00",
    }
    assert lco.check_form(sent, target) == form


def test_a_date_alone_is_its_first_moment(lco: LcoFacility, form: dict[str, Any], target: Target) -> None:
    checked = lco.check_form({**form, "start": "2026-11-22", "end": "2026-11-29"}, target)
    assert (checked["start"], checked["end"]) == ("2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z")


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("ipp_value", 2, None),
        ("ipp_value", 0.5, None),
        ("ipp_value", 2.01, "Ensure this value is less than or equal to 2."),
        ("ipp_value", 0.49, "Ensure this value is greater than or equal to 0.5."),
        ("ipp_value", True, "A valid number is required."),
        ("ipp_value", float("nan"), "A valid number is required."),
        ("ipp_value", "NaN", "A valid number is required."),
        ("ipp_value", "much", "A valid number is required."),
        ("ipp_value", [1], "A valid number is required."),
        ("max_airmass", 0.9, "Ensure this value is greater than or equal to 1."),
        ("max_airmass", 26, "Ensure this value is less than or equal to 25."),
        ("min_lunar_distance", 181, "Ensure this value is less than or equal to 180."),
        ("max_lunar_phase", -0.1, "Ensure this value is greater than or equal to 0."),
        ("rp_exposure_count", 1, None),
        ("rp_exposure_count", 0, "Ensure this value is greater than or equal to 1."),
        ("rp_exposure_count", 2.5, "A valid integer is required."),
        ("rp_exposure_count", "many", "A valid integer is required."),
        ("rp_exposure_count", True, "A valid number is required."),
        ("rp_exposure_count", 2**31, "Ensure this value is less than or equal to 2147483647."),
        ("rp_exposure_time", 0.1, None),
        ("rp_exposure_time", 0.09, "Ensure this value is greater than or equal to 0.1."),
        ("name", "x" * 50, None),
        ("name", "x" * 51, "Ensure this value has at most 50 characters (it has 51)."),
        ("name", 7, "Not a valid string."),
        ("name", "a\x00b", "must not contain control characters"),
        ("proposal", "x" * 101, "Ensure this field has no more than 100 characters."),
        ("observation_mode", "TIME_CRITICAL", None),
        ("observation_mode", "SOON", "Select a valid choice. SOON is not one of the available choices."),
        ("instrument_type", "9M9", "Select a valid choice. 9M9 is not one of the available choices."),
        ("readout_mode", "central30x30", None),
        ("readout_mode", "nope", "Select a valid choice. nope is not one of the available choices."),
        ("start", "yesterday", "Enter a valid date/time."),
        ("start", 20261122, "Enter a valid date/time."),
        ("start", "0001-01-01T00:00:00+14:00", "Enter a valid date/time."),
        ("end", "2026-11-22T13:45:45Z", "The end must be after the start."),
        ("target_id", 2, "Unknown field."),
        ("zz_exposure_count", 1, "Unknown field."),
        ("old_exposure_time", 1, "Unknown field."),
        ("x" * 300, 1, "Unknown field."),
        ("_exposure_count", 1, "Unknown field."),
    ],
)
def test_each_field_is_checked(faults: Faults, field: str, value: Any, text: str | None) -> None:
    told = faults(**{field: value})
    told.pop("", None)  # a filter with only one of its two fields
    assert told == ({} if text is None else {field[:200]: [text]})


@pytest.mark.parametrize(
    "field",
    ["name", "proposal", "ipp_value", "start", "end", "instrument_type", "max_airmass", "observation_mode"],
)
@pytest.mark.parametrize("empty", [None, ""])
def test_what_every_observation_needs_is_asked_for(faults: Faults, field: str, empty: str | None) -> None:
    assert faults(**{field: empty}) == {field: ["This field is required."]}


def test_all_faults_are_told_at_once(faults: Faults) -> None:
    told = faults(ipp_value=9, rp_exposure_count=0, instrument_type="9M9", colour="red")
    assert set(told) == {"ipp_value", "rp_exposure_count", "instrument_type", "colour"}


def test_no_filter_at_all_is_a_fault_of_the_form(faults: Faults) -> None:
    nothing = dict.fromkeys(["rp_exposure_count", "rp_exposure_time", "V_exposure_count", "V_exposure_time"])
    assert faults(**nothing) == {"": ["No filters selected"]}


def test_a_filter_needs_both_of_its_fields(faults: Faults) -> None:
    assert faults(rp_exposure_count=None, V_exposure_time="") == {
        "": ["Exposure count missing for filter 'SDSS-rp'", "Exposure time missing for filter 'Bessell-V'"]
    }


def test_an_unknown_filter_is_told_once(faults: Faults) -> None:
    assert faults(zz_exposure_count=1) == {"zz_exposure_count": ["Unknown field."]}


def test_blanks_around_what_is_chosen_are_taken_off(lco: LcoFacility, form: dict[str, Any], target: Target) -> None:
    padded = {**form, "instrument_type": f" {form['instrument_type']} ", "readout_mode": " central30x30 "}
    assert lco.check_form(padded, target) == {**form, "readout_mode": "central30x30"}


def test_a_filter_that_the_instrument_lacks_is_refused(faults: Faults) -> None:
    text = "The instrument has no filter 'SDSS-ip'."
    assert faults(ip_exposure_count=1, ip_exposure_time=2) == {"ip_exposure_count": [text], "ip_exposure_time": [text]}


@pytest.mark.parametrize("changes", [{"ra": None}, {"dec": None}, {"type": "NON_SIDEREAL"}])
def test_a_target_without_a_place_in_the_sky_is_refused(
    lco: LcoFacility, form: dict[str, Any], target: Target, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        lco.check_form(form, replace(target, **changes))
    assert list(by_field(caught.value)) == ["target"]


def test_the_number_of_frames_is_that_of_all_filters(lco: LcoFacility, form: dict[str, Any], target: Target) -> None:
    assert lco.exposure_count(lco.check_form(form, target)) == 7


def test_a_template_may_leave_out_what_overrides_will_give(lco: LcoFacility) -> None:
    lco.check_fields({})
    lco.check_fields({"name": "any", "proposal": "DEMO", "rp_exposure_count": "3", "ipp_value": None})


def test_a_template_is_refused_for_each_field_that_is_wrong(lco: LcoFacility) -> None:
    with pytest.raises(InvalidInputError) as caught:
        lco.check_fields(
            {"ipp_value": 3, "colour": "red", "zz_exposure_time": 1, "x" * 300: 1, "instrument_type": "9M9"}
        )
    assert set(by_field(caught.value)) == {"ipp_value", "colour", "zz_exposure_time", "x" * 200, "instrument_type"}


def test_the_list_of_instruments_is_asked_for_once(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target
) -> None:
    lco.check_form(form, target)
    lco.check_fields({"instrument_type": "1M0-SCICAM-SINISTRO"})
    assert server.paths() == ["/api/instruments/"]


def test_the_list_of_instruments_is_open_and_asked_for_without_the_token(
    lco: LcoFacility, server: ScriptedServer
) -> None:
    lco.check_fields({})
    assert "Authorization" not in server.asked[0].headers


def test_a_portal_that_wants_a_token_for_its_list_gets_it(lco: LcoFacility, server: ScriptedServer) -> None:
    server.on("GET", "/api/instruments/", Told(403, {}), Told(200, INSTRUMENTS))
    lco.check_fields({})
    assert server.asked[1].headers["Authorization"] == f"Token {TOKEN}"


def test_an_old_list_is_used_while_the_portal_is_down(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lco_instruments, "FRESH_S", 0.0)
    lco.check_form(form, target)
    server.on("GET", "/api/instruments/", Told(503))
    lco.check_form(form, target)
    asked = len(server.asked)
    lco.check_form(form, target)
    assert len(server.asked) == asked  # and the portal is left alone for a while


def test_without_any_list_nobody_can_tell(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target
) -> None:
    server.on("GET", "/api/instruments/", Told(503))
    with pytest.raises(UnavailableError):
        lco.check_form(form, target)
    with pytest.raises(UnavailableError):
        lco.check_fields({"proposal": "DEMO"})


def test_what_is_wrong_anyway_is_told_even_without_the_list(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target
) -> None:
    server.on("GET", "/api/instruments/", Told(503))
    with pytest.raises(InvalidInputError) as caught:
        lco.check_form({**form, "ipp_value": 3}, target)
    assert by_field(caught.value) == {"ipp_value": ["Ensure this value is less than or equal to 2."]}


@pytest.mark.parametrize("listed", [{}, [], {"X": {"class": 3}, "detail": "gone"}])
def test_a_list_that_makes_no_sense_is_no_list(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target, listed: Any
) -> None:
    server.on("GET", "/api/instruments/", Told(200, listed))
    with pytest.raises(UpstreamError):
        lco.check_form(form, target)


def test_one_instrument_that_makes_no_sense_does_not_hide_the_others(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target
) -> None:
    odd = {
        "A": 1,
        "B": {"class": "0m4", "optical_elements": [], "modes": {"readout": 3}},
        "C": {"optical_elements": {}},
        "D": {"class": "\ud800"},
    }
    server.on("GET", "/api/instruments/", Told(200, {**odd, **INSTRUMENTS}))
    assert lco.check_form(form, target) == form
