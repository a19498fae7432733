"""Write all events with their productions as asimov's ledger has them, in the order in which they were created.

    python examples/export_ledger.py > ledger.yml

Keys of `meta` stand beside the event's own, as in asimov; those that have the name of a field stand under `meta`.
Variables: LEDGER_TABLE. Rights: dynamodb:Query on the table and its index `by_list`. What is created while it runs
may be missing.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import yaml
from boto3.dynamodb.conditions import Key
from shared import parser_of, run
from tables import members, query, table_of
from tqdm import tqdm

EVENT = ("name", "repository", "working directory", "working_directory", "productions", "meta")
PRODUCTION = ("name", "event", "pipeline", "status", "comment", "needs", "meta")


def unpacked(packed: dict[str, str], fields: tuple[str, ...]) -> dict[str, Any]:
    """Return `meta`, which the table has as JSON texts; DynamoDB has no empty keys, so `~` stands before those."""
    meta = {key.removeprefix("~"): json.loads(text) for key, text in packed.items()}
    taken = {key: meta.pop(key) for key in fields if key in meta}
    return meta | ({"meta": taken} if taken else {})


def production(item: dict[str, Any]) -> dict[str, Any]:
    """Return a production: a map with one key, its name."""
    own = {"pipeline": item["pipeline"], "status": item["status"], "comment": item["comment"] or None}
    return {item["name"]: {**unpacked(item["meta"], PRODUCTION), **own, "needs": list(item["dependencies"])}}


def events(table: Any) -> Iterator[dict[str, Any]]:
    """Yield all events. The index knows their order, each event's partition what is in it now."""
    for listed in members(table, "EVENTS"):
        items = {item["sk"]: item for item in query(table, Key("pk").eq(listed["pk"]), ConsistentRead=True)}
        event = items.pop("EVENT", None)
        if event is None:  # deleted a moment ago
            continue
        own = {"name": event["name"], "working directory": event["working_directory"]}
        own |= {"repository": event["repository"]} if "repository" in event else {}
        by_age = sorted(items.values(), key=lambda item: (item["created"], item["name"]))
        yield {**unpacked(event["meta"], EVENT), **own, "productions": [production(item) for item in by_age]}


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--project", default="sidereal", help="name of the project (default: %(default)s)")
    given = parser.parse_args()
    found = list(tqdm(events(table_of("LEDGER_TABLE")), unit="event", disable=None))
    ledger = {"events": found, "project": {"name": given.project}, "project analyses": []}
    yaml.safe_dump(ledger, sys.stdout.buffer, encoding="utf-8", default_flow_style=False)
    return 0


if __name__ == "__main__":
    run(main)
