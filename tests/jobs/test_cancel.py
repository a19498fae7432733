"""A run that is cancelled: how soon it stops, and that nothing of it is left."""

from pathlib import Path
from typing import Any

import pytest

from chalicelib.pipelines.base import DataProduct, PipelineOutput, ReducedDatum
from chalicelib.services import reports
from chalicelib.services.reports import RunReporter
from chalicelib.services.runs import run_process
from chalicelib.storage import clients
from tests.conftest import Api
from tests.factories_frames import star_pixels, write_frame
from tests.jobs.conftest import Jobs
from tests.jobs.pipelines_for_tests import written

FRAMES = 200
IN_THE_MIDDLE = 100


def cancel(api: Api, process: int) -> None:
    answer = api.post(f"/api/pipeline/{process}/cancel/")
    assert (answer.status, answer.json["failure_message"]) == (200, "Cancelled by tester")


def left_over(jobs: Jobs, process: int) -> list[Any]:
    """Return whatever a run may leave beside the record of its process and its log."""
    items = [(item["pk"]["S"], item["sk"]["S"]) for item in jobs.aws.items()]
    own = [key for key in items if key[0].startswith("GROUP#") or key[1].startswith(("TIMELAPSE#", "CHECKPOINT"))]
    own += [key for key in items if key[0] == f"PROCESS#{process}#DATA"]
    points = jobs.api.get(f"/api/reduceddatums/?target={jobs.target}").json["results"]
    return own + jobs.aws.keys(f"processes/{process}/") + jobs.outputs() + points


@pytest.fixture
def many_frames(jobs: Jobs, tmp_path: Path) -> list[int]:
    """Data products of 200 small frames; to S3 they are one file."""
    path = write_frame(tmp_path / "small.fits", star_pixels())
    first = jobs.api.upload(jobs.target, path.name, path.read_bytes()).json["id"]
    table = jobs.aws.name("sidereal-telescope")
    key = {"pk": {"S": f"DATAPRODUCT#{first}"}, "sk": {"S": "DATAPRODUCT"}}
    record = jobs.aws.dynamodb.get_item(TableName=table, Key=key)["Item"]
    numbers = range(first + 1, first + FRAMES)
    copies = [{**record, "pk": {"S": f"DATAPRODUCT#{number}"}, "id": {"N": str(number)}} for number in numbers]
    for copy in copies:
        copy.pop("list_pk")  # they are read by their ids
    for start in range(0, len(copies), 25):
        puts = [{"PutRequest": {"Item": copy}} for copy in copies[start : start + 25]]
        jobs.aws.dynamodb.batch_write_item(RequestItems={table: puts})
    return [first, *numbers]


@pytest.mark.parametrize("moment", ["before the step", "after the step"])
def test_a_run_of_200_frames_that_is_cancelled_in_the_middle_stops_within_two_frames(
    jobs: Jobs, many_frames: list[int], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(reports, "FLUSH_AFTER_S", 1e9)  # what is sent every half second would notice it, too
    process = jobs.submit("Timelapse", products=many_frames)
    begun: list[int] = []
    log, progress = RunReporter.log, RunReporter.progress

    def listen(reporter: RunReporter, text: str) -> None:
        if text.startswith("Processing frame "):
            begun.append(int(text.removeprefix("Processing frame ").partition("/")[0]))
            if moment == "before the step" and begun[-1] == IN_THE_MIDDLE:
                cancel(jobs.api, process)
        log(reporter, text)

    def step(reporter: RunReporter, done: int, total: int) -> None:
        progress(reporter, done, total)
        if moment == "after the step" and begun[-1:] == [IN_THE_MIDDLE]:
            cancel(jobs.api, process)

    monkeypatch.setattr(RunReporter, "log", listen)
    monkeypatch.setattr(RunReporter, "progress", step)
    run_process(process)
    assert IN_THE_MIDDLE <= begun[-1] <= IN_THE_MIDDLE + 2
    shown = jobs.get(process)
    assert (shown["status"], shown["failure_message"]) == ("failed", "Cancelled by tester")
    assert jobs.log(process).endswith("Cancelled by tester\n")
    assert [each["id"] for each in jobs.outputs()] == many_frames[:1]
    assert jobs.aws.keys(f"processes/{process}/") == []
    assert jobs.api.get("/api/dataproductgroups/").json["results"] == []
    assert jobs.api.get(f"/api/target/{jobs.target}/").json["timelapses"] == []


def three_outputs(pipeline: Any, folder: Path, flags: Any) -> list[PipelineOutput]:
    pipeline.log("Working")
    return [
        PipelineOutput(written(folder, "t.gif", "GIF89a"), DataProduct, "timelapse", {"frames": 2}),
        PipelineOutput(written(folder, "out.csv", "1,2"), DataProduct, "table"),
        PipelineOutput(None, ReducedDatum, "photometry", (61_050.1, 12.5, 0.01, "frame.fits")),
    ]


@pytest.mark.parametrize("request_number", range(11))
def test_a_run_that_is_cancelled_while_it_keeps_its_outputs_leaves_nothing(jobs: Jobs, request_number: int) -> None:
    """At each of its writes, from the last lines of the log to the one that ends it."""
    process = jobs.submit()
    seen: list[str] = []

    def count(model: Any, **_: Any) -> None:
        if model.name not in ("GetItem", "BatchGetItem", "Query", "ListObjectsV2"):
            seen.append(model.name)
            if len(seen) == request_number + 1:
                stop()
                cancel(jobs.api, process)

    watched = (clients.dynamodb(), clients.s3())

    def stop() -> None:
        for client in watched:
            client.meta.events.unregister("before-call", count)

    def work(pipeline: Any, folder: Path, flags: Any) -> Any:
        outputs = three_outputs(pipeline, folder, flags)
        for client in watched:
            client.meta.events.register("before-call", count)
        return outputs

    jobs.work(work)
    run_process(process)
    stop()
    assert len(seen) == request_number + 1, seen
    assert jobs.get(process)["failure_message"] == "Cancelled by tester"
    assert left_over(jobs, process) == []
    assert jobs.log(process).endswith("Cancelled by tester\n")


def test_a_run_looks_at_every_second_step_whether_it_was_cancelled(
    jobs: Jobs, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "FLUSH_AFTER_S", 1e9)
    seen: list[int] = []

    def work(pipeline: Any, folder: Path, flags: Any) -> Any:
        pipeline.progress(0, 9)
        calls.clear()
        for done in range(1, 9):
            pipeline.progress(done, 9)
            seen.append(len(calls))
        assert set(calls) == {"GetItem"}
        return ()

    jobs.work(work)
    process = jobs.submit()
    run_process(process)
    assert jobs.get(process)["status"] == "created"
    assert [later - earlier for earlier, later in zip(seen[::2], seen[2::2], strict=False)] == [1, 1, 1]
