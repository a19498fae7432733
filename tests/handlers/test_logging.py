"""What the log says of every request and every job, and what it never says."""

import io
import json
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from chalicelib import observability
from chalicelib.observability import invocation, log_keys, logger, note, request_id
from chalicelib.settings import get_settings
from chalicelib.storage import clients
from local.context import LambdaContext
from tests.asking import asked, prepare
from tests.conftest import TOKEN, USER, Api, Aws, Clock, sqs_event
from tests.jobs.conftest import Jobs

SECRET = "marker-of-what-nobody-may-read"
LINK = "https://bucket.s3.amazonaws.com/a.fits?X-Amz-Algorithm=AWS4&X-Amz-Credential=AK%2F1&X-Amz-Signature=5ec4e7"

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Return a function that returns the lines of the log since it was called last, whatever their level."""
    handler, level, stream = logger.registered_handler, logger.log_level, io.StringIO()
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(stream)
    logger.setLevel("DEBUG")

    def read() -> list[dict[str, Any]]:
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return [json.loads(line) for line in text.splitlines()]

    yield read
    handler.setStream(before)
    logger.setLevel(level)


def test_every_line_of_a_request_says_whose_it_is(api: Api, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELESCOPE_TABLE", "no-such-table")  # something goes wrong inside, too
    get_settings.cache_clear()
    answer = api.post("/api/targets/", {"name": "M 13", "ra": 1, "dec": 2})
    assert answer.status == 500
    told = lines()
    assert [line["message"] for line in told] == ["request failed", "request"]
    for line in told:
        assert line["request_id"] == answer.headers["x-request-id"] == answer.json["request_id"] != ""
        assert (line["method"], line["route"], line["user"]) == ("POST", "/api/targets", USER)
        assert {"function_name", "function_request_id", "cold_start", "service", "timestamp"} <= line.keys()
    assert told[1]["status"] == 500
    assert told[1]["seconds"] >= 0
    assert "exception" in told[0]


@pytest.mark.parametrize(("token", "user"), [(None, ""), ("a-wrong-token", ""), (TOKEN, USER)])
def test_a_user_is_named_only_where_the_token_is_right(api: Api, lines: Lines, token: str | None, user: str) -> None:
    api.post("/api/targets/", {}, token=token)
    (line,) = lines()
    assert line["user"] == user


def test_the_level_of_the_log_is_the_one_that_was_set_whatever_chalice_makes_of_it() -> None:
    from app import app

    assert logger.log_level == logging.getLevelName(os.environ["POWERTOOLS_LOG_LEVEL"])
    assert app.debug is False


def test_what_one_request_notes_is_gone_with_it(api: Api, lines: Lines) -> None:
    api.post("/api/targets/", {})
    logger.info("between two requests")
    api.get("/api/v1/health")
    _, between, second = lines()
    assert between.keys().isdisjoint({"request_id", "user", "route"})
    assert (second["route"], second["user"]) == ("/api/v1/health", "")


def test_requests_that_are_answered_at_the_same_time_keep_apart(lines: Lines) -> None:
    meet = threading.Barrier(4)

    def answer(number: int) -> None:
        with invocation(LambdaContext(f"function {number}"), request_id=f"request {number}"):
            note(user=f"user {number}")
            meet.wait()
            logger.info("at the same time", extra={"number": number})
            meet.wait()

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = {(line["number"], line["request_id"], line["user"], line["function_name"]) for line in lines()}
    assert told == {(number, f"request {number}", f"user {number}", f"function {number}") for number in range(4)}


def test_only_the_first_invocation_of_a_process_is_a_cold_start(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observability, "_is_warm", False)
    for _ in range(2):
        with invocation(LambdaContext("sweep")):
            logger.info("here")
    assert [line["cold_start"] for line in lines()] == [True, False]


def test_keys_end_with_what_they_are_about_and_those_around_it_stay(lines: Lines) -> None:
    with log_keys(message_id="m"):
        with log_keys(observation_id=1):
            note(target_id=2)
            logger.info("inside")
        logger.info("outside")
    inside, outside = ({"message_id", "observation_id", "target_id"} & line.keys() for line in lines())
    assert (inside, outside) == ({"message_id", "observation_id", "target_id"}, {"message_id"})
    assert request_id() == ""


def test_the_log_of_a_job_names_its_process_and_the_request_that_asked_for_it(jobs: Jobs, lines: Lines) -> None:
    answer = jobs.start("Broken")
    process = answer.json["id"]
    (submitted,) = lines()
    assert submitted["process_id"] == process
    event = jobs.event(process, deliveries=2)
    jobs.api.invoke("run_pipeline", event)
    told = lines()
    assert [line["message"] for line in told] == ["run begins", "run failed unexpectedly", "job failed"]
    for line in told:
        assert line["request_id"] == submitted["request_id"] == answer.headers["x-request-id"]
        assert (line["process_id"], line["attempt"], line["deliveries"]) == (process, 1, 2)
        assert line["message_id"] == event["Records"][0]["messageId"]
        assert (line["function_name"], bool(line["function_request_id"])) == ("run_pipeline", True)
    jobs.api.invoke("run_dead_letters", event)
    (given_up,) = [line for line in lines() if line["message"] == "process given up"]
    assert (given_up["request_id"], given_up["process_id"]) == (submitted["request_id"], process)


def test_a_process_from_before_requests_were_kept_is_run_all_the_same(jobs: Jobs, lines: Lines) -> None:
    process = jobs.submit("Broken")
    table = jobs.aws.name("sidereal-telescope")
    key = {"pk": {"S": f"PROCESS#{process}"}, "sk": {"S": "PROCESS"}}
    jobs.aws.dynamodb.update_item(TableName=table, Key=key, UpdateExpression="REMOVE request_id")
    lines()
    jobs.run(process)
    assert {line["request_id"] for line in lines()} == {""}


@pytest.mark.parametrize("function", ["sweep", "process_alerts"])
def test_a_scheduled_function_says_its_name(api: Api, aws: Aws, lines: Lines, function: str, clock: Clock) -> None:
    from local.schedule import make_event

    clients.dynamodb().meta.events.register("before-call.dynamodb.Query", lambda **_: logger.info("it reads"))
    api.invoke(function, make_event(clock()))
    told = lines()
    assert told
    assert {line["function_name"] for line in told} == {function}


def test_nothing_that_is_sent_gets_into_the_log(api: Api, portal: Any, lines: Lines, clock: Clock) -> None:
    target, image = prepare(api), b"SIMPLE  =                    T " + SECRET.encode()
    lines()
    body = {"name": f"{SECRET} 1", "ra": 1, "dec": 2, "extra_fields": {SECRET: SECRET}}
    for token in (TOKEN, SECRET):
        api.post("/api/targets/", body, token=token)
        api.post("/api/targets/", {**body, "ra": SECRET}, token=token)
        api.post("/api/targets/", body=f'{{"name": {SECRET}', token=token)
        api.post("/api/v1/events/", {"name": "GW1", "meta": {SECRET: SECRET}}, token=token)
        api.post("/api/targets/", body, token=token, headers={"Idempotency-Key": SECRET})
        api.get(f"/api/targets/?name={SECRET}&next={SECRET}", headers={"Authorization": f"Bearer {token}"})
        sent = {**asked(target), "email": f"{SECRET}@example.org"}
        api.post("/api/observe/", sent, token=token)
        api.post("/api/observe/", {**sent, "overrides": {"proposal": SECRET}}, token=token)
    api.upload(target, "a.fits", image)
    api.upload(target, "a.fits", image, data_product_type=SECRET)
    sized = {"target": target, "filename": "b.fits", "size": 10, "data_product_type": "fits_file"}
    form = api.post("/api/dataproducts/", sized).json["upload"]["fields"]
    link = api.get("/data/WASP-12/none/a.fits").headers.get("location", "X-Amz-Signature=none")
    for queue in ("pipeline", "renditions", "dead-letters"):
        function = {"pipeline": "run_pipeline", "renditions": "make_rendition"}.get(queue, "run_dead_letters")
        for text in (SECRET, json.dumps({"process_id": SECRET}), json.dumps({"process_id": 1, SECRET: SECRET})):
            api.invoke(function, sqs_event(text, queue=f"sidereal-{queue}"))
    wish = {"kind": "process", "request": SECRET, "target": target, "products": [1], "pipeline": "Timelapse"}
    for fields in ({"pipeline": SECRET}, {"flags": {SECRET: True}}, {"options": {SECRET: 1}}, {SECRET: SECRET}):
        for function in ("run_pipeline", "run_dead_letters"):
            api.invoke(function, sqs_event({**wish, "request": f"{SECRET}{len(str(fields))}", **fields}))
    told = lines()
    assert len(told) > 30
    secrets = [SECRET, TOKEN, portal.token, *(form[name] for name in form if "ignature" in name or name == "policy")]
    for line in told:
        text = json.dumps(line)
        for secret in [*secrets, link.partition("?")[2] or "X-Amz-"]:
            assert secret not in text, line


class Input(BaseModel):
    """Something with one field."""

    size: int


def raise_of_pydantic() -> None:
    Input.model_validate({"size": SECRET})


def raise_with_a_link() -> None:
    raise OSError(f"HTTPSConnectionPool(host='archive'): Max retries exceeded with url: /frames/?token={SECRET}&a=1")


def raise_with_a_signed_link() -> None:
    raise RuntimeError(f"GET {LINK} failed") from ValueError(LINK)


def raise_with_a_header() -> None:
    raise ValueError(f"Invalid header value b'Token {SECRET}\\n', b'Bearer {SECRET}'")


@pytest.mark.parametrize("fail", [raise_of_pydantic, raise_with_a_link, raise_with_a_signed_link, raise_with_a_header])
def test_what_other_libraries_put_into_their_errors_is_left_out(lines: Lines, fail: Callable[[], None]) -> None:
    try:
        fail()
    except (ValueError, OSError, RuntimeError, ValidationError) as error:
        logger.exception("it failed", extra={"reason": str(error)})
    (line,) = lines()
    text = json.dumps(line)
    assert SECRET not in text
    assert "5ec4e7" not in text
    assert "..." in line["exception"]  # and the rest of it is there


def test_ordinary_words_are_left_alone(lines: Lines) -> None:
    words = "Is the token of the portal there? See https://example.org/a?page=2 and Bearer of news"
    logger.info(words, extra={"id": (key := uuid.uuid4().hex)})
    (line,) = lines()
    assert (line["message"], line["id"]) == (words, key)
