"""What authors of pipelines get wrong fails the run at once, in words, and leaves nothing that cannot be read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalicelib.pipelines.base import AsyncError, DataProduct, PipelineOutput, ReducedDatum
from tests.jobs.conftest import Jobs
from tests.jobs.pipelines_for_tests import written

Do = Callable[[Any, Path], Any]


def failure(jobs: Jobs, do: Do) -> str:
    """Run a pipeline that does this, once; it must fail, and leave a target that can be read."""
    jobs.work(lambda pipeline, folder, flags: do(pipeline, folder))
    process = jobs.submit()
    jobs.run(process)
    shown = jobs.get(process)
    assert shown["status"] == "failed", shown
    assert jobs.outputs() == []
    assert jobs.api.get(f"/api/targets/{jobs.target}/").status == 200
    return str(shown["failure_message"])


def of_type(kind: Any) -> Do:
    return lambda pipeline, folder: [PipelineOutput(written(folder, "a.txt"), DataProduct, kind)]


def timelapse(data: Any) -> Do:
    return lambda pipeline, folder: [(written(folder, "a.gif"), DataProduct, "timelapse", data)]


def raising(error: Exception) -> Do:
    def do(pipeline: Any, folder: Path) -> Any:
        raise error

    return do


def test_an_output_whose_type_is_none_has_no_type(jobs: Jobs) -> None:
    jobs.work(lambda pipeline, folder, flags: [(written(folder, "a.txt"), DataProduct, None)])
    process = jobs.submit()
    jobs.run(process)
    (output,) = jobs.outputs()
    assert (jobs.get(process)["status"], output["data_product_type"]) == ("created", "")


def test_a_text_whose_type_is_none_is_kept(jobs: Jobs) -> None:
    jobs.work(lambda pipeline, folder, flags: [(written(folder, "a.txt"), ReducedDatum, None)])
    process = jobs.submit()
    jobs.run(process)
    (datum,) = jobs.api.get(f"/api/reduceddatums/?target={jobs.target}").json["results"]
    assert (jobs.get(process)["status"], datum["data_type"]) == ("created", "")


@pytest.mark.parametrize("kind", [7, b"plot", "x" * 51, "x" * 3000, "\udc80", ["plot"], float("nan")])
def test_a_type_that_is_no_short_text_is_refused_in_words(jobs: Jobs, kind: Any) -> None:
    assert failure(jobs, of_type(kind)).startswith("The type of an output must be a text of at most 50 characters")


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (lambda p, folder: [(b"a.txt", DataProduct)], "The path of an output must be a Path or a text, not b'a.txt'"),
        (lambda p, folder: [(7, DataProduct)], "The path of an output must be a Path or a text, not 7"),
        (lambda p, folder: [((folder, "a"), DataProduct)], "The path of an output must be a Path or a text, not ("),
        (lambda p, folder: [(folder, DataProduct)], "The output 'outputs' is a folder"),
        (lambda p, folder: [(folder, ReducedDatum)], "The output 'outputs' is a folder"),
        (lambda p, folder: [(folder / "gone.txt", DataProduct)], "The output 'gone.txt' is not there"),
        (lambda p, folder: [(f"{folder}/a\0b", DataProduct)], "The output 'a\0b' is not there"),
        (
            lambda p, folder: [(written(folder, "a\udc80.txt"), DataProduct)],
            "The output 'a\\udc80.txt' has control characters in its name",
        ),
        (lambda p, folder: [(None, DataProduct)], "An output that is a data product needs a file"),
        (lambda p, folder: [(written(folder, "a"), "plot")], "A pipeline's outputs must be data products or reduced"),
        (lambda p, folder: [(written(folder, "a"), None)], "A pipeline's outputs must be data products or reduced"),
        (lambda p, folder: [(None, ReducedDatum, "", 7)], "Reduced data must be a point"),
        (lambda p, folder: [(None, ReducedDatum, "", "text")], "Reduced data must be a point"),
        (timelapse({"frames": None}), 'The data of a timelapse must be of the form {"frames": 71}'),
        (timelapse({"frames": "x"}), 'The data of a timelapse must be of the form {"frames": 71}'),
        (timelapse({"frames": float("nan")}), 'The data of a timelapse must be of the form {"frames": 71}'),
        (timelapse({"frames": 10**400}), 'The data of a timelapse must be of the form {"frames": 71}'),
        (timelapse([71]), 'The data of a timelapse must be of the form {"frames": 71}, not [71]'),
        (lambda p, folder: p.update_status(None), "A pipeline must set the status to a text, not None"),
        (lambda p, folder: p.progress(0.5, 1.0), "A pipeline must report its progress in whole steps, not 0.5"),
        (lambda p, folder: p.progress(1, None), "A pipeline must report its progress in whole steps, not None"),
        (lambda p, folder: p.progress(float("inf"), 1), "A pipeline must report its progress in whole steps, not inf"),
        (lambda p, folder: p.hand_over([1, 2]), "A run must hand over its state as a mapping with names, not [1, 2]"),
        (
            lambda p, folder: p.hand_over({}, "book"),
            "A run must hand over its files as a sequence of paths, not 'book'",
        ),
        (lambda p, folder: p.hand_over({}, None), "A run must hand over its files as a sequence of paths, not None"),
        (lambda p, folder: p.hand_over({}, [3]), "A run must hand over its files as a sequence of paths, not [3]"),
        (
            lambda p, folder: p.hand_over({}, [written(folder, "a\udc80")]),
            "The file 'a\\udc80' that the run hands over has control characters in its name",
        ),
        (raising(AsyncError("File 'a\udc80.fits' is odd")), "File 'a?.fits' is odd"),
        (raising(AsyncError()), "The pipeline failed without saying why"),
        (raising(AsyncError(" \n")), "The pipeline failed without saying why"),
    ],
)
def test_a_mistake_of_an_author_fails_the_run_in_words(jobs: Jobs, do: Do, message: str) -> None:
    assert failure(jobs, do).startswith(message)


def test_whole_numbers_of_other_kinds_are_taken(jobs: Jobs) -> None:
    import numpy as np

    def do(pipeline: Any, folder: Path, flags: Any) -> Any:
        pipeline.progress(np.int64(1), 2.0)
        pipeline.log(3)
        return timelapse({"frames": np.float32(7)})(pipeline, folder)

    jobs.work(do)
    process = jobs.submit()
    jobs.run(process)
    shown = jobs.get(process)
    assert (shown["status"], shown["progress"], jobs.log(process)) == ("created", {"done": 1, "total": 2}, "3\n")
    (entry,) = jobs.api.get(f"/api/target/{jobs.target}/").json["timelapses"]
    assert entry["frames"] == 7
