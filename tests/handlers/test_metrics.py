"""What is counted and measured, as CloudWatch reads it from the log."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.metrics import NAMESPACE, Metric
from chalicelib.observability import SERVICE, invocation, metrics
from local.context import LambdaContext
from tests.conftest import Api, Clock, sqs_event
from tests.jobs.conftest import Jobs

Written = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Written:
    """Return a function that returns the lines of metrics since it was called last."""
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "false")
    monkeypatch.setattr("chalicelib.observability._is_warm", True)

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]

    return read


def values(line: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of a line with their values."""
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == NAMESPACE
    for each in directive["Metrics"]:
        metric = Metric(each["Name"])
        assert each["Unit"] == metric.unit.value
        (dimensions,) = directive["Dimensions"]
        assert sorted(dimensions) == sorted(metric.dimensions)
    return {each["Name"]: line[each["Name"]] for each in directive["Metrics"]}


@pytest.mark.parametrize(
    ("path", "status", "more"),
    [
        ("/api/v1/health", 200, set()),
        ("/api/target/99/", 404, {"ClientErrors"}),
        ("/api/target/98/", 429, {"Throttles"}),
        ("/api/target/97/", 500, {"Errors"}),
    ],
)
def test_a_request_is_counted_by_what_became_of_it(
    api: Api, written: Written, monkeypatch: pytest.MonkeyPatch, path: str, status: int, more: set[str]
) -> None:
    from chalicelib.errors import ThrottledError
    from chalicelib.storage import requests

    if status in (429, 500):
        error = ThrottledError(1) if status == 429 else ZeroDivisionError()

        def refuse(*_: Any, **__: Any) -> None:
            raise error

        monkeypatch.setattr(requests, "query", refuse)
        monkeypatch.setattr(requests, "get_many", refuse)
        monkeypatch.setattr(requests, "get", refuse)
    assert api.get(path).status == status
    (line,) = written()
    assert values(line).keys() == {"Requests", "RequestSeconds"} | more
    assert line["service"] == SERVICE
    assert line["route"].startswith("/api/")


def test_a_job_is_measured_by_function_and_a_process_counted(jobs: Jobs, written: Written, clock: Clock) -> None:
    process = jobs.submit("Broken")
    (submitted,) = written()
    assert values(submitted)["ProcessesSubmitted"] == [1.0]
    event = jobs.event(process)
    event["Records"][0]["attributes"]["SentTimestamp"] = str(round(clock().timestamp() * 1000) - 2500)
    jobs.api.invoke("run_pipeline", event)
    (line,) = written()
    found = values(line)
    assert line["function"] == "run_pipeline"
    assert found.keys() == {"JobErrors", "JobSeconds", "QueueSeconds"}
    assert found["QueueSeconds"] == [pytest.approx(2.5, abs=0.001)]
    event["Records"][0]["attributes"]["ApproximateReceiveCount"] = "2"
    jobs.api.invoke("run_pipeline", event)
    assert values(written()[0]).keys() == {"JobErrors", "JobSeconds"}  # waiting for another try is no queue
    jobs.api.invoke("run_dead_letters", event)
    by_function, counted = sorted(map(values, written()), key=len)
    assert by_function.keys() == {"JobSeconds"}
    assert counted == {"ProcessesFailed": [1.0], "MessagesGivenUp": [1.0]}


def test_a_process_that_ends_is_counted_with_its_frames(jobs: Jobs, written: Written) -> None:
    def work(pipeline: Any, folder: Any, flags: Any) -> Any:
        pipeline.progress(3, 3)
        return ()

    jobs.work(work)
    for name in ("Scripted", "Failing"):
        process = jobs.submit(name)
        written()
        jobs.run(process)
        counted = {each: value for line in written() for each, value in values(line).items()}
        ends = {"ProcessesCreated": [1.0], "Frames": [3.0]} if name == "Scripted" else {"ProcessesFailed": [1.0]}
        assert {each: counted[each] for each in counted if not each.startswith("Job")} == ends


def test_a_count_of_nothing_is_not_written(api: Api, written: Written, clock: Clock) -> None:
    from local.schedule import make_event

    api.invoke("sweep", make_event(clock()))
    assert written() == []
    api.invoke("process_alerts", make_event(clock()))
    (line,) = written()
    assert values(line).keys() == {"AlertSeconds"}


def test_a_message_that_nobody_understands_counts_as_given_up_and_is_no_error_of_ours(
    api: Api, written: Written
) -> None:
    api.invoke("run_dead_letters", sqs_event("nonsense"))
    assert {name for line in written() for name in values(line)} == {"JobSeconds", "MessagesGivenUp"}


def test_the_metrics_of_requests_that_are_answered_at_the_same_time_keep_apart(written: Written) -> None:
    def answer(number: int) -> None:
        with invocation(LambdaContext("api"), route=f"/{number}"):
            metrics.add(Metric.REQUESTS)
            if number:
                other = threading.Thread(target=answer, args=(number - 1,))
                other.start()
                other.join()
            metrics.add(Metric.REQUEST_SECONDS, number)

    answer(2)
    assert [(line["route"], line["Requests"], line["RequestSeconds"]) for line in written()] == [
        ("/0", [1.0], [0.0]),
        ("/1", [1.0], [1.0]),
        ("/2", [1.0], [2.0]),
    ]


def test_the_first_invocation_of_a_process_is_counted(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.observability._is_warm", False)
    for _ in range(2):
        with invocation(LambdaContext("sweep")):
            pass
    (line,) = written()
    assert (values(line), line["function"]) == ({"ColdStarts": [1.0]}, "sweep")


def test_an_invocation_that_breaks_off_writes_what_it_has(written: Written) -> None:
    def break_off() -> None:
        with invocation(LambdaContext("sweep")):
            metrics.add(Metric.PROCESSES_RESENT, 2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    (line,) = written()
    assert values(line) == {"ProcessesResent": [2.0]}
