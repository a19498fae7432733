"""Finding, watching and cancelling what was submitted."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest

from chalicelib.errors import ConflictError, NotFoundError, UnavailableError, UpstreamError
from chalicelib.facilities.base import ObservationState, Submitted
from chalicelib.facilities.lco import LcoFacility
from tests.facilities.scripted import ScriptedServer, Told

GROUPS = "/api/requestgroups/"
REQUEST = "/api/requests/12/"
ATTEMPTS = "/api/requests/12/observations/"
CANCEL = "/api/requestgroups/11/cancel/"
SINCE = datetime(2026, 1, 10, 3, 4, 5, tzinfo=UTC)


def group(name: str, number: int) -> dict[str, Any]:
    return {"id": number, "name": name, "requests": [{"id": number + 100}]}


def page(*groups: Any, following: Any = None) -> Told:
    return Told(200, {"count": 99, "next": following, "previous": None, "results": list(groups)})


def test_only_the_group_of_exactly_this_name_is_found(lco: LcoFacility, server: ScriptedServer) -> None:
    server.on("GET", GROUPS, page(group("NAME-1", 5), group("name-1-y", 6), group("name-1", 7), group("name-1", 9)))
    assert lco.find("name-1", SINCE) == Submitted("107", "7")
    query = parse_qs(server.asked[-1].query)
    assert (query["name"], query["created_after"]) == (["name-1"], ["2026-01-10T02:59:05Z"])


def test_a_colleagues_group_of_several_requests_is_passed_over(lco: LcoFacility, server: ScriptedServer) -> None:
    many = {**group("name-1", 3), "requests": [{"id": 1}, {"id": 2}]}
    server.on("GET", GROUPS, page(many, group("name-1", 7)))
    assert lco.find("name-1", SINCE) == Submitted("107", "7")


def test_what_is_not_there_is_not_found(lco: LcoFacility, server: ScriptedServer) -> None:
    server.on("GET", GROUPS, page())
    assert lco.find("name-1", SINCE) is None


def test_the_search_goes_on_over_all_pages_with_the_address_that_we_know(
    lco: LcoFacility, server: ScriptedServer
) -> None:
    # as a portal behind a proxy that ends TLS: it knows neither its scheme nor its port
    server.on("GET", GROUPS, page(group("other", 1), following="http://127.0.0.1/api/requestgroups/next/?offset=1"))
    server.on("GET", "/api/requestgroups/next/", page(group("name-1", 7)))
    assert lco.find("name-1", SINCE) == Submitted("107", "7")
    assert server.asked[-1].query == "offset=1"


@pytest.mark.parametrize(
    "following",
    ["http://elsewhere.example/api/", "//elsewhere.example/x", 5, "ftp:x", "http://[", "@elsewhere.example/"],
)
def test_a_next_page_at_somebody_elses_is_not_asked_for(
    lco: LcoFacility, server: ScriptedServer, following: Any
) -> None:
    server.on("GET", GROUPS, page(following=following))
    with pytest.raises(UpstreamError):
        lco.find("name-1", SINCE)
    assert len(server.asked) == 1


def test_pages_without_an_end_are_given_up(lco: LcoFacility, server: ScriptedServer) -> None:
    server.on("GET", GROUPS, page(following=f"{server.address}{GROUPS}?offset=1"))
    with pytest.raises(UpstreamError):
        lco.find("name-1", SINCE)
    assert len(server.asked) < 20


@pytest.mark.parametrize("told", [[], {}, {"results": {}}, b"<html>", {"results": [{"name": "name-1", "id": 1}]}])
def test_a_list_that_makes_no_sense_does_not_count_as_not_found(
    lco: LcoFacility, server: ScriptedServer, told: Any
) -> None:
    server.on("GET", GROUPS, Told(200, told))
    with pytest.raises(UpstreamError):
        lco.find("name-1", SINCE)


def attempt(state: str, hour: int) -> dict[str, Any]:
    return {"state": state, "start": f"2026-11-22T{hour:02}:00:00Z", "end": f"2026-11-22T{hour:02}:30:00Z"}


@pytest.mark.parametrize(
    ("state", "attempts", "hour"),
    [
        ("PENDING", [], None),
        ("PENDING", [attempt("PENDING", 1), attempt("PENDING", 2)], 2),
        ("PENDING", [attempt("FAILED", 1), attempt("IN_PROGRESS", 2), attempt("CANCELED", 3)], 2),
        ("PENDING", [attempt("FAILED", 1)], None),
        ("COMPLETED", [attempt("PENDING", 1), attempt("COMPLETED", 2), attempt("PENDING", 3)], 2),
        # an attempt that failed late may complete its request
        ("COMPLETED", [attempt("FAILED", 1), attempt("ABORTED", 2)], 2),
        ("COMPLETED", [attempt("FAILED", 1), attempt("PENDING", 2)], 1),
        ("WINDOW_EXPIRED", [attempt("FAILED", 1)], 1),
        ("CANCELED", [attempt("PENDING", 1)], 1),
    ],
)
def test_the_times_are_those_of_the_attempt_that_counts(
    lco: LcoFacility, server: ScriptedServer, state: str, attempts: list[Any], hour: int | None
) -> None:
    server.on("GET", REQUEST, Told(200, {"id": 12, "state": state}))
    server.on("GET", ATTEMPTS, Told(200, attempts))
    start = None if hour is None else datetime(2026, 11, 22, hour, tzinfo=UTC)
    end = None if start is None else start.replace(minute=30)
    assert lco.state("12") == ObservationState(state, start, end)


@pytest.mark.parametrize("time", [None, "soon", 5, "", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_makes_no_sense_is_none(lco: LcoFacility, server: ScriptedServer, time: Any) -> None:
    server.on("GET", REQUEST, Told(200, {"state": "PENDING"}))
    server.on("GET", ATTEMPTS, Told(200, [5, {"state": "PENDING", "start": time}]))
    assert lco.state("12") == ObservationState("PENDING")


def test_an_observation_that_the_portal_does_not_show_is_not_found(lco: LcoFacility, server: ScriptedServer) -> None:
    with pytest.raises(NotFoundError):
        lco.state("12")


@pytest.mark.parametrize(
    "told", [{}, {"state": ""}, {"state": 5}, {"state": "x" * 51}, {"state": "\ud800"}, {"state": "A\n"}, [], b"<html>"]
)
def test_a_state_that_makes_no_sense_is_the_portals_fault(lco: LcoFacility, server: ScriptedServer, told: Any) -> None:
    server.on("GET", REQUEST, Told(200, told))
    with pytest.raises(UpstreamError):
        lco.state("12")


def test_an_id_cannot_lead_to_another_address(lco: LcoFacility, server: ScriptedServer) -> None:
    with pytest.raises(NotFoundError):
        lco.state("../profile?x#")
    assert server.paths() == ["/api/requests/..%2Fprofile%3Fx%23/"]


def test_reading_is_tried_again_where_the_portal_fails(lco: LcoFacility, server: ScriptedServer) -> None:
    server.on(
        "GET", REQUEST, Told(502), Told(200, {"state": "PENDING"}, breaks="within"), Told(200, {"state": "PENDING"})
    )
    server.on("GET", ATTEMPTS, Told(200, []))
    assert lco.state("12").status == "PENDING"


def test_a_portal_that_keeps_failing_is_unavailable(lco: LcoFacility, server: ScriptedServer) -> None:
    server.on("GET", REQUEST, Told(503, b"", {"Retry-After": "77"}))
    with pytest.raises(UnavailableError) as caught:
        lco.state("12")
    assert caught.value.retry_after_s == 77
    assert server.paths() == [REQUEST] * 3


def test_a_group_is_cancelled_and_cancelled_already_is_done(lco: LcoFacility, server: ScriptedServer) -> None:
    server.on("POST", CANCEL, Told(200, {"id": 11, "state": "CANCELED", "requests": [{"state": "PENDING"}]}))
    lco.cancel(Submitted("12", "11"))
    lco.cancel(Submitted("12", "11"))
    assert server.paths("POST") == [CANCEL, CANCEL]


def test_a_state_that_forbids_cancelling_is_a_conflict_in_the_portals_words(
    lco: LcoFacility, server: ScriptedServer
) -> None:
    text = "Cannot transition from request state COMPLETED to CANCELED for 2"
    server.on("POST", CANCEL, Told(400, {"errors": [text]}))
    with pytest.raises(ConflictError, match=text):
        lco.cancel(Submitted("12", "11"))


def test_a_group_that_the_portal_does_not_show_cannot_be_cancelled(lco: LcoFacility, server: ScriptedServer) -> None:
    with pytest.raises(NotFoundError):
        lco.cancel(Submitted("12", "11"))


@pytest.mark.parametrize("told", [{"state": "PENDING"}, {}, [], b""])
def test_a_cancelling_that_did_not_cancel_is_not_taken_for_one(
    lco: LcoFacility, server: ScriptedServer, told: Any
) -> None:
    server.on("POST", CANCEL, Told(200, told))
    with pytest.raises(UpstreamError):
        lco.cancel(Submitted("12", "11"))
