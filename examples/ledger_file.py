"""Reads asimov's ledger from a file, which anybody may have written by hand."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml


def events_of(path: Path) -> list[dict[str, Any]]:
    """Return the events of a file, as JSON can have them; a file that is no ledger ends the script."""
    try:
        ledger = json.loads(json.dumps(yaml.safe_load(path.read_text("utf-8")), default=str, allow_nan=False))
        return [{**event, "name": str(event["name"])} for event in ledger["events"]]
    except (yaml.YAMLError, ValueError, TypeError, KeyError, RecursionError) as error:
        sys.exit(f"error: {path} is no ledger: {' '.join(str(error).split())}")


def productions_of(event: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the productions of an event by name, which stands before their fields or among them.

    What is no production is among them: under its own text, or with something else than a map.
    """
    listed, found = event.get("productions") or [], list[tuple[str, Any]]()
    for each in listed if isinstance(listed, list) else [listed]:
        if not isinstance(each, dict):
            found.append((str(each)[:50], each))
        elif isinstance(each.get("pipeline"), str) and "name" in each:
            found.append((str(each["name"]), each))
        else:
            found += each.items()
    return found
