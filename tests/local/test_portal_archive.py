"""The stand-in of the archive answers as its HTTP contract says, and everything goes wrong that is asked to."""

import hashlib
from typing import Any

import pytest
import requests

from chalicelib.imaging.fits import read_frame_header
from local.portal.faults import KINDS
from local.portal.stand_in import StandIn
from tests.conftest import Clock
from tests.local.wishes import request_group


@pytest.fixture
def observed(portal: StandIn, clock: Clock) -> StandIn:
    """An observation of five exposures that is completed: request 1."""
    ask(portal, "POST", "/api/requestgroups/", json=request_group(clock()))
    portal.complete(1)
    return portal


def ask(portal: StandIn, method: str, path: str, auth: bool = True, **more: Any) -> requests.Response:
    headers = {"Authorization": f"Token {portal.token}"} if auth else {}
    url = path if path.startswith("http") else portal.portal_url + path
    return requests.request(method, url, headers={**headers, **more.pop("headers", {})}, timeout=10, **more)


def listed(portal: StandIn, auth: bool = True, **query: Any) -> dict[str, Any]:
    answer = ask(portal, "GET", f"{portal.archive_url}/frames/", auth, params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def reduced(portal: StandIn) -> list[dict[str, Any]]:
    """Return what the archive answers for the reduced frames, oldest first."""
    results: list[dict[str, Any]] = listed(portal, request_id=1, reduction_level=91)["results"]
    return results[::-1]


def test_each_exposure_gives_a_raw_and_a_reduced_frame(observed: StandIn) -> None:
    names = [frame["filename"] for frame in listed(observed, request_id=1)["results"]]

    assert len(names) == 10
    # completed at 03:04:05 after 269 s, 94 of them before the first exposure
    assert names[-1] == "tfn0m410-kb23-20260110-0001-e00.fits.fz"
    assert names[0] == "tfn0m410-kb23-20260110-0005-e91.fits.fz"
    assert reduced(observed)[0]["observation_date"].startswith("2026-01-10T03:01:10")


def test_a_frame_has_new_and_old_names(observed: StandIn) -> None:
    frame = reduced(observed)[0]

    assert {"id", "basename", "filename", "url", "version_set", "observation_day", "public_date"} <= set(frame)
    for new, old, value in (
        ("proposal_id", "PROPID", "DEMO-2026-001"),
        ("target_name", "OBJECT", "HAT-P-32"),
        ("reduction_level", "RLEVEL", 91),
        ("exposure_time", "EXPTIME", 30.0),
        ("primary_optical_element", "FILTER", "rp"),
        ("request_id", "REQNUM", 1),
        ("observation_id", "BLKUID", 2),
        ("site_id", "SITEID", "tfn"),
    ):
        assert (frame[new], frame[old]) == (value, value)
    assert frame["observation_date"] == frame["DATE_OBS"]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"REQNUM": 1}, 10),
        ({"request_id": 2}, 0),
        ({"reduction_level": 0}, 5),
        ({"basename": "0003"}, 2),
        ({"basename_exact": "tfn0m410-kb23-20260110-0003-e91"}, 1),
        ({"target_name": "HAT"}, 10),
        ({"target_name_exact": "HAT"}, 0),
        ({"proposal_id": "DEMO-2026-001", "site_id": "tfn", "primary_optical_element": "rp"}, 10),
        ({"primary_optical_element": "V"}, 0),
        ({"start": "2026-01-10T03:02:00Z"}, 6),
        ({"end": "2026-01-10T03:02:00Z"}, 4),
    ],
)
def test_frames_are_filtered(observed: StandIn, query: dict[str, Any], count: int) -> None:
    assert listed(observed, **query)["count"] == count


def test_frames_come_in_pages_and_next_leads_through_all(observed: StandIn) -> None:
    page = listed(observed, request_id=1, limit=4)
    ids = [frame["id"] for frame in page["results"]]
    assert (page["count"], page["previous"], page["count_estimated"]) == (10, None, False)
    while page["next"]:
        page = ask(observed, "GET", page["next"]).json()
        ids.extend(frame["id"] for frame in page["results"])

    assert sorted(ids) == list(range(1, 11))


def test_a_page_has_a_hundred_frames_unless_asked_and_never_more_than_a_thousand(observed: StandIn) -> None:
    for number in range(1100):
        observed.add_frame(7, f"n{number}-e91.fits.fz")

    assert len(listed(observed, request_id=7)["results"]) == 100
    assert len(listed(observed, request_id=7, limit=5000)["results"]) == 1000


def test_a_count_may_be_a_guess(observed: StandIn) -> None:
    set_counts = {"estimates_counts": True}
    assert ask(observed, "POST", "/stand-in/archive/", json=set_counts).status_code == 200
    assert ask(observed, "POST", "/stand-in/archive/", json={"estimates_counts": 1}).status_code == 400

    page = listed(observed, request_id=1)

    assert page["count_estimated"] is True
    assert page["count"] != len(page["results"])
    assert "count" not in listed(observed, request_id=1, pagination_style="cursor")


def test_without_the_token_only_public_frames_are_listed(observed: StandIn) -> None:
    public = observed.add_frame(1, "old-e91.fits.fz", b"old", public_date="2020-01-01T00:00:00Z")

    assert [frame["id"] for frame in listed(observed, auth=False, request_id=1)["results"]] == [public["id"]]
    assert listed(observed, auth=False, request_id=1, public="false")["count"] == 0
    assert listed(observed, request_id=1, public="false")["count"] == 10  # those of one's proposals
    answer = ask(observed, "GET", f"{observed.archive_url}/frames/1/", auth=False)
    assert (answer.status_code, answer.json()) == (404, {"detail": "No Frame matches the given query."})


def test_a_signed_link_leads_to_the_file(observed: StandIn, tmp_path: Any) -> None:
    frame = reduced(observed)[1]

    answer = ask(observed, "GET", frame["url"], auth=False)

    assert hashlib.md5(answer.content).hexdigest() == frame["version_set"][0]["md5"]
    file = tmp_path / frame["filename"]
    file.write_bytes(answer.content)
    header = read_frame_header(file)
    assert (header.image.index, header.size) == (1, (64, 64))
    assert header.time.isoformat().startswith(frame["observation_date"][:19])


def test_a_part_of_a_file_may_be_fetched(observed: StandIn) -> None:
    url = reduced(observed)[0]["url"]
    whole = ask(observed, "GET", url, auth=False).content

    part = ask(observed, "GET", url, auth=False, headers={"Range": "bytes=100-"})

    assert (part.status_code, part.content) == (206, whole[100:])


def test_a_link_takes_no_token_and_lasts_48_hours_and_no_change(observed: StandIn, clock: Clock) -> None:
    url = reduced(observed)[0]["url"]

    assert ask(observed, "GET", url).status_code == 400
    for altered in (
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.replace("expires=", "expires=9"),
        url.split("?")[0],
    ):
        assert ask(observed, "GET", altered, auth=False).status_code == 403
    clock.advance(48 * 3600 - 1)
    assert ask(observed, "GET", url, auth=False).status_code == 200
    clock.advance(2)
    assert ask(observed, "GET", url, auth=False).status_code == 403
    again = ask(observed, "GET", f"{observed.archive_url}/frames/2/").json()["url"]
    assert ask(observed, "GET", again, auth=False).status_code == 200


def test_a_frame_without_a_file_has_no_link(observed: StandIn) -> None:
    lost = observed.add_frame(1, "lost-e91.fits.fz")

    frame = ask(observed, "GET", f"{observed.archive_url}/frames/{lost['id']}/").json()

    assert (frame["url"], frame["version_set"], frame["filename"]) == (None, [], "lost-e91.fits.fz")
    ask(observed, "POST", "/stand-in/requests/1/add_frame/", json={"name": "gone.fits.fz"})
    assert [each["filename"] for each in reduced(observed) if not each["url"]] == ["gone-e91.fits.fz"]


def test_headers_are_told_with_underscores(observed: StandIn) -> None:
    data = ask(observed, "GET", f"{observed.archive_url}/frames/2/headers/").json()["data"]

    assert data["DATE_OBS"] == reduced(observed)[0]["DATE_OBS"]


def test_calibrations_are_left_out_on_request(observed: StandIn) -> None:
    observed.add_frame(1, "bias-e91.fits.fz", b"bias", configuration_type="BIAS")

    counts = [listed(observed, request_id=1, exclude_calibrations=each)["count"] for each in ("false", "true")]

    assert counts == [11, 10]


def test_as_many_frames_come_as_are_asked_for(observed: StandIn) -> None:
    observed.bad_data(1)
    observed.complete(1, frames=2)

    assert len(observed.frames(1)) == 10 + 2 * 2
    assert {frame["observation_id"] for frame in observed.frames(1)} == {2, 3}


INSTRUMENTS = "/api/instruments/"


@pytest.mark.parametrize("kind", ["500", "502", "503", "504", "429", "html", "garbage", "forbidden"])
def test_an_answer_goes_wrong_as_often_as_asked(portal: StandIn, kind: str) -> None:
    portal.fail(kind, INSTRUMENTS, times=2, seconds=7)

    answers = [ask(portal, "GET", INSTRUMENTS) for _ in range(3)]

    status = {"html": 200, "garbage": 200, "forbidden": 403}.get(kind) or int(kind)
    assert [answer.status_code for answer in answers] == [status, status, 200]
    if kind == "429":
        assert answers[0].headers["Retry-After"] == "7"
    if kind in ("html", "garbage"):
        with pytest.raises(ValueError, match=r"Expecting|double quotes"):
            answers[0].json()
    assert answers[2].json()


@pytest.mark.parametrize(("kind", "taken"), [("refuse", 0), ("lose", 1)])
def test_a_connection_closes_before_the_work_or_after_it(portal: StandIn, clock: Clock, kind: str, taken: int) -> None:
    portal.fail(kind, "/api/requestgroups/")

    with pytest.raises(requests.ConnectionError):
        ask(portal, "POST", "/api/requestgroups/", json=request_group(clock()))

    assert len(portal.submissions) == taken


def test_a_submission_may_be_taken_when_its_connection_is_long_closed(portal: StandIn, clock: Clock) -> None:
    portal.fail("late", "/api/requestgroups/", method="POST", seconds=3)
    with pytest.raises(requests.ConnectionError):
        ask(portal, "POST", "/api/requestgroups/", json=request_group(clock()))
    clock.advance(2)
    assert ask(portal, "GET", "/api/requestgroups/").json()["count"] == 0

    clock.advance(1)

    assert ask(portal, "GET", "/api/requestgroups/").json()["count"] == 1


def test_a_slow_answer_comes_late(portal: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("local.portal.faults.sleep", slept.append)
    portal.fail("slow", INSTRUMENTS, seconds=30)

    assert ask(portal, "GET", INSTRUMENTS).json()
    assert slept == [30]


@pytest.mark.parametrize("kind", ["truncate", "corrupt", "expired"])
def test_a_file_goes_wrong_once_and_nothing_else_does(observed: StandIn, kind: str) -> None:
    frame = reduced(observed)[0]
    observed.fail(kind)

    assert reduced(observed)
    if kind == "truncate":
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            ask(observed, "GET", frame["url"], auth=False)
    else:
        answer = ask(observed, "GET", frame["url"], auth=False)
        assert answer.status_code == (403 if kind == "expired" else 200)
        assert hashlib.md5(answer.content).hexdigest() != frame["version_set"][0]["md5"]
    well = ask(observed, "GET", frame["url"], auth=False)
    assert hashlib.md5(well.content).hexdigest() == frame["version_set"][0]["md5"]


def test_a_fault_keeps_to_its_method_and_its_address(portal: StandIn) -> None:
    portal.fail("500", "/api/requestgroups/", method="POST")

    assert ask(portal, "GET", "/api/requestgroups/").status_code == 200
    assert ask(portal, "GET", INSTRUMENTS).status_code == 200
    assert ask(portal, "POST", "/api/requestgroups/", json={}).status_code == 500


def test_faults_are_set_over_http_and_taken_back(portal: StandIn) -> None:
    for kind in KINDS:
        assert ask(portal, "POST", "/stand-in/faults/", json={"kind": kind, "path": "/nowhere/"}).status_code == 201
    assert [fault["kind"] for fault in ask(portal, "GET", "/stand-in/faults/").json()] == list(KINDS)

    assert ask(portal, "DELETE", "/stand-in/faults/").status_code == 204

    assert portal.faults.left() == []


@pytest.mark.parametrize(
    "body", [{"kind": "nope"}, {}, {"kind": "500", "times": "x"}, {"kind": "500", "colour": 1}, []]
)
def test_a_fault_that_makes_no_sense_is_refused(portal: StandIn, body: Any) -> None:
    assert ask(portal, "POST", "/stand-in/faults/", json=body).status_code == 400
    assert portal.faults.left() == []


def test_observations_are_moved_over_http(portal: StandIn, clock: Clock) -> None:
    ask(portal, "POST", "/api/requestgroups/", json=request_group(clock()))

    def act(action: str, **body: Any) -> int:
        return ask(portal, "POST", f"/stand-in/requests/1/{action}/", json=body).status_code

    assert act("complete", frames=1) == 200
    assert len(portal.frames(1)) == 2
    assert act("bad_data") == 200
    assert act("set_state", state="FAILURE_LIMIT_REACHED") == 200
    assert portal.submissions["HAT-P-32 demo"][0]["state"] == "FAILURE_LIMIT_REACHED"
    assert act("add_attempt", state="ABORTED") == 200
    assert act("complete", frames=0, attempt_state="FAILED") == 200
    attempts = ask(portal, "GET", "/api/requests/1/observations/").json()
    assert [each["state"] for each in attempts] == ["PENDING", "BAD_DATA", "ABORTED", "FAILED"]


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("dance", {}, 404),
        ("complete", {"frames": "x"}, 400),
        ("complete", {"frames": -1}, 400),
        ("complete", {"attempt_state": "DONE"}, 400),
        ("complete", [1], 400),
        ("set_state", {}, 400),
        ("set_state", {"state": "NONSENSE"}, 400),
        ("set_state", {"state": ["PENDING"]}, 400),
        ("add_attempt", {"state": "WINDOW_EXPIRED"}, 400),
        ("add_frame", {"name": 5}, 400),
    ],
)
def test_a_move_that_makes_no_sense_changes_nothing(
    portal: StandIn, clock: Clock, action: str, body: Any, status: int
) -> None:
    ask(portal, "POST", "/api/requestgroups/", json=request_group(clock()))
    before = repr(portal.observatory.records)

    assert ask(portal, "POST", f"/stand-in/requests/1/{action}/", json=body).status_code == status

    assert repr(portal.observatory.records) == before


@pytest.mark.parametrize("action", ["complete", "bad_data", "add_frame"])
def test_a_request_that_is_not_there_is_not_moved(portal: StandIn, action: str) -> None:
    body = {"name": "n-e91.fits.fz"} if action == "add_frame" else {}
    assert ask(portal, "POST", f"/stand-in/requests/9/{action}/", json=body).status_code == 400


def test_what_was_asked_is_remembered_with_its_headers(portal: StandIn) -> None:
    ask(portal, "GET", f"{INSTRUMENTS}?telescope_class=0m4")

    (seen,) = portal.seen("GET", INSTRUMENTS)
    assert (seen.query, seen.headers["Authorization"]) == ({"telescope_class": "0m4"}, f"Token {portal.token}")
    assert portal.token not in repr(seen)
    assert portal.token not in repr(portal)


def test_the_clock_of_the_portal_may_run_ahead(portal: StandIn, clock: Clock) -> None:
    portal.advance(60)

    assert (portal.now() - clock()).total_seconds() == 60
