"""The two health checks: one that asks nothing, and one that asks everything, but never waits long."""

import socket
import threading
import time
from collections import Counter

import pytest

from chalicelib.handlers import health
from chalicelib.services import readiness
from chalicelib.settings import get_settings
from chalicelib.storage import requests
from tests.conftest import Api, Aws, forget

READY = "/api/v1/health/ready"
TABLES = ["ledger_table", "telescope_table", "operations_table", "idempotency_table"]
QUEUES = ["timelapse_queue", "pipeline_queue", "rendition_queue"]
ALL = [*TABLES, "bucket", *QUEUES, "api_keys", "portal"]


def test_the_published_check_asks_for_nothing(api: Api, calls: list[str]) -> None:
    answer = api.get("/api/v1/health")
    assert (answer.status, answer.json, calls) == (200, {"status": "ok", "version": "v1"}, [])


def test_ready_names_everything_and_asks_for_each_thing_once(api: Api, calls: list[str]) -> None:
    answer = api.get(READY)
    assert answer.status == 200
    assert answer.json["status"] == "ok"
    assert list(answer.json["checks"]) == ALL
    for check in answer.json["checks"].values():
        assert check.keys() == {"status", "seconds"}
        assert check["status"] == "ok"
        assert 0 <= check["seconds"] < readiness.LIMIT_S
    assert answer.headers["cache-control"] == "no-store"
    assert Counter(calls) == {"GetItem": 4, "HeadBucket": 1, "GetQueueUrl": 3}


def test_whoever_asks_a_moment_later_gets_the_same_answer_for_nothing(
    api: Api, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = api.get(READY)
    calls.clear()
    assert api.get(READY).json == first.json
    assert calls == []
    monkeypatch.setattr(health, "KEPT_S", 0.0)
    health.forget()
    api.get(READY)
    calls.clear()
    api.get(READY)
    assert len(calls) == 8


def test_what_is_missing_is_named_and_nothing_is_said_about_why(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TABLES, "bucket", *QUEUES):
        with monkeypatch.context() as patch:
            patch.setenv(name.upper(), "no-such-thing")
            get_settings.cache_clear()
            health.forget()
            answer = api.get(READY)
        assert (answer.status, answer.json["status"]) == (503, "unavailable"), name
        assert answer.headers["retry-after"] == "5"
        told = {each: check["status"] for each, check in answer.json["checks"].items()}
        expected = dict.fromkeys(ALL, "ok") | {name: "unavailable"}
        if name == "operations_table":
            expected["portal"] = "unknown"
        assert told == expected
        assert "no-such-thing" not in answer.text
        assert "Exception" not in answer.text


def test_a_queue_that_is_given_by_its_address_is_looked_for_by_its_name(
    api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = aws.sqs.get_queue_url(QueueName=aws.name("sidereal-timelapse"))["QueueUrl"]
    monkeypatch.setenv("TIMELAPSE_QUEUE", url)
    get_settings.cache_clear()
    assert api.get(READY).status == 200
    monkeypatch.setenv("TIMELAPSE_QUEUE", f"{url}-gone")
    forget()
    assert api.get(READY).json["checks"]["timelapse_queue"]["status"] == "unavailable"


def test_without_keys_nothing_is_ready_for_nobody_could_write(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASIMOV_API_KEY")
    forget()
    answer = api.get(READY)
    assert (answer.status, answer.json["checks"]["api_keys"]["status"]) == (503, "unavailable")


def test_what_the_portal_does_is_told_and_changes_nothing(api: Api) -> None:
    table = get_settings().operations_table
    for state, status in (("OPEN", "unavailable"), ("HALF_OPEN", "unavailable"), ("CLOSED", "ok")):
        requests.run(requests.put(table, {"pk": "CIRCUIT", "sk": "telescope portal"}, {"state": state}))
        health.forget()
        answer = api.get(READY)
        assert (answer.status, answer.json["status"]) == (200, "ok")
        assert answer.json["checks"]["portal"]["status"] == status, state


def test_what_hangs_is_cut_off_and_the_others_are_told_all_the_same(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "LIMIT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never says a word
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{silent.getsockname()[1]}")
        forget()
        answer = api.get(READY)
    assert answer.status == 503
    assert {name for name, check in answer.json["checks"].items() if check["status"] != "ok"} == {"bucket"}
    assert answer.json["checks"]["bucket"]["seconds"] == 1.0


def test_it_is_waited_for_all_together_and_not_for_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "LIMIT_S", 0.2)
    never = threading.Event()
    started = time.monotonic()
    checks = readiness.ask_all({str(number): never.wait for number in range(50)})
    assert time.monotonic() - started < 5  # of 10 s, if they stood in a line
    never.set()
    assert {check.fault for check in checks.values()} == {readiness.TOO_LATE}
