"""Processes: `pk=PROCESS#<id>, sk=PROCESS`, their log under `sk=LOG#...`, and a card in the partition of their target.

What a process goes through stands in `process_moves`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.errors import (
    InvalidInputError,
    NotFoundError,
)
from chalicelib.models.processes import Process, PublicProcess, summary
from chalicelib.settings import get_settings
from chalicelib.storage import counters, lists, requests, targets
from chalicelib.storage.convert import number
from chalicelib.storage.freeform import pack, unpack
from chalicelib.storage.requests import ConditionFailedError, Key, Write

OPEN_SHARDS = 8
"""Partitions of the index over which the processes that have not ended are spread."""

MAX_PROCESSES_SHOWN = 500
_LOGS_TOGETHER = 10
"""A transaction may touch 4 MB, and an item of a log may have 360 KB."""

_INDEX_DIGITS = 8

_NOTES_BEGIN = 10**14
"""Where the numbers of notes begin; those of earlier versions, from a counter of all processes, are lower."""

MAX_LOG_BYTES = 2_000_000
"""Of a longer log (many attempts) only the end is answered: a Lambda function answers at most 6 MB."""


def key(process_id: int) -> Key:
    """Return the key of a process."""
    return {"pk": f"PROCESS#{process_id}", "sk": "PROCESS"}


def card_key(target_id: int, process_id: int) -> Key:
    """Return the key of what the target's partition holds of a process."""
    return {"pk": f"TARGET#{target_id}", "sk": f"PROCESS#{process_id:015d}"}


@dataclass(frozen=True)
class LogPlace:
    """How far a log is known: the latest attempt, the last item of its own lines (-1: none), the process's last note."""

    attempt: int = 0
    index: int = -1
    note: int = -1


@dataclass(frozen=True)
class LogEntry:
    """An item of a log: lines of a run, which have an index within their attempt, or a note."""

    attempt: int
    index: int | None
    note: int | None
    text: str

    def behind(self, place: LogPlace) -> LogPlace:
        """Return how far a log is known that was known up to a place, and with this entry, the next one."""
        index = place.index if place.attempt == self.attempt else -1
        return LogPlace(
            self.attempt,
            index if self.index is None else self.index,
            place.note if self.note is None else self.note,
        )


class ProcessExistsError(Exception):
    """Raised when there is a process of this id already: what is done twice was done."""


class IdentifierTakenError(Exception):
    """Raised when another process has this identifier."""


def next_id() -> int:
    """Return the id of the next process."""
    return counters.next_id("PROCESS")


def create(process: Process, enqueued_at: float, also: Sequence[Write] = (), note: str = "") -> None:
    """Keep a new process, together with other writes. One transaction.

    Conditions: its target exists, neither its id nor its identifier is in use.

    Parameters
    ----------
    note : str
        The first line of its log, if there is to be one.

    Raises
    ------
    InvalidInputError
        If the target does not exist.
    ProcessExistsError
        If the id is in use.
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
        "options": pack(process.options),
        "product_ids": list(process.product_ids),
        "user": process.user,
        "request_id": process.request_id,
        "enqueued_at": number(enqueued_at),
        **open_place(process.id, process.created),
        **dict.fromkeys(("attempt", "tries", "released_attempt", "handovers", "done", "total"), 0),
        "notes": 1 if note else 0,
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
        *([describe_note(process, note)] if note else []),
        *also,
    ]
    try:
        requests.transact(writes)
    except ConditionFailedError as error:
        if error.failed[0]:
            text = f'Invalid pk "{process.target_id}" - object does not exist.'
            raise InvalidInputError.of("target", text, "value_error.missing_record") from None
        raise (ProcessExistsError if error.failed[2] else IdentifierTakenError) from None


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
    process, entries = read_log(process_id)
    return process, "".join(entry.text for entry in entries)


def read_log(process_id: int, after: LogPlace | None = None) -> tuple[Process, list[LogEntry]]:
    """Return a process and the entries of its log that came after a place. One Query of its partition per MB.

    Whatever had been written when the process was as it is returned is among the entries, or before the place; and so is
    whatever had been written before one of them.

    Parameters
    ----------
    after : LogPlace, optional
        Up to where the log is known. From its beginning without one; of a log above `MAX_LOG_BYTES` only the end then.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    process: Process | None = None
    found: list[LogEntry] = []
    size = 0
    low = "LOG#" if after is None else log_key(process_id, after.attempt, after.index + 1)["sk"]
    # LOG#... sorts before PROCESS: read backwards, the process comes first, then the newest lines. A Query is no snapshot:
    # forwards it might pass where a line is about to be written, and then see the next one, or the end.
    for item in requests.query(_table(), f"PROCESS#{process_id}", between=(low, "PROCESS"), is_forward=False):
        if item["sk"] == "PROCESS":
            process = from_record(item)
            continue
        attempt, index, note = _place_of(item["sk"])
        if after is not None and note is not None and note <= after.note:
            continue
        found.append(LogEntry(attempt, index, note, item["text"]))
        size += len(item["text"].encode())
        if after is None and size > MAX_LOG_BYTES:
            break
    if process is None:
        raise NotFoundError("Not found.")
    found.reverse()
    if after is None and size > MAX_LOG_BYTES:
        found[0] = replace(found[0], text=_end_of(found[0].text, len(found[0].text.encode()) - size + MAX_LOG_BYTES))
    return process, found


def is_ahead(place: LogPlace, process: Process) -> bool:
    """Say whether a log cannot be known up to a place yet: no such attempt has begun, or no such note was added."""
    return place.attempt > process.attempt or place.note >= _NOTES_BEGIN + process.notes


def list_of_target(target_id: int, limit: int = MAX_PROCESSES_SHOWN) -> list[PublicProcess]:
    """Return the published fields of a target's processes, newest first. One consistent Query of the target's partition.

    Raises
    ------
    NotFoundError
        If there is no such target.
    """
    return [summary(card) for card in newest_cards(target_id, limit)]


def newest_cards(target_id: int, limit: int) -> list[dict[str, Any]]:
    """Return what the partition of a target holds of its processes, newest first. One consistent Query.

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
    return items[1:]


def describe_note(process: Process, text: str) -> Write:
    """Describe adding a line to the log from outside a run: who cancelled, who retried.

    It goes into a transaction that counts it (`notes`), for which `attempt` and `notes` must still be those of `process`. So
    notes are written in the order of their numbers, and none is added to an attempt when the next one has begun.
    """
    # Behind the attempt's own lines, whose numbers begin with zeros.
    sort_key = f"LOG#{process.attempt:06d}#9{_NOTES_BEGIN + process.notes:015d}"
    return requests.put(_table(), {**key(process.id), "sk": sort_key}, {"text": text + "\n"})


def open_processes() -> Iterator[tuple[Process, float, float | None]]:
    """Yield every process that has not ended, when it was last sent to a queue, and until when it is claimed."""
    for shard in range(OPEN_SHARDS):
        for item in lists.read_partition(_table(), f"OPENPROCESSES#{shard}"):
            yield from_record(item), item["enqueued_at"], item.get("claimed_until")


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
    """Delete a process with its log, its card and its identifier. One Query, and one transaction for every ten."""
    items = [{"pk": item["pk"], "sk": item["sk"]} for item in requests.query(_table(), f"PROCESS#{process.id}")]
    logs = [requests.delete(_table(), each) for each in items if each["sk"] != "PROCESS"]
    for first in range(0, len(logs), _LOGS_TOGETHER):
        requests.transact(logs[first : first + _LOGS_TOGETHER])
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
    values["options"] = unpack(item.get("options", {}))
    return Process(**values)


def open_place(process_id: int, created: str) -> dict[str, str]:
    """Return the attributes that put a process which has not ended into the index."""
    return {"list_pk": f"OPENPROCESSES#{process_id % OPEN_SHARDS}", "list_sk": f"{created}#{process_id}"}


def log_key(process_id: int, attempt: int, index: int) -> Key:
    """Return the key of an item of the log: lines of one attempt, in order."""
    return {"pk": f"PROCESS#{process_id}", "sk": f"LOG#{attempt:06d}#{index:0{_INDEX_DIGITS}d}"}


def _place_of(sort_key: str) -> tuple[int, int | None, int | None]:
    """Return the attempt of an item of a log, and its number: among the run's own, or among the notes."""
    _, attempt, number = sort_key.split("#")
    is_note = len(number) > _INDEX_DIGITS
    return int(attempt), None if is_note else int(number), int(number[1:]) if is_note else None


def _end_of(text: str, size: int) -> str:
    """Return the whole lines among the last `size` bytes of a text, and say that the others are left out."""
    end = text.encode()[-size:].decode("utf-8", "ignore") if size > 0 else ""
    return "The beginning of the log is left out.\n" + end.partition("\n")[2]


def _table() -> str:
    return get_settings().telescope_table
