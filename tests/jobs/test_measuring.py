"""Runs that measure: what is kept of their points, and that nothing is doubled or left behind on any way to an end."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chalicelib.pipelines.base import DataProduct, PipelineOutput, ReducedDatum
from chalicelib.services import processes as service
from chalicelib.services import publishing
from chalicelib.services.runs import run_process
from chalicelib.storage import clients, process_moves, processes
from tests.conftest import Aws, Clock
from tests.jobs.conftest import Jobs
from tests.jobs.pipelines_for_tests import written

MJD = 58_000.25
LEASE_S = 60
NONE_FAILED: dict[str, Any] = {"batchItemFailures": []}


def series(count: int, magnitude: float = 14.0) -> list[tuple[float, float, float, str]]:
    return [(MJD + number, magnitude, 0.02, "frame.fits") for number in range(count)]


def measuring(points: Sequence[Any], *files: str) -> Any:
    """Return the work of a pipeline that measures points and makes files."""

    def work(pipeline: Any, folder: Path, flags: Any) -> list[Any]:
        made = [PipelineOutput(written(folder, name), DataProduct, "plot") for name in files]
        return [*made, (None, ReducedDatum, "photometry", list(points))]

    return work


def kept(aws: Aws) -> list[tuple[str, str]]:
    """Return the keys of everything that belongs to reduced data or plots, wherever it is."""
    keys = [(item["pk"]["S"], item["sk"]["S"]) for item in aws.items()]
    return sorted(
        each
        for each in keys
        if each[0].endswith("#DATA") or each[1].startswith(("DATA#", "PLOT#")) or each[1] == "DATA"
    )


def shown(jobs: Jobs) -> list[Any]:
    return list(jobs.api.get(f"/api/reduceddatums/?target={jobs.target}&limit=500").json["results"])


def run_with(jobs: Jobs, outputs: Any) -> dict[str, Any]:
    """Run a pipeline that returns these outputs, and return its process."""
    jobs.work(lambda pipeline, folder, flags: outputs(folder) if callable(outputs) else outputs)
    process = jobs.submit()
    assert jobs.run(process) == NONE_FAILED
    return jobs.get(process)


# What authors may return


def test_points_come_one_by_one_or_many_at_once(jobs: Jobs, clock: Clock) -> None:
    forms: list[list[Any]] = [
        [PipelineOutput(None, ReducedDatum, "photometry", each) for each in series(3)],
        [(None, ReducedDatum, "photometry", each) for each in series(3)],
        [PipelineOutput(None, ReducedDatum, "photometry", series(3))],
        [(None, ReducedDatum, "photometry", tuple(map(list, series(3))))],
        [(None, ReducedDatum, "", (each for each in series(3)))],
        [(None, ReducedDatum, "photometry", series(2)), (None, ReducedDatum, "photometry", series(3)[2])],
        [(None, ReducedDatum, "photometry", series(3)[::-1])],
    ]
    for number, outputs in enumerate(forms):
        clock.advance(1)
        process = run_with(jobs, outputs)
        assert (process["status"], process["group_name"]) == ("created", None)
        new = shown(jobs)[3 * number :]
        assert [each["value"] for each in new] == [{"magnitude": 14.0, "error": 0.02}] * 3
        assert [each["source_name"] for each in new] == [
            f"{process['identifier']}_{mjd}" for mjd in (58_000, 58_001, 58_002)
        ]


def test_numbers_of_numpy_are_numbers_and_what_is_not_finite_among_further_values_is_null(jobs: Jobs) -> None:
    further = {
        "fwhm": np.float32(2.5),
        "stars": np.int64(12),
        "airmass": math.nan,
        "is_clear": np.bool_(True),
        "filter": "rp\udce9",
        "note": None,
        "one": 1.0,
    }
    run_with(jobs, [(None, ReducedDatum, "photometry", (np.float64(MJD), np.float32(14.5), 0, Path("x"), further))])
    (datum,) = shown(jobs)
    assert datum["value"] == {
        "magnitude": 14.5, "error": 0.0, "fwhm": 2.5, "stars": 12, "airmass": None, "is_clear": True,
        "filter": "rp?", "note": None, "one": 1.0,
    }  # fmt: skip


def test_a_point_that_cannot_be_kept_fails_the_run_in_words_and_leaves_nothing(jobs: Jobs, clock: Clock) -> None:
    form = "(MJD, magnitude, error, input file name)"
    no_points = f"Reduced data must be a point {form}, or a sequence of points"
    wrong: list[tuple[Any, str]] = [
        ((MJD, math.nan, 0.1, "a"), "Point 1 has no finite magnitude"),
        ((MJD, 14, math.inf, "a"), "Point 1 has no finite error"),
        ((math.nan, 14, 0.1, "a"), "Point 1 has no finite MJD"),
        ((MJD, True, 0.1, "a"), "Point 1 has no finite magnitude"),
        ((MJD, "14", 0.1, "a"), "Point 1 has no finite magnitude"),
        ((MJD, None, 0.1, "a"), "Point 1 has no finite magnitude"),
        ((MJD, 10**400, 0.1, "a"), "Point 1 has no finite magnitude"),
        ((MJD, np.ma.masked, 0.1, "a"), "Point 1 has no finite magnitude"),
        ((2_458_107.7, 14, 0.1, "a"), "Point 1 has the MJD 2458107.7, which is out of range: is it a Julian date?"),
        ([*series(2), (MJD, math.nan, 0.1, "a")], "Point 3 has no finite magnitude"),
        ([*series(1), 5], f"Point 2 is not of the form {form}"),
        ((MJD, 14, 0.1), f"Point 1 is not of the form {form}"),
        ((MJD, 14, 0.1, 5), f"Point 1 is not of the form {form}"),
        ((MJD, 14, 0.1, "a", {}, 6), f"Point 1 is not of the form {form}"),
        ((MJD, 14, 0.1, "a", [1]), "The further values of point 1 must be a mapping with names"),
        ((MJD, 14, 0.1, "a", {"error": 1}), "A further value of point 1 has the name 'error', which is taken"),
        (
            (MJD, 14, 0.1, "a", {"x": [1]}),
            "The further value 'x' of point 1 must be a number, a text, true, false or null",
        ),
        (
            (MJD, 14, 0.1, "a", {"x": "y" * 1000}),
            "The further values of point 1 take 1009 bytes; at most 1000 can be kept",
        ),
        ("text", no_points),
        ({"mjd": MJD}, no_points),
        (14.5, no_points),
    ]
    for data, message in wrong:

        def outputs(folder: Path, data: Any = data) -> list[Any]:
            return [(written(folder, "a.png"), DataProduct), (None, ReducedDatum, "photometry", data)]

        clock.advance(1)
        process = run_with(jobs, outputs)
        assert (process["status"], process["failure_message"]) == ("failed", message)
    assert (kept(jobs.aws), jobs.outputs(), jobs.aws.keys("processes/")) == ([], [], [])


def test_points_of_another_type_are_refused(jobs: Jobs) -> None:
    process = run_with(jobs, [(None, ReducedDatum, "spectroscopy", series(1))])
    assert process["failure_message"] == "Points of the type 'spectroscopy' cannot be kept; the type is 'photometry'"


def test_ten_thousand_points_are_kept_and_one_more_is_not(jobs: Jobs) -> None:
    assert run_with(jobs, [(None, ReducedDatum, "photometry", series(10_000))])["status"] == "created"
    assert jobs.api.get(f"/api/reduceddatums/?target={jobs.target}&limit=1").json["count"] == 10_000
    assert len(kept(jobs.aws)) == 102  # blocks, the card, the count
    process = run_with(jobs, [(None, ReducedDatum, "photometry", series(10_001))])
    assert process["failure_message"] == "The pipeline measured 10001 points; at most 10000 can be kept"


def test_no_points_at_all_are_no_reduced_data(jobs: Jobs) -> None:
    assert run_with(jobs, [(None, ReducedDatum, "photometry", [])])["status"] == "created"
    assert kept(jobs.aws) == []


def test_the_limit_of_outputs_counts_files_only(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "MAX_OUTPUTS", 2)
    points = [(None, ReducedDatum, "photometry", each) for each in series(200)]
    process = run_with(
        jobs, lambda folder: [*points, *((written(folder, name), DataProduct) for name in ("a.txt", "b.txt"))]
    )
    assert (process["status"], len(jobs.outputs()), len(shown(jobs))) == ("created", 2, 200)
    assert process["group_name"] == f"{process['identifier']}_outputs"
    process = run_with(jobs, lambda folder: [(written(folder, f"{name}.txt"), DataProduct) for name in "abc"])
    assert process["failure_message"] == "The pipeline made 3 outputs; at most 2 can be kept"


def test_the_transaction_that_ends_a_run_has_room_for_all_it_may_make(jobs: Jobs) -> None:
    jobs.work(measuring(series(3), "a.png", "b.png"))
    sizes: list[int] = []

    def count(params: dict[str, Any], **_: Any) -> None:
        if b'"DATA#' in params["body"]:
            sizes.append(len(json.loads(params["body"])["TransactItems"]))

    clients.dynamodb().meta.events.register("before-call.dynamodb.TransactWriteItems", count)
    jobs.run(jobs.submit())
    assert sizes[-1] - 2 + publishing.MAX_OUTPUTS <= 100
    assert len([sk for _, sk in kept(jobs.aws) if sk.startswith("PLOT#")]) == 2


# Texts: the older form, in which a file holds the reduced data


def test_a_file_of_reduced_data_is_kept_as_text_behind_the_points(jobs: Jobs) -> None:
    process = run_with(
        jobs,
        lambda folder: [
            PipelineOutput(path=written(folder, "my_output.csv", "data hère\n"), output_type=ReducedDatum),
            (None, ReducedDatum, "photometry", series(2)),
            (written(folder, "periods.txt", "1.2"), ReducedDatum, "periods"),
        ],
    )
    assert (process["status"], process["group_name"]) == ("created", None)
    results = shown(jobs)
    assert [each["id"] for each in results] == [1, 2, 3, 4]
    assert results[2] == {
        "id": 3,
        "target": jobs.target,
        "data_type": "",
        "source_name": f"{process['identifier']}_my_output.csv",
        "timestamp": process["terminal_timestamp"],
        "value": "data hère\n",
        "data_product": None,
        "process": process["id"],
    }
    assert (results[3]["data_type"], results[3]["value"]) == ("periods", "1.2")
    assert len(jobs.api.get(f"/targets/{jobs.target}/data/download/").text.splitlines()) == 2


def test_a_run_with_texts_only_makes_no_light_curve(jobs: Jobs) -> None:
    run_with(jobs, lambda folder: [(written(folder, "a.txt"), ReducedDatum)])
    assert jobs.api.get(f"/api/target/{jobs.target}/photometry/").json["csv"] is None
    assert len(shown(jobs)) == 1


def test_pages_of_texts_end_early_because_texts_are_long(jobs: Jobs) -> None:
    def work(folder: Path) -> list[Any]:
        texts = [(written(folder, f"{number:02}.txt", f"{number}"), ReducedDatum) for number in range(70)]
        return [(None, ReducedDatum, "photometry", series(2)), *texts]

    run_with(jobs, work)
    url = f"/api/reduceddatums/?target={jobs.target}"
    sizes, ids = [], []
    while url:
        page = jobs.api.get(url).json
        sizes.append(len(page["results"]))
        ids += [each["id"] for each in page["results"]]
        url = page["next"] and page["next"].partition("localhost")[2]
        last = page
    assert (sizes, ids) == ([32, 30, 10], list(range(1, 73)))
    before = jobs.api.get(last["previous"].partition("localhost")[2]).json["results"]
    assert [each["id"] for each in before] == list(range(33, 63))


def test_an_output_that_cannot_be_kept_fails_the_run_in_words(jobs: Jobs) -> None:
    wrong: list[tuple[Any, str]] = [
        (lambda folder: (written(folder, "a.txt", "x" * 100_000), ReducedDatum), "The text 'a.txt' takes 100002 bytes"),
        (lambda folder: (folder / "gone.txt", ReducedDatum), "The output 'gone.txt' is not there"),
        (lambda folder: (folder / "gone.txt", DataProduct), "The output 'gone.txt' is not there"),
        (lambda folder: (None, ReducedDatum), "Reduced data must be a point"),
        (lambda folder: (None, DataProduct), "An output that is a data product needs a file"),
    ]
    for make, message in wrong:
        process = run_with(jobs, lambda folder, make=make: [make(folder)])
        assert process["status"] == "failed"
        assert process["failure_message"].startswith(message)
    assert kept(jobs.aws) == []


def test_reduced_data_that_are_no_text_are_refused_in_words(jobs: Jobs) -> None:
    def work(folder: Path) -> list[Any]:
        (folder / "a.bin").write_bytes(b"\xff\xfe")
        return [(folder / "a.bin", ReducedDatum)]

    message = run_with(jobs, work)["failure_message"]
    assert message == "The reduced data in 'a.bin' are no text in UTF-8; make it a data product"


# Ways to an end


def test_points_are_seen_only_when_the_process_has_ended(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.work(measuring(series(3), "a.png"))
    process = jobs.submit()
    seen: list[Any] = []
    succeed = process_moves.succeed

    def look(*args: Any) -> None:
        seen.append((shown(jobs), jobs.api.get(f"/api/target/{jobs.target}/photometry/").json))
        succeed(*args)

    monkeypatch.setattr(process_moves, "succeed", look)
    jobs.run(process)
    assert seen == [([], {"csv": None, "plot": None})]
    assert len(shown(jobs)) == 3


def test_five_deliveries_of_one_message_keep_the_points_once(jobs: Jobs) -> None:
    jobs.work(measuring(series(3)))
    process = jobs.submit()
    for number in range(1, 6):
        assert jobs.run(process, number) == NONE_FAILED
    assert (jobs.runs, len(shown(jobs)), len(kept(jobs.aws))) == (1, 3, 3)


def die_before_the_end(process: int) -> None:
    """Run a process up to its last write, and be killed before it."""
    client = clients.dynamodb()

    def kill(params: dict[str, Any], **_: Any) -> None:
        if b'"DATA#' in params["body"]:  # the card, which is part of it
            raise SystemExit

    client.meta.events.register("before-call.dynamodb.TransactWriteItems", kill)
    with pytest.raises(SystemExit):
        run_process(process)
    client.meta.events.unregister("before-call.dynamodb.TransactWriteItems", kill)


def test_points_of_a_worker_that_died_are_never_seen_and_give_way_to_those_of_the_next(
    jobs: Jobs, clock: Clock
) -> None:
    jobs.work(measuring(series(250, 10.0), "a.png"))
    process = jobs.submit()
    die_before_the_end(process)
    assert [sk for _, sk in kept(jobs.aws)] == ["000001#000000", "000001#000001", "000001#000002"]
    assert (shown(jobs), jobs.get(process)["status"]) == ([], "pending")
    clock.advance(LEASE_S + 1)
    jobs.work(measuring(series(120, 11.0), "a.png"))
    assert jobs.run(process, 2) == NONE_FAILED
    assert [each["value"]["magnitude"] for each in shown(jobs)] == [11.0] * 120
    ended = processes.get(process).terminal_timestamp
    (plot,) = jobs.outputs()
    assert kept(jobs.aws) == [
        (f"PROCESS#{process}#DATA", "000002#000000"),
        (f"PROCESS#{process}#DATA", "000002#000001"),
        (f"TARGET#{jobs.target}", "DATA"),
        (f"TARGET#{jobs.target}", f"DATA#{ended}#{process:015d}"),
        (f"TARGET#{jobs.target}", f"PLOT#{ended}#{plot['id']:015d}"),
    ]
    jobs.api.delete(f"/api/dataproducts/{plot['id']}/")
    assert not [sk for _, sk in kept(jobs.aws) if sk.startswith("PLOT#")]


def test_files_of_a_dead_worker_go_also_when_the_next_attempt_only_measures(jobs: Jobs, clock: Clock) -> None:
    jobs.work(measuring(series(3), "a.png"))
    process = jobs.submit()
    die_before_the_end(process)
    assert (len(jobs.outputs()), len(jobs.aws.keys("processes/"))) == (1, 1)
    clock.advance(LEASE_S + 1)
    jobs.work(measuring(series(2)))
    jobs.run(process, 2)
    assert (jobs.get(process)["status"], jobs.get(process)["group_name"]) == ("created", None)
    assert (jobs.outputs(), jobs.aws.keys("processes/"), len(shown(jobs))) == ([], [], 2)


def test_points_of_a_dead_worker_go_also_when_the_next_attempt_measures_none(jobs: Jobs, clock: Clock) -> None:
    jobs.work(measuring(series(3)))
    process = jobs.submit()
    die_before_the_end(process)
    clock.advance(LEASE_S + 1)
    jobs.work(lambda pipeline, folder, flags: ())
    jobs.run(process, 2)
    assert (jobs.get(process)["status"], kept(jobs.aws)) == ("created", [])


def interrupt_once(event: str, act: Any, when: Any = lambda params: True) -> None:
    """Let something happen just before a request goes out."""
    done: list[int] = []

    def interrupt(params: dict[str, Any], **_: Any) -> None:
        if not done and when(params):
            done.append(1)
            act()

    clients.dynamodb().meta.events.register(f"before-call.dynamodb.{event}", interrupt)


@pytest.mark.parametrize("moment", ["before the points", "between the blocks", "before the end"])
def test_cancelling_while_points_are_kept_leaves_none(jobs: Jobs, moment: str) -> None:
    jobs.work(measuring(series(1500), "a.png"))
    process = jobs.submit()
    word = {
        "before the points": b'"000001#000000"',
        "between the blocks": b'"000001#000010"',
        "before the end": b'"DATA#',
    }[moment]
    interrupt_once(
        "TransactWriteItems",
        lambda: service.cancel_process(process, "tester"),
        lambda params: word in params["body"],
    )
    assert jobs.run(process) == NONE_FAILED
    assert jobs.get(process)["failure_message"] == "Cancelled by tester"
    assert (kept(jobs.aws), jobs.outputs(), jobs.aws.keys("processes/"), shown(jobs)) == ([], [], [], [])


def test_a_zombie_cannot_add_points_to_those_of_its_successor(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    jobs.work(lambda pipeline, folder, flags: [(None, ReducedDatum, "photometry", series(1500, 10.0 + jobs.runs))])

    def overtake() -> None:
        clock.advance(LEASE_S + 1)
        assert jobs.run(process, 2) == NONE_FAILED

    interrupt_once("TransactWriteItems", overtake, lambda params: b'"000001#000010"' in params["body"])
    assert jobs.run(process) == NONE_FAILED
    assert jobs.runs == 2
    assert {each["value"]["magnitude"] for each in shown(jobs)} == {12.0}
    assert len(kept(jobs.aws)) == 15 + 2
    assert jobs.api.get(f"/api/reduceddatums/?target={jobs.target}").json["count"] == 1500


def test_cancelling_after_a_worker_died_removes_its_points(jobs: Jobs) -> None:
    jobs.work(measuring(series(3)))
    process = jobs.submit()
    die_before_the_end(process)
    assert jobs.api.post(f"/api/pipeline/{process}/cancel/").status == 200
    assert kept(jobs.aws) == []


def test_two_runs_of_a_target_that_end_at_once_are_both_counted(jobs: Jobs, at_once: Any) -> None:
    jobs.work(measuring(series(3)))
    assert at_once(run_process, [jobs.submit() for _ in range(4)]) == [None] * 4
    answer = jobs.api.get(f"/api/reduceddatums/?target={jobs.target}").json
    assert (answer["count"], len(answer["results"]), len({each["id"] for each in answer["results"]})) == (12, 12, 12)


# Deletions


@pytest.mark.parametrize("calls_before", [5, 8, 11, 14])
def test_deleting_a_target_removes_its_reduced_data_even_if_it_was_interrupted(jobs: Jobs, calls_before: int) -> None:
    jobs.work(measuring(series(1200), "a.png"))
    jobs.run(jobs.submit())
    jobs.api.upload(jobs.target, "own.png", b"PNG", data_product_type="plot")
    left = [calls_before]

    def interrupt(**_: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise ConnectionError("gone")

    clients.dynamodb().meta.events.register("before-call.dynamodb", interrupt)
    jobs.api.delete(f"/api/targets/{jobs.target}/")
    clients.dynamodb().meta.events.unregister("before-call.dynamodb", interrupt)
    assert jobs.api.delete(f"/api/targets/{jobs.target}/").status in (204, 404)
    assert kept(jobs.aws) == []


def test_a_run_whose_target_is_deleted_meanwhile_leaves_no_points(jobs: Jobs) -> None:
    jobs.work(measuring(series(1500)))
    process = jobs.submit()
    interrupt_once(
        "TransactWriteItems",
        lambda: jobs.api.delete(f"/api/targets/{jobs.target}/"),
        lambda params: b'"000001#000010"' in params["body"],
    )
    assert jobs.run(process) == NONE_FAILED
    assert kept(jobs.aws) == []


def test_deleting_an_input_keeps_what_was_measured_in_it(jobs: Jobs) -> None:
    run_with(jobs, [(None, ReducedDatum, "photometry", series(1))])
    assert jobs.api.delete(f"/api/dataproducts/{jobs.product}/").status == 204
    (datum,) = shown(jobs)
    assert (datum["data_product"], datum["value"]["magnitude"]) == (jobs.product, 14.0)
