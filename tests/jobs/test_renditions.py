"""Thumbnails and archives in the hands of their function: made once, given up in the end, gone with what they show."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from chalicelib.models.data_products import DataProduct
from chalicelib.services import renditions as service
from chalicelib.services.archives import make_archive, member_names
from chalicelib.services.thumbnails import make_thumbnail
from chalicelib.settings import get_settings
from chalicelib.storage import artefacts, renditions, streaming
from tests.conftest import Api, Aws, Clock, sqs_event

Deliver = Callable[..., list[Any]]


def picture(shade: int = 200, size: tuple[int, int] = (600, 300)) -> bytes:
    packed = io.BytesIO()
    Image.new("L", size, shade).save(packed, "PNG")
    return packed.getvalue()


@pytest.fixture(autouse=True)
def _clock(clock: Clock) -> None:
    """Let every test move the time."""


@pytest.fixture
def product(api: Api) -> int:
    """A picture of a target."""
    return int(api.upload(api.target(), "a.png", picture()).json["id"])


@pytest.fixture
def group(api: Api) -> int:
    """An empty group."""
    return int(api.post("/api/dataproductgroups/", {"name": "the best"}).json["id"])


def thumbnail(api: Api, product: int, **extra: Any) -> Any:
    return api.get(f"/api/dataproducts/{product}/thumbnail/", **extra)


def test_a_file_that_is_gone_from_the_bucket_has_no_thumbnail_and_is_not_tried_again(
    api: Api, aws: Aws, product: int
) -> None:
    aws.s3.delete_object(Bucket=aws.name("sidereal-artefacts"), Key=aws.keys("products/")[0])
    thumbnail(api, product)
    make_thumbnail(product)
    answer = thumbnail(api, product)
    assert (answer.status, answer.json) == (404, {"detail": "The file 'a.png' is no longer there."})


def archive(api: Api, group: int) -> Any:
    return api.get(f"/api/dataproductgroups/{group}/zip/")


def read(aws: Aws, key: str) -> bytes:
    return aws.s3.get_object(Bucket=aws.name("sidereal-artefacts"), Key=key)["Body"].read()


def unpack(aws: Aws) -> dict[str, bytes]:
    """Return the members of the only archive in the bucket."""
    (key,) = aws.keys("archives/")
    with zipfile.ZipFile(io.BytesIO(read(aws, key))) as found:
        assert found.testzip() is None
        return {name: found.read(name) for name in found.namelist()}


def event(aws: Aws, deliveries: int = 1, **body: Any) -> dict[str, Any]:
    return sqs_event({"version": 1, **body}, queue=aws.name("sidereal-renditions"), deliveries=deliveries)


def waiting(aws: Aws) -> list[Any]:
    return [json.loads(message["Body"]) for message in aws.messages("sidereal-renditions")]


def test_one_who_asks_again_meanwhile_sends_no_second_message(api: Api, aws: Aws, product: int) -> None:
    assert [thumbnail(api, product).status for _ in range(3)] == [202, 202, 202]
    assert waiting(aws) == [{"version": 1, "kind": "thumbnail", "product_id": product}]


def test_when_nobody_sees_to_it_in_time_it_is_asked_for_again(api: Api, aws: Aws, product: int, clock: Clock) -> None:
    thumbnail(api, product)
    clock.advance(get_settings().job_lease_s + 1)
    assert [thumbnail(api, product).status for _ in range(2)] == [202, 202]
    assert len(waiting(aws)) == 2


def test_many_at_once_send_one_message(api: Api, aws: Aws, product: int, at_once: Any) -> None:
    answers = at_once(lambda _: service.find_thumbnail(product, 0), range(8))
    assert answers == [None] * 8
    assert len(waiting(aws)) == 1


def test_a_queue_that_takes_no_message_is_not_waited_for(
    api: Api, aws: Aws, product: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("RENDITION_QUEUE", "nowhere")
        get_settings.cache_clear()
        assert [thumbnail(api, product).status for _ in range(2)] == [503, 503]
    get_settings.cache_clear()
    assert thumbnail(api, product).status == 202


def test_a_second_delivery_changes_nothing(
    api: Api, aws: Aws, product: int, deliver: Deliver, calls: list[str]
) -> None:
    thumbnail(api, product)
    deliver("renditions")
    (key,) = aws.keys("thumbnails/")
    calls.clear()
    for _ in range(2):
        answer = api.invoke("make_rendition", event(aws, kind="thumbnail", product_id=product))
        assert answer == {"batchItemFailures": []}
    assert "PutObject" not in calls
    assert aws.keys("thumbnails/") == [key]
    assert thumbnail(api, product).status == 302


def test_while_one_worker_is_at_it_another_does_nothing(api: Api, aws: Aws, product: int, clock: Clock) -> None:
    thumbnail(api, product)
    subject = service.thumbnail_of(renditions.of_product(product)[0])
    now = clock.moment.timestamp()
    assert renditions.claim(subject, "another", now, now + 60) == 1
    make_thumbnail(product)
    assert aws.keys("thumbnails/") == []
    clock.advance(61)  # it has died
    make_thumbnail(product)
    assert len(aws.keys("thumbnails/")) == 1


def test_one_that_was_taken_over_stops(api: Api, product: int, clock: Clock) -> None:
    subject = service.thumbnail_of(renditions.of_product(product)[0])
    now = clock.moment.timestamp()
    renditions.claim(subject, "the first", now, now + 1)
    renditions.claim(subject, "the second", now + 2, now + 60)
    with pytest.raises(service.ClaimLostError):
        renditions.hold(subject, "the first", now + 60)
    renditions.hold(subject, "the second", now + 60)


def test_a_message_that_another_program_sends_is_as_good(api: Api, aws: Aws, product: int) -> None:
    api.invoke("make_rendition", event(aws, kind="thumbnail", product_id=product))
    assert thumbnail(api, product).status == 302


@pytest.mark.parametrize("body", [{"kind": "thumbnail", "product_id": 99}, {"kind": "archive", "group_id": 99}])
def test_what_is_deleted_needs_no_rendition(api: Api, aws: Aws, body: dict[str, Any]) -> None:
    assert api.invoke("make_rendition", event(aws, **body)) == {"batchItemFailures": []}
    assert api.invoke("run_dead_letters", event(aws, **body)) == {"batchItemFailures": []}


def test_a_thumbnail_of_a_file_that_is_deleted_meanwhile_is_not_left_behind(
    api: Api, aws: Aws, product: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = artefacts.put_bytes

    def put_and_delete(key: str, content: bytes) -> None:
        api.delete(f"/api/dataproducts/{product}/")
        put(key, content)

    monkeypatch.setattr(artefacts, "put_bytes", put_and_delete)
    make_thumbnail(product)
    assert aws.keys() == []
    assert [item for item in aws.items() if item["pk"]["S"].startswith("DATAPRODUCT#")] == []


def test_a_thumbnail_goes_with_its_file(api: Api, aws: Aws, product: int) -> None:
    make_thumbnail(product)
    assert len(aws.keys("thumbnails/")) == 1
    api.delete(f"/api/dataproducts/{product}/")
    assert aws.keys() == []
    assert [item for item in aws.items() if item["pk"]["S"].startswith("DATAPRODUCT#")] == []
    assert thumbnail(api, product).status == 404


def fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError


def test_an_unexpected_failure_is_tried_again_soon(
    api: Api, aws: Aws, product: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("chalicelib.imaging.thumbnails.make_thumbnail", fail)
        answer = api.invoke("make_rendition", event(aws, kind="thumbnail", product_id=product))
        assert len(answer["batchItemFailures"]) == 1
    api.invoke("make_rendition", event(aws, 2, kind="thumbnail", product_id=product))
    assert thumbnail(api, product).status == 302


def test_a_dead_letter_is_remembered_for_a_while(api: Api, aws: Aws, product: int, clock: Clock) -> None:
    thumbnail(api, product)
    body = {"kind": "thumbnail", "product_id": product}
    assert api.invoke("run_dead_letters", event(aws, **body)) == {"batchItemFailures": []}
    assert len(waiting(aws)) == 1
    answer = thumbnail(api, product)
    assert (answer.status, answer.json) == (404, {"detail": service.MADE_IN_VAIN})
    clock.advance(service.RETRIED_AFTER_S + 1)
    assert thumbnail(api, product).status == 202


def test_a_dead_letter_of_what_was_made_after_all_changes_nothing(api: Api, aws: Aws, product: int) -> None:
    make_thumbnail(product)
    api.invoke("run_dead_letters", event(aws, kind="thumbnail", product_id=product))
    assert thumbnail(api, product).status == 302


def test_a_file_that_kills_its_workers_is_given_up(api: Api, aws: Aws, product: int, clock: Clock) -> None:
    subject = service.thumbnail_of(renditions.of_product(product)[0])
    for _ in range(3):
        now = clock.moment.timestamp()
        renditions.claim(subject, "a worker that dies", now, now + 60)
        clock.advance(61)
        thumbnail(api, product)  # somebody looks at the page, and so asks for another try
    make_thumbnail(product)
    assert aws.keys("thumbnails/") == []
    assert thumbnail(api, product).json == {"detail": service.MADE_IN_VAIN}


def test_an_archive_holds_all_files_of_a_group(api: Api, aws: Aws, group: int, deliver: Deliver) -> None:
    target = api.target()
    frame, table = b"SIMPLE  =                    T".ljust(5760), b"1,2\n" * 1000
    for name, content in (("a.fits", frame), ("b.csv", table), ("c.png", picture())):
        assert api.upload(target, name, content, group=[group]).status == 201
    assert archive(api, group).status == 202
    assert deliver("renditions") == [{"batchItemFailures": []}]
    assert archive(api, group).status == 302
    assert unpack(aws) == {"a.fits": frame, "b.csv": table, "c.png": picture()}
    (key,) = aws.keys("archives/")
    with zipfile.ZipFile(io.BytesIO(read(aws, key))) as found:
        is_packed = [info.compress_type == zipfile.ZIP_DEFLATED for info in found.infolist()]
        assert is_packed == [True, True, False]
        assert {info.date_time for info in found.infolist()} == {(2026, 1, 10, 3, 4, 4)}  # a zip file counts in 2 s
        assert {info.external_attr >> 16 for info in found.infolist()} == {0o644}


def test_files_of_one_name_are_kept_apart(api: Api, aws: Aws, group: int) -> None:
    for number, name in enumerate(("a.csv", "A.csv", "MISSING.txt")):
        api.upload(api.target(f"T{number}"), name, name.encode(), group=[group])
    make_archive(group, lambda: 900)
    assert unpack(aws) == {"a.csv": b"a.csv", "2_A.csv": b"A.csv", "3_MISSING.txt": b"MISSING.txt"}


def test_no_member_leads_out_of_the_archive() -> None:
    names = ("../a", "/a", "..", ".", "C:\\a", "a\nb", "a ", "a.", "2_a", "CON|<>")
    products = [
        DataProduct(number, 1, name, "", 1, "key", "M 13", "2026-01-10T03:04:05.678901Z")
        for number, name in enumerate(names, start=1)
    ]
    found = member_names(products)
    assert found == [".._a", "_a", "_", "4__", "C__a", "a_b", "a", "8_a", "2_a", "CON___"]
    assert len({name.lower() for name in found}) == len(names)


def test_a_file_that_is_deleted_meanwhile_is_named_in_the_archive(
    api: Api, aws: Aws, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = api.target()
    for name in ("a.csv", "b.csv"):
        api.upload(target, name, name.encode(), group=[group])
    stream = artefacts.stream

    def delete_first(key: str) -> Any:
        if key.endswith("a.csv"):
            api.delete("/api/dataproducts/1/")
        return stream(key)

    monkeypatch.setattr(artefacts, "stream", delete_first)
    make_archive(group, lambda: 900)
    found = unpack(aws)
    assert sorted(found) == ["MISSING.txt", "b.csv"]
    assert found["MISSING.txt"].decode().endswith("\na.csv\n")


def test_a_changed_group_gives_another_archive(api: Api, aws: Aws, group: int) -> None:
    target = api.target()
    api.upload(target, "a.csv", b"a", group=[group])
    make_archive(group, lambda: 900)
    assert archive(api, group).status == 302
    api.upload(target, "b.csv", b"b", group=[group])
    assert archive(api, group).status == 202
    make_archive(group, lambda: 900)
    assert len(aws.keys("archives/")) == 2
    api.delete("/api/dataproducts/2/")
    assert archive(api, group).status == 302  # as it was at first


def test_archives_go_with_their_group(api: Api, aws: Aws, group: int) -> None:
    api.upload(api.target(), "a.csv", b"a", group=[group])
    make_archive(group, lambda: 900)
    assert api.get(f"/api/dataproductgroups/{group}/").json["products"] == [1]
    assert api.delete(f"/api/dataproductgroups/{group}/").status == 204
    assert aws.keys("archives/") == []
    assert [item for item in aws.items() if item["pk"]["S"].startswith("GROUP#")] == []


def test_an_archive_of_a_group_that_is_deleted_meanwhile_is_not_left_behind(
    api: Api, aws: Aws, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.upload(api.target(), "a.csv", b"a", group=[group])
    finish = renditions.finish

    def delete_and_finish(*given: Any) -> bool:
        assert len(aws.keys("archives/")) == 1
        monkeypatch.setattr(artefacts, "list_keys", lambda _: [])  # the deletion comes just before the file is whole
        api.delete(f"/api/dataproductgroups/{group}/")
        return finish(*given)

    monkeypatch.setattr(renditions, "finish", delete_and_finish)
    make_archive(group, lambda: 900)
    assert aws.keys("archives/") == []


def test_an_archive_for_which_the_time_is_too_short_is_given_up_in_words(api: Api, aws: Aws, group: int) -> None:
    api.upload(api.target(), "a.csv", b"a", group=[group])
    make_archive(group, lambda: get_settings().job_reserve_s - 1)
    answer = archive(api, group)
    assert answer.status == 409
    assert answer.json["detail"].startswith("The archive could not be made within 15 minutes.")
    assert aws.keys("archives/") == []
    bucket = aws.name("sidereal-artefacts")
    assert aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_a_long_job_says_that_it_goes_on(
    api: Api, group: int, monkeypatch: pytest.MonkeyPatch, calls: list[str]
) -> None:
    monkeypatch.setenv("JOB_LEASE_S", "0.000001")
    get_settings.cache_clear()
    api.upload(api.target(), "a.csv", bytes(3 << 20), group=[group])
    calls.clear()
    make_archive(group, lambda: 900)
    assert calls.count("UpdateItem") == 1 + 3  # the claim, and a sign of life for each of three pieces


def test_an_archive_is_sent_part_by_part(
    api: Api, aws: Aws, group: int, monkeypatch: pytest.MonkeyPatch, calls: list[str]
) -> None:
    monkeypatch.setattr(streaming, "PART_BYTES", 5 << 20)  # the smallest that S3 takes
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1 << 20)  # so that these files count as larger than 2 GB
    target = api.target()
    content = {f"{number}.gz": bytes([number]) * (4 << 20) for number in range(3)}
    for name, each in content.items():
        assert api.upload(target, name, each, group=[group]).status == 201
    calls.clear()
    make_archive(group, lambda: 900)
    assert calls.count("UploadPart") == 3
    assert unpack(aws) == content
    assert archive(api, group).status == 302


def test_a_file_that_cannot_be_read_leaves_no_parts(
    api: Api, aws: Aws, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.upload(api.target(), "a.csv", b"a", group=[group])

    def break_off(_key: str) -> Any:
        return 1, iter(lambda: fail(), None)

    monkeypatch.setattr(artefacts, "stream", break_off)
    with pytest.raises(ZeroDivisionError):
        make_archive(group, lambda: 900)
    bucket = aws.name("sidereal-artefacts")
    assert aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    assert aws.keys("archives/") == []
