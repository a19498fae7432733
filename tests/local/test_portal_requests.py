"""The stand-in of the telescope portal answers as the real one does, line by line of its HTTP contract."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from local.portal.observatory import Pace
from local.portal.stand_in import StandIn
from tests.conftest import Clock
from tests.local.wishes import SUBMIT, Client, to_text

VALIDATE = f"{SUBMIT}validate/"
NOBODY = {"detail": "Authentication credentials were not provided."}
NO_REQUEST = {"detail": "No Request matches the given query."}


@pytest.fixture
def client(portal: StandIn, clock: Clock) -> Client:
    return Client(portal)


@pytest.mark.parametrize("auth", [None, "Bearer {token}", "Basic bG9jYWw6bG9jYWw="])
@pytest.mark.parametrize("path", [SUBMIT, VALIDATE, f"{SUBMIT}1/cancel/"])
def test_a_write_without_a_token_is_403_and_names_no_way_in(client: Client, path: str, auth: str | None) -> None:
    given = auth and auth.format(token=client.stand_in.token)

    answer = client.ask("POST", path, given, json=client.wish())

    assert (answer.status_code, answer.json()) == (403, NOBODY)
    assert "WWW-Authenticate" not in answer.headers
    assert client.stand_in.submissions == {}


@pytest.mark.parametrize(
    ("auth", "text"),
    [
        (f"Token {'0' * 40}", "Invalid token."),
        ("Token ", "Invalid token header. No credentials provided."),
        ("Token a b", "Invalid token header. Token string should not contain spaces."),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", SUBMIT), ("GET", SUBMIT), ("GET", "/api/instruments/")])
def test_a_wrong_token_is_403_on_reads_too(client: Client, method: str, path: str, auth: str, text: str) -> None:
    answer = client.ask(method, path, auth, json=client.wish())

    assert (answer.status_code, answer.json()) == (403, {"detail": text})


@pytest.mark.parametrize("path", ["/api/requests/1/", "/api/requests/1/observations/"])
def test_what_is_not_ones_own_does_not_exist(client: Client, path: str) -> None:
    client.submit()

    answer = client.ask("GET", path, None)

    assert (answer.status_code, answer.json()) == (404, NO_REQUEST)
    assert client.get(SUBMIT, None)["results"] == []
    assert client.ask("GET", "/api/requests/99/").status_code == 404


def test_instruments_are_open_to_all_in_the_recorded_shape(client: Client) -> None:
    instruments = client.get("/api/instruments/", None)

    assert {"0M4-SCICAM-QHY600", "1M0-SCICAM-SINISTRO"} <= set(instruments)
    for instrument in instruments.values():
        assert {"type", "class", "name", "optical_elements", "modes", "configuration_types", "camera_type"} <= set(
            instrument
        )
        assert {"code", "name", "schedulable", "default"} == set(instrument["optical_elements"]["filters"][0])
        for kind in ("readout", "guiding", "acquisition"):
            codes = [mode["code"] for mode in instrument["modes"][kind]["modes"]]
            assert instrument["modes"][kind]["default"] in codes
    assert list(client.get("/api/instruments/", None, telescope_class="1m0")) == ["1M0-SCICAM-SINISTRO"]


def test_active_is_written_with_a_capital(client: Client) -> None:
    active = client.get("/api/proposals/", active="True")
    everything = client.get("/api/proposals/")

    assert "DEMO-2026-001" in [proposal["id"] for proposal in active["results"]]
    assert active["count"] < everything["count"]
    assert all(proposal["active"] and proposal["timeallocation_set"] for proposal in active["results"])
    assert client.ask("GET", "/api/proposals/?active=true").status_code == 400
    assert client.ask("GET", "/api/proposals/", None).json() == NOBODY


def test_the_profile_says_who_the_user_is(client: Client) -> None:
    assert "DEMO-2026-001" in [proposal["id"] for proposal in client.get("/api/profile/")["proposals"]]
    assert client.ask("GET", "/api/profile/", None).json() == NOBODY


def test_the_token_is_told_for_a_name_and_a_password(client: Client) -> None:
    def told(**given: str) -> Any:
        answer = client.ask("POST", "/api/api-token-auth/", auth=None, data=given)
        return answer.status_code, answer.json()

    assert told(username="local", password="any") == (200, {"token": client.stand_in.token})
    assert told(username="local") == (400, {"password": ["This field is required."]})
    refused = {"non_field_errors": ["Unable to log in with provided credentials."]}
    assert told(username="somebody", password="any") == (400, refused)


def test_all_telescopes_are_well_unless_told_otherwise(client: Client) -> None:
    states = client.get("/api/telescope_states/", auth=None)
    assert [each["event_type"] for each in states["tfn.aqwa.0m4a"]] == ["AVAILABLE"]

    client.stand_in.fail("502", "/api/telescope_states/")

    assert client.ask("GET", "/api/telescope_states/").status_code == 502


def test_a_group_is_taken_with_ids_and_what_was_left_out_is_filled_in(client: Client) -> None:
    group = client.submit(**{"requests.0.configurations.0.instrument_configs.0.mode": ...})

    (request,) = group["requests"]
    (configuration,) = request["configurations"]
    assert isinstance(group["id"], int)
    assert isinstance(request["id"], int)
    assert (group["state"], request["state"], request["duration"]) == ("PENDING", "PENDING", 269)
    assert configuration["instrument_configs"][0]["mode"] == "central30x30"
    assert configuration["instrument_configs"][0]["extra_params"] == {"bin_x": 1, "bin_y": 1}
    assert (configuration["guiding_config"]["mode"], configuration["acquisition_config"]["mode"]) == ("ON", "OFF")
    assert configuration["constraints"]["max_lunar_phase"] == 1.0
    assert (request["optimization_type"], request["configuration_repeats"]) == ("TIME", 1)
    assert client.get(f"{SUBMIT}{group['id']}/") == group
    assert list(client.stand_in.submissions) == ["HAT-P-32 demo"]


def test_a_name_is_kept_without_the_white_space_around_it(client: Client) -> None:
    assert client.submit(name=" \u00a0a b\t")["name"] == "a b"


def test_a_group_of_several_is_cancelled_as_far_as_it_waits(client: Client) -> None:
    wish = client.wish(operator="MANY")
    wish["requests"] *= 2
    group = client.ask("POST", SUBMIT, json=wish).json()
    client.stand_in.complete(1)
    assert client.get(f"{SUBMIT}{group['id']}/")["state"] == "PENDING"

    client.ask("POST", f"{SUBMIT}{group['id']}/cancel/", json={})

    assert [client.state(number) for number in (1, 2)] == ["COMPLETED", "CANCELED"]


def test_groups_are_found_by_request_by_part_of_the_name_and_by_time(client: Client, clock: Clock) -> None:
    first = client.submit(name="Transit-1")
    clock.advance(60)
    second = client.submit(name="transit-2")

    def names(**query: Any) -> list[str]:
        return [group["name"] for group in client.get(SUBMIT, **query)["results"]]

    assert names(request_id=second["requests"][0]["id"]) == ["transit-2"]
    assert names(name="TRANSIT") == ["transit-2", "Transit-1"]
    assert names(name="TRANSIT", created_after=to_text(clock() - timedelta(seconds=30))) == ["transit-2"]
    assert names(created_before=first["created"]) == ["Transit-1"]
    assert names(name="nothing") == []
    for time in ("soon", "2026-01-10T00:00:00+00:00"):
        answer = client.ask("GET", f"{SUBMIT}?created_after={time}")
        assert (answer.status_code, answer.json()) == (400, {"created_after": ["Enter a valid date/time."]})
    assert names(created_after="2026-01-10T00:00:00+00:00") == ["transit-2", "Transit-1"]
    assert client.ask("GET", SUBMIT, params={"state": "NOPE"}).status_code == 400


def test_lists_come_in_pages(client: Client) -> None:
    for number in range(3):
        client.submit(name=f"n{number}")

    first = client.get(SUBMIT, limit=2, name="n")
    rest = requests.get(first["next"], headers={"Authorization": f"Token {client.stand_in.token}"}, timeout=10).json()

    assert (first["count"], first["previous"], rest["next"]) == (3, None, None)
    assert [group["name"] for group in (*first["results"], *rest["results"])] == ["n2", "n1", "n0"]
    assert rest["previous"]


def test_cancelling_twice_is_well_and_cancelling_what_is_done_is_not(client: Client) -> None:
    cancelled, done = client.submit(), client.submit()
    client.stand_in.schedule(cancelled["requests"][0]["id"])
    client.stand_in.complete(done["requests"][0]["id"])

    answers = [client.ask("POST", f"{SUBMIT}{cancelled['id']}/cancel/", json={}) for _ in range(2)]
    refused = client.ask("POST", f"{SUBMIT}{done['id']}/cancel/", json={})

    assert [(answer.status_code, answer.json()["state"]) for answer in answers] == [(200, "CANCELED")] * 2
    assert answers[0].json()["requests"][0]["state"] == "PENDING"
    assert client.state(1) == "CANCELED"
    fault = "Cannot transition from request state COMPLETED to CANCELED for 2"
    assert (refused.status_code, refused.json()) == (400, {"errors": [fault]})
    assert [each["state"] for each in client.get("/api/requests/1/observations/")] == ["CANCELED"]
    assert client.get("/api/requests/1/observations/", exclude_canceled=1) == []


@pytest.mark.parametrize(
    ("method", "path"), [("POST", SUBMIT), ("GET", "/api/requests/1/"), ("POST", "/api/requests/")]
)
def test_an_address_without_its_slash_is_moved_permanently(client: Client, method: str, path: str) -> None:
    answer = client.ask(method, path.rstrip("/") + "?a=b", json=client.wish())

    assert (answer.status_code, answer.headers["Location"]) == (301, f"{path}?a=b")
    assert client.stand_in.submissions == {}


def test_a_request_alone_is_not_taken(client: Client) -> None:
    answer = client.ask("POST", "/api/requests/", json={})

    assert (answer.status_code, answer.json()) == (405, {"detail": 'Method "POST" not allowed.'})
    assert answer.headers["Allow"] == "GET"


def test_an_unknown_address_is_a_page(client: Client) -> None:
    answer = client.ask("GET", "/api/nothing/")

    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    answer = client.ask("GET", "/api/requests/abc/")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})


def test_an_earlier_attempt_stays_beside_the_completed_one(client: Client) -> None:
    client.submit()
    client.stand_in.complete(1)

    pending, completed = client.get("/api/requests/1/observations/")

    assert (pending["state"], completed["state"], client.state()) == ("PENDING", "COMPLETED", "COMPLETED")
    assert {
        "id",
        "request",
        "site",
        "enclosure",
        "telescope",
        "start",
        "end",
        "priority",
        "configuration_statuses",
    } <= set(completed)
    assert completed["configuration_statuses"][0]["summary"]["time_completed"] == 175.0
    assert pending["start"] != completed["start"]


def test_bad_data_put_a_completed_request_back(client: Client) -> None:
    client.submit()
    client.stand_in.complete(1)
    client.stand_in.bad_data(1)

    assert client.state() == "PENDING"
    assert client.get(f"{SUBMIT}1/")["state"] == "PENDING"
    assert [each["state"] for each in client.get("/api/requests/1/observations/")] == ["PENDING", "BAD_DATA"]

    client.stand_in.complete(1)

    assert client.state() == "COMPLETED"


def test_a_window_that_is_over_expires(client: Client) -> None:
    client.submit()
    client.stand_in.schedule(1)
    client.stand_in.advance(7 * 86_400 - 1)
    assert client.state() == "PENDING"

    client.stand_in.advance(1)

    assert client.state() == "WINDOW_EXPIRED"
    assert [each["state"] for each in client.get("/api/requests/1/observations/")] == ["PENDING"]
    client.stand_in.complete(1, attempt_state="FAILED")
    assert client.state() == "COMPLETED"
    assert [each["state"] for each in client.get("/api/requests/1/observations/")] == ["PENDING", "FAILED"]


@pytest.fixture
def playing(clock: Clock, tmp_path: Path) -> Any:
    """A stand-in that plays observations by itself and keeps what it knows."""
    stand_in = StandIn(clock=clock, folder=tmp_path / "portal", pace=Pace(delay_s=10, frame_s=2))
    stand_in.start()
    yield stand_in
    stand_in.stop()


def test_an_observation_is_played_through_to_its_frames(playing: StandIn, clock: Clock) -> None:
    client = Client(playing)
    client.submit()

    def attempts() -> list[str]:
        return [each["state"] for each in client.get("/api/requests/1/observations/")]

    assert (client.state(), attempts()) == ("PENDING", ["PENDING"])
    clock.advance(5)
    assert (client.state(), attempts()) == ("PENDING", ["PENDING", "IN_PROGRESS"])
    clock.advance(5)
    assert (client.state(), attempts()) == ("COMPLETED", ["PENDING", "COMPLETED"])
    counts = []
    for _ in range(6):
        counts.append(client.get("/archive/frames/", request_id=1, reduction_level=91)["count"])
        clock.advance(2)
    assert counts == [0, 1, 2, 3, 4, 5]


def test_nothing_is_observed_before_its_window_opens(playing: StandIn, clock: Clock) -> None:
    client = Client(playing)
    client.submit(**{"requests.0.windows.0.start": to_text(clock() + timedelta(hours=1))})
    clock.advance(3599)
    assert client.get("/api/requests/1/observations/") == []

    clock.advance(11)

    assert client.state() == "COMPLETED"


def test_a_window_that_closes_too_early_is_missed(playing: StandIn, clock: Clock) -> None:
    client = Client(playing)
    client.submit(**{"requests.0.windows.0.end": to_text(clock() + timedelta(minutes=10))})
    clock.advance(595)
    assert client.state() == "COMPLETED"
    playing.bad_data(1)
    clock.advance(6)

    assert client.state() == "WINDOW_EXPIRED"


def test_what_is_cancelled_while_it_goes_on_is_completed(playing: StandIn, clock: Clock) -> None:
    client = Client(playing)
    client.submit()
    clock.advance(5)
    client.ask("POST", f"{SUBMIT}1/cancel/", json={})
    assert client.state() == "CANCELED"

    clock.advance(5)

    assert client.state() == "COMPLETED"


def test_what_was_marked_bad_is_observed_again(playing: StandIn, clock: Clock) -> None:
    client = Client(playing)
    client.submit()
    clock.advance(10)
    assert client.state() == "COMPLETED"
    playing.bad_data(1)
    clock.advance(5)
    assert client.state() == "PENDING"

    clock.advance(5)

    assert client.state() == "COMPLETED"


def test_everything_outlasts_the_process(playing: StandIn, clock: Clock, tmp_path: Path) -> None:
    client = Client(playing)
    client.submit()
    clock.advance(14)
    before = client.get("/archive/frames/", request_id=1)["results"]

    again = StandIn(clock=clock, folder=tmp_path / "portal", token=playing.token, pace=Pace(delay_s=10, frame_s=2))
    again.start()
    try:
        after = Client(again).get("/archive/frames/", request_id=1)["results"]
        content = requests.get(after[0]["url"], timeout=10).content
        clock.advance(2)
        later = Client(again).get("/archive/frames/", request_id=1)["count"]
    finally:
        again.stop()

    assert [frame["id"] for frame in after] == [frame["id"] for frame in before]
    assert len(content) > 2880
    assert later == len(before) + 2


def test_what_changes_nothing_writes_nothing(playing: StandIn, clock: Clock, tmp_path: Path) -> None:
    client, kept = Client(playing), tmp_path / "portal" / "state.json"
    client.submit()
    client.state()
    kept.unlink()

    client.state()
    client.get("/archive/frames/", request_id=1)
    playing.set_state(1, "PENDING")
    assert not kept.exists()

    clock.advance(10)
    client.state()
    assert kept.exists()


def test_fifty_at_once_are_fifty_groups(client: Client) -> None:
    wishes = [client.wish(name=f"n{number}") for number in range(50)]
    headers = {"Authorization": f"Token {client.stand_in.token}"}

    def send(wish: dict[str, Any]) -> int:
        url = client.stand_in.portal_url + SUBMIT
        return int(requests.post(url, json=wish, headers=headers, timeout=30).json()["id"])

    with ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(send, wishes))

    assert sorted(ids) == list(range(1, 51))
