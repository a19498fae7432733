"""Runs that hand over before their function's time is up, and everything that may go wrong between two of them."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import ClaimLostError
from chalicelib.pipelines.base import AsyncError
from chalicelib.services import handover
from chalicelib.services.processes import resend_stuck_processes
from chalicelib.services.runs import run_process
from chalicelib.storage import checkpoints, clients, process_moves, processes
from tests.conftest import Aws, Clock
from tests.jobs.conftest import Jobs
from tests.jobs.pipelines_for_tests import Stepwise, written

LEASE_S = 60
PLENTY_S, SHORT_S = 600.0, 59.9
ALL_STEPS = "1 2 3 4 5 6 7 8 9 10 "
TOO_LONG = "Stepwise took longer than 15 mins to create"


class Time:
    """The time left, as the functions are told: short after the steps that the test names."""

    def __init__(self) -> None:
        self.short_after: set[int] = set()
        self.left_s = PLENTY_S

    def __call__(self) -> float:
        """Return the seconds left."""
        return self.left_s

    def step(self, pipeline: Any, done: int) -> None:
        """Let a step be done."""
        self.left_s = SHORT_S if done in self.short_after else PLENTY_S


@pytest.fixture
def time_left(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(Stepwise, "after", staticmethod(time.step), raising=False)
    return time


@pytest.fixture
def run(jobs: Jobs, time_left: Time) -> Callable[[int], None]:
    """Run a process as its message's delivery would."""

    def one(process: int) -> None:
        time_left.left_s = PLENTY_S
        run_process(process, time_left)

    return one


def files(jobs: Jobs, process: int) -> list[str]:
    """Return what lies in the bucket for a process, by attempt and name."""
    return [key.removeprefix(f"processes/{process}/") for key in jobs.aws.keys(f"processes/{process}/")]


def records(jobs: Jobs, process: int) -> list[str]:
    """Return the sort keys of a process's records, but for its log."""
    found = [item["sk"]["S"] for item in jobs.aws.items() if item["pk"]["S"] == f"PROCESS#{process}"]
    return sorted(sk for sk in found if not sk.startswith("LOG#"))


def content(jobs: Jobs) -> str:
    """Return what the one output says."""
    (output,) = jobs.outputs()
    (key,) = jobs.aws.keys("processes/")
    assert key.endswith(output["name"])
    body: bytes = jobs.aws.s3.get_object(Bucket=jobs.aws.name("sidereal-artefacts"), Key=key)["Body"].read()
    return body.decode()


def interrupt(client: Any, event: str, action: Callable[..., None]) -> Callable[[], None]:
    """Do something before the next request of a kind; returns what ends that."""
    client.meta.events.register(event, action)
    return lambda: client.meta.events.unregister(event, action)


def die(**_: Any) -> None:
    raise SystemExit


def die_handing_over(params: dict[str, Any], **_: Any) -> None:
    if b"CHECKPOINT" in params["body"]:
        raise SystemExit


# From run to run


def test_a_run_that_hands_over_three_times_does_every_step_once(
    jobs: Jobs, time_left: Time, run: Callable[[int], None]
) -> None:
    time_left.short_after = {2, 5, 9}
    process = jobs.submit("Stepwise")
    seen = []
    for _ in range(3):
        run(process)
        shown = jobs.get(process)
        seen.append((shown["status"], shown["progress"]["done"], files(jobs, process)))
    assert seen == [
        ("pending", 2, ["1/checkpoint/book.txt"]),
        ("pending", 5, ["2/checkpoint/book.txt"]),
        ("pending", 9, ["3/checkpoint/book.txt"]),
    ]
    assert records(jobs, process) == ["CHECKPOINT", "PROCESS"]
    run(process)
    assert jobs.get(process)["status"] == "created"
    assert content(jobs) == ALL_STEPS
    assert records(jobs, process) == ["PROCESS"]
    assert jobs.log(process).splitlines() == [
        f"Attempt {number}: going on with what attempt {number - 1} had done" for number in (2, 3, 4)
    ]


def test_the_functions_of_the_queue_pass_a_run_on_until_it_is_done(
    jobs: Jobs, time_left: Time, deliver: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib.settings import get_settings

    monkeypatch.setenv("JOB_HANDOVER_S", "901")  # more than there ever is: each run does one step
    get_settings.cache_clear()
    process = jobs.submit("Stepwise")
    deliveries = [deliver("pipeline") for _ in range(Stepwise.STEPS + 1)]
    assert deliveries == [[{"batchItemFailures": []}]] * Stepwise.STEPS + [[]]
    assert jobs.get(process)["status"] == "created"
    assert content(jobs) == ALL_STEPS
    assert processes.get(process).attempt == Stepwise.STEPS


def test_handing_over_uses_up_no_try(jobs: Jobs, time_left: Time, run: Callable[[int], None]) -> None:
    time_left.short_after = {1, 2, 3, 4, 5}  # a process has three tries
    process = jobs.submit("Stepwise")
    for _ in range(6):
        run(process)
    assert (jobs.get(process)["status"], content(jobs)) == ("created", ALL_STEPS)


def test_nothing_sent_late_extends_the_lease_of_a_run_that_has_handed_over(
    jobs: Jobs, time_left: Time, clock: Clock
) -> None:
    process = jobs.submit("Stepwise")
    claimed = process_moves.claim(process, "first", clock().timestamp())
    checkpoint = checkpoints.StoredCheckpoint(process, claimed.attempt, '{"done": 1}', {}, 1)
    process_moves.hand_over(claimed, "first", checkpoint, 1, 10)
    with pytest.raises(ClaimLostError):
        process_moves.report(process, "first", clock().timestamp(), done=1, total=10)
    with pytest.raises(ClaimLostError):
        process_moves.hand_over(claimed, "first", checkpoint, 1, 10)
    assert process_moves.claim(process, "second", clock().timestamp()).attempt == 2


def test_a_message_delivered_twice_after_a_hand_over_makes_one_run(
    jobs: Jobs, time_left: Time, run: Callable[[int], None]
) -> None:
    time_left.short_after = {4}
    process = jobs.submit("Stepwise")
    run(process)
    threads = [threading.Thread(target=run, args=(process,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (jobs.get(process)["status"], content(jobs)) == ("created", ALL_STEPS)
    assert processes.get(process).attempt == 2


def test_the_old_message_delivered_while_the_next_run_works_does_nothing(
    jobs: Jobs, time_left: Time, run: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    time_left.short_after = {4}
    process = jobs.submit("Stepwise")
    run(process)

    def deliver_again(pipeline: Any, done: int) -> None:
        run(process)

    monkeypatch.setattr(Stepwise, "after", staticmethod(deliver_again))
    run(process)
    assert content(jobs) == ALL_STEPS
    assert processes.get(process).attempt == 2


# What dies in between


def test_a_worker_that_dies_before_its_checkpoint_is_kept_loses_only_its_own_steps(
    jobs: Jobs, time_left: Time, run: Callable[[int], None], clock: Clock
) -> None:
    time_left.short_after = {3, 6}
    process = jobs.submit("Stepwise")
    run(process)

    undo = interrupt(clients.dynamodb(), "before-call.dynamodb.TransactWriteItems", die_handing_over)
    with pytest.raises(SystemExit):
        run(process)
    undo()
    assert files(jobs, process) == ["1/checkpoint/book.txt", "2/checkpoint/book.txt"]
    clock.advance(LEASE_S + 1)
    time_left.short_after = {8}
    run(process)
    assert files(jobs, process) == ["3/checkpoint/book.txt"]
    run(process)
    assert content(jobs) == ALL_STEPS
    assert jobs.log(process).splitlines() == [
        "Attempt 2: going on with what attempt 1 had done",
        "Attempt 3: the worker of attempt 2 died; going on with what attempt 1 had done",
        "Attempt 4: going on with what attempt 3 had done",
    ]


def test_a_worker_that_dies_before_its_first_checkpoint_leaves_a_process_that_begins_again(
    jobs: Jobs, time_left: Time, run: Callable[[int], None], clock: Clock
) -> None:
    time_left.short_after = {3}
    process = jobs.submit("Stepwise")
    undo = interrupt(clients.dynamodb(), "before-call.dynamodb.TransactWriteItems", die_handing_over)
    with pytest.raises(SystemExit):
        run(process)
    undo()
    clock.advance(LEASE_S + 1)
    time_left.short_after = set()
    run(process)
    assert content(jobs) == ALL_STEPS
    assert jobs.log(process) == "Attempt 2: the worker of attempt 1 died; starting from the beginning\n"


@pytest.mark.parametrize("call", ["SendMessage", "no answer"])
def test_a_process_whose_worker_died_before_it_sent_the_message_is_sent_by_the_next_sweep(
    jobs: Jobs, time_left: Time, run: Callable[[int], None], deliver: Callable[..., Any], call: str
) -> None:
    """The queue may also be down: then the worker lives on, and so does the process."""
    from botocore.exceptions import EndpointConnectionError

    time_left.short_after = {3}
    process = jobs.submit("Stepwise")
    jobs.aws.messages("sidereal-pipeline")  # takes the first message, for good
    if call == "SendMessage":
        undo = interrupt(clients.sqs(), "before-call.sqs.SendMessage", die)
        with pytest.raises(SystemExit):
            run(process)
    else:

        def refuse(**_: Any) -> None:
            raise EndpointConnectionError(endpoint_url="https://sqs")

        undo = interrupt(clients.sqs(), "before-call.sqs.SendMessage", refuse)
        run(process)
    undo()
    assert jobs.aws.messages("sidereal-pipeline") == []
    assert (resend_stuck_processes(), resend_stuck_processes()) == (1, 0)
    assert deliver("pipeline") == [{"batchItemFailures": []}]
    assert (jobs.get(process)["status"], content(jobs)) == ("created", ALL_STEPS)


def test_a_hand_over_whose_answer_is_lost_is_found_by_the_sweeper_with_its_checkpoint(
    jobs: Jobs, time_left: Time, run: Callable[[int], None], deliver: Callable[..., Any]
) -> None:
    time_left.short_after = {3}
    process = jobs.submit("Stepwise")
    jobs.aws.messages("sidereal-pipeline")  # takes the first message, for good
    sent: list[bool] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        sent.append(b"CHECKPOINT" in params["body"])

    def lose(**_: Any) -> None:
        if sent[-1]:
            raise ConnectionError("the answer never came")

    client = clients.dynamodb()
    undo = [
        interrupt(client, "before-call.dynamodb.TransactWriteItems", note),
        interrupt(client, "after-call.dynamodb.TransactWriteItems", lose),
    ]
    run(process)
    for each in undo:
        each()
    assert files(jobs, process) == ["1/checkpoint/book.txt"]
    assert resend_stuck_processes() == 1
    assert deliver("pipeline") == [{"batchItemFailures": []}]
    assert content(jobs) == ALL_STEPS
    assert jobs.log(process) == "Attempt 2: going on with what attempt 1 had done\n"


def test_a_process_that_was_handed_over_and_sent_is_left_alone_by_the_sweeper(
    jobs: Jobs, time_left: Time, run: Callable[[int], None]
) -> None:
    time_left.short_after = {3}
    process = jobs.submit("Stepwise")
    run(process)
    assert resend_stuck_processes() == 0


def test_an_unexpected_failure_after_a_hand_over_is_retried_from_the_checkpoint(
    jobs: Jobs, time_left: Time, run: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    time_left.short_after = {4}
    process = jobs.submit("Stepwise")
    run(process)
    failures = []

    def fail_twice(pipeline: Any, done: int) -> None:
        if done == 7 and len(failures) < 2:
            failures.append(done)
            raise OSError("disk")

    monkeypatch.setattr(Stepwise, "after", staticmethod(fail_twice))
    for _ in range(2):
        with pytest.raises(OSError, match="disk"):
            run(process)
    run(process)
    assert content(jobs) == ALL_STEPS
    assert jobs.log(process).splitlines() == [
        "Attempt 2: going on with what attempt 1 had done",
        "Attempt 2 failed unexpectedly",
        "Attempt 3: going on with what attempt 1 had done",
        "Attempt 3 failed unexpectedly",
        "Attempt 4: going on with what attempt 1 had done",
    ]


def test_a_checkpoint_whose_files_are_gone_means_the_beginning(
    jobs: Jobs, time_left: Time, run: Callable[[int], None]
) -> None:
    time_left.short_after = {6}
    process = jobs.submit("Stepwise")
    run(process)
    jobs.aws.s3.delete_object(
        Bucket=jobs.aws.name("sidereal-artefacts"), Key=f"processes/{process}/1/checkpoint/book.txt"
    )
    time_left.short_after = {3}  # less than the first run had done: from the beginning that is progress
    run(process)
    run(process)
    assert content(jobs) == ALL_STEPS
    assert jobs.log(process).splitlines() == [
        "Attempt 2: what attempt 1 had done is gone, starting from the beginning",
        "Attempt 3: going on with what attempt 2 had done",
    ]


def test_a_zombie_that_hands_over_changes_nothing_for_its_successor(
    jobs: Jobs, time_left: Time, run: Callable[[int], None], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_left.short_after = {2, 5}
    process = jobs.submit("Stepwise")
    run(process)

    def overtake(pipeline: Any, done: int) -> None:
        time_left.step(pipeline, done)
        if done == 5:
            clock.advance(LEASE_S + 1)
            process_moves.claim(process, "another worker", clock().timestamp())

    monkeypatch.setattr(Stepwise, "after", staticmethod(overtake))
    run(process)
    assert files(jobs, process) == ["1/checkpoint/book.txt"]
    stored = checkpoints.find(process)
    assert stored is not None
    assert (stored.attempt, stored.done, processes.get(process).attempt) == (1, 2, 3)


# The end


def test_cancelling_between_two_runs_leaves_nothing_and_no_run_follows(
    jobs: Jobs, time_left: Time, run: Callable[[int], None]
) -> None:
    time_left.short_after = {4}
    process = jobs.submit("Stepwise")
    run(process)
    assert jobs.api.post(f"/api/pipeline/{process}/cancel/").status == 200
    assert (files(jobs, process), records(jobs, process)) == ([], ["PROCESS"])
    run(process)
    assert (processes.get(process).attempt, resend_stuck_processes()) == (1, 0)
    assert jobs.log(process) == "Cancelled by tester\n"


@pytest.mark.parametrize("moment", ["before-call.s3.PutObject", "before-call.dynamodb.TransactWriteItems"])
def test_cancelling_while_a_checkpoint_is_being_kept_leaves_nothing(
    jobs: Jobs, time_left: Time, run: Callable[[int], None], moment: str
) -> None:
    time_left.short_after = {4, 8}
    process = jobs.submit("Stepwise")
    run(process)
    cancelled = []

    def cancel(params: dict[str, Any], **_: Any) -> None:
        if not cancelled and (b"CHECKPOINT" in params["body"] if "dynamodb" in moment else True):
            cancelled.append(1)
            assert jobs.api.post(f"/api/pipeline/{process}/cancel/").status == 200

    client = clients.dynamodb() if "dynamodb" in moment else clients.s3()
    undo = interrupt(client, moment, cancel)
    run(process)
    undo()
    assert cancelled
    assert jobs.get(process)["failure_message"] == "Cancelled by tester"
    assert (files(jobs, process), records(jobs, process), jobs.outputs()) == ([], ["PROCESS"], [])
    assert jobs.log(process).endswith("Cancelled by tester\n")


def test_cancelling_after_the_message_was_sent_leaves_nothing(
    jobs: Jobs, time_left: Time, run: Callable[[int], None]
) -> None:
    time_left.short_after = {4}
    process = jobs.submit("Stepwise")
    undo = interrupt(
        clients.sqs(), "before-call.sqs.SendMessage", lambda **_: jobs.api.post(f"/api/pipeline/{process}/cancel/")
    )
    run(process)
    undo()
    assert (files(jobs, process), records(jobs, process)) == ([], ["PROCESS"])
    assert jobs.log(process) == "Cancelled by tester\n"


def test_a_failure_after_a_hand_over_leaves_nothing_and_a_retry_begins_from_the_beginning(
    jobs: Jobs, time_left: Time, run: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    time_left.short_after = {4}
    process = jobs.submit("Stepwise")
    run(process)

    def fail(pipeline: Any, done: int) -> None:
        raise AsyncError("Clouds")

    monkeypatch.setattr(Stepwise, "after", staticmethod(fail))
    run(process)
    assert jobs.get(process)["failure_message"] == "Clouds"
    assert (files(jobs, process), records(jobs, process)) == ([], ["PROCESS"])
    monkeypatch.setattr(Stepwise, "after", staticmethod(time_left.step))
    assert jobs.api.post(f"/api/pipeline/{process}/retry/").status == 202
    for _ in range(2):
        run(process)
    assert content(jobs) == ALL_STEPS
    assert jobs.log(process).splitlines()[1:] == [
        "Retried by tester",
        "Attempt 3: starting from the beginning",
        "Attempt 4: going on with what attempt 3 had done",
    ]


def test_deleting_the_target_between_two_runs_leaves_nothing(
    jobs: Jobs, time_left: Time, run: Callable[[int], None]
) -> None:
    time_left.short_after = {4}
    process = jobs.submit("Stepwise")
    run(process)
    assert jobs.api.delete(f"/api/targets/{jobs.target}/").status == 204
    assert (files(jobs, process), records(jobs, process)) == ([], [])


# What is refused


def test_handing_over_without_progress_since_the_last_time_fails_the_run(
    jobs: Jobs, time_left: Time, run: Callable[[int], None]
) -> None:
    jobs.work(lambda pipeline, folder, flags: pipeline.progress(3, 9) or pipeline.hand_over({"done": 3}))
    process = jobs.submit()
    run(process)
    assert jobs.get(process)["status"] == "pending"
    run(process)
    assert jobs.get(process)["failure_message"] == "Scripted handed over without getting further"
    assert records(jobs, process) == ["PROCESS"]


def test_a_phase_without_steps_of_its_own_may_hand_over_what_it_has_gathered(
    jobs: Jobs, run: Callable[[int], None]
) -> None:
    def gather(pipeline: Any, folder: Path, flags: Any) -> Any:
        before = pipeline.checkpoint.path("seen.txt").read_text() if pipeline.checkpoint else ""
        if len(before) == 3:
            return ()
        pipeline.progress(0, 3)
        return pipeline.hand_over({}, [written(folder, "seen.txt", before + "x")])

    jobs.work(gather)
    process = jobs.submit()
    for _ in range(4):
        run(process)
    assert jobs.get(process)["status"] == "created"


def test_tidying_up_after_a_hand_over_leaves_what_a_later_attempt_handed_over(aws: Aws) -> None:
    bucket = aws.name("sidereal-artefacts")
    names = [f"processes/1/{attempt}/checkpoint/book.txt" for attempt in (1, 2, 3, 10)] + ["processes/1/1/out.txt"]
    for name in names:
        aws.s3.put_object(Bucket=bucket, Key=name, Body=b"x")
    checkpoints.remove_older_files(checkpoints.StoredCheckpoint(1, 3, "{}"))
    assert set(aws.keys("processes/1/")) == set(names[2:])


def test_handing_over_too_often_fails_the_run(
    jobs: Jobs, time_left: Time, run: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "MAX_HANDOVERS", 2)
    time_left.short_after = {1, 2, 3}
    process = jobs.submit("Stepwise")
    for _ in range(3):
        run(process)
    assert jobs.get(process)["failure_message"] == "Stepwise handed over 2 times and is still not done"
    assert files(jobs, process) == []


def twins(folder: Path) -> list[Path]:
    (folder / "a").mkdir()
    return [written(folder, "x.txt"), written(folder / "a", "x.txt")]


@pytest.mark.parametrize(
    ("state", "files_of", "message"),
    [
        ({"flux": float("nan")}, lambda folder: [], "JSON with finite numbers"),
        ({"flux": float("inf")}, lambda folder: [], "JSON with finite numbers"),
        ({"where": Path("/tmp")}, lambda folder: [], "JSON with finite numbers"),
        ({"text": "x" * 100_000}, lambda folder: [], "bytes of state; at most 100000 can be kept"),
        ({}, lambda folder: [folder / "missing.txt"], "The file 'missing.txt' that the run hands over is not there"),
        ({}, lambda folder: [folder], "that the run hands over is not there"),
        ({}, twins, "more than one file named 'x.txt'"),
        ({}, lambda folder: [written(folder, f"{n}") for n in range(101)], "101 files; at most 100 can be kept"),
    ],
)
def test_what_cannot_be_handed_over_fails_the_run_in_words(
    jobs: Jobs, run: Callable[[int], None], state: Any, files_of: Callable[[Path], list[Path]], message: str
) -> None:
    jobs.work(lambda pipeline, folder, flags: pipeline.hand_over(state, files_of(folder)))
    process = jobs.submit()
    run(process)
    shown = jobs.get(process)
    assert shown["status"] == "failed"
    assert message in shown["failure_message"]
    assert (files(jobs, process), records(jobs, process)) == ([], ["PROCESS"])


def test_a_state_comes_back_as_json_does(jobs: Jobs, run: Callable[[int], None]) -> None:
    given = {"names": ["ü", "\ud800", "a.fits"], "flux": 1.5e-7, "none": None, "nested": {"a": [1, 2.0, True]}}
    seen: list[Any] = []

    def work(pipeline: Any, folder: Path, flags: Any) -> Any:
        if pipeline.checkpoint is None:
            pipeline.hand_over(given)
        seen.append(pipeline.checkpoint.state)
        with pytest.raises(KeyError, match=r"other\.txt"):
            pipeline.checkpoint.path("other.txt")
        return ()

    jobs.work(work)
    process = jobs.submit()
    run(process)
    run(process)
    assert (jobs.get(process)["status"], seen) == ("created", [given])
