"""Health Check of the asimov REST API, and beside it whether all that requests depend on is there."""

import threading
import time
from typing import Literal

from chalice import Blueprint
from typing_extensions import TypedDict

from chalicelib.handlers import auth
from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import operation
from chalicelib.handlers.replies import ASIMOV, Reply
from chalicelib.handlers.request import Request
from chalicelib.observability import logger
from chalicelib.services.readiness import Check, ask_all
from chalicelib.storage.circuits import CLOSED
from chalicelib.storage.readiness import questions

blueprint = Blueprint(__name__)
router = Router(blueprint, ASIMOV)

KEPT_S = 2.0
"""Seconds for which an answer about readiness serves whoever asks: it is open, and each one costs requests to AWS."""


class Health(TypedDict):
    """That requests are answered."""

    status: Literal["ok"]
    version: Literal["v1"]


class Looked(TypedDict):
    """What came of one look."""

    status: Literal["ok", "unavailable", "unknown"]
    seconds: float


class Readiness(TypedDict):
    """Whether all is there that requests depend on, and each of these."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, Looked]


@operation(answers={200: Health})
def health(_request: Request) -> Reply:
    """Say that requests are answered; asks nothing else, so that it stays quick."""
    return Reply({"status": "ok", "version": "v1"})


@operation(answers={200: Readiness, 503: Readiness})
def ready(_request: Request) -> Reply:
    """Say whether all that requests depend on is there; what the portal does is told, too, and changes nothing."""
    checks = _last.checks()
    is_ready = all(check.is_ok for check in checks.values())
    told = {name: _told("ok" if check.is_ok else "unavailable", check) for name, check in checks.items()}
    body: Readiness = {
        "status": "ok" if is_ready else "unavailable",
        "checks": {**told, "portal": _portal(checks)},
    }
    headers = {"Cache-Control": "no-store"}
    return Reply(body, headers=headers) if is_ready else Reply(body, 503, {**headers, "Retry-After": "5"})


class _LastLook:
    """What was found last; one look at a time, however many ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._checks: dict[str, Check] = {}
        self._until = 0.0

    def checks(self) -> dict[str, Check]:
        """Return what was found, now or a moment ago."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._checks = ask_all({**questions(), "api_keys": auth.require_readable})
                self._until = time.monotonic() + KEPT_S
                for name, check in self._checks.items():
                    if not check.is_ok:
                        logger.warning("something is not ready", extra={"check": name, "reason": check.fault})
            return self._checks

    def forget(self) -> None:
        """Drop it, so that the next one who asks makes a new one; for tests."""
        self._until = 0.0


_last = _LastLook()
forget = _last.forget


def _told(status: Literal["ok", "unavailable", "unknown"], check: Check) -> Looked:
    return {"status": status, "seconds": round(check.seconds, 3)}


def _portal(checks: dict[str, Check]) -> Looked:
    """Return what is known of the portal: its circuit stands in the operations table."""
    check = checks["operations_table"]
    if not check.is_ok:
        return _told("unknown", check)
    return _told("ok" if check.answer == CLOSED else "unavailable", check)


router.add("/api/v1/health", GET=health)
router.add("/api/v1/health/ready", GET=ready)
