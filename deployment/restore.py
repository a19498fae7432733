"""Brings a table back to what another one holds, such as one that was restored to a point in time.

Usage: `python -m deployment.restore <from> <to>`; with `--look` it only says what differs. Only what differs is written, so
it may be stopped and begun again. Nobody else may write to either table meanwhile: docs/operations.md tells how.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from deployment.account import Account, DeployError, one_line_errors
from deployment.undeploy import confirm

Item = dict[str, Any]

BATCH = 25
"""Writes in one request, at most."""
_LONGEST_PAUSE_S = 30.0
_SETS = ("SS", "NS", "BS")


@dataclass(frozen=True)
class Differences:
    """How many records a table lacks, has otherwise, and has too many; the rest is the same."""

    missing: int
    changed: int
    surplus: int
    same: int

    def __str__(self) -> str:
        return f"{self.missing} missing, {self.changed} changed, {self.surplus} too many, {self.same} as they should be"


def restore(
    source: str, target: str, dynamodb: Any, *, look_only: bool = False, say: Callable[[str], None] = print
) -> Differences:
    """Give one table the records of another, and take away those that the other does not have.

    Parameters
    ----------
    source, target : str
        Names of the tables: what is right, and what is made so.
    dynamodb : client
        Of DynamoDB.
    look_only : bool
        Whether nothing is to be written.
    say : callable
        Takes lines about the progress.

    Raises
    ------
    DeployError
        If the two have different keys, or are one.
    """
    keys = _key_names(dynamodb, source)
    if source == target or keys != _key_names(dynamodb, target):
        raise DeployError(f"{source} and {target} are one, or have different keys")
    right = {_digest(_key(item, keys)): _digest(item) for item in _items(dynamodb, source)}
    say(f"{source} has {len(right)} records")
    surplus, same = [], 0
    missing = set(right)
    for item in _items(dynamodb, target):
        key = _digest(_key(item, keys))
        missing.discard(key)
        if key not in right:
            surplus.append(_key(item, keys))
        elif right[key] == _digest(item):
            del right[key]
            same += 1
    found = Differences(len(missing), len(right) - len(missing), len(surplus), same)
    say(f"{target}: {found}")
    if not look_only:
        _write(dynamodb, target, ({"DeleteRequest": {"Key": key}} for key in surplus))
        wanted = (item for item in _items(dynamodb, source) if _digest(_key(item, keys)) in right)
        _write(dynamodb, target, ({"PutRequest": {"Item": item}} for item in wanted))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Bring back the table named on the command line, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deployment.restore", description="Bring a table back to what another one holds."
    )
    parser.add_argument("source", metavar="from", help="table that holds what is right")
    parser.add_argument("target", metavar="to", help="table that is to hold the same; CONFIRM=<its name> says yes")
    parser.add_argument("--look", action="store_true", help="only say what differs")
    options = parser.parse_args(arguments)
    try:
        account = Account.of_environment()
        if not options.look:
            confirm(options.target, "CONFIRM", f"write over {options.target}")
        with one_line_errors():
            restore(options.source, options.target, account.client("dynamodb"), look_only=options.look)
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _key_names(dynamodb: Any, table: str) -> list[str]:
    schema = dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]
    return sorted(each["AttributeName"] for each in schema)


def _key(item: Item, names: list[str]) -> Item:
    return {name: item[name] for name in names}


def _items(dynamodb: Any, table: str) -> Iterator[Item]:
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]


def _digest(item: Item) -> bytes:
    """Return 16 bytes that stand for an item: all of a large table's fit into memory. Sets come in any order."""
    ordered = {
        name: {kind: sorted(held) if kind in _SETS else held for kind, held in value.items()}
        for name, value in item.items()
    }
    return hashlib.blake2b(json.dumps(ordered, sort_keys=True, default=repr).encode(), digest_size=16).digest()


def _write(dynamodb: Any, table: str, requests: Iterable[Item]) -> None:
    iterator = iter(requests)
    while batch := list(_take(iterator)):
        pause_s = 0.1
        while batch:
            answer = dynamodb.batch_write_item(RequestItems={table: batch})
            batch = answer.get("UnprocessedItems", {}).get(table, [])
            if batch:  # the table takes no more just now
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _take(iterator: Iterator[Item]) -> Iterator[Item]:
    for _, item in zip(range(BATCH), iterator, strict=False):
        yield item


if __name__ == "__main__":
    sys.exit(main())
