"""Waits for the end of a process that a message has asked for."""

import sys
import time
from typing import Any

from tables import get
from tqdm import tqdm

POLL_S = 0.5


def wait(table: Any, request: str, timeout_s: float) -> dict[str, Any]:
    """Return the process to which a request has led, when it has ended; a refusal ends the script."""
    deadline = time.monotonic() + timeout_s
    with tqdm(unit="step", disable=None) as bar:
        while time.monotonic() < deadline:
            asked = get(table, f"REQUEST#{request}", "REQUEST")
            if "refusal" in asked:
                sys.exit(f"error: refused: {asked['refusal']}")
            process = get(table, f"PROCESS#{asked['process_id']}", "PROCESS") if asked else {}
            bar.total, bar.n = int(process.get("total", 0)), int(process.get("done", 0))
            bar.set_description(process.get("status", "asked for"))
            if "terminal_timestamp" in process:
                return process
            time.sleep(POLL_S)
    sys.exit(f"error: no end within {timeout_s:g} s; request {request} goes on")
