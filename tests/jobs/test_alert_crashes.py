"""Alerts survive a crash at any point, and another run beside them."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from chalicelib.models.observations import Observation
from chalicelib.services.alerts import process_alerts
from chalicelib.services.processes import resend_stuck_processes
from chalicelib.storage import alerts, processes
from tests.jobs.sky import FITS, Crash, Sky

IsOver = Callable[[Sky, Observation], bool]


def is_film_asked_for(sky: Sky, observation: Observation) -> bool:
    """Say whether the first leg is over: the frame is fetched and a timelapse of all frames started."""
    return sky.item(observation).get("process_id") is not None


def is_mail_settled(sky: Sky, observation: Observation) -> bool:
    """Say whether the second leg is over: older timelapses are deleted, and the mail is sent, or given up."""
    return sky.item(observation).get("mail_state") not in (None, "sending")


def play(sky: Sky, observation: Observation, is_over: IsOver, crash: Crash) -> None:
    """Run one leg with a crash on the way."""
    for _ in range(3):
        sky.clock.advance(900)
        with crash.running():
            process_alerts()
        if is_over(sky, observation):
            break
    assert is_over(sky, observation)
    items = sky.aws.items()
    frames = sorted(item["name"]["S"] for item in items if item["sk"]["S"] == "DATAPRODUCT")
    assert [name for name in frames if "e91" in name] == ["a-e91.fits", "b-e91.fits.fz"]
    assert len([item for item in items if item["sk"]["S"] == "PROCESS"]) == 1
    assert sky.orphans(items) == []


def crash_everywhere(sky: Sky, observation: Observation, is_over: IsOver, *, is_fatal: bool) -> Iterator[str]:
    """Play a leg from the same beginning with a crash at each of its writes in turn; yield at which, "" for none."""
    beginning = sky.remember()
    for number in count(1):
        sky.go_back(beginning)
        crash = Crash(number, is_fatal=is_fatal)
        play(sky, observation, is_over, crash)
        yield crash.struck
        if not crash.struck:
            break


@pytest.mark.parametrize("is_fatal", [True, False], ids=["dies", "loses an answer"])
def test_a_crash_at_any_write_loses_and_doubles_nothing(
    sky: Sky, is_fatal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "OPEN_SHARDS", 1)
    monkeypatch.setattr(processes, "OPEN_SHARDS", 1)
    assert sky.api.upload(sky.target, "a-e91.fits", FITS).status == 201
    observation = sky.observe(exposures=1)
    sky.finish(observation, "b-e91.fits.fz")
    struck = []
    for where in crash_everywhere(sky, observation, is_film_asked_for, is_fatal=is_fatal):
        struck.append(where)
        if where:
            sky.clock.advance(900)
            resend_stuck_processes()
            assert sky.aws.messages() != []
    assert sky.make_timelapses() == 1
    for where in crash_everywhere(sky, observation, is_mail_settled, is_fatal=is_fatal):
        struck.append(where)
        assert len(sky.mails) == 1 or (not sky.mails and where == "SendEmail"), where
        assert [each["frames"] for each in sky.timelapses()] == [2]
    assert {"TransactWriteItems", "CompleteMultipartUpload", "SendMessage", "SendEmail"} <= set(struck)


def test_runs_side_by_side_do_everything_once(sky: Sky, at_once: Callable[..., list[Any]]) -> None:
    for number in range(3):
        target = sky.api.target(f"target {number}")
        observation = sky.observe(target=target, email=f"{number}@example.org")
        sky.finish(observation, f"{number}a-e91.fits.fz", f"{number}b-e91.fits.fz")
    counts = []
    for _ in range(3):
        sky.clock.advance(300)
        counts += at_once(lambda _: process_alerts(), range(3))
        sky.make_timelapses()
    assert [each for each in counts if isinstance(each, Exception) or each["errors"]] == []
    assert sum(each["frames_fetched"] for each in counts) == 6
    assert sum(each["timelapses_started"] for each in counts) == 3
    assert sorted(sky.recipients) == ["0@example.org", "1@example.org", "2@example.org"]
    assert sky.orphans() == []


def test_a_run_whose_claim_was_taken_over_changes_nothing_any_more(sky: Sky) -> None:
    observation = sky.observe()
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.clock.advance(300)

    def time_left_s() -> float:
        if sky.aws.keys("products/") and "thief" not in str(sky.item(observation).get("claim")):
            sky.aws.dynamodb.update_item(
                TableName=sky.aws.name("sidereal-telescope"),
                Key={"pk": {"S": f"OBSERVATION#{observation.id}"}, "sk": {"S": "ALERT"}},
                UpdateExpression="SET claim = :thief",
                ExpressionAttributeValues={":thief": {"S": "thief"}},
            )
        return 900.0

    counts = process_alerts(time_left_s)
    assert counts["errors"] == 0
    assert sky.item(observation)["claim"] == "thief"
    assert len(sky.products()) == 1
    sky.settle()
    assert sky.names() == ["a-e91.fits.fz", "b-e91.fits.fz"]
    assert len(sky.mails) == 1
    assert sky.orphans() == []


def test_an_alert_whose_worker_died_is_taken_up_when_its_lease_is_over(sky: Sky) -> None:
    observation = sky.observe()
    crash = Crash(2, is_fatal=True)  # right behind the claim
    with crash.running():
        process_alerts()
    assert crash.struck
    assert "claim" in sky.item(observation)
    sky.clock.advance(30)
    assert process_alerts()["alerts"] == 0
    sky.clock.advance(31)
    assert process_alerts()["alerts"] == 1


def test_an_alert_at_which_a_run_dies_does_not_keep_the_others_from_their_turn(sky: Sky) -> None:
    made = [sky.observe(), sky.observe()]
    before = [sky.item(each)["list_sk"] for each in made]
    for _ in made:
        sky.clock.advance(300)
        crash = Crash(2, is_fatal=True)  # right behind the claim
        with crash.running():
            process_alerts()
        assert crash.struck
    assert all(sky.item(each)["list_sk"] > place for each, place in zip(made, before, strict=True))
