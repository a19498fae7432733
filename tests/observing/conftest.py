"""Somebody who asks for observations, again and again."""

import time
from collections.abc import Callable

import pytest

from local.portal.stand_in import StandIn
from tests.asking import asked, prepare
from tests.conftest import Answer, Api, Clock


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are not throttled, and nobody pauses between tries."""
    monkeypatch.setenv("THROTTLE_OBSERVE", "20/second")
    monkeypatch.setattr(time, "sleep", lambda _: None)


@pytest.fixture
def target(api: Api, portal: StandIn, clock: Clock) -> int:
    return prepare(api)


@pytest.fixture
def ask(api: Api, target: int) -> Callable[..., Answer]:
    """Send the same request as before; `more` makes it another."""
    return lambda **more: api.post("/api/observe/", asked(target, **more), token=None)
