"""`/api/dataproducts/<pk>/thumbnail/` and `/api/dataproductgroups/<pk>/zip/`: every answer that callers can get."""

import io
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from chalicelib.services import renditions as service
from chalicelib.services.archives import make_archive
from chalicelib.services.thumbnails import make_thumbnail
from chalicelib.settings import get_settings
from tests.conftest import Answer, Api, Aws, Clock
from tests.factories_frames import star_pixels, write_frame

BROWSER = {"accept": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"}
THUMBNAIL = "/api/dataproducts/1/thumbnail/"
ARCHIVE = "/api/dataproductgroups/1/zip/"


@pytest.fixture
def frame(api: Api, tmp_path: Any) -> int:
    """A FITS frame of a target."""
    content = write_frame(tmp_path / "a.fits", star_pixels(shape=(512, 1024))).read_bytes()
    return int(api.upload(api.target(), "a.fits", content).json["id"])


@pytest.fixture
def group(api: Api) -> int:
    """A group with two files, whose name bites."""
    made = int(api.post("/api/dataproductgroups/", {"name": 'best "é"/1'}).json["id"])
    target = api.target("M 92")
    for name in ("a.csv", "b.csv"):
        assert api.upload(target, name, b"1,2\n", group=[made]).status == 201
    return made


def follow(aws: Aws, answer: Answer) -> tuple[bytes, dict[str, list[str]]]:
    """Return what lies behind a redirect to the bucket, and the parameters of the link."""
    assert answer.status == 302
    link = urlsplit(answer.headers["location"])
    key = link.path.removeprefix(f"/{aws.name('sidereal-artefacts')}").lstrip("/")
    found = aws.s3.get_object(Bucket=aws.name("sidereal-artefacts"), Key=key)
    return found["Body"].read(), parse_qs(link.query)


def test_a_thumbnail_is_asked_for_made_and_redirected_to(
    api: Api, aws: Aws, frame: int, deliver: Callable[..., Any]
) -> None:
    answer = api.get(THUMBNAIL)
    assert answer.status == 202
    assert answer.json == {"detail": "The thumbnail is being made; ask again in a moment."}
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["cache-control"] == "no-store"
    deliver("renditions")
    answer = api.get(THUMBNAIL)
    content, parameters = follow(aws, answer)
    picture = Image.open(io.BytesIO(content))
    assert (picture.format, picture.size) == ("PNG", (256, 128))
    assert np.asarray(picture).max() > 200
    assert parameters["response-content-type"] == ["image/png"]
    assert int(parameters["X-Amz-Expires"][0]) == get_settings().link_lifetime_s
    assert answer.headers["cache-control"] == f"private, max-age={get_settings().link_lifetime_s // 2}"


def test_one_that_is_made_while_the_request_waits_is_redirected_to_at_once(
    api: Api, frame: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENDITION_WAIT_S", "20")
    get_settings.cache_clear()
    workers: list[threading.Thread] = []
    send = service.queues.send_make_rendition

    def send_and_work(message: Any) -> None:
        send(message)
        workers.append(threading.Thread(target=make_thumbnail, args=[message.product_id]))
        workers[0].start()

    monkeypatch.setattr(service.queues, "send_make_rendition", send_and_work)
    assert api.get(THUMBNAIL).status == 302
    workers[0].join()


def test_what_was_asked_for_long_ago_is_not_waited_for(
    api: Api, frame: int, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    assert api.get(THUMBNAIL).status == 202
    monkeypatch.setenv("RENDITION_WAIT_S", "20")
    get_settings.cache_clear()
    clock.advance(20)
    monkeypatch.setattr("chalicelib.services.renditions.time.sleep", lambda _: pytest.fail("it waited"))
    assert api.get(THUMBNAIL).status == 202


@pytest.mark.parametrize("path", ["99", "0", "abc", "1e3", "-1", "9" * 30])
def test_an_unknown_data_product_is_a_404(api: Api, path: str) -> None:
    answer = api.get(f"/api/dataproducts/{path}/thumbnail/")
    assert (answer.status, answer.json) == (404, {"detail": "Not found."})
    answer = api.get(f"/api/dataproductgroups/{path}/zip/")
    assert (answer.status, answer.json) == (404, {"detail": "Not found."})


def test_an_upload_that_is_not_complete_has_no_thumbnail(api: Api, aws: Aws) -> None:
    body = {"target": api.target(), "filename": "a.fits", "size": 10}
    product = api.post("/api/dataproducts/", body).json["id"]
    assert api.get(f"/api/dataproducts/{product}/thumbnail/").status == 404
    assert aws.messages("sidereal-renditions") == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"1,2\n", "this file is none of them"),
        ("a.txt", b"x", "this file is none of them"),
        ("a.png", b"\x89PNG\r\n\x1a\nnonsense", "the picture is damaged"),
        ("a.fits", b"SIMPLE  =                    T".ljust(2000), "the file is cut short inside its header"),
    ],
)
def test_a_file_without_a_picture_is_a_404_that_says_why_and_is_not_tried_again(
    api: Api, aws: Aws, deliver: Callable[..., Any], name: str, content: bytes, reason: str
) -> None:
    api.upload(api.target(), name, content)
    assert api.get(THUMBNAIL).status == 202
    deliver("renditions")
    for _ in range(2):
        answer = api.get(THUMBNAIL)
        assert answer.status == 404
        assert answer.json["detail"].startswith(f"Error in file '{name}': ")
        assert answer.json["detail"].endswith(reason)
    assert aws.messages("sidereal-renditions") == []
    assert aws.keys("thumbnails/") == []


def test_who_wants_a_picture_gets_one_whatever_comes_of_it(api: Api, frame: int, deliver: Callable[..., Any]) -> None:
    target = api.get("/api/dataproducts/1/").json["target"]
    api.upload(target, "<b>&.csv", b"1")
    for product in (1, 2):
        answer = api.get(f"/api/dataproducts/{product}/thumbnail/", headers=BROWSER)
        assert (answer.status, answer.headers["content-type"]) == (202, "image/svg+xml")
        assert ElementTree.fromstring(answer.text).attrib["width"] == "7"
    deliver("renditions")
    deliver("renditions")
    assert api.get(THUMBNAIL, headers=BROWSER).status == 302
    answer = api.get("/api/dataproducts/2/thumbnail/", headers=BROWSER)
    assert (answer.status, answer.headers["content-type"]) == (404, "image/svg+xml")
    drawing = ElementTree.fromstring(answer.text)
    assert drawing.attrib["width"] == "256"
    assert (drawing[0].text or "").startswith("Error in file '<b>&.csv'")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"] == "default-src 'none'"


def test_an_archive_is_asked_for_made_and_redirected_to(api: Api, aws: Aws, group: int) -> None:
    answer = api.get(ARCHIVE)
    assert answer.status == 202
    assert answer.json == {"detail": "The archive is being made; ask again in a moment."}
    assert int(answer.headers["retry-after"]) > 0
    make_archive(group, lambda: 900)
    content, parameters = follow(aws, api.get(ARCHIVE))
    assert content.startswith(b"PK")
    assert parameters["response-content-type"] == ["application/zip"]
    assert parameters["response-content-disposition"] == [
        "attachment; filename*=UTF-8''best%20%22%C3%A9%22_1.zip"  # the link itself is encoded once more
    ]


def test_a_group_without_files_has_no_archive(api: Api, aws: Aws) -> None:
    api.post("/api/dataproductgroups/", {"name": "empty"})
    answer = api.get(ARCHIVE)
    assert (answer.status, answer.json) == (409, {"detail": "The group has no files."})
    assert aws.messages("sidereal-renditions") == []


@pytest.mark.parametrize(("limit", "status"), [("8", 202), ("7", 409)])
def test_what_is_too_much_for_one_archive_is_refused_up_front(
    api: Api, aws: Aws, group: int, monkeypatch: pytest.MonkeyPatch, limit: str, status: int
) -> None:
    monkeypatch.setenv("ARCHIVE_MAX_BYTES", limit)
    get_settings.cache_clear()
    answer = api.get(ARCHIVE)
    assert answer.status == status
    if status == 409:
        assert "Download them one by one" in answer.json["detail"]
    assert len(aws.messages("sidereal-renditions")) == (1 if status == 202 else 0)


def test_renditions_are_read_only_and_open(api: Api, frame: int, group: int) -> None:
    for path in (THUMBNAIL, ARCHIVE):
        assert api.get(path, token=None).status == 202
        assert api.request("HEAD", path).status == 202
        answer = api.post(path, {})
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_a_queue_that_is_gone_is_a_503(api: Api, frame: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENDITION_QUEUE", "nowhere")
    get_settings.cache_clear()
    answer = api.get(THUMBNAIL)
    assert (answer.status, answer.json) == (503, {"detail": "Failed to submit job"})
    assert int(answer.headers["retry-after"]) > 0
