"""The schedule of one machine: calls a scheduled function as EventBridge would. Each has a process of its own."""

import logging
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.context import LambdaContext
from local.environment import REGION, read_seconds
from local.orphan import end_with_parent
from local.workers import Function, end_on_sigterm, load_function, log_to_stderr

log = logging.getLogger("local.schedule")


@dataclass(frozen=True)
class Schedule:
    """How often a function is called.

    Parameters
    ----------
    function_name : str
        The function, as it is deployed.
    variable : str
        The environment variable that says how often.
    default_s : float
        Seconds between two calls where it does not; deployed it is minutes, but on a laptop somebody may be watching.
    """

    function_name: str
    variable: str
    default_s: float

    def interval_s(self) -> float:
        """Return the seconds between the end of one call and the next."""
        return read_seconds(self.variable, self.default_s)


SCHEDULES = {
    schedule.function_name: schedule
    for schedule in (
        Schedule("sweep", "LOCAL_SWEEP_INTERVAL_S", 10.0),
        Schedule("process_alerts", "LOCAL_ALERT_INTERVAL_S", 5.0),
    )
}
"""By function; a process for each, so that none waits for another."""


def make_event(now: datetime, rule: str = "sweep") -> dict[str, Any]:
    """Return the event that EventBridge sends for a schedule."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:000000000000:rule/{rule}"],
        "detail": {},
    }


def call_once(function_name: str, function: Function) -> bool:
    """Call the function once; says whether it returned."""
    try:
        function(make_event(datetime.now(UTC), function_name), LambdaContext(function_name))
    except Exception:
        log.exception("%s raised", function_name)
        return False
    return True


def run(function_name: str) -> None:
    """Call a function at every interval until SIGTERM."""
    end_with_parent()
    end_on_sigterm()
    log_to_stderr()
    seconds = SCHEDULES[function_name].interval_s()
    function = load_function(function_name)
    while True:
        call_once(function_name, function)
        time.sleep(seconds)
