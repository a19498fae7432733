"""Whether every address of the deployed API was used, with every method that it takes."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from deployment.e2e.asking import Asker, E2EError
from deployment.packages import read_template

UNASKED = ("HEAD", "OPTIONS")
"""Methods that all addresses take alike."""


LARGE_BYTES = 4_600_000
"""More than the API takes, and less than Lambda."""


def check_gateway(ask: Asker) -> str:
    """Ask for what is not there, and send what is too much: API Gateway and the functions answer in the APIs' own form."""
    unknown = {"error": "Resource not found", "detail": "Not found."}
    for path in ("/api/v1/nothing", "/api/nothing/", "/nothing", "/api/v1/events/GW%2F150914"):
        ask("GET", path, 404, unknown)
    ask("POST", "/api/v1/nothing", 404, unknown, {})
    for path in ("/api/v1/events", "/api/v1/events/GW150914/", "/api/targets/"):
        if ask("HEAD", path, 200).text:
            raise E2EError(f"HEAD {path} is answered with a body")
    body = {"name": "large", "meta": {"text": "x" * LARGE_BYTES}}
    ask("POST", "/api/v1/events/", 413, {"error": str}, body)
    ask("POST", "/api/targets/", 413, {"detail": str}, body)
    return "404 of unknown addresses, HEAD, 413"


def paths_of(package: Path) -> list[str]:
    """Return the addresses that the package's template gives to API Gateway: `/api/targets/{target_id}`."""
    return list(read_template(package)["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"])


def check_all_used(package: Path, ask: Asker, asked: Iterable[tuple[str, str]]) -> str:
    """Compare what was asked with what each address says that it takes; return the numbers of both.

    Raises
    ------
    E2EError
        If something was left out.
    """
    used = list(asked)
    unused, count = [], 0
    for path in paths_of(package):
        shown = re.sub(r"\{[^}]+\}", "1", path)
        allowed = ask("OPTIONS", shown, 204).headers["allow"].split(", ")
        pattern = re.compile(re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(path)) + "/?")
        methods = {method for method, each in used if pattern.fullmatch(each)}
        wanted = [method for method in allowed if method not in UNASKED]
        unused += [f"{method} {path}" for method in wanted if method not in methods]
        count += len(wanted)
    if unused:
        raise E2EError(f"never used: {json.dumps(unused)}")
    return f"{len(used)} requests: each of the {count} calls at {len(paths_of(package))} addresses was made"
