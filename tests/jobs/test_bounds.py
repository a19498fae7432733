"""The bounds of a run: the time its function has left, the number of its outputs, its attempt, its options."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chalicelib.pipelines.base import DataProduct, Output
from chalicelib.services.processes import discard_outputs
from chalicelib.services.runs import run_process
from chalicelib.settings import get_settings
from chalicelib.storage import processes
from tests.jobs.conftest import Jobs
from tests.jobs.pipelines_for_tests import written


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


def test_what_a_retry_made_survives_a_late_clean_up_of_the_attempt_before(jobs: Jobs) -> None:
    def work(pipeline: Any, folder: Path, _flags: dict[str, bool]) -> Iterable[Output]:
        yield written(folder, "out.txt"), DataProduct

    jobs.work(work)
    process = jobs.submit()
    before = processes.get(process)
    jobs.api.post(f"/api/pipeline/{process}/cancel/")
    jobs.api.post(f"/api/pipeline/{process}/retry/")
    jobs.run(process)
    discard_outputs(replace(before, attempt=1))
    assert jobs.get(process)["status"] == "created"
    assert len(jobs.outputs()) == 1


def test_a_run_with_too_many_outputs_fails_in_words(jobs: Jobs) -> None:
    jobs.work(lambda _pipeline, folder, _flags: [(written(folder, f"{n}.txt"), DataProduct) for n in range(81)])
    process = jobs.submit()
    jobs.run(process)
    assert jobs.get(process)["failure_message"] == "The pipeline made 81 outputs; at most 80 can be kept"


@pytest.mark.parametrize("fps", ["0", "-2", "-0.5"])
def test_settings_become_the_options_of_the_pipeline_they_name(
    monkeypatch: pytest.MonkeyPatch, jobs: Jobs, fps: str
) -> None:
    monkeypatch.setenv("TIMELAPSE_FPS", fps)
    get_settings.cache_clear()
    process = jobs.submit("Timelapse")
    run_process(process)
    assert jobs.get(process)["failure_message"] == f"Invalid FPS {fps}"
