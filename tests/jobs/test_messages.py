"""The bodies of queue messages, which other programs may send, too."""

import json

import pytest
from pydantic import ValidationError

from chalicelib.models.messages import (
    MakeArchive,
    MakeThumbnail,
    RunProcess,
    read_job,
    read_make_rendition,
    read_process_message,
)


def test_a_message_carries_its_version_and_the_id_of_a_process_only() -> None:
    assert json.loads(RunProcess(process_id=7).model_dump_json()) == {"version": 1, "process_id": 7}


def test_a_message_without_a_version_is_one_of_version_1() -> None:
    assert RunProcess.model_validate_json('{"process_id": 7}') == RunProcess(version=1, process_id=7)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "7",
        "{}",
        '{"process_id": 0}',
        '{"process_id": -1}',
        '{"process_id": "seven"}',
        '{"process_id": 1.5}',
        '{"process_id": null}',
        '{"process_id": 1, "version": 2}',
        '{"process_id": 1, "version": null}',
        '{"process_id": 1, "flags": {}}',
    ],
)
def test_another_message_is_refused(body: str) -> None:
    with pytest.raises(ValidationError):
        RunProcess.model_validate_json(body)


@pytest.mark.parametrize("message", [MakeThumbnail(product_id=7), MakeArchive(group_id=3)])
def test_a_message_for_a_rendition_says_of_which_kind(message: MakeThumbnail | MakeArchive) -> None:
    body = message.model_dump_json()
    assert json.loads(body).keys() == type(message).model_fields.keys()
    assert read_make_rendition(body) == read_job(body) == message


def test_the_messages_of_all_queues_are_told_apart() -> None:
    assert read_job('{"process_id": 7}') == RunProcess(process_id=7)
    assert read_job('{"kind": "thumbnail", "product_id": 7}') == MakeThumbnail(product_id=7)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"product_id": 7}',
        '{"kind": "thumbnail"}',
        '{"kind": "thumbnail", "group_id": 7}',
        '{"kind": "archive", "product_id": 7}',
        '{"kind": "film", "product_id": 7}',
        '{"kind": "archive", "group_id": 0}',
        '{"kind": "archive", "group_id": 1, "version": 2}',
        '{"kind": "archive", "group_id": 1, "process_id": 1}',
    ],
)
def test_another_message_for_a_rendition_is_refused(body: str) -> None:
    for read in (read_make_rendition, read_job):
        with pytest.raises(ValidationError):
            read(body)


START = {"kind": "process", "request": "monday", "target": 1, "pipeline": "Timelapse", "products": [1, 2]}


def test_a_message_that_asks_for_a_process_has_a_name_and_whatever_fields_were_sent() -> None:
    message = read_process_message(json.dumps(START))
    assert message == read_job(json.dumps(START))
    assert message.model_dump(exclude_defaults=True) == START
    assert message.version == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "film"},
        {"request": ""},
        {"request": "x" * 256},
        {"request": "two words"},
        {"request": "Montag früh"},
        {"request": "monday\n"},
        {"request": None},
        {"version": 2},
    ],
)
def test_another_message_that_asks_for_a_process_is_refused(fields: dict[str, object]) -> None:
    for read in (read_process_message, read_job):
        with pytest.raises(ValidationError):
            read(json.dumps({**START, **fields}))


@pytest.mark.parametrize("field", ["kind", "request"])
def test_a_message_that_asks_for_a_process_says_so_and_has_a_name(field: str) -> None:
    with pytest.raises(ValidationError):
        read_process_message(json.dumps({key: value for key, value in START.items() if key != field}))
