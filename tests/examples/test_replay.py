"""What was given up is done after all: `replay_dead_letters.py`."""

import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.storage import process_moves
from tests.conftest import Api, Aws, sqs_event
from tests.examples.conftest import Ended

FITS = b"SIMPLE  =                    T" + b" " * 2850
Script = Callable[..., Ended]


def park(aws: Aws, body: Any, reason: str = "failed three times", queue: str = "") -> None:
    """Put a message where people find it, as the function behind the dead-letter queue does."""
    told = {"reason": reason, **({"queue": queue} if queue else {})}
    aws.sqs.send_message(
        QueueUrl=aws.sqs.get_queue_url(QueueName=aws.name("sidereal-given-up"))["QueueUrl"],
        MessageBody=body if isinstance(body, str) else json.dumps(body),
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in told.items()},
    )


def left(aws: Aws) -> list[str]:
    """Return what is there for people to see."""
    bodies = []
    while found := aws.messages("sidereal-given-up"):
        bodies += [message["Body"] for message in found]
    return bodies


@pytest.fixture
def given_up(api: Api, aws: Aws) -> int:
    """A process that was given up, and whose message lies where people find it."""
    target = api.target("M 13")
    frame = api.upload(target, "1.fits", FITS).json["id"]
    process = api.post("/api/pipeline/", {"target": target, "pipeline": "Timelapse", "products": [frame]}).json["id"]
    aws.messages()
    process_moves.claim(process, "a worker that died", 0)
    letter = sqs_event({"version": 1, "process_id": process}, queue="sidereal-dead-letters")
    assert api.invoke("run_dead_letters", letter)["batchItemFailures"] == []
    return int(process)


def status(api: Api, process: int) -> str:
    return str(api.get(f"/api/pipeline/{process}/").json["status"])


def test_a_process_is_retried_and_its_message_goes_and_those_that_need_no_retry(
    api: Api, aws: Aws, online: str, script: Script, given_up: int
) -> None:
    shown = script("replay_dead_letters", "--dry-run")
    assert (shown.code, status(api, given_up)) == (0, "failed")
    assert shown.out == f"""'{{"version": 1, "process_id": {given_up}}}' failed three times: waits\n"""
    assert script("replay_dead_letters").out == shown.out.replace("waits", "retried")
    assert status(api, given_up) == "pending"
    assert [json.loads(message["Body"])["process_id"] for message in aws.messages()] == [given_up]
    park(aws, {"process_id": given_up})
    park(aws, {"process_id": 999})
    ended = script("replay_dead_letters")
    assert ended.code == 0
    outcomes = sorted(line.partition(" failed three times: ")[2][:7] for line in ended.out.splitlines())
    assert outcomes == ['404 {"d', '409 {"d']
    assert left(aws) == []
    assert aws.messages() == []


def test_two_that_replay_one_message_at_once_retry_its_process_once(
    api: Api, aws: Aws, online: str, script: Script, given_up: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = importlib.import_module("replay_dead_letters")
    monkeypatch.setattr(replay, "HIDDEN_S", 0)  # so the message is there for the other one, too
    message = {"MessageId": "one", "Body": json.dumps({"process_id": given_up})}
    ask = importlib.import_module("http_api").Api()
    assert replay.replay(message, {"process_id": given_up}, ask) == (True, "retried")
    assert replay.replay(message, {"process_id": given_up}, ask) == (True, "retried")
    assert len(aws.messages()) == 1


def test_other_messages_go_back_to_their_queue(
    aws: Aws, online: str, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = {"kind": "process", "request": "r", "target": 1, "pipeline": "Timelapse", "products": [1]}
    park(aws, {"kind": "thumbnail", "product_id": 7})
    park(aws, request, queue=aws.name("sidereal-pipeline"))
    early = script("replay_dead_letters")
    assert early.code == 1
    assert "given up less than an hour ago" in early.out
    assert [json.loads(message["Body"]) for message in aws.messages("sidereal-pipeline")] == [request]
    monkeypatch.setattr(importlib.import_module("replay_dead_letters"), "RETRIED_AFTER_S", 0)
    assert script("replay_dead_letters").code == 0
    assert [message["Body"] for message in aws.messages("sidereal-renditions")] == [
        '{"kind": "thumbnail", "product_id": 7}'
    ]
    assert left(aws) == []


def test_what_is_no_message_stays_until_it_is_discarded(aws: Aws, online: str, script: Script) -> None:
    odd = ["no JSON", "[" * 40_000, "[1]", "7", '{"x": 1}', '{"process_id": "7"}', '{"process_id": true}']
    odd += ['{"kind": ["a"]}', '{"kind": "film", "process_id": 7}']
    for body in odd:
        park(aws, body)
    park(aws, {"process_id": 7, "version": 3}, reason="no message of this project")
    assert script("replay_dead_letters").code == 0
    assert script("replay_dead_letters", "--dry-run", "--discard").code == 0
    assert len(left(aws)) == len(odd) + 1


def test_it_ends_at_its_limit_and_discards_what_it_was_told_to(aws: Aws, online: str, script: Script) -> None:
    for number in range(3):
        park(aws, f"no JSON {number}")
    ended = script("replay_dead_letters", "--discard", "--limit", 2)
    assert [line.endswith("is no message of the project") for line in ended.out.splitlines()] == [True, True]
    assert len(left(aws)) == 1


def test_a_limit_is_a_number_of_messages(aws: Aws, script: Script) -> None:
    for limit in (-1, "1.5", 10**30):
        assert script("replay_dead_letters", f"--limit={limit}").code == 2


def test_what_cannot_be_replayed_is_seen_again_at_once(
    aws: Aws, online: str, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    park(aws, {"process_id": 1})
    monkeypatch.setenv("SIDEREAL_TOKEN", "nobody's")
    ended = script("replay_dead_letters")
    assert (ended.code, ended.err[:30]) == (1, 'error: SIDEREAL_TOKEN: 401 {"d'[:30])
    assert len(left(aws)) == 1
