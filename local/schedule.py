"""The schedule of one machine: calls the sweep as EventBridge would."""

import logging
import os
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from local.context import LambdaContext
from local.environment import REGION
from local.orphan import end_with_parent
from local.workers import Function, end_on_sigterm, load_function

FUNCTION_NAME = "sweep"
RULE = "sweep"
DEFAULT_INTERVAL_S = 10.0
"""Deployed, it is a minute; on a laptop somebody may be watching."""

log = logging.getLogger("local.schedule")


def interval_s() -> float:
    """Return the seconds between two sweeps: LOCAL_SWEEP_INTERVAL_S, ten by default."""
    text = os.environ.get("LOCAL_SWEEP_INTERVAL_S", "")
    try:
        seconds = float(text or DEFAULT_INTERVAL_S)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86_400:
        raise SystemExit(f"LOCAL_SWEEP_INTERVAL_S must be a number of seconds from 1 to 86400, not {text!r}")
    return seconds


def make_event(now: datetime) -> dict[str, Any]:
    """Return the event that EventBridge sends for a schedule."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:000000000000:rule/{RULE}"],
        "detail": {},
    }


def sweep_once(function: Function) -> bool:
    """Call the function once; says whether it returned."""
    try:
        function(make_event(datetime.now(UTC)), LambdaContext(FUNCTION_NAME))
    except Exception:
        log.exception("%s raised", FUNCTION_NAME)
        return False
    return True


def run() -> None:
    """Sweep at every interval until SIGTERM."""
    end_with_parent()
    end_on_sigterm()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    seconds = interval_s()
    function = load_function(FUNCTION_NAME)
    while True:
        sweep_once(function)
        time.sleep(seconds)
