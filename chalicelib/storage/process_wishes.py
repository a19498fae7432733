"""What people ask of a process: to be cancelled, or to begin again. Each leaves a line in its log, in the same transaction.

The line belongs to the attempt that the process has reached: if another one has begun since the process was read, it is done
again for that one. So whoever follows a log and has seen an attempt need not look at those before it.
"""

from chalicelib.errors import ConflictError, ProcessEndedError, UnavailableError
from chalicelib.models.processes import Process
from chalicelib.settings import get_settings
from chalicelib.states import ProcessStatus
from chalicelib.storage import process_moves, processes, requests
from chalicelib.storage.convert import number
from chalicelib.storage.requests import ConditionFailedError, Write

_IS_AS_SEEN = "#attempt = :attempt AND (attribute_not_exists(#notes) OR #notes = :notes)"
_NOTING_NAMES = {"#attempt": "attempt", "#notes": "notes"}


def cancel(process: Process, ended: str, message: str) -> Process:
    """End a process as failed, whoever holds it, and say why in its log, too; return it as it was before.

    One transaction with its card; again where another attempt has begun since the process was read.

    Raises
    ------
    ProcessEndedError
        If it has ended already, or is gone.
    """
    for _ in range(requests.CONFLICT_TRIES):
        counted = {":attempt": process.attempt, ":notes": process.notes, ":more": process.notes + 1}
        writes = process_moves.failing(
            process,
            ended,
            message,
            f"{process_moves.IS_OPEN} AND {_IS_AS_SEEN}",
            _NOTING_NAMES,
            counted,
            "#notes = :more",
        )
        try:
            requests.transact([*writes, processes.describe_note(process, message)])
        except ConditionFailedError as error:
            old = error.items[0]
            if old is None or "terminal_timestamp" in old:
                raise ProcessEndedError(f"process {process.id} has ended") from None
            process = processes.from_record(old)
        else:
            return process
    raise UnavailableError("Too many changes of the same process at once; try again.")


def restart(process: Process, enqueued_at: float, note: str) -> Process:
    """Let a failed process begin again: same record, the log is kept, with a line that says so.

    One transaction with its card, again where others retried and ended it since the process was read; and a GetItem.

    Raises
    ------
    ConflictError
        If it has not failed.
    """
    for _ in range(requests.CONFLICT_TRIES):
        try:
            requests.transact([*_restarting(process, enqueued_at), processes.describe_note(process, note)])
        except ConditionFailedError as error:
            old = error.items[0]
            if old is None or old["status"] != ProcessStatus.FAILED:
                raise ConflictError("Only a failed process can be retried.") from None
            process = processes.from_record(old)
        else:
            return processes.get(process.id)
    raise UnavailableError("Too many changes of the same process at once; try again.")


def _restarting(process: Process, enqueued_at: float) -> list[Write]:
    place = processes.open_place(process.id, process.created)
    values = {
        "status": ProcessStatus.PENDING.value,
        "tries": 0,
        "handovers": 0,
        "done": 0,
        "total": 0,
        "enqueued_at": number(enqueued_at),
    }
    on_record = values | place | {"notes": process.notes + 1}
    names = {"#old": "status", "#ended": "terminal_timestamp", "#message": "failure_message"}
    return [
        requests.update(
            get_settings().telescope_table,
            processes.key(process.id),
            # without its claim a worker that still runs for the process has lost it
            process_moves.setting(on_record) + " REMOVE #ended, #message, #claim",
            "#old = :failed AND attribute_exists(#ended) AND #attempt = :attempt"
            " AND (attribute_not_exists(#notes) OR #notes = :seen)",
            names=names | process_moves.naming(on_record) | {"#claim": "claim", "#attempt": "attempt"},
            values=process_moves.valuing(on_record)
            | {":failed": ProcessStatus.FAILED.value, ":attempt": process.attempt, ":seen": process.notes},
        ),
        requests.update(
            get_settings().telescope_table,
            processes.card_key(process.target_id, process.id),
            "SET #status = :status REMOVE #ended, #message",
            "attribute_exists(pk)",
            names={"#status": "status", "#ended": "terminal_timestamp", "#message": "failure_message"},
            values={":status": ProcessStatus.PENDING.value},
        ),
    ]
