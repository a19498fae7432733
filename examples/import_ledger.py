"""Create the events and productions of one of asimov's ledgers, in its order; what exists becomes what the ledger says.

    python examples/import_ledger.py ledger.yml [--skip-existing]

Keys of an event or production that are no fields of it become its `meta`, dates texts; what is set for the whole project
is left out. What is refused is named with the reason; the rest is imported, and the exit code 1. It may be run again.
Variables: SIDEREAL_URL, SIDEREAL_TOKEN. Rights in AWS: none.
"""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from export_ledger import EVENT, PRODUCTION
from http_api import Api, reason
from ledger_file import events_of, productions_of
from shared import parser_of, run
from tqdm import tqdm


def meta_of(entry: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """Return what becomes `meta`; keys that have the name of a field stand under a key `meta`."""
    meta, nested = {key: value for key, value in entry.items() if key not in fields}, entry.get("meta", {})
    return meta | (nested if isinstance(nested, dict) and nested.keys() <= set(fields) else {"meta": nested})


def put_production(api: Api, event: str, name: str, entry: Any) -> str:
    """Create a production, or change what there is, and return what went wrong, "" if nothing did."""
    if not isinstance(entry, dict):
        return "is no map of a production's fields"
    change, needs = {"comment": entry.get("comment"), "meta": meta_of(entry, PRODUCTION)}, entry.get("needs") or []
    new = {"name": name, "pipeline": entry.get("pipeline"), "dependencies": needs, **change}
    answer = api.ask("POST", f"/api/v1/productions/{quote(event, safe='')}", new)
    status = entry.get("status") or "ready"  # which is how every production begins
    if answer.status_code == 409 or (answer.ok and status != "ready"):
        change |= {"status": status} if "status" in entry else {}
        answer = api.ask("PUT", f"/api/v1/productions/{quote(event, safe='')}/{quote(name, safe='')}", change)
    if not answer.ok:
        return reason(answer)
    kept, others = answer.json()["production"], []
    others += ["pipeline"] if kept["pipeline"] != entry["pipeline"].lower() else []
    others += ["needs"] if kept["dependencies"] != list(dict.fromkeys(needs)) else []
    return f"its {' and '.join(others)} cannot be changed" if others else ""


def put_event(api: Api, event: dict[str, Any], made: set[str], *, skips: bool) -> list[str]:
    """Create an event with its productions, or change what there is, and return what went wrong."""
    name, own = event["name"], {"meta": meta_of(event, EVENT)}
    for key in ("repository", "working directory", "working_directory"):
        own |= {key.replace(" ", "_"): event[key]} if key in event else {}
    answer = api.ask("POST", "/api/v1/events/", {"name": name, **own})
    if answer.status_code == 409:
        if skips and name not in made:
            return []
        answer = api.ask("PUT", f"/api/v1/events/{quote(name, safe='')}", own)
    if not answer.ok:
        return [f"{name}: {reason(answer)}"]
    made.add(name)
    pairs = productions_of(event)
    return [f"{name}/{key}: {fault}" for key, entry in pairs if (fault := put_production(api, name, key, entry))]


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("ledger", type=Path, help="the YAML file")
    parser.add_argument("--skip-existing", action="store_true", help="leave events that exist as they are")
    given = parser.parse_args()
    events, api, made, faults = events_of(given.ledger), Api(), set[str](), list[str]()
    for event in tqdm(events, unit="event", disable=None):
        faults += put_event(api, event, made, skips=given.skip_existing)
    print(*(f"refused: {fault}" for fault in faults), sep="\n", end="\n" if faults else "", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    run(main)
