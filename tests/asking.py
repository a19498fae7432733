"""Asking for observations in tests: a target with a template, and what is sent."""

from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from chalicelib.storage import clients
from local.portal.stand_in import StandIn
from tests.conftest import Answer, Api, Aws

TEMPLATE = "my-template"
FIELDS: dict[str, Any] = {
    "proposal": "DEMO-2026-001",
    "ipp_value": 1.05,
    "start": "2026-01-10T12:00:00Z",
    "end": "2026-01-17T12:00:00Z",
    "instrument_type": "0M4-SCICAM-QHY600",
    "max_airmass": 1.6,
    "observation_mode": "NORMAL",
    "rp_exposure_count": 5,
    "rp_exposure_time": 30.0,
}
FIRST_NAME = "my-template-2026-01-10-030405"
"""What the first observation is called, at the time where the clock of the tests stands."""


def prepare(api: Api, name: str = "HAT-P-32", **fields: Any) -> int:
    """Keep a target with a template, and return the target's id."""
    target = api.target(name, ra=31.04275, dec=46.68785)
    answer = api.post(
        "/api/observationtemplates/",
        {"name": TEMPLATE, "target": target, "facility": "LCO", "fields": {**FIELDS, **fields}},
    )
    assert answer.status == 201, answer.text
    return target


def asked(target: int, **more: Any) -> dict[str, Any]:
    """Return what is sent to ask for an observation."""
    return {
        "target": target,
        "template_name": TEMPLATE,
        "facility": "LCO",
        "email": "someone@someplace.net",
        **more,
    }


class KilledError(BaseException):
    """Raised to end a function in the middle of its work, as the platform does: nothing catches it."""


class Killer:
    """Counts the steps (requests to AWS and to the portal) of what is called, and ends it after one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from urllib3 import PoolManager

        self.steps = 0
        self._last: int | None = None
        clients.dynamodb().meta.events.register("after-call", lambda **_: self._count())
        ask = PoolManager.request

        def request(*args: Any, **kwargs: Any) -> Any:
            answer = ask(*args, **kwargs)
            self._count()
            return answer

        monkeypatch.setattr(PoolManager, "request", request)

    def count(self, function: Callable[[], Any]) -> int:
        """Call a function and return its number of steps."""
        self._last, self.steps = None, 0
        function()
        return self.steps

    def run(self, function: Callable[[], Any], last_step: int) -> None:
        """Call a function that dies after so many steps: they are done, and it does not know."""
        self._last, self.steps = last_step, 0
        with pytest.raises(KilledError):
            function()
        self._last = None

    def _count(self) -> None:
        self.steps += 1
        if self.steps == self._last:
            raise KilledError


def submit_again(portal: StandIn) -> None:
    """Let the last submission that was sent arrive now: something on the way was slow, or sent it twice."""
    sent = [each for each in portal.seen("POST") if each.path == "/api/requestgroups/"][-1]
    headers = {"Authorization": f"Token {portal.token}", "Content-Type": "application/json"}
    answer = urllib3.request("POST", f"{portal.portal_url}/api/requestgroups/", body=sent.body, headers=headers)
    assert answer.status == 201


def groups_of(portal: StandIn) -> list[str]:
    """Return the names of all request groups that the portal holds."""
    return [name for name, groups in portal.submissions.items() for _ in groups]


def kept(aws: Aws, kind: str) -> list[str]:
    """Return the sort keys of the records whose keys begin so."""
    return [item["sk"]["S"] for item in aws.items() if item["pk"]["S"].startswith(f"{kind}#")]


def unsettled(aws: Aws) -> list[str]:
    """Return the names of the submissions that are open."""
    return [
        item["sk"]["S"] for item in aws.items() if item.get("list_pk", {}).get("S", "").startswith("OPENSUBMISSIONS#")
    ]


def fail_to_submit(portal: StandIn, kind: str, times: int = 1) -> None:
    """Let submitting go wrong, and not validating, whose address begins so."""
    portal.faults.clear()
    portal.fail("slow", "/api/requestgroups/validate/", 100, seconds=0)
    portal.fail(kind, "/api/requestgroups/", times, method="POST")


def lose_submission(portal: StandIn, ask: Callable[..., Answer], **more: Any) -> None:
    """Ask for an observation, and let a gateway answer for the portal that it has none."""
    fail_to_submit(portal, "502")
    assert ask(**more).status == 503
    portal.faults.clear()
