"""The look at every reply of the suite: what the description of the API does not know fails a test."""

import json
from typing import Any

import pytest

from tests.documented import Documented, Sent, told_statuses

TARGET = {
    "id": 1,
    "name": "M 13",
    "type": "SIDEREAL",
    "ra": 250.42,
    "dec": 36.46,
    "extra_fields": {},
    "created": 1.0,
    "modified": 1.0,
}
JSON = {"content-type": "application/json"}


def look(status: int, body: Any, method: str = "GET", path: str = "/api/targets/1/", sent: Any = None) -> None:
    raw = b"" if sent is None else json.dumps(sent).encode()
    Documented().look(Sent(method, path, JSON, raw, status, JSON, "" if body is None else json.dumps(body)))


def test_a_reply_that_is_described_passes() -> None:
    look(200, TARGET)
    look(404, {"detail": "Not found."})


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (418, {"detail": "a teapot"}),
        (404, {"error": "in the words of the other API"}),
        (200, {**TARGET, "ra": "250.42"}),
        (200, {key: value for key, value in TARGET.items() if key != "created"}),
        (200, {**TARGET, "colour": "red"}),
        (200, None),
    ],
    ids=["status", "family", "type", "missing", "undescribed", "empty"],
)
def test_a_reply_that_is_not_described_fails(status: int, body: Any) -> None:
    with pytest.raises(AssertionError, match="The document does not know this"):
        look(status, body)


def test_a_body_that_was_taken_must_be_described_and_one_that_was_refused_need_not() -> None:
    with pytest.raises(AssertionError, match="a body was taken"):
        look(200, TARGET, "PATCH", sent={"colour": "red"})
    look(400, {"colour": ["Unknown field."]}, "PATCH", sent={"colour": "red"})


def test_an_address_without_parameters_is_not_taken_for_one_with() -> None:
    with pytest.raises(AssertionError, match="202"):
        look(202, {}, path="/api/pipelines/")


def test_what_views_tell_is_to_be_seen() -> None:
    told = told_statuses()
    assert {("observe", 201), ("observe", 429), ("get_thumbnail", 302)} <= told
    assert ("get_target", 418) not in told
