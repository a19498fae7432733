"""Processes: every move has its condition, every log line its place."""

import pytest

from chalicelib.errors import (
    ClaimLostError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    ProcessBusyError,
    ProcessEndedError,
    ProcessExhaustedError,
)
from chalicelib.models.processes import Process
from chalicelib.storage import process_moves, process_wishes, processes
from chalicelib.storage.processes import IdentifierTakenError
from tests.conftest import Aws
from tests.storage import records
from tests.storage.at_once import at_once

T0 = records.UNIX
LEASE_S = 60
ENDED = "2026-01-10T04:00:00.000000Z"


@pytest.fixture
def process(aws: Aws) -> Process:
    return records.process(records.target().id)


def test_one_identifier_is_taken_once(aws: Aws) -> None:
    target = records.target()
    outcomes = at_once([lambda: records.process(target.id, "sc_1_20260110")] * 8)
    assert sum(isinstance(each, Process) for each in outcomes) == 1
    assert sum(isinstance(each, IdentifierTakenError) for each in outcomes) == 7
    assert len(processes.list_of_target(target.id)) == 1


def test_a_process_needs_a_target_that_stays(aws: Aws) -> None:
    with pytest.raises(InvalidInputError):
        records.process(9)
    assert aws.items() == []


def test_a_process_comes_back_as_it_was_kept(aws: Aws) -> None:
    made = records.process(records.target().id, flags={"crop": True, "x": False}, product_ids=(3, 1, 2))
    assert processes.get(made.id) == made


def test_twenty_claims_at_once_are_one_claim(process: Process) -> None:
    outcomes = at_once([lambda n=number: process_moves.claim(process.id, f"worker {n}", T0) for number in range(20)])
    assert sum(isinstance(each, Process) for each in outcomes) == 1
    assert sum(isinstance(each, ProcessBusyError) for each in outcomes) == 19
    assert processes.get(process.id).attempt == 1


def test_a_claim_lasts_as_long_as_its_lease(process: Process) -> None:
    process_moves.claim(process.id, "first", T0)
    with pytest.raises(ProcessBusyError):
        process_moves.claim(process.id, "second", T0 + LEASE_S)
    assert process_moves.claim(process.id, "second", T0 + LEASE_S + 0.001).attempt == 2


def test_a_report_extends_the_lease(process: Process) -> None:
    process_moves.claim(process.id, "first", T0)
    process_moves.report(process.id, "first", T0 + 50, done=1, total=2)
    with pytest.raises(ProcessBusyError):
        process_moves.claim(process.id, "second", T0 + LEASE_S + 1)


def test_a_process_is_claimed_three_times_and_no_more(process: Process) -> None:
    for number in range(3):
        process_moves.claim(process.id, f"worker {number}", T0 + number * 100)
    with pytest.raises(ProcessBusyError):
        process_moves.claim(process.id, "worker 3", T0 + 210)  # the third may still live
    with pytest.raises(ProcessExhaustedError):
        process_moves.claim(process.id, "worker 3", T0 + 300)


def test_a_claim_whose_answer_was_lost_may_be_asked_for_again(process: Process) -> None:
    first = process_moves.claim(process.id, "worker", T0)
    again = process_moves.claim(process.id, "worker", T0 + 1)
    assert (first.attempt, again.attempt, again.tries) == (1, 1, 1)


def test_an_ended_or_unknown_process_cannot_be_claimed(process: Process) -> None:
    process_moves.fail(process, ENDED, "over")
    with pytest.raises(ProcessEndedError):
        process_moves.claim(process.id, "worker", T0)
    with pytest.raises(NotFoundError):
        process_moves.claim(999, "worker", T0)


@pytest.mark.parametrize("way", ["taken over", "ended", "cancelled and retried", "deleted"])
def test_nothing_moves_without_a_claim_that_stands(aws: Aws, process: Process, way: str) -> None:
    claimed = process_moves.claim(process.id, "old", T0)
    if way == "taken over":
        process_moves.claim(process.id, "new", T0 + LEASE_S + 1)
    elif way == "deleted":
        processes.delete(claimed)
    else:
        process_moves.fail(claimed, ENDED, "Cancelled")
        if way == "cancelled and retried":
            process_wishes.restart(claimed, T0 + 1, "Retried")
    before = aws.items()
    moves = [
        lambda: process_moves.report(process.id, "old", T0, done=1, total=1),
        lambda: process_moves.report(process.id, "old", T0, done=1, total=1, log=(1, 0, "zombie")),
        lambda: process_moves.set_status(claimed, "old", "zombie"),
        lambda: process_moves.reserve_outputs(claimed, "old", {"a": 1}, 1),
        lambda: process_moves.succeed(claimed, "old", ENDED, None, []),
        lambda: process_moves.succeed(claimed, "old", ENDED, records.Group(5, "zombie", ENDED), []),
        lambda: process_moves.fail(claimed, ENDED, "zombie", "old"),
        lambda: process_moves.release(claimed, "old", "zombie"),
    ]
    for move in moves:
        with pytest.raises(ClaimLostError):
            move()
    assert aws.items() == before


def test_a_process_given_back_is_free_at_once(process: Process) -> None:
    claimed = process_moves.claim(process.id, "first", T0)
    process_moves.release(claimed, "first", "fell")
    again = process_moves.claim(process.id, "second", T0)
    assert (again.attempt, again.released_attempt) == (2, 1)
    assert processes.get_with_log(process.id)[1] == "fell\n"


def test_ids_of_outputs_are_fixed_by_the_first_attempt_that_gets_as_far(process: Process) -> None:
    first = process_moves.claim(process.id, "first", T0)
    assert process_moves.reserve_outputs(first, "first", {"a": 1, "b": 2}, 7) == ({"a": 1, "b": 2}, 7)
    second = process_moves.claim(process.id, "second", T0 + 100)
    assert process_moves.reserve_outputs(second, "second", {"a": 3, "c": 4}, 8) == ({"a": 1, "b": 2, "c": 4}, 7)


def test_ending_at_once_in_both_ways_ends_in_one(process: Process) -> None:
    claimed = process_moves.claim(process.id, "worker", T0)
    outcomes = at_once(
        [
            lambda: process_moves.succeed(claimed, "worker", ENDED, None, []),
            lambda: process_moves.fail(claimed, ENDED, "Cancelled"),
        ]
    )
    assert sum(each is None for each in outcomes) == 1
    record, card = processes.get(process.id), processes.list_of_target(process.target_id)[0]
    assert record.status == card["status"] == ("created" if outcomes[0] is None else "failed")


def test_a_process_is_given_up_only_when_nobody_alive_holds_it(process: Process) -> None:
    process_moves.claim(process.id, "worker", T0)
    with pytest.raises(ProcessBusyError):
        process_moves.fail(process, ENDED, "given up", now=T0 + LEASE_S)
    process_moves.fail(process, ENDED, "given up", now=T0 + LEASE_S + 1)
    with pytest.raises(ProcessEndedError):
        process_moves.fail(process, ENDED, "again", now=T0 + 1000)
    with pytest.raises(ProcessEndedError):
        process_moves.fail(process, ENDED, "again")
    assert processes.get(process.id).failure_message == "given up"


def test_log_items_are_joined_in_the_order_of_attempts_and_lines(process: Process) -> None:
    first = process_moves.claim(process.id, "first", T0)
    for number in range(11):
        process_moves.report(process.id, "first", T0, done=0, total=0, log=(first.attempt, number, f"{number} "))
    process_moves.release(first, "first", "note")
    second = process_moves.claim(process.id, "second", T0 + 100)
    process_moves.report(process.id, "second", T0 + 100, done=0, total=0, log=(second.attempt, 0, "second"))
    assert processes.get_with_log(process.id)[1] == "0 1 2 3 4 5 6 7 8 9 10 note\nsecond"


def test_a_log_larger_than_a_query_and_than_an_answer_shows_its_end(process: Process) -> None:
    claimed = process_moves.claim(process.id, "worker", T0)
    for number in range(8):
        text = f"{number}" * 299_999 + "\n"
        process_moves.report(process.id, "worker", T0, done=0, total=0, log=(claimed.attempt, number, text))
    log = processes.get_with_log(process.id)[1]
    assert log.startswith("The beginning of the log is left out.\n2222")
    assert log.endswith("7" * 299_999 + "\n")
    assert len(log) < 2_000_100


def test_a_wish_about_a_process_that_is_gone_leaves_nothing(aws: Aws, process: Process) -> None:
    processes.delete(process)
    before = aws.items()
    with pytest.raises(ProcessEndedError):
        process_wishes.cancel(process, ENDED, "too late")
    with pytest.raises(ConflictError):
        process_wishes.restart(process, T0, "too late")
    assert aws.items() == before


def test_a_wish_is_noted_under_the_attempt_that_the_process_has_reached(aws: Aws, process: Process) -> None:
    process_moves.claim(process.id, "worker", T0)
    ended = process_wishes.cancel(process, ENDED, "Cancelled")  # by somebody who has read it before the claim
    assert ended.attempt == 1
    again = process_wishes.restart(process, T0 + 1, "Retried")
    process_moves.claim(process.id, "next", T0 + 2)
    process_wishes.cancel(again, ENDED, "Cancelled again")
    _, entries = processes.read_log(process.id)
    assert [(each.attempt, each.text) for each in entries] == [
        (1, "Cancelled\n"),
        (1, "Retried\n"),
        (2, "Cancelled again\n"),
    ]


def test_of_many_who_cancel_and_retry_at_once_each_that_is_heard_has_one_line(aws: Aws, process: Process) -> None:
    wishes = [lambda: process_wishes.cancel(process, ENDED, "Cancelled")] * 4
    wishes += [lambda: process_wishes.restart(process, T0, "Retried")] * 4
    heard = sum(isinstance(each, Process) for each in at_once(wishes))
    _, entries = processes.read_log(process.id)
    assert len(entries) == heard >= 1
    assert [each.text for each in entries] == (["Cancelled\n", "Retried\n"] * 4)[:heard]
    assert processes.get(process.id).notes == heard


def test_a_process_with_a_long_log_is_deleted_whole(aws: Aws, process: Process) -> None:
    for number in range(105):
        key = {"pk": {"S": f"PROCESS#{process.id}"}, "sk": {"S": f"LOG#000001#{number:08d}"}}
        aws.dynamodb.put_item(TableName=aws.name("sidereal-telescope"), Item=key | {"text": {"S": "x"}})
    for _ in range(2):
        processes.delete(process)
    left = sorted(item["pk"]["S"].partition("#")[0] for item in aws.items())
    assert left == ["SKY", "TARGET", "TARGETNAME"]
    assert processes.ids_of_target(process.target_id) == []


def test_a_restart_at_once_is_one_restart(process: Process) -> None:
    process_moves.fail(process, ENDED, "over")
    outcomes = at_once([lambda: process_wishes.restart(process, T0 + 1, "Retried")] * 5)
    assert sum(isinstance(each, Process) for each in outcomes) == 1
    assert sum(isinstance(each, ConflictError) for each in outcomes) == 4


def test_open_processes_are_those_that_have_not_ended(aws: Aws, process: Process) -> None:
    target = process.target_id
    running, failed, created, again = (records.process(target) for _ in range(4))
    process_moves.claim(running.id, "worker", T0)
    process_moves.fail(failed, ENDED, "over")
    process_moves.succeed(process_moves.claim(created.id, "worker", T0), "worker", ENDED, None, [])
    process_moves.fail(again, ENDED, "over")
    process_wishes.restart(again, T0 + 5, "Retried")
    found = {each.id: (sent, until) for each, sent, until in processes.open_processes()}
    assert found == {process.id: (T0, None), running.id: (T0, T0 + LEASE_S), again.id: (T0 + 5, None)}


def test_a_process_is_marked_as_sent_by_one_of_many_sweepers(process: Process) -> None:
    outcomes = at_once([lambda: processes.mark_sent(process, T0, T0 + 1000)] * 10)
    assert sorted(outcomes) == [False] * 9 + [True]


def test_more_processes_than_one_answer_holds_are_cut_at_the_oldest(aws: Aws) -> None:
    target = records.target()
    ids = [records.process(target.id).identifier for _ in range(6)]
    assert [each["identifier"] for each in processes.list_of_target(target.id, 4)] == ids[:1:-1]
