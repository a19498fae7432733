"""The bodies of queue messages, which other programs may send, too."""

import json

import pytest
from pydantic import ValidationError

from chalicelib.models.messages import RunProcess


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
