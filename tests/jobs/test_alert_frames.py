"""Frames of the archive on their way into the bucket: once each, whatever is broken."""

import logging
from datetime import timedelta

import pytest

from chalicelib import clock
from chalicelib.facilities.base import Frame, FrameUnavailableError
from chalicelib.models.data_products import DataProduct
from chalicelib.services import frames as service
from chalicelib.services.alerts import process_alerts
from tests.jobs.sky import FITS, Crash, Sky

A, B, C = "a-e91.fits.fz", "b-e91.fits.fz", "c-e91.fits.fz"


def records(sky: Sky) -> dict[str, dict[str, str]]:
    """Return what is known about each frame, by name."""
    items = [item for item in sky.aws.items() if item["sk"]["S"].startswith("FRAME#")]
    return {item["name"]["S"]: {key: str(next(iter(value.values()))) for key, value in item.items()} for item in items}


def test_a_frame_becomes_a_data_product_whose_type_its_suffix_decides(sky: Sky) -> None:
    kinds = {A: "fits_file", "b-e91.fits": "fits_file", "c-e91.jpg": "image_file", "d-e91.txt": ""}
    observation = sky.observe(exposures=4)
    sky.put(observation, *kinds, content=FITS + b"further")
    sky.look()
    products = sky.products()
    assert {each["name"]: each["data_product_type"] for each in products} == kinds
    assert {each["size"] for each in products} == {len(FITS) + 7}
    keys = [f"products/{sky.target}/{each['id']}/{each['name']}" for each in products]
    assert sorted(keys) == sky.aws.keys("products/")
    kept = sky.aws.s3.get_object(Bucket=sky.aws.name("sidereal-artefacts"), Key=keys[0])["Body"].read()
    assert kept == FITS + b"further"


def test_a_broken_frame_does_not_stop_the_others_and_is_given_up_after_five_tries(sky: Sky) -> None:
    observation = sky.observe(exposures=3)
    sky.finish(observation, A, B, C)
    broken = sky.portal.frames(observation.observation_id)[1]["id"]
    sky.portal.fail("truncate", f"/storage/{broken}/", times=100)
    sky.look()
    assert sky.names() == [A, C]
    assert (records(sky)[B]["state"], records(sky)[B]["tries"]) == ("reserved", "1")
    sky.look(15)
    assert sky.make_timelapses() == 1  # without it, when none came for a while
    for _ in range(8):
        sky.look(6 * 60)
    assert (records(sky)[B]["state"], records(sky)[B]["tries"]) == ("given up", "5")
    assert len(sky.portal.seen("GET", f"/storage/{broken}/")) == 5
    assert sky.orphans() == []
    assert len(sky.mails) == 1
    assert sky.timelapses()[0]["frames"] == 2


def test_the_pauses_between_tries_of_a_frame_grow(sky: Sky) -> None:
    observation = sky.observe()
    sky.put(observation, A)
    sky.portal.fail("corrupt", "/storage/", times=100)
    tries = []
    for _ in range(6):
        sky.look(5)
        tries.append(records(sky)[A]["tries"])
    assert tries == ["1", "2", "2", "2", "2", "3"]


def test_a_frame_that_is_whole_at_the_second_try_is_kept(sky: Sky) -> None:
    observation = sky.observe()
    sky.put(observation, A)
    sky.portal.fail("truncate", "/storage/")
    sky.look()
    assert sky.products() == []
    assert sky.look()["frames_fetched"] == 1


def test_what_is_not_fits_is_not_kept(sky: Sky) -> None:
    observation = sky.observe()
    sky.put(observation, A, content=b"<html>" * 1000)
    sky.put(observation, B, content=b"")
    sky.put(observation, C)
    assert sky.look()["frames_failed"] == 2
    assert sky.names() == [C]
    assert records(sky)[A]["reason"] == "it is not a FITS file"


def test_a_frame_without_a_file_is_looked_at_again(sky: Sky) -> None:
    observation = sky.observe()
    sky.put(observation, A, content=None)
    assert sky.look()["frames_failed"] == 0
    assert records(sky) == {}
    sky.portal.observatory.records.frames.clear()
    sky.put(observation, A)
    assert sky.look()["frames_fetched"] == 1


def test_a_frame_that_was_uploaded_by_hand_counts_as_there_and_is_not_new(sky: Sky) -> None:
    observation = sky.observe()
    for name in (A, B):
        assert sky.api.upload(sky.target, name, FITS).status == 201
    sky.finish(observation, A, B)
    sky.settle()
    assert sky.names() == [A, B]
    assert {each["state"] for each in records(sky).values()} == {"there"}
    assert (sky.timelapses(), sky.mails, sky.orphans()) == ([], [], [])
    sky.look(49 * 60)
    assert not sky.is_open(observation)


def test_a_frame_whose_name_is_reserved_for_an_upload_is_kept_when_that_never_comes(sky: Sky) -> None:
    body = {"target": sky.target, "filename": A, "size": 100}
    assert sky.api.post("/api/dataproducts/", body).status == 201
    observation = sky.observe()
    sky.finish(observation, A)
    sky.look()
    assert sky.names() == []
    sky.look(61)
    sky.look(30)
    assert sky.names() == [A]
    assert sky.orphans() == []


def test_a_data_product_that_somebody_deletes_is_not_fetched_again(sky: Sky) -> None:
    observation = sky.observe()
    sky.put(observation, A)
    sky.look()
    (product,) = sky.products()
    assert sky.api.delete(f"/api/dataproducts/{product['id']}/").status == 204
    assert sky.look()["frames_fetched"] == 0
    assert sky.products() == []


def test_the_archive_being_out_of_order_costs_no_frame_a_try(sky: Sky) -> None:
    observation = sky.observe()
    sky.put(observation, A, B)
    sky.portal.fail("garbage", "/archive/frames/")
    counts = sky.look()
    assert (counts["facility_failures"], counts["errors"], sky.products()) == (1, 0, [])
    assert sky.look()["frames_fetched"] == 2


def test_links_and_addresses_are_neither_stored_nor_logged(sky: Sky, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sidereal")
    observation = sky.observe()
    sky.finish(observation, A, B)
    sky.settle()
    assert len(sky.mails) == 1
    stored = str([item for table in ("telescope", "operations") for item in sky.aws.items(f"sidereal-{table}")])
    logged = str([vars(record) for record in caplog.records])
    assert "frame kept" in logged
    assert "signature=" not in stored + logged
    assert sky.portal.token not in stored + logged
    assert "someone@" not in logged
    assert stored.count("someone@example.org") == 1


def test_a_run_whose_time_ends_within_a_frame_stops_in_order_and_the_next_goes_on(sky: Sky) -> None:
    observation = sky.observe()
    sky.put(observation, A, B, content=FITS * 1000)  # three pieces each
    looks = 0

    def time_left_s() -> float:
        nonlocal looks
        looks += 1
        return 100.0 if looks < 11 else 10.0

    sky.clock.advance(300)
    assert process_alerts(time_left_s)["errors"] == 0
    assert sky.names() == [A]
    assert (records(sky)[A]["tries"], records(sky)[B]["tries"]) == ("1", "0")
    assert "claim" not in sky.item(observation)
    sky.look()
    assert sky.names() == [A, B]
    assert sky.orphans() == []


def test_a_frame_that_a_whole_run_does_not_suffice_for_is_not_tried_for_ever(sky: Sky) -> None:
    observation = sky.observe()
    sky.put(observation, A, content=FITS * 1000)
    for number in range(1, 6):
        sky.clock.advance(6 * 3600)
        looks = iter([900.0] * 5 + [10.0] * 20)
        process_alerts(lambda: next(looks))  # noqa: B023 - called before it changes
        assert records(sky)[A]["tries"] == str(number)
    assert records(sky)[A]["state"] == "given up"
    assert (sky.products(), sky.orphans()) == ([], [])


def test_a_worker_says_that_it_is_alive_while_it_fetches(sky: Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_LEASE_S", "0.000001")
    from chalicelib.settings import get_settings

    get_settings.cache_clear()
    observation = sky.observe()
    sky.put(observation, A)
    until = []
    sky.clock.advance(300)

    def time_left_s() -> float:
        sky.clock.moment += timedelta(seconds=1)
        until.append(sky.item(observation).get("claimed_until"))
        return 900.0

    process_alerts(time_left_s)
    assert len(set(until)) > 3
    assert sky.names() == [A]


def test_a_frame_at_which_a_run_dies_costs_a_try_and_lets_the_others_go_first(sky: Sky) -> None:
    observation = sky.observe()
    sky.put(observation, A)
    sky.clock.advance(300)
    crash = Crash(6, is_fatal=True)  # where the frame's file is begun
    with crash.running():
        process_alerts()
    assert crash.struck == "CreateMultipartUpload"
    assert records(sky)[A]["tries"] == "1"
    assert records(sky)[A]["due_at"] > clock.to_text(clock.now())
    assert sky.look()["frames_fetched"] == 1


def test_a_worker_whose_claim_was_taken_over_deletes_no_frame_that_another_has_kept(
    sky: Sky, monkeypatch: pytest.MonkeyPatch
) -> None:
    observation = sky.observe()
    sky.put(observation, A)
    sky.portal.fail("corrupt", "/storage/", times=4)
    for _ in range(4):
        sky.look(6 * 60)
    copy = service._Fetcher._copy

    def sleep(fetcher: service._Fetcher, frame: Frame, product: DataProduct) -> int:
        monkeypatch.setattr(service._Fetcher, "_copy", copy)
        for _ in range(2):  # others are at work meanwhile
            sky.look(24 * 60)
        raise FrameUnavailableError("it broke off")

    monkeypatch.setattr(service._Fetcher, "_copy", sleep)
    sky.look(24 * 60)
    assert records(sky)[A]["state"] in ("kept", "given up")
    assert len(sky.products()) == len(sky.aws.keys("products/"))
    assert sky.orphans() == []


def test_more_frames_than_are_kept_of_an_observation_are_left_out_and_that_is_said_once_in_a_look(
    sky: Sky, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "sidereal")
    monkeypatch.setattr(service, "MAX_FRAMES", 2)
    observation = sky.observe()
    sky.put(observation, A, B, C)
    sky.look()
    sky.look()
    assert len(sky.products()) == 2
    assert [record.message for record in caplog.records] == ["frames are left out: the observation has too many"] * 2
