"""What people and their tools meet besides the two APIs: the description, the page to try it out, and the streams."""

import json
import re
from typing import Any, NamedTuple

from deployment.e2e.asking import Asker, E2EError, Reply

EVENT = "GW170817"
MAX_BATCHES = 100
HTTP_METHODS = ("get", "put", "post", "patch", "delete")


def check_description(ask: Asker, paths: list[str]) -> str:
    """Compare the description of the API with the addresses of the deployment, and open the page made of it.

    Parameters
    ----------
    paths : list of str
        The addresses that API Gateway has: `/api/targets/{target_id}`.

    Raises
    ------
    E2EError
        If they differ, or something of the page is missing.
    """
    described = ask("GET", "/openapi.json", 200).json
    if described["servers"] != [{"url": ask.stage or "/"}]:
        raise E2EError(f"the description names the servers {described['servers']}")
    found = {path.rstrip("/") for path in described["paths"]}
    if found != {path.rstrip("/") for path in paths}:
        raise E2EError(f"described or deployed alone: {sorted(found ^ {path.rstrip('/') for path in paths})}")
    page = ask("GET", "/docs", 200).text
    parts = [path.removeprefix(ask.stage) for path in re.findall(r'(?:src|href)="([^"]+)"', page) if "/docs/" in path]
    for path in parts:
        if "immutable" not in ask("GET", path, 200).headers.get("cache-control", ""):
            raise E2EError(f"{path} of /docs is not to be kept by browsers")
    if not parts:
        raise E2EError("/docs has neither style nor script")
    count = sum(method in item for item in described["paths"].values() for method in HTTP_METHODS)
    return f"{count} calls described, and a page that has its {len(parts)} files"


def follow_ledger(ask: Asker) -> str:
    """Follow the ledger while an event comes and goes: whoever comes back hears only what is new.

    Raises
    ------
    E2EError
        If something is missed or told twice.
    """
    path = "/api/v1/stream"
    ask("POST", "/api/v1/events", 201, ..., {"name": EVENT})
    begun = _messages(ask("GET", path, 200))
    ask("DELETE", f"/api/v1/events/{EVENT}", 204)
    told = _messages(ask("GET", path, 200, headers={"Last-Event-ID": begun[-1].id}))
    again = _messages(ask("GET", path, 200, headers={"Last-Event-ID": told[-1].id}))
    actions = [[each.data["action"] for each in batch if EVENT in str(each.data)] for batch in (begun, told, again)]
    if actions != [["created"], ["deleted"], []]:
        raise E2EError(f"the ledger's stream told {actions} of an event")
    ask("GET", path, 400, {"error": str, "details": list}, headers={"Last-Event-ID": "nonsense"})
    return "every change of the ledger, once"


def follow_process(ask: Asker, process: int) -> str:
    """Follow a process that has ended to the end of its stream.

    Raises
    ------
    E2EError
        If its log is not the one that the API for it answers.
    """
    path, position, log = f"/api/pipeline/{process}/stream", "", ""
    for _ in range(MAX_BATCHES):
        reply = ask("GET", path, int, headers={"Last-Event-ID": position} if position else {})
        if reply.status == 204:
            break
        for message in _messages(reply):
            position = message.id
            log += message.data.get("text", "")
    else:
        raise E2EError(f"{path} has no end")
    whole = ask("GET", f"/api/pipeline/logs/{process}/", 200).json["logs"]
    if log != whole:
        raise E2EError(f"{path} told the log {log!r}, not {whole!r}")
    if ask("GET", f"/pipeline/{process}/log", 200).text != whole:
        raise E2EError(f"the log that the page of process {process} leads to is another")
    return f"{len(log.splitlines())} lines of a log, and its end"


class _Message(NamedTuple):
    """One message of a stream."""

    id: str
    data: dict[str, Any]


def _messages(reply: Reply) -> list[_Message]:
    """Return the messages of one answer of a stream."""
    if not reply.headers["content-type"].startswith("text/event-stream"):
        raise E2EError(f"a stream is answered as {reply.headers['content-type']}")
    blocks = (dict(line.split(": ", 1) for line in block.splitlines()) for block in reply.text.split("\n\n"))
    return [_Message(fields["id"], json.loads(fields.get("data", "{}"))) for fields in blocks if "id" in fields]
