"""The moves of a process: claim, report, hand over, end, give back. Those that people ask for are `process_wishes`.

Every move of a running process has the condition that the caller's claim still stands, so that a worker that was thought
dead, or whose process was cancelled, can no longer change anything.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.errors import (
    ClaimLostError,
    NotFoundError,
    ProcessBusyError,
    ProcessEndedError,
    ProcessExhaustedError,
)
from chalicelib.models.data_products import Group
from chalicelib.models.processes import MAX_FAILURE_MESSAGE, Process
from chalicelib.settings import get_settings
from chalicelib.states import ProcessStatus
from chalicelib.storage import checkpoints, groups, processes, requests
from chalicelib.storage.checkpoints import StoredCheckpoint
from chalicelib.storage.convert import number
from chalicelib.storage.requests import ConditionFailedError, Write

NOT_SENT = 0.0
"""When a process was last sent to its queue, where that is still to be done: the sweeper finds it at once."""

_HOLDS_CLAIM = "#claim = :claim AND attribute_not_exists(#ended)"
IS_OPEN = "attribute_exists(pk) AND attribute_not_exists(#ended)"
_CLAIM_NAMES = {"#claim": "claim", "#ended": "terminal_timestamp"}
_ENDING_NAMES = {"#until": "claimed_until", "#lpk": "list_pk", "#lsk": "list_sk"}


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
        processes.key(process_id),
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
        return processes.from_record(requests.run(write))
    except ConditionFailedError as error:
        old = error.item
        if old is None:
            raise NotFoundError("Not found.") from None
        if old.get("claim") == token and "terminal_timestamp" not in old:
            return processes.from_record(old)  # claimed a moment ago, by a request whose answer was lost
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
    _fenced([extend, requests.put(_table(), processes.log_key(process_id, attempt, index), {"text": text})])


def confirm_claim(process_id: int, token: str) -> None:
    """Make sure that a claim still stands. One consistent GetItem of two attributes.

    Raises
    ------
    ClaimLostError
        If it does not.
    """
    item = requests.get(_table(), processes.key(process_id), projection=_CLAIM_NAMES)
    if item is None or item.get("claim") != token or "terminal_timestamp" in item:
        raise ClaimLostError("the claim on the process no longer stands")


def hand_over(process: Process, token: str, checkpoint: StoredCheckpoint, done: int, total: int) -> None:
    """Keep a checkpoint and give the process back for its next run, which is no try of its own. One transaction.

    The claim ends with it: nothing that this worker still sends may extend the lease.

    Raises
    ------
    ClaimLostError
        If the claim no longer stands.
    """
    write = _claimed_update(
        process.id,
        token,
        "SET #tries = :none, #sent = :not_sent, #done = :done, #total = :total"
        " REMOVE #until, #claim ADD #handovers :one",
        {
            "#tries": "tries",
            "#sent": "enqueued_at",
            "#done": "done",
            "#total": "total",
            "#until": "claimed_until",
            "#handovers": "handovers",
        },
        {":none": 0, ":one": 1, ":not_sent": number(NOT_SENT), ":done": done, ":total": total},
    )
    _fenced([write, checkpoints.put(checkpoint)])


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
        processes.card_key(process.target_id, process.id),
        "SET #status = :status",
        "attribute_exists(pk)",
        names=names,
        values=values,
    )
    _fenced([_claimed_update(process.id, token, "SET #status = :status", names, values), card])


def holds_claim(process_id: int, token: str) -> Write:
    """Describe the condition that a claim still stands, for other records' transactions."""
    return requests.check(
        _table(), processes.key(process_id), _HOLDS_CLAIM, names=_CLAIM_NAMES, values={":claim": token}
    )


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
            processes.key(process.id),
            setting(on_record) + " REMOVE #until, #lpk, #lsk",
            _HOLDS_CLAIM,
            names={**_CLAIM_NAMES, **naming(on_record), **_ENDING_NAMES},
            values={":claim": token, **valuing(on_record)},
        ),
        card_update(process, values),
        checkpoints.drop(process.id),
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
    condition = IS_OPEN
    names: dict[str, str] = {}
    bound: dict[str, Any] = {}
    if token is not None:
        condition, names, bound = _HOLDS_CLAIM, {"#claim": "claim"}, {":claim": token}
    elif now is not None:
        condition += " AND (attribute_not_exists(#until) OR #until < :now)"
        bound = {":now": number(now)}
    try:
        requests.transact(failing(process, ended, message, condition, names, bound))
    except ConditionFailedError as error:
        if token is not None:
            raise ClaimLostError("the claim on the process no longer stands") from None
        if now is not None and error.items[0] is not None and "terminal_timestamp" not in error.items[0]:
            raise ProcessBusyError(f"process {process.id} is being run") from None
        raise ProcessEndedError(f"process {process.id} has ended") from None


def release(process: Process, token: str, note: str) -> None:
    """Give a process back, so that the next delivery can claim it at once, and say so in its log. One transaction.

    Parameters
    ----------
    process : Process
        As it was claimed: since then nobody else can have added a note.

    Raises
    ------
    ClaimLostError
        If the claim no longer stands.
    """
    write = _claimed_update(
        process.id,
        token,
        "SET #released = :attempt, #notes = :more REMOVE #until",
        {"#released": "released_attempt", "#until": "claimed_until", "#notes": "notes"},
        {":attempt": process.attempt, ":more": process.notes + 1},
    )
    _fenced([write, processes.describe_note(process, note)])


def failing(
    process: Process,
    ended: str,
    message: str,
    condition: str,
    names: Mapping[str, str],
    bound: Mapping[str, Any],
    more: str = "",
) -> list[Write]:
    """Describe that a process ends as failed, if a condition on its record holds; `more` is set on the record, too."""
    values = {
        "status": ProcessStatus.FAILED.value,
        "terminal_timestamp": ended,
        "failure_message": message[:MAX_FAILURE_MESSAGE],
    }
    write = requests.update(
        _table(),
        processes.key(process.id),
        setting(values) + (f", {more}" if more else "") + " REMOVE #until, #lpk, #lsk",
        condition,
        names={"#ended": "terminal_timestamp", **naming(values), **_ENDING_NAMES, **names},
        values={**valuing(values), **bound},
    )
    return [write, card_update(process, values), checkpoints.drop(process.id)]


def setting(values: Mapping[str, Any]) -> str:
    """Return the clause that sets attributes to `valuing` under the placeholders of `naming`."""
    return "SET " + ", ".join(f"#{name} = :{name}" for name in values)


def naming(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the placeholders of attributes."""
    return {f"#{name}": name for name in values}


def valuing(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the placeholders of values."""
    return {f":{name}": value for name, value in values.items()}


def card_update(process: Process, values: Mapping[str, Any]) -> Write:
    """Describe setting attributes of the card."""
    return requests.update(
        _table(),
        processes.card_key(process.target_id, process.id),
        setting(values),
        "attribute_exists(pk)",
        names=naming(values),
        values=valuing(values),
    )


def _claimed_update(
    process_id: int, token: str, expression: str, names: Mapping[str, str], values: Mapping[str, Any]
) -> Write:
    return requests.update(
        _table(),
        processes.key(process_id),
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
