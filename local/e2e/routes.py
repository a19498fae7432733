"""Whether every address of the deployed API was used, with every method that it takes."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from local.e2e.asking import Asker, E2EError
from local.packages import read_template

UNASKED = ("HEAD", "OPTIONS")
"""Methods that all addresses take alike."""


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
