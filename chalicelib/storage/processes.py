"""Processes: `pk=PROCESS#<id>, sk=PROCESS`, their log under `sk=LOG#...`, and a card in the partition of their target.

Every move of a running process has the condition that the caller's claim still stands, so that a worker that was thought
dead, or whose process was cancelled, can no longer change anything.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from chalicelib.errors import (
    ClaimLostError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    ProcessBusyError,
    ProcessEndedError,
    ProcessExhaustedError,
)
from chalicelib.models.data_products import Group
from chalicelib.models.processes import MAX_FAILURE_MESSAGE, Process, summary
from chalicelib.settings import get_settings
from chalicelib.states import ProcessStatus
from chalicelib.storage import counters, groups, requests, targets
from chalicelib.storage.clients import dynamodb
from chalicelib.storage.convert import from_item, number, to_item
from chalicelib.storage.requests import ConditionFailedError, Key, Write
from chalicelib.storage.schema import LIST_INDEX

OPEN_SHARDS = 8
"""Partitions of the index over which the processes that have not ended are spread."""

MAX_PROCESSES_SHOWN = 500
MAX_LOG_BYTES = 2_000_000
"""Of a longer log (many attempts) only the end is answered: a Lambda function answers at most 6 MB."""

_HOLDS_CLAIM = "#claim = :claim AND attribute_not_exists(#ended)"
_CLAIM_NAMES = {"#claim": "claim", "#ended": "terminal_timestamp"}


def key(process_id: int) -> Key:
    """Return the key of a process."""
    return {"pk": f"PROCESS#{process_id}", "sk": "PROCESS"}


def card_key(target_id: int, process_id: int) -> Key:
    """Return the key of what the target's partition holds of a process."""
    return {"pk": f"TARGET#{target_id}", "sk": f"PROCESS#{process_id:015d}"}


class IdentifierTakenError(Exception):
    """Raised when another process has this identifier."""


def next_id() -> int:
    """Return the id of the next process."""
    return counters.next_id("PROCESS")


def create(process: Process, enqueued_at: float) -> None:
    """Keep a new process. One transaction (conditions: its target exists, its identifier is not in use).

    Raises
    ------
    InvalidInputError
        If the target does not exist.
    IdentifierTakenError
        If the identifier is in use.
    """
    record = {
        "id": process.id,
        "identifier": process.identifier,
        "target_id": process.target_id,
        "target_folder": process.target_folder,
        "pipeline": process.pipeline,
        "process_type": process.process_type,
        "queue": process.queue,
        "created": process.created,
        "status": process.status,
        "flags": process.flags,
        "product_ids": list(process.product_ids),
        "user": process.user,
        "enqueued_at": number(enqueued_at),
        **_open_place(process.id, process.created),
        **dict.fromkeys(("attempt", "tries", "released_attempt", "done", "total"), 0),
    }
    card = {each: record[each] for each in ("id", "identifier", "created", "status", "process_type")}
    writes = [
        targets.exists(process.target_id),
        requests.put(
            _table(),
            {"pk": f"IDENTIFIER#{process.identifier}", "sk": "IDENTIFIER"},
            {"process_id": process.id},
            "attribute_not_exists(pk)",
        ),
        requests.put(_table(), key(process.id), record, "attribute_not_exists(pk)"),
        requests.put(_table(), card_key(process.target_id, process.id), card),
    ]
    try:
        requests.transact(writes)
    except ConditionFailedError as error:
        if error.failed[0]:
            text = f'Invalid pk "{process.target_id}" - object does not exist.'
            raise InvalidInputError.of("target", text, "value_error.missing_record") from None
        raise IdentifierTakenError from None


def get(process_id: int) -> Process:
    """Return a process. One GetItem.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    item = requests.get(_table(), key(process_id))
    if item is None:
        raise NotFoundError("Not found.")
    return from_record(item)


def get_with_log(process_id: int) -> tuple[Process, str]:
    """Return a process and its log. One Query of its partition per MB.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    process: Process | None = None
    lines: list[str] = []
    for item in requests.query(_table(), f"PROCESS#{process_id}"):  # LOG#... sorts before PROCESS
        if item["sk"] == "PROCESS":
            process = from_record(item)
        else:
            lines.append(item["text"])
    if process is None:
        raise NotFoundError("Not found.")
    return process, _end_of(lines)


def list_of_target(target_id: int, limit: int = MAX_PROCESSES_SHOWN) -> list[dict[str, Any]]:
    """Return the published fields of a target's processes, newest first. One consistent Query of the target's partition.

    Raises
    ------
    NotFoundError
        If there is no such target.
    """
    # PROCESS#... sorts before TARGET: read backwards, the target comes first, then the newest process.
    items = list(
        requests.query(
            _table(), f"TARGET#{target_id}", between=("PROCESS#", "TARGET"), is_forward=False, limit=limit + 1
        )
    )
    if not items or items[0]["sk"] != "TARGET":
        raise NotFoundError("Not found.")
    return [summary(item) for item in items[1:]]


def claim(process_id: int, token: str, now: float) -> Process:
    """Take a process for one worker until its lease ends, and return it. One UpdateItem.

    Parameters
    ----------
    token : str
        Names the worker; unique.
    now : float
        Seconds since 1970.

    Raises
    ------
    NotFoundError, ProcessEndedError, ProcessBusyError, ProcessExhaustedError
        If there is none; if it has ended; if another worker holds it; if it was started too often.
    """
    settings = get_settings()
    write = requests.update(
        _table(),
        key(process_id),
        "SET #claim = :claim, #until = :until ADD #attempt :one, #tries :one",
        "attribute_exists(pk) AND attribute_not_exists(#ended) AND #tries < :max"
        " AND (attribute_not_exists(#until) OR #until < :now)",
        names={**_CLAIM_NAMES, "#until": "claimed_until", "#attempt": "attempt", "#tries": "tries"},
        values={
            ":claim": token,
            ":until": number(now + settings.job_lease_s),
            ":now": number(now),
            ":one": 1,
            ":max": settings.job_max_tries,
        },
    )
    try:
        return from_record(requests.run(write))
    except ConditionFailedError as error:
        old = error.item
        if old is None:
            raise NotFoundError("Not found.") from None
        if "terminal_timestamp" in old:
            raise ProcessEndedError(f"process {process_id} has ended") from None
        if old.get("claimed_until", 0) >= now:
            raise ProcessBusyError(f"process {process_id} is being run") from None
        raise ProcessExhaustedError(f"process {process_id} was started {old['tries']} times") from None


def report(
    process_id: int, token: str, now: float, *, done: int, total: int, log: tuple[int, int, str] | None = None
) -> None:
    """Extend the lease, set the progress, and append to the log. One UpdateItem, or a transaction with the log item.

    Parameters
    ----------
    log : (int, int, str), optional
        Attempt, number of the item within the attempt, and text.

    Raises
    ------
    ClaimLostError
        If the claim no longer stands.
    """
    extend = _claimed_update(
        process_id,
        token,
        "SET #until = :until, #done = :done, #total = :total",
        {"#until": "claimed_until", "#done": "done", "#total": "total"},
        {":until": number(now + get_settings().job_lease_s), ":done": done, ":total": total},
    )
    if log is None:
        _fenced([extend])
        return
    attempt, index, text = log
    _fenced([extend, requests.put(_table(), _log_key(process_id, attempt, index), {"text": text})])


def set_status(process: Process, token: str, status: str) -> None:
    """Set the status word of a running process. One transaction with its card.

    Raises
    ------
    ClaimLostError
        If the claim no longer stands.
    """
    names, values = {"#status": "status"}, {":status": status}
    card = requests.update(
        _table(),
        card_key(process.target_id, process.id),
        "SET #status = :status",
        "attribute_exists(pk)",
        names=names,
        values=values,
    )
    _fenced([_claimed_update(process.id, token, "SET #status = :status", names, values), card])


def holds_claim(process_id: int, token: str) -> Write:
    """Describe the condition that a claim still stands, for other records' transactions."""
    return requests.check(_table(), key(process_id), _HOLDS_CLAIM, names=_CLAIM_NAMES, values={":claim": token})


def reserve_outputs(process: Process, token: str, ids: Mapping[str, int], group_id: int) -> tuple[dict[str, int], int]:
    """Fix the ids of the outputs, so that another attempt publishes under the same ones. One UpdateItem.

    Returns
    -------
    (dict, int)
        File name -> product id, and the group's id: those given, or those that an earlier attempt fixed, its other
        outputs included.

    Raises
    ------
    ClaimLostError
        If the claim no longer stands.
    """
    merged = {**ids, **process.output_ids}
    write = _claimed_update(
        process.id,
        token,
        "SET #ids = :ids, #reserved = if_not_exists(#reserved, :group)",
        {"#ids": "output_ids", "#reserved": "reserved_group_id"},
        {":ids": merged, ":group": group_id},
    )
    try:
        return merged, int(requests.run(write)["reserved_group_id"])
    except ConditionFailedError:
        raise ClaimLostError("the claim on the process no longer stands") from None


def succeed(process: Process, token: str, ended: str, group: Group | None, cards: Sequence[Write]) -> None:
    """End a process well; its outputs are there already. One transaction with its card, its group and timelapse entries.

    Raises
    ------
    ClaimLostError
        If the claim no longer stands.
    """
    values = {"status": ProcessStatus.CREATED.value, "terminal_timestamp": ended}
    on_record: dict[str, Any] = dict(values)
    if group is not None:
        on_record |= {"group_id": group.id, "group_name": group.name}
    writes = [
        requests.update(
            _table(),
            key(process.id),
            _setting(on_record) + " REMOVE #until, #lpk, #lsk",
            _HOLDS_CLAIM,
            names={**_CLAIM_NAMES, **_naming(on_record), **_ENDING_NAMES},
            values={":claim": token, **_valuing(on_record)},
        ),
        _card_update(process, values),
        *cards,
    ]
    if group is None:
        _fenced(writes)
        return
    try:
        groups.create(group, writes)
    except ConditionFailedError:
        raise ClaimLostError("the claim on the process no longer stands") from None


def fail(process: Process, ended: str, message: str, token: str | None = None, now: float | None = None) -> None:
    """End a process as failed. One transaction with its card.

    Parameters
    ----------
    message : str
        What users are told; cut to 255 characters.
    token : str, optional
        The claim under which the caller works; without one, whoever holds the process loses it.
    now : float, optional
        Seconds since 1970: the process is only failed if nobody alive holds it.

    Raises
    ------
    ClaimLostError
        If the claim no longer stands.
    ProcessEndedError
        If the process has ended already (without a token).
    ProcessBusyError
        If `now` is given and somebody holds the process.
    """
    values = {
        "status": ProcessStatus.FAILED.value,
        "terminal_timestamp": ended,
        "failure_message": message[:MAX_FAILURE_MESSAGE],
    }
    names = {"#ended": "terminal_timestamp", **_naming(values), **_ENDING_NAMES}
    bound = _valuing(values)
    condition = "attribute_exists(pk) AND attribute_not_exists(#ended)"
    if token is not None:
        condition, names["#claim"], bound[":claim"] = _HOLDS_CLAIM, "claim", token
    elif now is not None:
        condition += " AND (attribute_not_exists(#until) OR #until < :now)"
        bound[":now"] = number(now)
    write = requests.update(
        _table(), key(process.id), _setting(values) + " REMOVE #until, #lpk, #lsk", condition, names=names, values=bound
    )
    try:
        requests.transact([write, _card_update(process, values)])
    except ConditionFailedError as error:
        if token is not None:
            raise ClaimLostError("the claim on the process no longer stands") from None
        if now is not None and error.items[0] is not None and "terminal_timestamp" not in error.items[0]:
            raise ProcessBusyError(f"process {process.id} is being run") from None
        raise ProcessEndedError(f"process {process.id} has ended") from None


def release(process: Process, token: str, note: Write) -> None:
    """Give a process back, so that the next delivery can claim it at once, and say so in its log. One transaction.

    Parameters
    ----------
    note : Write
        What `describe_note` made of the line.

    Raises
    ------
    ClaimLostError
        If the claim no longer stands.
    """
    write = _claimed_update(
        process.id,
        token,
        "SET #released = :attempt REMOVE #until",
        {"#released": "released_attempt", "#until": "claimed_until"},
        {":attempt": process.attempt},
    )
    _fenced([write, note])


def restart(process: Process, enqueued_at: float) -> Process:
    """Let a failed process begin again: same record, the log is kept. One transaction with its card.

    Raises
    ------
    ConflictError
        If it has not failed.
    """
    place = _open_place(process.id, process.created)
    values = {
        "status": ProcessStatus.PENDING.value,
        "tries": 0,
        "done": 0,
        "total": 0,
        "enqueued_at": number(enqueued_at),
    }
    on_record = values | place
    names = {"#old": "status", "#ended": "terminal_timestamp", "#message": "failure_message"}
    writes = [
        requests.update(
            _table(),
            key(process.id),
            # without its claim a worker that still runs for the process has lost it
            _setting(on_record) + " REMOVE #ended, #message, #claim",
            "#old = :failed AND attribute_exists(#ended)",
            names=names | _naming(on_record) | {"#claim": "claim"},
            values=_valuing(on_record) | {":failed": ProcessStatus.FAILED.value},
        ),
        requests.update(
            _table(),
            card_key(process.target_id, process.id),
            "SET #status = :status REMOVE #ended, #message",
            "attribute_exists(pk)",
            names={"#status": "status", "#ended": "terminal_timestamp", "#message": "failure_message"},
            values={":status": ProcessStatus.PENDING.value},
        ),
    ]
    try:
        requests.transact(writes)
    except ConditionFailedError:
        raise ConflictError("Only a failed process can be retried.") from None
    return get(process.id)


def describe_note(process: Process, text: str) -> Write:
    """Describe appending a line to the log from outside a run: who cancelled, who retried."""
    # Behind the attempt's own lines, whose numbers begin with zeros, and in the order in which they were written.
    number = counters.next_id("NOTE")
    note_key = {"pk": f"PROCESS#{process.id}", "sk": f"LOG#{process.attempt:06d}#9{number:015d}"}
    return requests.put(_table(), note_key, {"text": text + "\n"})


def append_note(process: Process, text: str) -> None:
    """Append such a line. One UpdateItem and one transaction (condition: the process exists); else nothing is done."""
    is_there = requests.check(_table(), key(process.id), "attribute_exists(pk)")
    with suppress(ConditionFailedError):
        requests.transact([is_there, describe_note(process, text)])


def open_processes() -> Iterator[tuple[Process, float, float | None]]:
    """Yield every process that has not ended, when it was last sent to a queue, and until when it is claimed."""
    for shard in range(OPEN_SHARDS):
        start: dict[str, Any] = {}
        while True:
            answer = dynamodb().query(
                TableName=_table(),
                IndexName=LIST_INDEX,
                KeyConditionExpression="#pk = :pk",
                ExpressionAttributeNames={"#pk": "list_pk"},
                ExpressionAttributeValues=to_item({":pk": f"OPENPROCESSES#{shard}"}),
                **start,
            )
            for raw in answer["Items"]:
                item = from_item(raw)
                yield from_record(item), item["enqueued_at"], item.get("claimed_until")
            if "LastEvaluatedKey" not in answer:
                break
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def mark_sent(process: Process, seen: float, now: float) -> bool:
    """Note that a process is sent to its queue again; False if somebody else did so, or it has ended. One UpdateItem."""
    write = requests.update(
        _table(),
        key(process.id),
        "SET #sent = :now",
        "#sent = :seen AND attribute_not_exists(#ended)",
        names={"#sent": "enqueued_at", "#ended": "terminal_timestamp"},
        values={":now": number(now), ":seen": number(seen)},
    )
    try:
        requests.run(write)
    except ConditionFailedError:
        return False
    return True


def delete(process: Process) -> None:
    """Delete a process with its log, its card and its identifier. One Query, and one transaction per hundred items."""
    items = [{"pk": item["pk"], "sk": item["sk"]} for item in requests.query(_table(), f"PROCESS#{process.id}")]
    logs = [requests.delete(_table(), each) for each in items if each["sk"] != "PROCESS"]
    for first in range(0, len(logs), 100):
        requests.transact(logs[first : first + 100])
    requests.transact(
        [
            requests.delete(_table(), key(process.id)),
            requests.delete(_table(), card_key(process.target_id, process.id)),
            requests.delete(_table(), {"pk": f"IDENTIFIER#{process.identifier}", "sk": "IDENTIFIER"}),
        ]
    )


def ids_of_target(target_id: int) -> list[int]:
    """Return the ids of all processes of a target. One Query of its partition per MB."""
    cards = requests.query(_table(), f"TARGET#{target_id}", between=("PROCESS#", "PROCESS#~"))
    return [card["id"] for card in cards]


def timelapse_card(ended: str, product_id: int) -> str:
    """Return the sort key of a timelapse's entry in the partition of its target; sorts by time."""
    return f"TIMELAPSE#{ended}#{product_id:015d}"


def put_timelapse_card(target_id: int, sort_key: str, entry: dict[str, Any]) -> Write:
    """Describe the entry that the target detail API shows of a timelapse."""
    return requests.put(_table(), {"pk": f"TARGET#{target_id}", "sk": sort_key}, entry)


def from_record(item: dict[str, Any]) -> Process:
    """Return the process that an item of the table holds."""
    fields = Process.__dataclass_fields__
    values = {name: item[name] for name in fields if name in item}
    values["product_ids"] = tuple(item["product_ids"])
    return Process(**values)


_ENDING_NAMES = {"#until": "claimed_until", "#lpk": "list_pk", "#lsk": "list_sk"}


def _open_place(process_id: int, created: str) -> dict[str, str]:
    return {"list_pk": f"OPENPROCESSES#{process_id % OPEN_SHARDS}", "list_sk": f"{created}#{process_id}"}


def _log_key(process_id: int, attempt: int, index: int) -> Key:
    return {"pk": f"PROCESS#{process_id}", "sk": f"LOG#{attempt:06d}#{index:08d}"}


def _end_of(lines: list[str]) -> str:
    log = "".join(lines)
    size = len(log.encode())
    if size <= MAX_LOG_BYTES:
        return log
    end = log.encode()[-MAX_LOG_BYTES:].decode("utf-8", "ignore")
    return "The beginning of the log is left out.\n" + end.partition("\n")[2]


def _setting(values: Mapping[str, Any]) -> str:
    return "SET " + ", ".join(f"#{name} = :{name}" for name in values)


def _naming(values: Mapping[str, Any]) -> dict[str, str]:
    return {f"#{name}": name for name in values}


def _valuing(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f":{name}": value for name, value in values.items()}


def _card_update(process: Process, values: Mapping[str, Any]) -> Write:
    return requests.update(
        _table(),
        card_key(process.target_id, process.id),
        _setting(values),
        "attribute_exists(pk)",
        names=_naming(values),
        values=_valuing(values),
    )


def _claimed_update(
    process_id: int, token: str, expression: str, names: Mapping[str, str], values: Mapping[str, Any]
) -> Write:
    return requests.update(
        _table(),
        key(process_id),
        expression,
        _HOLDS_CLAIM,
        names={**_CLAIM_NAMES, **names},
        values={":claim": token, **values},
    )


def _fenced(writes: Sequence[Write]) -> None:
    try:
        if len(writes) == 1:
            requests.run(writes[0])
        else:
            requests.transact(writes)
    except ConditionFailedError:
        raise ClaimLostError("the claim on the process no longer stands") from None


def _table() -> str:
    return get_settings().telescope_table
