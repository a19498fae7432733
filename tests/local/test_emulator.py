"""The embedded AWS: which requests are saved, when, and that a kill loses almost nothing."""

import asyncio
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from local import emulator, emulator_main
from local.emulator import EmulatorMissingError
from local.emulator_main import (
    EVERYTHING,
    LOSS_S,
    Saver,
    changed_service,
    pause_before_save,
    remove_drafts,
    write_state,
)
from local.environment import aws_variables
from local.home import Home
from local.supervisor import Supervisor


def scope(method: str = "POST", path: str = "/", **headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": pairs}


@pytest.mark.parametrize(
    ("request_scope", "service"),
    [
        (scope(x_amz_target="DynamoDB_20120810.PutItem"), "dynamodb"),
        (scope(x_amz_target="DynamoDB_20120810.TransactWriteItems"), "dynamodb"),
        (scope(x_amz_target="DynamoDB_20120810.BatchWriteItem"), "dynamodb"),
        (scope(x_amz_target="DynamoDB_20120810.UpdateTimeToLive"), "dynamodb"),
        (scope(x_amz_target="DynamoDB_20120810.GetItem"), None),
        (scope(x_amz_target="DynamoDB_20120810.Query"), None),
        (scope(x_amz_target="DynamoDB_20120810.TransactGetItems"), None),
        (scope(x_amz_target="DynamoDB_20120810.BatchGetItem"), None),
        (scope(x_amz_target="DynamoDB_20120810.DescribeTable"), None),
        (scope(x_amz_target="AmazonSQS.SendMessage"), "sqs"),
        (scope(x_amz_target="AmazonSQS.DeleteMessage"), "sqs"),
        (scope(x_amz_target="AmazonSQS.ReceiveMessage"), None),
        (scope(x_amz_target="AWSStepFunctions.CreateStateMachine"), EVERYTHING),
        (scope("PUT", "/bucket"), "s3"),
        (scope("PUT", "/bucket/key"), None),
        (scope("GET", "/bucket"), None),
        (scope("POST", "/queue", content_type="application/x-www-form-urlencoded; charset=utf-8"), EVERYTHING),
    ],
)
def test_what_a_request_changes(request_scope: dict[str, Any], service: str | None) -> None:
    assert changed_service(request_scope) == service


@pytest.mark.parametrize("save_s", [0.0, 0.05, 0.2, 0.4])
def test_a_write_during_a_save_is_saved_in_time(save_s: float) -> None:
    assert save_s + pause_before_save(save_s) + save_s <= LOSS_S


def test_slow_saves_leave_room_between_them() -> None:
    assert pause_before_save(0.6) == pytest.approx(0.6)
    assert pause_before_save(10.0) == emulator_main.QUIET_S


def test_a_state_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_state(tmp_path, "dynamodb", 2, {"a": b"1"}, lambda value: value.decode())
    with pytest.raises(ZeroDivisionError):
        write_state(tmp_path, "dynamodb", 2, {"a": b"2"}, lambda _: 1 // 0)

    content = json.loads((tmp_path / "dynamodb.json").read_text())
    assert content == {"__ministack_format__": 2, "payload": {"a": "1"}}
    assert [file.name for file in tmp_path.iterdir()] == ["dynamodb.json"]


def test_half_written_objects_are_removed_but_not_objects_of_that_name(tmp_path: Path) -> None:
    for name in ("a", "a.meta.json", "a.tmp", "b.tmp", "b.tmp.meta.json"):
        (tmp_path / name).touch()

    remove_drafts(tmp_path)

    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "a.meta.json", "b.tmp", "b.tmp.meta.json"]


def test_only_what_changed_is_saved_and_a_failure_is_repeated(tmp_path: Path) -> None:
    def save(services: set[str]) -> None:
        with (tmp_path / "saved").open("a") as file:
            file.write(f"{' '.join(sorted(services))}\n")
        if not (tmp_path / "failed").exists():
            (tmp_path / "failed").touch()
            raise OSError("disk full")

    async def run() -> None:
        saver = Saver(save)
        await saver.save_now()
        saver.note("sqs")
        saver.note("dynamodb")
        await saver.save_now()
        await saver.save_now()
        await saver.save_now()

    asyncio.run(run())

    assert (tmp_path / "saved").read_text() == "dynamodb sqs\ndynamodb sqs\n"


def test_only_successful_changes_wake_the_saver() -> None:
    noted: list[str] = []
    saver = Saver(lambda _: None)
    saver.note = noted.append  # type: ignore[method-assign]

    async def run(status: int) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": status})

        async def nothing(*_: Any) -> dict[str, Any]:
            return {}

        await emulator_main.watch(app, saver)(scope(x_amz_target="AmazonSQS.SendMessage"), nothing, nothing)

    asyncio.run(run(400))
    assert noted == []
    asyncio.run(run(200))
    assert noted == ["sqs"]


def is_installed() -> bool:
    try:
        emulator.emulator_python()
    except EmulatorMissingError:
        return False
    return True


# `make test` alone does not install the embedded AWS; .ci/run does, so there this always runs
@pytest.mark.slow
@pytest.mark.skipif(not is_installed(), reason="needs the embedded AWS: make .venv-aws")
def test_a_kill_loses_only_what_was_written_in_the_last_two_seconds(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    home.prepare()
    items = {f"item {number}" for number in range(50)}
    with emulator.open_port(home) as listener:
        url = emulator.endpoint_url(listener)
        dynamodb, s3, sqs = _clients(url)
        with Running(home, listener, url) as pid:
            dynamodb.create_table(
                TableName="things",
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            )
            s3.create_bucket(Bucket="files")
            queue = sqs.create_queue(QueueName="jobs")["QueueUrl"]
            for item in items:
                dynamodb.put_item(TableName="things", Item={"pk": {"S": item}})
            s3.put_object(Bucket="files", Key="a/b.txt", Body=b"content", ContentType="text/x-test")
            sqs.send_message(QueueUrl=queue, MessageBody="a job")
            _wait_until_saved(home, time.monotonic() + LOSS_S)
            os.kill(pid, signal.SIGKILL)
        with Running(home, listener, url):
            assert {item["pk"]["S"] for item in dynamodb.scan(TableName="things")["Items"]} == items
            found = s3.get_object(Bucket="files", Key="a/b.txt")
            assert (found["Body"].read(), found["ContentType"]) == (b"content", "text/x-test")
            assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "a job"


def _wait_until_saved(home: Home, deadline: float) -> None:
    """Return as soon as the last writes are on disk; the promise is that this is before the deadline."""
    state = home.aws / "state"
    pause = threading.Event()
    while True:
        texts = [
            (state / name).read_text() if (state / name).exists() else "" for name in ("dynamodb.json", "sqs.json")
        ]
        if all(f"item {number}" in texts[0] for number in range(50)) and "a job" in texts[1]:
            return
        assert time.monotonic() < deadline
        pause.wait(0.02)


class Running:
    """The embedded AWS, up on a socket; gone at the end."""

    def __init__(self, home: Home, listener: Any, url: str) -> None:
        self._supervisor = Supervisor()
        self._child = emulator.emulator_child(home, listener)
        self._url = url

    def __enter__(self) -> int:
        self._supervisor.start(self._child)
        self._supervisor.wait_until(
            lambda: emulator.answers(f"{self._url}/_ministack/health"), [self._child], 60, "the embedded AWS"
        )
        pid = self._child.pid
        assert pid is not None
        return pid

    def __exit__(self, *_: object) -> None:
        self._supervisor.stop_all()


def _clients(url: str) -> tuple[Any, Any, Any]:
    import boto3
    from botocore.config import Config

    variables = aws_variables(url)
    session = boto3.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
    )
    config = Config(s3={"addressing_style": "path"})
    dynamodb, s3, sqs = (session.client(name, endpoint_url=url, config=config) for name in ("dynamodb", "s3", "sqs"))
    return dynamodb, s3, sqs
