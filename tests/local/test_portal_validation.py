"""The stand-in of the telescope portal finds the faults that the real one finds, where and in the words in which it does."""

from typing import Any

import pytest
import requests
from werkzeug import test

from local.portal.stand_in import StandIn
from tests.conftest import Clock
from tests.local.wishes import SUBMIT, Client

VALIDATE = f"{SUBMIT}validate/"
CONFIGURATION = "requests.0.configurations.0"


@pytest.fixture
def client(portal: StandIn, clock: Clock) -> Client:
    return Client(portal)


def test_a_good_group_is_valid_and_its_durations_are_told(client: Client) -> None:
    answer = client.ask("POST", VALIDATE, json=client.wish())

    told = answer.json()
    assert (answer.status_code, told["errors"]) == (200, {})
    # 5 exposures of 30 s, 5 s each to read out: the recorded example
    (request,) = told["request_durations"]["requests"]
    assert request["configurations"] == [{"instrument_configs": [{"duration": 175.0}], "duration": 175.0}]
    assert (told["request_durations"]["duration"], request["duration"]) == (269, 269)
    assert 8 < request["largest_interval"] / 3600 < 9
    assert client.stand_in.submissions == {}


def nested(path: str, texts: list[str]) -> Any:
    """Return the tree in which texts stand at a place."""
    tree: Any = texts
    for part in reversed(path.split(".")):
        tree = [{}] * int(part) + [tree] if part.isdecimal() else {part: tree}
    return tree


FAULTS = [
    ({"name": ""}, "name", "Please provide a name."),
    ({"name": "n" * 51}, "name", "Ensure this field has no more than 50 characters."),
    ({"proposal": "NOPE"}, "proposal", 'Invalid pk "NOPE" - object does not exist.'),
    (
        {"proposal": "OTHER-2026-001"},
        "non_field_errors",
        "You do not belong to the proposal you are trying to submit with",
    ),
    (
        {"proposal": "DEMO-2019-001"},
        "non_field_errors",
        "The proposal you are trying to submit with is currently inactive",
    ),
    (
        {"proposal": "DEMO-2026-002"},
        "non_field_errors",
        "Proposal DEMO-2026-002 does not have any NORMAL time left allocated in semester 2026B on 0M4-SCICAM-QHY600 "
        "instruments",
    ),
    ({"ipp_value": 2.1}, "non_field_errors", "requestgroups ipp_value must be >= 0.5, <= 2.0"),
    (
        {f"{CONFIGURATION}.instrument_type": "9M9-NOPE"},
        f"{CONFIGURATION}.instrument_type",
        "Invalid instrument type 9M9-NOPE. Valid instruments may include: 0M4-SCICAM-QHY600, 1M0-SCICAM-SINISTRO",
    ),
    (
        {f"{CONFIGURATION}.instrument_configs.0.optical_elements": {"filter": "zz"}},
        f"{CONFIGURATION}.non_field_errors",
        "optical element zz of type filter is not available",
    ),
    (
        {f"{CONFIGURATION}.instrument_configs.0.mode": "nope"},
        f"{CONFIGURATION}.non_field_errors",
        "Readout mode nope is not available for instrument type 0M4-SCICAM-QHY600",
    ),
    (
        {f"{CONFIGURATION}.instrument_configs.0.exposure_time": 3601},
        f"{CONFIGURATION}.instrument_configs.0.exposure_time",
        "max value is 3600.0",
    ),
    (
        {"requests.0.windows.0": {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}},
        "requests.0.windows.0.end",
        "Window end time must be in the future",
    ),
    (
        {f"{CONFIGURATION}.target.dec": -89.0, f"{CONFIGURATION}.constraints.max_airmass": 1.2},
        "requests.0.non_field_errors",
        "According to the constraints of the request, the target will not be visible within the time window.",
    ),
    (
        {f"{CONFIGURATION}.target.dec": 90.5},
        f"{CONFIGURATION}.target.dec",
        "Ensure this value is less than or equal to 90.0.",
    ),
    ({"requests": []}, "requests", "You must specify at least 1 request"),
    ({"requests.0.location": {}}, "requests.0.location.telescope_class", "This field is required."),
    (
        {f"{CONFIGURATION}.type": "REPEAT_EXPOSE"},
        f"{CONFIGURATION}.non_field_errors",
        "Must specify a configuration repeat_duration for REPEAT_EXPOSE type configurations.",
    ),
    ({"ipp_value": ...}, "ipp_value", "This field is required."),
    ({"proposal": None}, "proposal", "Please provide a proposal."),
    ({f"{CONFIGURATION}.target.ra": None}, f"{CONFIGURATION}.target.ra", "This field is required"),
    ({f"{CONFIGURATION}.instrument_type": ""}, f"{CONFIGURATION}.instrument_type", "This field may not be blank."),
    (
        {f"{CONFIGURATION}.instrument_configs.0.mode": "engineering"},
        f"{CONFIGURATION}.non_field_errors",
        "Readout mode engineering is not available for instrument type 0M4-SCICAM-QHY600",
    ),
    (
        {f"{CONFIGURATION}.guiding_config": {"mode": "NOPE"}},
        f"{CONFIGURATION}.non_field_errors",
        "Guiding mode NOPE is not available for instrument type 0M4-SCICAM-QHY600",
    ),
    (
        {"requests.0.windows.0.end": "9999-01-01T00:00:00Z"},
        "requests.0.windows.0.non_field_errors",
        "The observation window does not fit within any defined semester.",
    ),
    (
        {"observation_type": "RAPID_RESPONSE"},
        "non_field_errors",
        "A Rapid Response observation must start within the next 24 hours, so the window end time must be within the "
        "next (24 hours + the observation duration)",
    ),
    ({"operator": "MANY"}, "non_field_errors", "'Many' type requestgroups must have more than one child request."),
]


@pytest.mark.parametrize(("changes", "place", "text"), FAULTS, ids=[place + text[:20] for _, place, text in FAULTS])
def test_a_fault_is_told_at_its_place(client: Client, changes: dict[str, Any], place: str, text: str) -> None:
    wish = client.wish(**changes)

    validated = client.ask("POST", VALIDATE, json=wish)
    submitted = client.ask("POST", SUBMIT, json=wish)

    tree = nested(place, [text])
    assert (validated.status_code, validated.json()) == (200, {"request_durations": {}, "errors": tree})
    assert (submitted.status_code, submitted.json()) == (400, tree)
    assert client.stand_in.submissions == {}


def test_a_request_that_takes_longer_than_its_target_is_up_is_too_long(client: Client) -> None:
    wish = client.wish(**{f"{CONFIGURATION}.instrument_configs.0.exposure_count": 9999})

    (fault,) = client.ask("POST", SUBMIT, json=wish).json()["requests"][0]["non_field_errors"]

    # 9999 times 35 s, and 94 s to set up
    assert fault.endswith("This is less than the duration of your request 97.24 hours.")


def test_a_position_without_faults_is_an_empty_object(client: Client) -> None:
    wish = client.wish()
    wish["requests"][0]["configurations"].append({**wish["requests"][0]["configurations"][0], "type": "NOPE"})

    tree = client.ask("POST", SUBMIT, json=wish).json()

    assert tree == {"requests": [{"configurations": [{}, {"type": ['"NOPE" is not a valid choice.']}]}]}


def test_a_deeper_layer_hides_what_is_wrong_with_the_whole(client: Client) -> None:
    wish = client.wish(**{f"{CONFIGURATION}.target.dec": 91, "ipp_value": 9, "name": ""})

    tree = client.ask("POST", SUBMIT, json=wish).json()

    assert set(tree) == {"requests", "name"}


@pytest.mark.parametrize(
    "body", ["[]", "null", '"x"', "3", "{}", '{"requests": 7}', '{"requests": [3]}', '{"name": [[]]}']
)
def test_nonsense_is_a_fault_too(client: Client, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = requests.post(
        client.stand_in.portal_url + SUBMIT,
        data=body,
        headers={**headers, "Authorization": f"Token {client.stand_in.token}"},
        timeout=10,
    )

    assert answer.status_code == 400
    assert answer.json()


def test_a_filter_that_is_out_of_use_is_taken_and_so_is_a_window_without_a_start(client: Client) -> None:
    client.submit(**{f"{CONFIGURATION}.instrument_configs.0.optical_elements": {"filter": "SII"}})
    group = client.submit(**{"requests.0.windows.0.start": ...})

    assert group["requests"][0]["windows"][0]["start"] == group["created"]


def test_no_body_is_an_empty_one(client: Client) -> None:
    assert len(client.ask("POST", VALIDATE).json()["errors"]) == 6


def test_every_field_may_be_of_any_type(client: Client) -> None:
    def leaves(value: Any, path: str = "") -> list[str]:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [path] * bool(path) + [leaf for key, each in items for leaf in leaves(each, f"{path}.{key}".strip("."))]

    in_process = test.Client(client.stand_in)  # a socket for each would take longer than all the rest
    headers = {"Authorization": f"Token {client.stand_in.token}"}
    for path in leaves(client.wish()):
        for value in (None, [], {}, "x", -1e300, True, ...):
            answer = in_process.post(VALIDATE, json=client.wish(**{path: value}), headers=headers)
            assert answer.status_code == 200, (path, value, answer.text)


def test_broken_json_is_told(client: Client) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Token {client.stand_in.token}"}

    answer = requests.post(client.stand_in.portal_url + VALIDATE, data="{", headers=headers, timeout=10)

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("JSON parse error - ")
