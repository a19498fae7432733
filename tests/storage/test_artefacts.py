"""Files in the bucket."""

from pathlib import Path

import pytest
import requests

from chalicelib.storage import artefacts
from tests.conftest import Aws


def test_a_file_comes_back_as_it_was_put(aws: Aws, tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "in").write_bytes(content)
    assert artefacts.put_file("processes/1/1/ü & x.gif", tmp_path / "in") == len(content)
    artefacts.fetch("processes/1/1/ü & x.gif", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content
    assert artefacts.size("processes/1/1/ü & x.gif") == len(content)
    assert artefacts.head("processes/1/1/ü & x.gif", 4) == content[:4]


def test_a_file_that_is_not_there_has_no_size_and_cannot_be_fetched(aws: Aws, tmp_path: Path) -> None:
    assert artefacts.size("products/1/1/none") is None
    with pytest.raises(FileNotFoundError):
        artefacts.fetch("products/1/1/none", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_head_of_a_file_shorter_than_asked_for_is_all_of_it(aws: Aws) -> None:
    artefacts.put_bytes("products/1/1/a", b"ab")
    assert artefacts.head("products/1/1/a", 16) == b"ab"


def test_more_files_than_one_request_takes_are_deleted(aws: Aws) -> None:
    wanted = [f"processes/1/1/{number:04d}" for number in range(1001)]
    kept = "processes/11/1/other"
    for key in (wanted[0], wanted[-1], kept):
        artefacts.put_bytes(key, b"x")
    assert artefacts.list_keys("processes/1/") == [wanted[0], wanted[-1]]
    artefacts.delete(wanted)
    assert aws.keys() == [kept]


def test_deleting_what_is_not_there_is_fine(aws: Aws) -> None:
    artefacts.delete(["products/9/9/none"])
    artefacts.delete([])


@pytest.mark.parametrize("name", ["a.gif", "ünï & '\"<x>\\ ✨.gif", "a;b,c.gif"])
def test_a_link_leads_to_the_file_with_its_name_and_type(aws: Aws, name: str) -> None:
    key = artefacts.output_key(1, 1, name)
    artefacts.put_bytes(key, b"GIF89a")
    reply = requests.get(artefacts.download_link(key, name), timeout=5)
    assert (reply.status_code, reply.content, reply.headers["Content-Type"]) == (200, b"GIF89a", "image/gif")
    shown, _, quoted = reply.headers["Content-Disposition"].partition("; filename*=UTF-8''")
    assert (shown, requests.utils.unquote(quoted)) == ("inline", name)


def test_a_link_ends_after_the_time_that_is_set(aws: Aws) -> None:
    link = artefacts.download_link("products/1/1/a", "a")
    assert "X-Amz-Expires=900" in link
    assert "Signature" in link


def test_an_upload_form_takes_exactly_the_announced_size(aws: Aws) -> None:
    import base64
    import json

    form = artefacts.upload_form("products/1/1/a.fits", 2880, 60)
    policy = json.loads(base64.b64decode(form["fields"]["policy"]))
    assert ["content-length-range", 2880, 2880] in policy["conditions"]
    assert form["fields"]["key"] == "products/1/1/a.fits"
