"""A run watches the time that its function has left."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chalicelib.pipelines.base import Output
from chalicelib.services.runs import run_process
from tests.jobs.conftest import Jobs


def test_a_run_that_would_outlast_its_function_fails_in_order(jobs: Jobs) -> None:
    left = iter([100.0, 100.0, 19.9])
    steps: list[int] = []

    def work(pipeline: Any, _folder: Path, _flags: dict[str, bool]) -> Iterable[Output]:
        for step in range(10):
            pipeline.progress(step, 10)
            steps.append(step)
        return ()

    jobs.work(work)
    process = jobs.submit()
    run_process(process, lambda: next(left))
    assert steps == [0, 1]
    shown = jobs.get(process)
    assert (shown["status"], shown["failure_message"]) == ("failed", "Scripted took longer than 15 mins to create")


def test_the_functions_tell_a_run_how_much_time_is_left(jobs: Jobs) -> None:
    jobs.work(lambda pipeline, _folder, _flags: pipeline.progress(1, 1) or ())
    process = jobs.submit()
    assert jobs.run(process) == {"batchItemFailures": []}
    assert jobs.get(process)["status"] == "created"
