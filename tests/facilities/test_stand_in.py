"""The facility and the stand-in of portal and archive, which was made from recorded answers, understand each other."""

import time
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError, UpstreamError
from chalicelib.facilities import http, lco_archive
from chalicelib.facilities.base import FrameUnavailableError, LostAnswerError
from chalicelib.facilities.lco import LcoFacility
from chalicelib.models.targets import Target
from local.portal.stand_in import StandIn

SUBMIT = "/api/requestgroups/"


@pytest.fixture
def observe(portal: StandIn, monkeypatch: pytest.MonkeyPatch) -> LcoFacility:
    monkeypatch.setenv("POWERTOOLS_CIRCUIT_BREAKER_DISABLED", "true")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return LcoFacility()


@pytest.fixture
def wish(portal: StandIn, form: dict[str, Any]) -> dict[str, Any]:
    start = portal.now()
    return {**form, "start": start.isoformat(), "end": (start + timedelta(days=7)).isoformat()}


pytestmark = pytest.mark.filterwarnings("ignore:Disabling the circuit breaker")


def test_an_observation_goes_from_the_form_to_its_frames(
    observe: LcoFacility, portal: StandIn, wish: dict[str, Any], target: Target
) -> None:
    before = portal.now()
    submitted = observe.submit(observe.check_form(wish, target), target)
    assert observe.find(wish["name"], before) == submitted
    assert observe.find(wish["name"][:-1], before) is None
    assert observe.state(submitted.observation_id).status == "PENDING"
    assert list(observe.frames(submitted.observation_id)) == []

    portal.complete(submitted.observation_id)
    state = observe.state(submitted.observation_id)
    assert state.status == "COMPLETED"
    assert state.scheduled_start is not None
    assert state.scheduled_end is not None
    frames = list(observe.frames(submitted.observation_id))
    assert len(frames) == observe.exposure_count(wish) == 7
    assert all("e91" in frame.name for frame in frames)
    with observe.open_frame(frames[0]) as pieces:
        assert b"".join(pieces).startswith(b"SIMPLE")
    assert "Authorization" not in portal.seen(path="/storage/")[-1].headers

    portal.bad_data(submitted.observation_id)
    assert observe.state(submitted.observation_id).status == "PENDING"


def fail_submission(portal: StandIn, kind: str, **more: Any) -> None:
    """Let something go wrong with the submission itself: faults go by the beginning of an address, and its validation's
    begins with the submission's."""
    portal.fail("slow", f"{SUBMIT}validate/", seconds=0)
    portal.fail(kind, SUBMIT, method="POST", **more)


def test_a_submission_whose_answer_is_lost_is_found_by_name(
    observe: LcoFacility, portal: StandIn, wish: dict[str, Any], target: Target
) -> None:
    parameters = observe.check_form(wish, target)
    fail_submission(portal, "lose")
    with pytest.raises(LostAnswerError):
        observe.submit(parameters, target)
    found = observe.find(wish["name"], portal.now())
    assert found is not None
    assert [str(group["id"]) for group in portal.submissions[wish["name"]]] == [found.group_id]


@pytest.mark.parametrize("kind", ["refuse", "500", "502", "503", "html", "garbage"])
def test_a_submission_that_was_lost_before_it_was_taken_is_not_found(
    observe: LcoFacility, portal: StandIn, wish: dict[str, Any], target: Target, kind: str
) -> None:
    parameters = observe.check_form(wish, target)
    fail_submission(portal, kind)
    with pytest.raises(LostAnswerError):
        observe.submit(parameters, target)
    assert portal.submissions == {}
    assert observe.find(wish["name"], portal.now()) is None


def test_a_submission_that_the_portal_is_slow_with_may_still_arrive(
    observe: LcoFacility, portal: StandIn, wish: dict[str, Any], target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = observe.check_form(wish, target)
    fail_submission(portal, "slow", seconds=1)
    monkeypatch.setattr(http, "READ_S", 0.5)
    with pytest.raises(LostAnswerError) as caught:
        observe.submit(parameters, target)
    assert caught.value.may_still_arrive


@pytest.mark.parametrize("kind", ["refuse", "lose", "500", "502", "503"])
def test_what_fails_once_is_asked_again(observe: LcoFacility, portal: StandIn, kind: str) -> None:
    portal.fail(kind, SUBMIT)
    assert observe.find("any", portal.now()) is None
    assert len(portal.seen("GET", SUBMIT)) == 2


@pytest.mark.parametrize(
    ("kind", "error"),
    [("429", UnavailableError), ("forbidden", UpstreamError), ("html", UpstreamError), ("garbage", UpstreamError)],
)
def test_what_is_no_outage_is_told_at_once(
    observe: LcoFacility, portal: StandIn, kind: str, error: type[Exception]
) -> None:
    portal.fail(kind, SUBMIT, seconds=7)
    with pytest.raises(error):
        observe.find("any", portal.now())
    assert len(portal.seen("GET", SUBMIT)) == 1


def test_the_portals_own_checks_come_back_by_field(
    observe: LcoFacility, portal: StandIn, wish: dict[str, Any], target: Target
) -> None:
    parameters = observe.check_form(wish, target)
    with pytest.raises(InvalidInputError) as caught:
        observe.submit({**parameters, "V_exposure_time": 99_999.0}, target)
    assert [fault.loc for fault in caught.value.fields] == [("V_exposure_time",)]
    with pytest.raises(InvalidInputError) as caught:
        observe.submit({**parameters, "proposal": "NOPE"}, target)
    assert [fault.loc for fault in caught.value.fields] == [("proposal",)]
    assert portal.submissions == {}


def test_what_is_completed_cannot_be_cancelled_and_what_is_pending_can(
    observe: LcoFacility, portal: StandIn, wish: dict[str, Any], target: Target
) -> None:
    parameters = observe.check_form(wish, target)
    submitted = observe.submit(parameters, target)
    observe.cancel(submitted)
    observe.cancel(submitted)
    assert observe.state(submitted.observation_id).status == "CANCELED"
    done = observe.submit({**parameters, "name": "another"}, target)
    portal.complete(done.observation_id)
    with pytest.raises(ConflictError, match="COMPLETED"):
        observe.cancel(done)


def test_what_the_portal_does_not_have_is_not_found(observe: LcoFacility) -> None:
    with pytest.raises(NotFoundError):
        observe.state("4711")


def test_all_pages_of_the_archive_are_read(
    observe: LcoFacility, portal: StandIn, wish: dict[str, Any], target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = observe.submit(observe.check_form(wish, target), target)
    portal.complete(submitted.observation_id)
    monkeypatch.setattr(lco_archive, "PAGE_SIZE", 2)
    assert len({frame.id for frame in observe.frames(submitted.observation_id)}) == 7
    assert len(portal.seen("GET", "/archive/frames/")) > 3


@pytest.mark.parametrize("kind", ["truncate", "corrupt", "500"])
def test_a_frame_that_comes_damaged_is_unavailable_this_time(
    observe: LcoFacility, portal: StandIn, wish: dict[str, Any], target: Target, kind: str
) -> None:
    submitted = observe.submit(observe.check_form(wish, target), target)
    portal.complete(submitted.observation_id)
    frame = next(observe.frames(submitted.observation_id))
    portal.fail(kind, "/storage/")
    with pytest.raises(FrameUnavailableError), observe.open_frame(frame) as pieces:
        list(pieces)
    with observe.open_frame(frame) as pieces:
        assert list(pieces)


def test_a_link_that_has_run_out_is_renewed(
    observe: LcoFacility, portal: StandIn, wish: dict[str, Any], target: Target
) -> None:
    submitted = observe.submit(observe.check_form(wish, target), target)
    portal.complete(submitted.observation_id)
    frame = next(observe.frames(submitted.observation_id))
    portal.fail("expired", "/storage/")
    with observe.open_frame(frame) as pieces:
        assert list(pieces)
