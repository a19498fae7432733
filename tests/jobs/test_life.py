"""The life of a process: submitted, claimed, run, ended; and everything that may go wrong on the way."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import ClaimLostError, ConflictError
from chalicelib.pipelines.base import AsyncError, DataProduct, PipelineOutput
from chalicelib.services import processes as service
from chalicelib.services.runs import run_process
from chalicelib.storage import clients, data_products, groups, process_moves, process_wishes, processes
from tests.conftest import Api, Aws, Clock, sqs_event
from tests.factories_frames import star_pixels, write_frame
from tests.jobs.conftest import FITS, Jobs
from tests.jobs.pipelines_for_tests import Statuses, written

LEASE_S = 60
NONE_FAILED: dict[str, Any] = {"batchItemFailures": []}


def one_output(pipeline: Any, folder: Path, flags: dict[str, bool]) -> list[Any]:
    pipeline.log("Working")
    return [PipelineOutput(written(folder, "out.txt", f"{pipeline.identifier}"), DataProduct, "plot")]


def one_timelapse(pipeline: Any, folder: Path, flags: dict[str, bool]) -> list[Any]:
    return [PipelineOutput(written(folder, "t.gif", "GIF89a"), DataProduct, "timelapse", {"frames": 12})]


def items_of(aws: Aws, prefix: str) -> list[tuple[str, str]]:
    keys = [(item["pk"]["S"], item["sk"]["S"]) for item in aws.items()]
    return sorted(each for each in keys if each[0].startswith(prefix))


def take_over(jobs: Jobs, clock: Clock, process: int) -> Any:
    """Let the lease end and another worker take the process."""
    clock.advance(LEASE_S + 1)
    return process_moves.claim(process, "another worker", clock().timestamp())


# From submission to outputs


def test_a_timelapse_goes_from_frames_to_a_gif_in_the_output_group(
    api: Api, aws: Aws, deliver: Callable[..., Any], tmp_path: Path, clock: Clock
) -> None:
    target = api.target("M 13")
    products = []
    for minute in (2, 1, 3):
        frame = write_frame(tmp_path / f"{minute}.fits", star_pixels(x=minute), f"2026-01-10T02:0{minute}:00")
        products.append(api.upload(target, frame.name, frame.read_bytes()).json["id"])
    process = api.post("/api/pipeline/", {"target": target, "pipeline": "Timelapse", "products": products}).json
    assert process["identifier"] == f"tl_{target}_20260110030405"
    clock.advance(5)
    assert deliver() == [NONE_FAILED]
    answer = api.get(process["logs_url"]).json
    assert (answer["status"], answer["failure_message"]) == ("created", None)
    assert answer["terminal_timestamp"] == clock().timestamp()
    assert answer["group_name"] == f"{process['identifier']}_outputs"
    assert answer["logs"].splitlines() == [
        "Sorting frames",
        "Processing frame 1/3",
        "Processing frame 2/3",
        "Processing frame 3/3",
        "Finished",
    ]
    group = api.get(f"/api/dataproductgroups/{answer['group_url'].strip('/').split('/')[-1]}/").json
    (product,) = (api.get(f"/api/dataproducts/{each}/").json for each in group["products"])
    assert product["name"] == f"{process['identifier']}_t.gif"
    assert product["groups"] == [group["id"]]
    (timelapse,) = api.get(f"/api/target/{target}/").json["timelapses"]
    assert timelapse == {
        "name": product["name"],
        "format": "gif",
        "url": product["url"],
        "created": clock().timestamp(),
        "frames": 3,
    }
    (key,) = aws.keys("processes/")
    assert aws.s3.get_object(Bucket=aws.name("sidereal-artefacts"), Key=key)["Body"].read(6) == b"GIF89a"
    assert api.get(f"/api/pipeline/{process['id']}/").json["progress"] == {"done": 3, "total": 3}
    assert aws.messages() == []


def test_submitting_writes_a_pending_process_and_one_versioned_message(jobs: Jobs) -> None:
    process = jobs.submit()
    assert jobs.get(process)["status"] == "pending"
    (message,) = jobs.aws.messages("sidereal-pipeline")
    assert json.loads(message["Body"]) == {"version": 1, "process_id": process}


def test_a_timelapse_goes_to_its_own_queue_and_other_pipelines_to_theirs(jobs: Jobs) -> None:
    jobs.submit("Timelapse")
    assert (len(jobs.aws.messages("sidereal-timelapse")), len(jobs.aws.messages("sidereal-pipeline"))) == (1, 0)


def test_outputs_may_be_plain_tuples_of_two_to_four_members(jobs: Jobs) -> None:
    process = jobs.submit("Tuples")
    assert jobs.run(process) == NONE_FAILED
    identifier = jobs.get(process)["identifier"]
    assert [(each["name"], each["data_product_type"]) for each in jobs.outputs()] == [
        (f"{identifier}_two.txt", ""),
        (f"{identifier}_three.txt", "plot"),
        (f"{identifier}_four.gif", "timelapse"),
    ]
    assert [each["frames"] for each in jobs.api.get(f"/api/target/{jobs.target}/").json["timelapses"]] == [7]


def test_a_run_without_outputs_is_created_and_has_no_group(jobs: Jobs) -> None:
    process = jobs.submit()
    jobs.run(process)
    answer = jobs.get(process)
    assert (answer["status"], answer["group_name"], answer["group_url"]) == ("created", None, None)


def test_flags_reach_the_pipeline_and_those_not_given_are_false(jobs: Jobs) -> None:
    seen: list[dict[str, bool]] = []
    jobs.work(lambda pipeline, folder, flags: seen.append(flags) or ())  # type: ignore[func-returns-value]
    jobs.run(jobs.submit(flags={"fast": True}))
    assert seen == [{"loud": False, "fast": True}]


def test_a_pipeline_is_given_its_target_and_its_files(jobs: Jobs) -> None:
    seen: list[Any] = []

    def look(pipeline: Any, folder: Path, flags: Any) -> tuple[()]:
        file = pipeline.input_files.all()[0]
        seen.extend([pipeline.target.name, pipeline.target.ra, file.name, Path(file.data.path).read_bytes()])
        return ()

    jobs.work(look)
    jobs.run(jobs.submit())
    assert seen == ["M 13", 250.42, "frame.fits", FITS]


def test_a_wrong_suffix_fails_the_run_with_the_documented_message(jobs: Jobs) -> None:
    notes = jobs.api.upload(jobs.target, "notes.txt", b"text").json["id"]
    process = jobs.submit("Picky", products=[jobs.product, notes])
    jobs.run(process)
    message = "Error running pipeline File 'notes.txt' does not end an allowed filename suffix (.fits, .fz)"
    assert jobs.get(process)["failure_message"] == message


def test_a_run_without_inputs_fails_with_the_documented_message(jobs: Jobs) -> None:
    process = jobs.submit(products=[])
    jobs.run(process)
    assert jobs.get(process)["failure_message"] == "No input files to process"


def test_a_group_names_the_inputs(jobs: Jobs) -> None:
    group = jobs.api.post("/api/dataproductgroups/", {"name": "Good"}).json["id"]
    jobs.api.patch(f"/api/dataproductgroups/{group}/", {"add": [jobs.product]})
    seen: list[str] = []
    jobs.work(lambda pipeline, folder, flags: seen.extend(file.name for file in pipeline.input_files) or ())  # type: ignore[func-returns-value]
    jobs.run(jobs.submit(group=group))
    assert seen == ["frame.fits"]


def test_status_words_of_a_pipeline_are_seen_while_it_runs(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    process = jobs.submit("Statuses")
    seen: list[tuple[str, str]] = []

    def look() -> None:
        listed = jobs.api.get(f"/api/async/status/{jobs.target}/").json["processes"]
        seen.append((jobs.get(process)["status"], listed[0]["status"]))

    monkeypatch.setattr(Statuses, "seen", staticmethod(look), raising=False)
    jobs.run(process)
    assert seen == [("Gathering data files",) * 2, ("Analysing input data files",) * 2]
    assert jobs.get(process)["status"] == "created"


@pytest.mark.parametrize("word", ["created", "failed"])
def test_a_pipeline_cannot_set_a_status_that_means_the_end(jobs: Jobs, word: str) -> None:
    jobs.work(lambda pipeline, folder, flags: pipeline.update_status(word) or ())
    process = jobs.submit()
    jobs.run(process)
    answer = jobs.get(process)
    assert answer["status"] == "failed"
    assert word in answer["failure_message"]


def test_outputs_appear_in_group_and_timelapses_only_with_created(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    process = jobs.submit()
    jobs.work(one_timelapse)
    seen: list[Any] = []
    publish = data_products.publish_output

    def look(*args: Any, **kwargs: Any) -> None:
        publish(*args, **kwargs)
        seen.append(jobs.api.get(f"/api/target/{jobs.target}/").json["timelapses"])
        seen.append((jobs.get(process)["status"], jobs.get(process)["group_name"]))
        seen.append(jobs.api.get("/api/dataproductgroups/").json["results"])

    monkeypatch.setattr(data_products, "publish_output", look)
    jobs.run(process)
    assert seen == [[], ("pending", None), []]
    assert len(jobs.api.get(f"/api/target/{jobs.target}/").json["timelapses"]) == 1
    assert len(jobs.api.get("/api/dataproductgroups/").json["results"]) == 1


def test_two_runs_of_one_target_in_one_second_get_different_identifiers(jobs: Jobs) -> None:
    names = [jobs.get(jobs.submit())["identifier"] for _ in range(3)]
    assert names == [f"sc_{jobs.target}_20260110030405{suffix}" for suffix in ("", "_2", "_3")]


def test_outputs_of_one_name_fail_the_run_instead_of_losing_one(jobs: Jobs) -> None:
    def twins(pipeline: Any, folder: Path, flags: Any) -> list[Any]:
        for name in ("a", "b"):
            (folder / name).mkdir()
        return [(written(folder / name, "plot.png", name), DataProduct) for name in ("a", "b")]

    jobs.work(twins)
    process = jobs.submit()
    jobs.run(process)
    assert jobs.get(process)["status"] == "failed"
    assert "plot.png" in jobs.get(process)["failure_message"]
    assert jobs.outputs() == []


def test_an_output_of_another_kind_fails_the_run_and_leaves_nothing(jobs: Jobs) -> None:
    jobs.work(lambda pipeline, folder, flags: [(written(folder, "a.txt"),), (written(folder, "b.txt"), str)])
    process = jobs.submit()
    jobs.run(process)
    assert jobs.get(process)["failure_message"] == "A pipeline's outputs must be data products or reduced data"
    assert (jobs.outputs(), jobs.aws.keys("processes/")) == ([], [])


# Deliveries


def test_five_deliveries_of_one_message_make_one_run_and_one_output(jobs: Jobs) -> None:
    jobs.work(one_output)
    process = jobs.submit()
    answers = [jobs.run(process, number) for number in range(1, 6)]
    assert answers == [NONE_FAILED] * 5
    assert (jobs.runs, len(jobs.outputs()), len(jobs.aws.keys("processes/"))) == (1, 1, 1)
    assert jobs.log(process) == "Working\n"


def test_five_deliveries_at_once_make_one_run_and_one_output(jobs: Jobs) -> None:
    jobs.work(one_output)
    process = jobs.submit()
    threads = [threading.Thread(target=run_process, args=(process,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (jobs.runs, len(jobs.outputs()), len(jobs.aws.keys("processes/"))) == (1, 1, 1)


def test_a_second_delivery_while_the_first_runs_does_nothing(jobs: Jobs) -> None:
    process = jobs.submit()
    answers: list[Any] = []
    jobs.work(lambda pipeline, folder, flags: answers.append(jobs.run(process)) or ())  # type: ignore[func-returns-value]
    jobs.run(process)
    assert (answers, jobs.runs) == ([NONE_FAILED], 1)


def test_a_message_for_an_unknown_process_is_taken_and_changes_nothing(jobs: Jobs) -> None:
    before = jobs.aws.items()
    assert jobs.run(999) == NONE_FAILED
    assert jobs.aws.items() == before


# Workers that die


def test_a_dead_worker_is_replaced_with_one_output_and_a_log_that_says_so(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    jobs.work(one_output)
    dead = process_moves.claim(process, "dead worker", clock().timestamp())
    process_moves.report(process, "dead worker", clock().timestamp(), done=1, total=3, log=(dead.attempt, 0, "Began\n"))
    jobs.run(process, 2)
    assert jobs.runs == 0  # its lease still lasts
    clock.advance(LEASE_S + 1)
    assert jobs.run(process, 3) == NONE_FAILED
    assert jobs.log(process).splitlines() == [
        "Began",
        "Attempt 2: the worker of attempt 1 died; starting from the beginning",
        "Working",
    ]
    assert (jobs.runs, len(jobs.outputs()), len(jobs.aws.keys("processes/"))) == (1, 1, 1)


def test_a_worker_that_died_after_its_first_output_leaves_no_second_one(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    jobs.work(one_output)
    die_before_the_end(jobs, process)
    assert len(jobs.aws.keys("processes/")) == 1
    clock.advance(LEASE_S + 1)
    jobs.run(process, 2)
    (output,) = jobs.outputs()
    (key,) = jobs.aws.keys("processes/")
    assert f"processes/{process}/2/" in key
    assert jobs.api.get(output["url"]).status == 302
    (group,) = jobs.api.get("/api/dataproductgroups/").json["results"]
    assert jobs.api.get(f"/api/dataproductgroups/{group['id']}/").json["products"] == [output["id"]]


def test_what_only_the_dead_worker_had_made_is_removed_by_the_next(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    jobs.work(lambda pipeline, folder, flags: [(written(folder, name), DataProduct) for name in ("a.txt", "b.txt")])
    die_before_the_end(jobs, process)
    clock.advance(LEASE_S + 1)
    jobs.work(lambda pipeline, folder, flags: [(written(folder, "a.txt"), DataProduct)])
    jobs.run(process, 2)
    (output,) = jobs.outputs()
    assert output["name"].endswith("_a.txt")
    assert [pk for pk, _ in items_of(jobs.aws, "FILE#") if "sc_" in pk] == [f"FILE#M 13/{output['name']}"]
    assert [sk for _, sk in items_of(jobs.aws, "GROUP#")] == ["GROUP", f"MEMBER#{output['id']:015d}"]


def die_before_the_end(jobs: Jobs, process: int) -> None:
    """Run a process up to its outputs, and be killed before its last write."""
    client = clients.dynamodb()

    def kill(params: dict[str, Any], **_: Any) -> None:
        if '"terminal_timestamp"' in str(params["body"]) and b"created" in params["body"]:
            raise SystemExit

    client.meta.events.register("before-call.dynamodb.TransactWriteItems", kill)
    with pytest.raises(SystemExit):
        run_process(process)
    client.meta.events.unregister("before-call.dynamodb.TransactWriteItems", kill)


def test_a_process_whose_workers_died_three_times_fails(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    for number in range(3):
        process_moves.claim(process, f"worker {number}", clock().timestamp())
        clock.advance(LEASE_S + 1)
    assert jobs.run(process) == NONE_FAILED
    answer = jobs.get(process)
    assert (answer["status"], answer["failure_message"]) == ("failed", "An unexpected error occurred")
    assert jobs.runs == 0


@pytest.mark.parametrize("way", ["log", "progress", "status", "outputs", "failure", "bug", "nothing"])
def test_a_zombie_worker_can_change_nothing_and_leaves_nothing(jobs: Jobs, clock: Clock, way: str) -> None:
    process = jobs.submit()

    def lose(pipeline: Any, folder: Path, flags: Any) -> Any:
        take_over(jobs, clock, process)
        if way == "log":
            pipeline.log("A zombie speaks")
            pipeline._reporter.flush()
        elif way == "progress":
            pipeline.progress(5, 5)
            pipeline._reporter.flush()
        elif way == "status":
            pipeline.update_status("Zombie")
        elif way == "outputs":
            return one_timelapse(pipeline, folder, flags)
        elif way == "failure":
            raise AsyncError("A zombie fails")
        elif way == "bug":
            raise KeyError("A zombie falls")
        return ()

    jobs.work(lose)
    before = before_and_after(jobs, process)
    jobs.run(process)
    after = before_and_after(jobs, process)
    assert after == before
    assert "ombie" not in str(jobs.aws.items())
    # and the living worker ends it as if nothing had been
    current = processes.get(process)
    process_moves.succeed(current, "another worker", "2026-01-10T03:10:00.000000Z", None, [])
    assert jobs.get(process)["status"] == "created"


def before_and_after(jobs: Jobs, process: int) -> Any:
    answer = jobs.get(process)
    return answer["status"], answer["progress"], jobs.log(process), jobs.outputs(), jobs.aws.keys("processes/")


def test_a_zombie_that_had_uploaded_cannot_replace_the_outputs_of_its_successor(jobs: Jobs, clock: Clock) -> None:
    """The worst moment: after the ids of the outputs were fixed, before the first of them is kept."""
    process = jobs.submit()
    jobs.work(lambda pipeline, folder, flags: [(written(folder, "out.txt", f"run {jobs.runs}"), DataProduct)])
    client = clients.s3()
    took_over: list[Any] = []

    def overtake(**_: Any) -> None:
        if not took_over:
            took_over.append(1)
            clock.advance(LEASE_S + 1)
            assert jobs.run(process, 2) == NONE_FAILED

    client.meta.events.register("before-call.s3.PutObject", overtake)
    assert jobs.run(process) == NONE_FAILED
    assert took_over
    (output,) = jobs.outputs()
    (key,) = jobs.aws.keys("processes/")
    assert key.startswith(f"processes/{process}/2/")
    assert data_products.get(output["id"]).key == key
    body = jobs.aws.s3.get_object(Bucket=jobs.aws.name("sidereal-artefacts"), Key=key)["Body"].read()
    assert body == b"run 2"


def test_a_worker_whose_process_was_cancelled_and_retried_has_lost_its_claim(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    claimed = process_moves.claim(process, "first", clock().timestamp())
    assert jobs.api.post(f"/api/pipeline/{process}/cancel/").status == 200
    clock.advance(1)
    assert jobs.api.post(f"/api/pipeline/{process}/retry/").status == 202
    with pytest.raises(ClaimLostError):
        process_moves.report(process, "first", clock().timestamp(), done=1, total=1)
    with pytest.raises(ClaimLostError):
        process_moves.set_status(claimed, "first", "Going on")
    jobs.work(one_output)
    assert jobs.run(process) == NONE_FAILED
    assert jobs.get(process)["status"] == "created"


# Failures


def test_a_known_error_fails_the_process_with_its_message_and_is_not_tried_again(jobs: Jobs) -> None:
    process = jobs.submit("Failing")
    assert jobs.run(process) == NONE_FAILED
    answer = jobs.get(process)
    assert (answer["status"], answer["failure_message"]) == (
        "failed",
        "All Stars Removed. Try removing problematic files",
    )
    assert answer["terminal_timestamp"] is not None
    assert jobs.log(process) == "Looking for stars\n"


def test_a_failure_message_is_cut_to_255_characters(jobs: Jobs) -> None:
    process = jobs.submit("LongFailing")
    jobs.run(process)
    assert jobs.get(process)["failure_message"] == "é" * 255


def test_an_unknown_error_goes_back_to_the_queue_twice_and_then_to_the_dead_letters(
    jobs: Jobs, deliver: Callable[..., Any]
) -> None:
    process = jobs.submit("Broken")
    delays: list[int] = []

    def at_once(params: dict[str, Any], **_: Any) -> None:
        delays.append(params["VisibilityTimeout"])
        params["VisibilityTimeout"] = 0

    clients.sqs().meta.events.register("provide-client-params.sqs.ChangeMessageVisibility", at_once)
    for _ in range(3):
        (answer,) = deliver("pipeline")
        assert len(answer["batchItemFailures"]) == 1
        assert jobs.get(process)["status"] == "pending"
    assert delays == [10, 10, 0]  # seconds, instead of the queue's own sixteen minutes
    assert deliver("pipeline") == []  # asking once more is what moves it
    assert deliver("dead-letters") == [NONE_FAILED]
    answer = jobs.get(process)
    assert (answer["status"], answer["failure_message"]) == ("failed", "An unexpected error occurred")
    log = jobs.log(process)
    assert log.count("Before the bug") == 3
    assert [line for line in log.splitlines() if "unexpectedly" in line] == [
        f"Attempt {number} failed unexpectedly" for number in (1, 2, 3)
    ]
    assert "died" not in log
    texts = [jobs.api.get(f"/api/async/status/{jobs.target}/").text, json.dumps(answer), log]
    assert not re.search("s3cret|KeyError|Traceback", " ".join(texts))


def test_a_process_given_back_is_claimed_at_once_without_waiting_for_its_lease(jobs: Jobs) -> None:
    process = jobs.submit()

    def once_broken(pipeline: Any, folder: Path, flags: Any) -> Any:
        if jobs.runs == 1:
            raise OSError("disk")
        return one_output(pipeline, folder, flags)

    jobs.work(once_broken)
    assert len(jobs.run(process)["batchItemFailures"]) == 1
    assert jobs.run(process, 2) == NONE_FAILED
    assert jobs.get(process)["status"] == "created"
    assert jobs.log(process).splitlines() == [
        "Attempt 1 failed unexpectedly",
        "Attempt 2: starting from the beginning",
        "Working",
    ]


def test_a_dead_letter_of_a_process_that_ended_changes_nothing(jobs: Jobs) -> None:
    process = jobs.submit()
    jobs.run(process)
    event = sqs_event({"process_id": process}, queue="sidereal-dead-letters")
    assert jobs.api.invoke("run_dead_letters", event) == NONE_FAILED
    assert jobs.get(process)["status"] == "created"


def test_a_dead_letter_of_a_process_that_is_being_run_leaves_it_to_its_worker(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    process_moves.claim(process, "living", clock().timestamp())
    event = sqs_event({"process_id": process}, queue="sidereal-dead-letters")
    assert jobs.api.invoke("run_dead_letters", event) == NONE_FAILED
    assert jobs.get(process)["status"] == "pending"


def test_a_process_whose_pipeline_is_gone_fails_and_says_so(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.pipelines.registry import all_pipelines
    from chalicelib.settings import get_settings

    process = jobs.submit()
    monkeypatch.delenv("PIPELINES")
    get_settings.cache_clear()
    all_pipelines.cache_clear()
    assert jobs.run(process) == NONE_FAILED
    assert jobs.get(process)["failure_message"] == "Invalid pipeline name 'Scripted'"


def refuse_to_send(client: Any) -> Callable[..., None]:
    """Let SQS refuse every message."""
    from botocore.exceptions import EndpointConnectionError

    def refuse(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://sqs")

    client.meta.events.register("before-call.sqs.SendMessage", refuse)
    return refuse


def test_a_failed_send_fails_the_process_and_answers_503(jobs: Jobs) -> None:
    refuse_to_send(clients.sqs())
    answer = jobs.start()
    assert (answer.status, answer.json) == (503, {"detail": "Failed to submit job"})
    assert "retry-after" in answer.headers
    (process,) = jobs.api.get(f"/api/async/status/{jobs.target}/").json["processes"]
    assert (process["status"], process["failure_message"]) == ("failed", "Failed to submit job")
    assert process["terminal_timestamp"] is not None


def test_a_process_that_could_not_be_sent_can_be_retried(jobs: Jobs) -> None:
    refuse = refuse_to_send(clients.sqs())
    jobs.start()
    clients.sqs().meta.events.unregister("before-call.sqs.SendMessage", refuse)
    process = processes.ids_of_target(jobs.target)[0]
    assert jobs.api.post(f"/api/pipeline/{process}/retry/").status == 202
    jobs.run(process)
    assert jobs.get(process)["status"] == "created"


# Inputs that went away


def test_inputs_deleted_meanwhile_are_left_out_and_named_in_the_log(jobs: Jobs) -> None:
    second = jobs.api.upload(jobs.target, "second.fits", FITS).json["id"]
    process = jobs.submit(products=[jobs.product, second])
    jobs.api.delete(f"/api/dataproducts/{jobs.product}/")
    seen: list[str] = []
    jobs.work(lambda pipeline, folder, flags: seen.extend(file.name for file in pipeline.input_files) or ())  # type: ignore[func-returns-value]
    jobs.run(process)
    assert (jobs.get(process)["status"], seen) == ("created", ["second.fits"])
    assert f"Data product {jobs.product} is no longer there" in jobs.log(process)


def test_a_process_whose_inputs_are_all_gone_fails(jobs: Jobs) -> None:
    process = jobs.submit()
    jobs.api.delete(f"/api/dataproducts/{jobs.product}/")
    assert jobs.run(process) == NONE_FAILED
    assert jobs.get(process)["failure_message"] == "No input files to process"


def test_a_file_that_vanishes_during_the_run_is_a_known_failure(jobs: Jobs) -> None:
    process = jobs.submit()

    def late(pipeline: Any, folder: Path, flags: Any) -> Any:
        jobs.aws.s3.delete_object(Bucket=jobs.aws.name("sidereal-artefacts"), Key=data_products.get(jobs.product).key)
        return [pipeline.input_files[0].path][:0]

    jobs.work(late)
    assert jobs.run(process) == NONE_FAILED
    assert jobs.get(process)["failure_message"] == "Input file 'frame.fits' is no longer there"


# Cancel and retry


def test_a_pending_process_is_cancelled_at_once_and_never_run(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    answer = jobs.api.post(f"/api/pipeline/{process}/cancel/")
    assert (answer.status, answer.json["status"]) == (200, "failed")
    assert answer.json["failure_message"] == "Cancelled by tester"
    assert answer.json["terminal_timestamp"] == clock().timestamp()
    assert jobs.run(process) == NONE_FAILED
    assert (jobs.runs, jobs.log(process)) == (0, "Cancelled by tester\n")


def test_a_running_process_stops_at_its_next_step_and_leaves_no_output(jobs: Jobs) -> None:
    process = jobs.submit()
    steps: list[int] = []

    def work(pipeline: Any, folder: Path, flags: Any) -> Any:
        pipeline.progress(1, 3)
        jobs.api.post(f"/api/pipeline/{process}/cancel/")
        pipeline._reporter._sent_at = 0.0  # as if half a second had passed
        steps.append(1)
        pipeline.progress(2, 3)
        steps.append(2)
        return one_output(pipeline, folder, flags)

    jobs.work(work)
    assert jobs.run(process) == NONE_FAILED
    assert steps == [1]
    assert jobs.get(process)["failure_message"] == "Cancelled by tester"
    assert (jobs.outputs(), jobs.aws.keys("processes/")) == ([], [])


def test_cancelling_between_the_outputs_and_the_end_leaves_no_output(jobs: Jobs) -> None:
    process = jobs.submit()
    jobs.work(one_timelapse)
    client = clients.dynamodb()
    cancelled: list[int] = []

    def cancel(params: dict[str, Any], **_: Any) -> None:
        if b'"created"}' in params["body"].replace(b" ", b"") and not cancelled:
            cancelled.append(1)
            service.cancel_process(process, "tester")

    client.meta.events.register("before-call.dynamodb.TransactWriteItems", cancel)
    assert jobs.run(process) == NONE_FAILED
    assert cancelled
    assert jobs.get(process)["failure_message"] == "Cancelled by tester"
    assert (jobs.outputs(), jobs.aws.keys("processes/"), items_of(jobs.aws, "GROUP#")) == ([], [], [])
    assert jobs.api.get(f"/api/target/{jobs.target}/").json["timelapses"] == []


def test_cancelling_after_a_worker_died_removes_what_it_had_made(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    jobs.work(one_output)
    die_before_the_end(jobs, process)
    assert jobs.api.post(f"/api/pipeline/{process}/cancel/").status == 200
    assert (jobs.outputs(), jobs.aws.keys("processes/")) == ([], [])


def test_an_ended_process_cannot_be_cancelled(jobs: Jobs) -> None:
    process = jobs.submit()
    jobs.run(process)
    answer = jobs.api.post(f"/api/pipeline/{process}/cancel/")
    assert (answer.status, answer.json) == (409, {"detail": "The process has ended already."})
    assert jobs.get(process)["status"] == "created"


def test_a_failed_process_is_retried_under_its_record_with_its_log_kept(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit("Scripted")

    def first_fails(pipeline: Any, folder: Path, flags: Any) -> Any:
        pipeline.log(f"Run {jobs.runs}")
        if jobs.runs == 1:
            raise AsyncError("Clouds")
        return one_output(pipeline, folder, flags)

    jobs.work(first_fails)
    jobs.run(process)
    before = jobs.get(process)
    clock.advance(10)
    answer = jobs.api.post(f"/api/pipeline/{process}/retry/")
    assert (answer.status, answer.headers["location"]) == (202, f"/api/pipeline/{process}/")
    assert {**answer.json} == {**before, "status": "pending", "failure_message": None, "terminal_timestamp": None}
    listed = jobs.api.get(f"/api/async/status/{jobs.target}/").json["processes"][0]
    assert (listed["status"], listed["failure_message"], listed["terminal_timestamp"]) == ("pending", None, None)
    jobs.run(process)
    assert jobs.get(process)["status"] == "created"
    assert jobs.log(process).splitlines() == [
        "Run 1",
        "Retried by tester",
        "Attempt 2: starting from the beginning",
        "Run 2",
        "Working",
    ]


def test_cancelled_and_retried_in_one_millisecond_both_are_in_the_log(jobs: Jobs) -> None:
    process = jobs.submit()
    jobs.api.post(f"/api/pipeline/{process}/cancel/")
    jobs.api.post(f"/api/pipeline/{process}/retry/")
    assert jobs.log(process) == "Cancelled by tester\nRetried by tester\n"


@pytest.mark.parametrize("is_run", [False, True])
def test_only_a_failed_process_can_be_retried(jobs: Jobs, is_run: bool) -> None:
    process = jobs.submit()
    if is_run:
        jobs.run(process)
    answer = jobs.api.post(f"/api/pipeline/{process}/retry/")
    assert (answer.status, answer.json) == (409, {"detail": "Only a failed process can be retried."})


def test_a_retried_process_may_be_tried_as_often_as_a_new_one(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    for number in range(3):
        process_moves.claim(process, f"worker {number}", clock().timestamp())
        clock.advance(LEASE_S + 1)
    jobs.run(process)
    jobs.api.post(f"/api/pipeline/{process}/retry/")
    jobs.run(process)
    assert jobs.get(process)["status"] == "created"


# Log and progress


def test_log_lines_and_progress_are_seen_while_the_run_lasts_and_in_order(jobs: Jobs) -> None:
    process = jobs.submit()
    seen: list[Any] = []

    def work(pipeline: Any, folder: Path, flags: Any) -> Any:
        for number in range(1, 4):
            pipeline.log(f"Step {number}")
            pipeline.progress(number, 3)
            pipeline._reporter.flush()
            seen.append((jobs.log(process), jobs.get(process)["progress"], jobs.get(process)["status"]))
        return ()

    jobs.work(work)
    jobs.run(process)
    assert seen == [
        ("Step 1\n", {"done": 1, "total": 3}, "pending"),
        ("Step 1\nStep 2\n", {"done": 2, "total": 3}, "pending"),
        ("Step 1\nStep 2\nStep 3\n", {"done": 3, "total": 3}, "pending"),
    ]


def test_the_lease_is_kept_and_lines_are_sent_while_the_pipeline_is_busy_elsewhere(jobs: Jobs) -> None:
    """The one test here that waits: a second at most, for the thread behind the reporter."""
    process = jobs.submit()
    seen = threading.Event()

    def work(pipeline: Any, folder: Path, flags: Any) -> Any:
        pipeline.log("First")  # sent at once
        pipeline.log("Second")  # waits for the thread
        for _ in range(60):
            if "Second" in jobs.log(process):
                seen.set()
                break
            threading.Event().wait(0.05)
        return ()

    jobs.work(work)
    jobs.run(process)
    assert seen.is_set()


def test_many_lines_come_out_in_order(jobs: Jobs) -> None:
    process = jobs.submit()
    lines = [f"Line {number}" for number in range(1500)]

    def work(pipeline: Any, folder: Path, flags: Any) -> Any:
        for number, line in enumerate(lines):
            pipeline.log(line)
            if number % 100 == 0:
                pipeline._reporter.flush()
        return ()

    jobs.work(work)
    jobs.run(process)
    assert jobs.log(process).splitlines() == lines


def test_the_last_lines_before_an_unknown_error_are_kept(jobs: Jobs) -> None:
    process = jobs.submit()

    def work(pipeline: Any, folder: Path, flags: Any) -> Any:
        pipeline.log("First")
        pipeline.log("Last words")
        raise KeyError

    jobs.work(work)
    jobs.run(process)
    assert jobs.log(process).splitlines() == ["First", "Last words", "Attempt 1 failed unexpectedly"]


def test_one_line_larger_than_an_item_is_kept_whole(jobs: Jobs) -> None:
    process = jobs.submit()
    text = "".join(f"{number:08d}é" for number in range(60_000))  # 600 kB
    jobs.work(lambda pipeline, folder, flags: pipeline.log(text) or ())
    jobs.run(process)
    assert jobs.get(process)["status"] == "created"
    assert jobs.log(process) == text + "\n"


def test_a_log_that_grows_too_long_is_cut_with_a_word_about_it(jobs: Jobs) -> None:
    process = jobs.submit()

    def work(pipeline: Any, folder: Path, flags: Any) -> Any:
        for _ in range(15):
            pipeline.log("x" * 99_999)
        return ()

    jobs.work(work)
    jobs.run(process)
    log = jobs.log(process)
    assert log.count("x" * 99_999) == 10
    assert log.endswith("The log is too long; the rest is left out.\n")
    assert log.count("left out") == 1


def test_a_log_line_that_is_no_unicode_is_kept_readable(jobs: Jobs) -> None:
    process = jobs.submit()
    jobs.work(lambda pipeline, folder, flags: pipeline.log("caf\udce9.fits") or ())
    assert jobs.run(process) == NONE_FAILED
    assert jobs.log(process) == "caf?.fits\n"


# The sweeper


def sweep(jobs: Jobs) -> int:
    answer = jobs.api.invoke("sweep", {"version": "0", "id": "1", "source": "aws.events", "account": "1",
        "detail-type": "Scheduled Event", "time": "2026-01-10T03:04:05Z", "region": "us-east-1", "resources": [],
        "detail": {}})  # fmt: skip
    return int(answer["resent"])


def test_a_forgotten_process_is_sent_again_once(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    clock.advance(899)
    assert sweep(jobs) == 0
    clock.advance(2)
    assert (sweep(jobs), sweep(jobs)) == (1, 0)
    messages = jobs.aws.messages("sidereal-pipeline")
    assert [json.loads(each["Body"])["process_id"] for each in messages] == [process] * 2


def test_a_process_whose_worker_died_is_sent_again_once(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    process_moves.claim(process, "dead", clock().timestamp())
    clock.advance(LEASE_S - 1)
    assert sweep(jobs) == 0
    clock.advance(2)
    assert (sweep(jobs), sweep(jobs)) == (1, 0)


def test_a_process_with_a_living_worker_is_not_sent_again(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    process_moves.claim(process, "living", clock().timestamp())
    clock.advance(2000)
    process_moves.report(process, "living", clock().timestamp(), done=1, total=2)
    assert sweep(jobs) == 0


@pytest.mark.parametrize("way", ["created", "failed", "cancelled"])
def test_an_ended_process_is_not_sent_again(jobs: Jobs, clock: Clock, way: str) -> None:
    process = jobs.submit("Failing" if way == "failed" else "Scripted")
    if way == "cancelled":
        jobs.api.post(f"/api/pipeline/{process}/cancel/")
    else:
        jobs.run(process)
    clock.advance(10_000)
    assert sweep(jobs) == 0


def test_two_sweepers_at_once_send_one_message(jobs: Jobs, clock: Clock) -> None:
    jobs.submit()
    jobs.aws.messages("sidereal-pipeline")
    clock.advance(1000)
    sent: list[int] = []
    threads = [threading.Thread(target=lambda: sent.append(service.resend_stuck_processes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sent) == 1
    assert len(jobs.aws.messages("sidereal-pipeline")) == 1


def test_a_sweeper_goes_on_past_a_process_that_it_could_not_send(jobs: Jobs, clock: Clock) -> None:
    for _ in range(3):
        jobs.submit()
    clock.advance(1000)
    from botocore.exceptions import EndpointConnectionError

    calls: list[int] = []

    def refuse_first(**_: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise EndpointConnectionError(endpoint_url="https://sqs")

    clients.sqs().meta.events.register("before-call.sqs.SendMessage", refuse_first)
    assert sweep(jobs) == 2
    clock.advance(1000)
    assert sweep(jobs) == 3


# Deletions


def test_deleting_a_timelapse_product_removes_its_entry_of_the_target(jobs: Jobs) -> None:
    jobs.work(one_timelapse)
    process = jobs.submit()
    jobs.run(process)
    (output,) = jobs.outputs()
    assert jobs.api.delete(f"/api/dataproducts/{output['id']}/").status == 204
    assert jobs.api.get(f"/api/target/{jobs.target}/").json["timelapses"] == []
    group = jobs.get(process)["group_url"].strip("/").split("/")[-1]
    assert jobs.api.get(f"/api/dataproductgroups/{group}/").json["products"] == []
    assert jobs.api.get(output["url"]).status == 404
    assert jobs.aws.keys("processes/") == []


def fill_target(jobs: Jobs) -> None:
    """Give the target one of everything that can hang on it."""
    for index in range(3):
        jobs.api.upload(jobs.target, f"more {index}.fits", FITS)
    group = jobs.api.post("/api/dataproductgroups/", {"name": "Good"}).json["id"]
    jobs.api.patch(f"/api/dataproductgroups/{group}/", {"add": [jobs.product]})
    jobs.work(one_timelapse)
    jobs.run(jobs.submit())
    jobs.run(jobs.submit("Failing"))
    jobs.submit()


def left_of_target(jobs: Jobs) -> list[Any]:
    """Return the records that are left, but for those of groups, and the files."""
    kept = re.compile(r"(GROUP#\d+)$")
    return [key for key in items_of(jobs.aws, "") if not kept.match(key[0]) or key[1] != "GROUP"] + jobs.aws.keys()


def test_deleting_a_target_removes_all_that_belongs_to_it(jobs: Jobs) -> None:
    fill_target(jobs)
    assert jobs.api.delete(f"/api/targets/{jobs.target}/").status == 204
    assert left_of_target(jobs) == []
    assert jobs.api.get(f"/api/targets/{jobs.target}/").status == 404
    assert jobs.api.get("/api/targets/").json["count"] == 0


@pytest.mark.parametrize("calls_before", range(0, 16, 3))
def test_an_interrupted_deletion_of_a_target_can_be_repeated(jobs: Jobs, calls_before: int) -> None:
    fill_target(jobs)
    left = [calls_before]

    def interrupt(**_: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise ConnectionError("gone")

    for client, event in ((clients.dynamodb(), "before-call.dynamodb"), (clients.s3(), "before-call.s3")):
        client.meta.events.register(event, interrupt)
    assert jobs.api.delete(f"/api/targets/{jobs.target}/").status == 500
    for client, event in ((clients.dynamodb(), "before-call.dynamodb"), (clients.s3(), "before-call.s3")):
        client.meta.events.unregister(event, interrupt)
    assert jobs.api.delete(f"/api/targets/{jobs.target}/").status == 204
    assert left_of_target(jobs) == []


def test_nothing_new_is_added_to_a_target_that_is_being_deleted(jobs: Jobs) -> None:
    from chalicelib.storage import targets

    targets.mark_going(jobs.target)
    assert jobs.start().json == {"target": [f'Invalid pk "{jobs.target}" - object does not exist.']}
    assert jobs.api.upload(jobs.target, "late.fits", FITS).status == 400
    assert "late" not in str(jobs.aws.keys())
    assert jobs.api.patch(f"/api/targets/{jobs.target}/", {"name": "New"}).status == 404


@pytest.mark.parametrize("way", ["outputs", "bug", "failure"])
def test_a_run_whose_target_is_deleted_meanwhile_leaves_nothing(jobs: Jobs, way: str) -> None:
    process = jobs.submit()

    def work(pipeline: Any, folder: Path, flags: Any) -> Any:
        assert jobs.api.delete(f"/api/targets/{jobs.target}/").status == 204
        if way == "bug":
            raise KeyError("bug")
        if way == "failure":
            raise AsyncError("failure")
        return one_timelapse(pipeline, folder, flags)

    jobs.work(work)
    jobs.run(process)
    assert left_of_target(jobs) == []
    assert groups.read_page(10, None)[0] == []


def test_only_a_process_that_has_ended_as_failed_is_restarted(jobs: Jobs, clock: Clock) -> None:
    process = jobs.submit()
    with pytest.raises(ConflictError):
        process_wishes.restart(processes.get(process), clock().timestamp(), "Retried")
