"""Processes as pages list them: how far each one is, without what only its runs need."""

from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from chalicelib import clock
from chalicelib.models.processes import OpenProcess
from chalicelib.settings import get_settings
from chalicelib.states import is_terminal
from chalicelib.storage import requests
from chalicelib.storage.clients import dynamodb
from chalicelib.storage.convert import from_item, to_item
from chalicelib.storage.processes import OPEN_SHARDS, key, newest_cards
from chalicelib.storage.schema import LIST_INDEX

_ATTRIBUTES = ("id", "identifier", "process_type", "target_id", "created", "status", "done", "total")


@dataclass(frozen=True)
class ProcessRow:
    """One process of a list; `created` is a stored time text, `done` and `total` are steps of its pipeline."""

    id: int
    identifier: str
    process_type: str
    target_id: int
    created: str
    status: str
    failure_message: str = ""
    done: int = 0
    total: int = 0

    @property
    def is_ended(self) -> bool:
        """Whether it has succeeded or failed."""
        return is_terminal(self.status)

    def public(self) -> OpenProcess:
        """Return the form in which the API lists it."""
        return {
            "id": self.id,
            "identifier": self.identifier,
            "target": self.target_id,
            "process_type": self.process_type,
            "created": clock.to_unix(self.created),
            "status": self.status,
            "progress": {"done": self.done, "total": self.total},
            "view_url": f"/pipeline/{self.id}",
        }


@dataclass(frozen=True)
class OpenProcesses:
    """The newest processes that have not ended; how many there are, or only how many at least."""

    newest: list[ProcessRow]
    count: int
    is_all: bool


def newest_open(limit: int) -> OpenProcesses:
    """Return the newest processes that have not ended. One Query for each of the eight partitions, at the same time.

    The index shows changes a moment late.
    """
    from concurrent.futures import ThreadPoolExecutor  # loaded for those who ask for it

    with ThreadPoolExecutor(OPEN_SHARDS, thread_name_prefix="open-processes") as threads:
        # Each thread has a copy of what says where log lines belong.
        questions = [threads.submit(copy_context().run, _newest_of, shard, limit) for shard in range(OPEN_SHARDS)]
        parts = [question.result() for question in questions]
    found = sorted((item for items, _ in parts for item in items), key=_age, reverse=True)
    return OpenProcesses([_row(item) for item in found[:limit]], len(found), all(is_all for _, is_all in parts))


def newest_of_target(target_id: int, limit: int) -> tuple[list[ProcessRow], bool]:
    """Return the newest processes of a target, and whether there are older ones.

    One consistent Query of the target's partition, and one BatchGetItem where some have not ended: their records say how
    far they are.

    Raises
    ------
    NotFoundError
        If there is no such target.
    """
    newest = newest_cards(target_id, limit + 1)
    cards = {card["id"]: {**card, "target_id": target_id} for card in newest[:limit]}
    going = [key(each) for each, card in cards.items() if not is_terminal(card["status"])]
    records = requests.get_many(_table(), going) if going else []
    rows = cards | {record["id"]: record for record in records}
    return [_row(item) for item in rows.values()], len(newest) > limit


def _newest_of(shard: int, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """Return the newest members of one partition, and whether these are all."""
    names = {f"#{name}": name for name in _ATTRIBUTES}
    answer = dynamodb().query(
        TableName=_table(),
        IndexName=LIST_INDEX,
        KeyConditionExpression="#pk = :pk",
        ExpressionAttributeNames={"#pk": "list_pk", **names},
        ExpressionAttributeValues=to_item({":pk": f"OPENPROCESSES#{shard}"}),
        ProjectionExpression=", ".join(names),
        ScanIndexForward=False,
        Limit=limit,
    )
    return [from_item(item) for item in answer["Items"]], "LastEvaluatedKey" not in answer


def _age(item: dict[str, Any]) -> tuple[str, int]:
    return item["created"], item["id"]


def _row(item: dict[str, Any]) -> ProcessRow:
    return ProcessRow(**{name: item[name] for name in ProcessRow.__dataclass_fields__ if name in item})


def _table() -> str:
    return get_settings().telescope_table
