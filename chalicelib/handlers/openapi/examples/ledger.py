"""Examples of the asimov REST API, with the values of its published document where it has them."""

import json
from typing import Any

from chalicelib.handlers.openapi.examples.example import Example

_PRODUCTION: dict[str, Any] = {
    "name": "Prod_A",
    "pipeline": "bilby",
    "status": "ready",
    "comment": "High-spin prior",
    "dependencies": [],
    "meta": {"sampler": "dynesty"},
}
_SUMMARY = {key: _PRODUCTION[key] for key in ("name", "pipeline", "status", "comment")}
_EVENT: dict[str, Any] = {
    "name": "GW150914",
    "working directory": "working/GW150914",
    "productions": [],
    "meta": {"gps_time": 1126259462.4, "far": 1e-7},
}
_CHANGE = {
    "action": "changed",
    "kind": "production",
    "event": "GW150914",
    "name": "Prod_A",
    "status": "running",
    "time": 1768014245.678901,
}
_READY = {"status": "ok", "seconds": 0.012}
_CHECKS = (
    "ledger_table",
    "telescope_table",
    "operations_table",
    "idempotency_table",
    "bucket",
    "timelapse_queue",
    "pipeline_queue",
    "renditions_queue",
    "api_keys",
    "portal",
)


def _productions(noun: str, plural: str) -> dict[str, Example]:
    changed = {**_PRODUCTION, "status": "finished", "comment": "Completed successfully"}
    created = {key: _PRODUCTION[key] for key in ("name", "pipeline", "comment", "meta")}
    return {
        f"list_{plural}": Example({200: {plural: [_SUMMARY]}}),
        f"create_{noun}": Example({201: {noun: _PRODUCTION}}, takes=created),
        f"get_{noun}": Example({200: {noun: _PRODUCTION}}),
        f"update_{noun}": Example(
            {200: {noun: changed}}, takes={"status": "finished", "comment": "Completed successfully"}
        ),
        f"delete_{noun}": Example(),
    }


EXAMPLES: dict[str, Example] = {
    "health": Example({200: {"status": "ok", "version": "v1"}}),
    "ready": Example(
        {
            200: {"status": "ok", "checks": dict.fromkeys(_CHECKS, _READY)},
            503: {
                "status": "unavailable",
                "checks": {**dict.fromkeys(_CHECKS, _READY), "bucket": {"status": "unavailable", "seconds": 2.0}},
            },
        }
    ),
    "list_events": Example({200: {"events": [_EVENT]}}),
    "create_event": Example({201: {"event": _EVENT}}, takes={"name": "GW150914", "meta": _EVENT["meta"]}),
    "get_event": Example({200: {"event": {**_EVENT, "productions": [_SUMMARY]}}}),
    "update_event": Example(
        {200: {"event": {**_EVENT, "productions": [_SUMMARY], "meta": {**_EVENT["meta"], "updated": True}}}},
        takes={"meta": {"updated": True}},
    ),
    "delete_event": Example(),
    **_productions("production", "productions"),
    **_productions("analysis", "analyses"),
    "follow_ledger": Example(
        texts={
            "text/event-stream": "retry: 1000\n\n"
            f"id: 1.1768014245678901..Jm3bVq0x\nevent: production\ndata: {json.dumps(_CHANGE)}\n\n"
        }
    ),
}
