"""The facility in front of a server that answers what a test tells it to."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.facilities.lco import LcoFacility
from chalicelib.models.targets import Target
from tests.conftest import forget
from tests.facilities.scripted import FORM, INSTRUMENTS, TOKEN, ScriptedServer, Told


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "lco" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.filterwarnings("ignore:Disabling the circuit breaker"))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    made = ScriptedServer()
    made.on("GET", "/api/instruments/", Told(200, INSTRUMENTS))
    made.on("POST", "/api/requestgroups/validate/", Told(200, {"request_durations": {}, "errors": {}}))
    made.on("POST", "/api/requestgroups/", Told(201, {"id": 11, "name": "x", "requests": [{"id": 12}]}))
    yield made
    made.close()


@pytest.fixture
def portal_settings(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the scripted server be portal and archive, and leave out the pauses between tries."""
    monkeypatch.setenv("PORTAL_URL", server.address)
    monkeypatch.setenv("ARCHIVE_URL", f"{server.address}/")
    monkeypatch.setenv("PORTAL_TOKEN", TOKEN)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    forget()


@pytest.fixture
def lco(portal_settings: None, monkeypatch: pytest.MonkeyPatch) -> LcoFacility:
    """The facility without its circuit breaker, which needs a table."""
    monkeypatch.setenv("POWERTOOLS_CIRCUIT_BREAKER_DISABLED", "true")
    return LcoFacility()


@pytest.fixture
def target() -> Target:
    return Target(
        1, "HAT-P-32", "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.000000Z", ra=31.04275, dec=46.68785
    )


@pytest.fixture
def form() -> dict[str, Any]:
    return dict(FORM)
