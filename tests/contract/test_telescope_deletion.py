"""A target goes with all that belongs to it, wherever an earlier try to delete it broke off."""

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.clock import from_text
from chalicelib.errors import ClaimLostError, InvalidInputError, NotFoundError
from chalicelib.facilities.registry import find_facility
from chalicelib.models.alerts import FrameRecord
from chalicelib.models.observation_templates import ObservationTemplate
from chalicelib.models.observations import Observation, ObservationState
from chalicelib.models.observing import Submission
from chalicelib.models.targets import Target
from chalicelib.services import targets as service
from chalicelib.services.observing import settle_submissions
from chalicelib.storage import (
    alert_timelapses,
    alerts,
    clients,
    data_products,
    frames,
    observation_templates,
    observations,
    submissions,
    targets,
)
from chalicelib.storage.alert_timelapses import Pointer
from local.portal.stand_in import StandIn
from tests.asking import FIELDS
from tests.conftest import Api, Aws, Clock
from tests.storage import records

CLAIM = "claim"


def template(target_id: int, name: str) -> ObservationTemplate:
    """Keep a template."""
    made = ObservationTemplate(
        observation_templates.next_id(), name, target_id, "LCO", {"ipp_value": 1.05}, records.NOW, records.NOW
    )
    observation_templates.create(made)
    return made


def observation(target_id: int) -> Observation:
    """Keep an observation with an alert on which somebody works, and two frames."""
    made = Observation(
        id=observations.next_id(),
        target_id=target_id,
        facility="LCO",
        observation_id="7",
        group_id="8",
        parameters={"name": "transit", "ipp_value": 1.05},
        created=records.NOW,
        modified=records.NOW,
    )
    observations.create(made, [alerts.opening(made, "someone@someplace.net")])
    alerts.claim(made.id, f"{made.created}#{made.id:015d}", CLAIM, from_text(records.NOW))
    known = [FrameRecord(f"{made.id}{number}", f"{number}-e91.fits.fz", data_products.next_id()) for number in (1, 2)]
    frames.reserve(made.id, target_id, CLAIM, known)
    return made


def belongings(target_id: int) -> list[Observation]:
    """Give a target two templates, two observations, a timelapse that is to be made, a process and a data product."""
    template(target_id, "transit")
    template(target_id, "eclipse")
    made = [observation(target_id), observation(target_id)]
    alert_timelapses.reserve(target_id, None, Pointer(5), alerts.holds_claim(made[0].id, CLAIM))
    records.process(target_id)
    records.product(target_id)
    return made


def lost_submission(target: Target, moment: float) -> str:
    """Submit an observation whose answer is lost, and return its name."""
    facility = find_facility("LCO")
    form = {**FIELDS, "name": "transit-2026-01-10-030405"}
    submission = Submission(
        digest="0f",
        name=form["name"],
        facility="LCO",
        target_id=target.id,
        parameters=facility.check_form(form, target),
        email="someone@someplace.net",
        user="",
        created=records.NOW,
        sent=records.NOW,
        holder="one who died",
        worked_until=moment,
        held_until=moment,
        is_lost=True,
    )
    submissions.begin(submission, moment)
    facility.submit(submission.parameters, target)
    return submission.name


def left_of(aws: Aws) -> list[str]:
    """Return the keys of all items of the telescope table but the ends of full list buckets."""
    keys = (f"{item['pk']['S']} {item['sk']['S']}" for item in aws.items())
    return sorted(key for key in keys if not key.startswith("LIST#"))


def test_templates_observations_alerts_and_frames_go_with_their_target(api: Api, aws: Aws) -> None:
    other = records.target(name="M 31").id
    belongings(other)
    before = left_of(aws)
    target = records.target().id
    gone = belongings(target)
    assert api.delete(f"/api/targets/{target}/").status == 204
    assert left_of(aws) == before
    assert api.get("/api/observationtemplates/").json["count"] == 2
    assert [item for item in aws.items("sidereal-operations") if f"TARGET#{target}#" in item["pk"]["S"]] == []
    assert api.get(f"/api/observations/{gone[0].id}/").status == 404
    watched = [each for each, _ in alerts.open_alerts(from_text(records.NOW))]
    assert watched == [each.id for each in observations.read_all(other)]


@pytest.fixture
def break_off() -> Iterator[Any]:
    """Let the n-th request to DynamoDB from now on fail, and say whether there was one."""
    asked = {"left": -1}

    def fail(**_: Any) -> None:
        asked["left"] -= 1
        if asked["left"] == 0:
            raise ConnectionError("the machine dies")

    def after(number: int) -> None:
        asked["left"] = number
        events = clients.dynamodb().meta.events
        events.register("before-call", fail, unique_id="break-off")

    return after


def test_a_deletion_that_breaks_off_anywhere_can_be_repeated(api: Api, aws: Aws, break_off: Any) -> None:
    number, status = 0, 500
    while status == 500:
        number += 1
        target = records.target().id
        template(target, "transit")
        alert_timelapses.reserve(target, None, Pointer(5), alerts.holds_claim(observation(target).id, CLAIM))
        break_off(number)
        status = api.delete(f"/api/targets/{target}/").status
        break_off(-1)
        if status == 500:
            assert api.delete(f"/api/targets/{target}/").status == 204, number
        assert left_of(aws) == [], number
    assert status == 204
    assert number > 15  # each of its requests has failed once


def test_a_deletion_that_takes_too_long_goes_on_when_it_is_asked_for_again(
    api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = records.target().id
    belongings(target)
    with monkeypatch.context() as patch:
        patch.setattr(service, "DELETION_S", -1.0)
        answer = api.delete(f"/api/targets/{target}/")
    assert (answer.status, answer.json) == (503, {"detail": "The target is being deleted; ask again to go on."})
    assert int(answer.headers["retry-after"]) >= 1
    assert api.delete(f"/api/targets/{target}/").status == 204
    assert left_of(aws) == []


def test_nothing_is_added_to_a_target_that_is_going(aws: Aws) -> None:
    target = records.target().id
    kept = observation(target)
    targets.mark_going(target)
    before = left_of(aws)
    with pytest.raises(InvalidInputError):
        template(target, "transit")
    with pytest.raises(NotFoundError):
        observation(target)
    with pytest.raises(NotFoundError):
        frames.reserve(kept.id, target, CLAIM, [FrameRecord("9", "9-e91.fits.fz", 9)])
    with pytest.raises(NotFoundError):
        alert_timelapses.reserve(target, None, Pointer(5), alerts.holds_claim(kept.id, CLAIM))
    assert left_of(aws) == before


def test_a_submission_that_arrived_is_cancelled_when_its_target_is_gone(
    api: Api, aws: Aws, portal: StandIn, clock: Clock
) -> None:
    target = records.target(ra=31.04275, dec=46.68785)
    name = lost_submission(target, clock.moment.timestamp())
    assert api.delete(f"/api/targets/{target.id}/").status == 204
    assert portal.submissions[name][0]["state"] == "PENDING"
    clock.advance(60)
    assert settle_submissions(lambda: 600.0) == 0
    assert portal.submissions[name][0]["state"] == "CANCELED"
    assert left_of(aws) == [f"OBSERVATIONNAME#LCO#{name} OBSERVATIONNAME"]  # which nobody else may have for a day


def test_a_worker_loses_the_alert_of_a_target_that_is_deleted(api: Api, aws: Aws) -> None:
    target = records.target().id
    kept = observation(target)
    seen = frames.read(kept.id).observation
    assert api.delete(f"/api/targets/{target}/").status == 204
    moment = from_text(records.NOW)
    for act in (
        lambda: alerts.hold(kept.id, CLAIM, moment),
        lambda: alerts.change(kept.id, CLAIM, {"failures": 1}),
        lambda: alerts.release(kept.id, CLAIM, moment, {}),
        lambda: frames.change(kept.id, CLAIM, FrameRecord(f"{kept.id}1", "1-e91.fits.fz", 1), tries=1),
    ):
        with pytest.raises(ClaimLostError):
            act()
    with pytest.raises(NotFoundError):
        observations.set_state(seen, ObservationState("COMPLETED"), moment)
    assert left_of(aws) == []
