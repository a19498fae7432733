"""Observation alerts from the telescope to the mail, and when they are closed."""

import pytest

from chalicelib.services import alert_timelapses
from chalicelib.services.alerts import process_alerts
from chalicelib.services.processes import give_up_process
from chalicelib.storage import alerts, clients, observations
from tests.jobs.sky import QuickTimelapse, Sky

HOURS = 60.0
DAYS = 24 * HOURS


def test_new_frames_become_a_timelapse_and_a_mail(sky: Sky) -> None:
    observation = sky.observe()
    assert sky.look()["alerts"] == 1
    assert sky.products() == []
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz", "b-e00.fits.fz")
    counts = sky.look()
    assert (counts["frames_fetched"], counts["timelapses_started"], counts["errors"]) == (2, 1, 0)
    assert [(each["name"], each["data_product_type"]) for each in sky.products()] == [
        ("a-e91.fits.fz", "fits_file"),
        ("b-e91.fits.fz", "fits_file"),
    ]
    assert sky.mails == []
    assert sky.make_timelapses() == 1
    assert sky.look()["mails_sent"] == 1
    (mail,) = sky.mails
    (timelapse,) = sky.timelapses()
    assert (mail.source, sky.recipients) == ("observatory@example.org", ["someone@example.org"])
    assert mail.subject == "Observation for 'HAT-P-32' has new data"
    assert mail.body.startswith("Your observation for 'HAT-P-32' has completed, and a timelapse is available\n")
    assert f"https://sky.example.org/dev{timelapse['url']}\n" in mail.body
    assert f"https://sky.example.org/dev/targets/{sky.target}/\n" in mail.body
    assert timelapse["frames"] == 2
    assert sky.api.get(f"/api/observations/{observation.id}/").json["status"] == "COMPLETED"


def test_ten_more_runs_fetch_make_and_send_nothing_again(sky: Sky) -> None:
    sky.finish(sky.observe(), "a-e91.fits.fz", "b-e91.fits.fz")
    sky.settle()
    products, timelapses = sky.products(), sky.timelapses()
    for _ in range(10):
        counts = sky.look()
        assert counts == {**dict.fromkeys(counts, 0), "alerts": 1}
        assert sky.make_timelapses() == 0
    assert (sky.products(), sky.timelapses(), len(sky.mails)) == (products, timelapses, 1)
    assert len(sky.portal.seen("GET", "/storage/")) == 2


def test_a_quiet_alert_costs_three_requests(sky: Sky, calls: list[str]) -> None:
    observation = sky.observe()
    process_alerts()
    calls.clear()
    process_alerts()
    shards = ["Query"] * alerts.OPEN_SHARDS
    assert calls == [*shards, "UpdateItem", "Query", "UpdateItem"]
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.settle()
    calls.clear()
    process_alerts()
    assert calls == shards  # it ended a moment ago, and was looked at since
    sky.clock.advance(3600)
    calls.clear()
    process_alerts()
    assert [call for call in calls if call != "GetItem"] == [*shards, "UpdateItem", "Query", "UpdateItem"]
    assert calls.count("GetItem") <= 2  # the circuits of portal and archive, every few seconds


def test_late_frames_make_a_second_timelapse_that_replaces_the_first_and_is_mailed(sky: Sky) -> None:
    observation = sky.observe()
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.settle()
    (first,) = sky.timelapses()
    sky.put(observation, "c-e91.fits.fz")
    sky.settle()
    sky.put(observation, "d-e91.fits.fz")
    sky.settle_late()
    (second,) = sky.timelapses()
    assert second["name"] != first["name"]
    assert second["frames"] == 4  # those that come one after the other are shown together
    assert len(sky.mails) == 2
    assert second["url"] in sky.mails[1].body
    assert sky.orphans() == []


def test_older_timelapses_stay_until_the_new_one_is_there(sky: Sky) -> None:
    observation = sky.observe()
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.settle()
    sky.put(observation, "c-e91.fits.fz")
    QuickTimelapse.fails = True
    sky.settle_late()
    assert len(sky.api.get(f"/api/async/status/{sky.target}/").json["processes"]) == 2
    assert len(sky.timelapses()) == 1
    assert len(sky.mails) == 1


def test_a_failed_timelapse_sends_no_mail_and_is_tried_with_further_frames_only(sky: Sky) -> None:
    observation = sky.observe()
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    QuickTimelapse.fails = True
    sky.settle()
    QuickTimelapse.fails = False
    sky.settle()
    assert (sky.mails, sky.timelapses()) == ([], [])
    sky.put(observation, "c-e91.fits.fz")
    sky.settle_late()
    assert len(sky.mails) == 1
    assert [each["frames"] for each in sky.timelapses()] == [3]


def test_a_failed_timelapse_that_somebody_retries_is_mailed(sky: Sky) -> None:
    sky.finish(sky.observe(), "a-e91.fits.fz", "b-e91.fits.fz")
    QuickTimelapse.fails = True
    sky.settle()
    QuickTimelapse.fails = False
    assert sky.api.post("/api/pipeline/1/retry/").status == 202
    sky.settle()
    assert len(sky.mails) == 1


def give_up(sky: Sky, process_id: int) -> None:
    """Let the message of a process become a dead letter."""
    sky.aws.messages("sidereal-timelapse")
    give_up_process(process_id)


def test_a_timelapse_whose_workers_died_is_begun_anew_twice_at_most(sky: Sky) -> None:
    observation = sky.observe()
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    started = []
    for number in range(1, 5):
        started.append(sky.look()["timelapses_started"])
        if number < 4:
            give_up(sky, number)
    assert started == [1, 1, 1, 0]
    counts = sky.look(49 * HOURS)
    assert (counts["closed"], counts["timelapses_failed"]) == (1, 1)
    assert sky.item(observation)["close_reason"] == "the timelapse failed"


def test_a_timelapse_that_is_begun_anew_is_mailed(sky: Sky) -> None:
    sky.finish(sky.observe(), "a-e91.fits.fz", "b-e91.fits.fz")
    sky.look()
    give_up(sky, 1)
    sky.settle()
    sky.look()
    assert len(sky.mails) == 1


def test_a_timelapse_that_a_person_cancels_is_not_begun_anew_and_the_alert_waits_for_its_retry(sky: Sky) -> None:
    observation = sky.observe()
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.look()
    sky.aws.messages("sidereal-timelapse")
    assert sky.api.post("/api/pipeline/1/cancel/").status == 200
    sky.settle()
    assert (sky.timelapses(), sky.mails) == ([], [])
    assert sky.is_open(observation)
    assert sky.api.post("/api/pipeline/1/retry/").status == 202
    sky.make_timelapses()
    assert sky.look(49 * HOURS)["mails_sent"] == 1
    assert sky.item(observation)["close_reason"] == "done"


def test_a_process_that_the_queue_does_not_take_is_tried_again(sky: Sky) -> None:
    name = sky.aws.name("sidereal-timelapse")
    url = sky.aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    sky.finish(sky.observe(), "a-e91.fits.fz", "b-e91.fits.fz")
    sky.aws.sqs.delete_queue(QueueUrl=url)
    assert sky.look()["errors"] == 1
    sky.aws.sqs.create_queue(QueueName=name)
    sky.look(15)
    assert sky.make_timelapses() == 1
    sky.settle()
    assert len(sky.mails) == 1
    assert len(sky.api.get(f"/api/async/status/{sky.target}/").json["processes"]) == 1


def test_frames_that_are_all_there_are_shown_at_once_fewer_when_none_came_for_a_while(sky: Sky) -> None:
    observation = sky.observe(exposures=3)
    sky.put(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.look()
    sky.look(10)
    assert sky.make_timelapses() == 0
    sky.look(5)
    assert sky.make_timelapses() == 1
    sky.put(observation, "c-e91.fits.fz")
    sky.look()
    assert sky.make_timelapses() == 0  # more may come as late as that
    sky.look(15)
    assert sky.make_timelapses() == 1


def test_the_mail_waits_until_the_observation_has_ended(sky: Sky) -> None:
    observation = sky.observe()
    sky.put(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.settle()
    assert len(sky.timelapses()) == 1
    assert sky.mails == []
    sky.finish(observation)
    sky.look()
    assert len(sky.mails) == 1
    assert sky.make_timelapses() == 0


def test_completed_may_be_taken_back_and_is_mailed_again_for_new_frames_only(sky: Sky) -> None:
    observation = sky.observe()
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.settle()
    sky.portal.set_state(observation.observation_id, "PENDING")
    sky.look(47 * HOURS)
    assert sky.api.get(f"/api/observations/{observation.id}/").json["status"] == "PENDING"
    sky.look(47 * HOURS)
    assert sky.is_open(observation)
    sky.finish(observation)
    sky.settle()
    assert len(sky.mails) == 1
    sky.finish(observation, "c-e91.fits.fz", "d-e91.fits.fz")
    sky.settle_late()
    assert len(sky.mails) == 2
    sky.look(47 * HOURS)
    assert sky.is_open(observation)
    sky.look(2 * HOURS)
    assert not sky.is_open(observation)


def test_a_completed_observation_is_watched_for_a_while_then_its_alert_is_closed(sky: Sky) -> None:
    observation = sky.observe()
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.settle()
    sky.look(47 * HOURS)
    assert sky.is_open(observation)
    assert sky.look(2 * HOURS)["closed"] == 1
    assert sky.look()["alerts"] == 0
    assert sky.item(observation)["close_reason"] == "done"


def test_the_longer_ago_an_observation_ended_the_less_often_the_portal_is_asked(sky: Sky) -> None:
    observation = sky.observe()
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.settle()
    asked = []
    for _ in range(3):
        before = len(sky.portal.seen("GET", "/api/requests/"))
        for _ in range(12):
            sky.look()
        asked.append(len(sky.portal.seen("GET", "/api/requests/")) - before)
        sky.look(10 * HOURS)
    assert asked[0] > 10
    assert asked[1:] == [0, 0]


def test_frames_that_come_on_the_last_day_are_shown_and_mailed_before_the_alert_is_closed(sky: Sky) -> None:
    observation = sky.observe()
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.settle()
    sky.put(observation, "c-e91.fits.fz")
    sky.look(49 * HOURS)
    assert sky.is_open(observation)
    sky.settle_late()
    assert len(sky.mails) == 2
    assert not sky.is_open(observation)


def test_a_window_that_expires_with_data_ends_in_a_mail_and_without_in_none(sky: Sky) -> None:
    lucky, unlucky = sky.observe(exposures=5), sky.observe(email="other@example.org")
    sky.finish(lucky, "a-e91.fits.fz", "b-e91.fits.fz", state="WINDOW_EXPIRED")
    sky.finish(unlucky, state="WINDOW_EXPIRED")
    sky.settle(rounds=8)
    assert sky.recipients == ["someone@example.org"]
    sky.look(49 * HOURS)
    assert not sky.is_open(unlucky)
    assert not sky.is_open(lucky)
    assert len(sky.mails) == 1


def test_an_expired_observation_whose_attempt_reports_late_is_completed_after_all(sky: Sky) -> None:
    observation = sky.observe()
    sky.finish(observation, state="WINDOW_EXPIRED")
    sky.look()
    sky.look(20 * HOURS)
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.look(3 * HOURS)
    sky.settle()
    assert observations.get(observation.id).status == "COMPLETED"
    assert len(sky.mails) == 1
    sky.look(40 * HOURS)  # the watch has begun anew
    assert sky.is_open(observation)


def test_an_expired_observation_is_looked_at_for_frames_that_come_late(sky: Sky) -> None:
    observation = sky.observe()
    sky.finish(observation, state="WINDOW_EXPIRED")
    sky.look()
    sky.look(10)
    assert sky.is_open(observation)
    sky.put(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.look()
    assert len(sky.products()) == 2


def test_an_alert_is_closed_weeks_after_the_window_of_an_observation_that_the_portal_does_not_know(sky: Sky) -> None:
    observation = sky.observe()
    sky.portal.observatory.records.groups.clear()
    sky.look(30 * DAYS)  # the window was over on the tenth day
    assert sky.is_open(observation)
    assert sky.look(9 * DAYS)["closed"] == 1
    assert sky.item(observation)["close_reason"] == "the facility does not know the observation"
    assert sky.mails == []


def test_two_alerts_of_a_target_share_a_timelapse_that_has_the_frames_of_both(sky: Sky) -> None:
    first, second = sky.observe(exposures=3), sky.observe(email="other@example.org")
    sky.put(first, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.look()
    sky.finish(first)
    sky.finish(second, "c-e91.fits.fz", "d-e91.fits.fz")
    sky.look()
    assert sky.make_timelapses() == 1
    sky.settle(rounds=4)
    assert [each["frames"] for each in sky.timelapses()] == [4]
    assert sorted(sky.recipients) == ["other@example.org", "someone@example.org"]
    assert len(sky.api.get(f"/api/async/status/{sky.target}/").json["processes"]) == 1


def test_alerts_that_get_frames_in_one_run_end_with_one_timelapse_and_one_mail_each(sky: Sky) -> None:
    first, second = sky.observe(), sky.observe(email="other@example.org")
    sky.finish(first, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.finish(second, "c-e91.fits.fz", "d-e91.fits.fz")
    sky.settle(rounds=4)
    (timelapse,) = sky.timelapses()
    assert timelapse["frames"] == 4
    assert sorted(sky.recipients) == ["other@example.org", "someone@example.org"]
    assert sky.orphans() == []


def test_a_single_frame_waits_for_another_to_make_a_timelapse(sky: Sky) -> None:
    observation = sky.observe(exposures=1)
    sky.finish(observation, "a-e91.fits.fz")
    sky.settle()
    assert sky.api.get(f"/api/async/status/{sky.target}/").json["processes"] == []
    sky.put(observation, "b-e91.fits.fz")
    sky.settle()
    assert len(sky.mails) == 1


def test_a_timelapse_takes_the_newest_frames_where_there_are_too_many(
    sky: Sky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_timelapses, "MAX_INPUTS", 2)
    observation = sky.observe()
    sky.finish(observation, "a-e91.fits.fz")
    sky.look()
    sky.put(observation, "b-e91.fits.fz", "c-e91.fits.fz")
    sky.settle(rounds=4)
    assert [each["frames"] for each in sky.timelapses()] == [2]
    log = sky.api.get("/api/pipeline/logs/1/").json["logs"]
    assert log.startswith("The target has 3 frames; the newest 2 are shown\n")
    assert len(sky.mails) == 1


def test_a_target_that_is_deleted_ends_its_alerts_quietly(sky: Sky) -> None:
    other = sky.api.target("M 13")
    first, second = sky.observe(), sky.observe(target=other, email="other@example.org")
    for observation, letter in ((first, "a"), (second, "b")):
        sky.finish(observation, f"{letter}1-e91.fits.fz", f"{letter}2-e91.fits.fz")
    assert sky.api.delete(f"/api/targets/{sky.target}/").status == 204
    for _ in range(4):
        sky.look()
        sky.make_timelapses()
    assert sky.recipients == ["other@example.org"]
    assert not sky.is_open(first)
    assert sky.orphans() == []


def test_a_target_that_is_deleted_while_a_frame_is_on_its_way_leaves_no_file(sky: Sky) -> None:
    observation = sky.observe()
    sky.finish(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.clock.advance(300)
    answers = []

    def delete(**_: object) -> None:
        answers.append(sky.api.delete(f"/api/targets/{sky.target}/").status)

    clients.s3().meta.events.register("after-call.s3.CompleteMultipartUpload", delete)
    assert process_alerts()["errors"] == 0
    assert answers == [204]
    assert sky.aws.keys() == []


def test_the_facility_being_down_for_one_observation_does_not_stop_the_others(sky: Sky) -> None:
    troubled, well = sky.observe(), sky.observe(email="other@example.org", target=sky.api.target("M 13"))
    for observation in (troubled, well):
        sky.finish(observation, f"{observation.id}a-e91.fits.fz", f"{observation.id}b-e91.fits.fz")
    sky.portal.fail("html", f"/api/requests/{troubled.observation_id}/", times=3)
    sky.settle(rounds=4)
    assert sky.recipients == ["other@example.org"]
    asked = len(sky.portal.seen("GET", f"/api/requests/{troubled.observation_id}/"))
    assert asked == 3  # of four runs, for the pauses grow: at 5, 10 and 20 minutes
    sky.settle(rounds=8)
    assert len(sky.mails) == 2


def test_something_unexpected_in_one_alert_does_not_stop_the_others_and_waits_longer_each_time(sky: Sky) -> None:
    broken, well = sky.observe(), sky.observe(email="other@example.org", target=sky.api.target("M 13"))
    key = {"pk": {"S": f"OBSERVATION#{broken.id}"}, "sk": {"S": "OBSERVATION"}}
    sky.aws.dynamodb.update_item(
        TableName=sky.aws.name("sidereal-telescope"),
        Key=key,
        UpdateExpression="REMOVE #p",
        ExpressionAttributeNames={"#p": "parameters"},
    )
    sky.finish(well, "a-e91.fits.fz", "b-e91.fits.fz")
    errors = []
    for _ in range(8):
        errors.append(sky.look()["errors"])
        sky.make_timelapses()
    assert errors == [1, 1, 0, 1, 0, 0, 0, 1]
    assert sky.recipients == ["other@example.org"]


def test_a_run_that_has_no_time_left_leaves_the_rest_to_the_next_which_begins_there(sky: Sky) -> None:
    made = [sky.observe(email=f"{number}@example.org") for number in range(3)]
    looked: list[int] = []
    for _ in range(3):
        sky.clock.advance(300)
        left = iter([900.0] * 2 + [900.0] * 2 + [0.0] * 20)
        before = {each.id: sky.item(each)["list_sk"] for each in made}
        process_alerts(lambda: next(left))  # noqa: B023 - called before it changes
        looked += [each.id for each in made if sky.item(each)["list_sk"] != before[each.id]]
    assert sorted(set(looked)) == [each.id for each in made]
