"""What the acceptance tests stand on: a server that runs for all of them, and a browser that is watched."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from acceptance.browsers import Faults, find_chromium, look
from acceptance.content import Content, make_content
from acceptance.pipelines import FOLDER, Gate
from acceptance.server import Server, running
from chalicelib.settings import DEFAULT_PIPELINES

PATIENCE_MS = 20_000
"""How long a page may take to show what is waited for; it is there after a second or two on a quiet machine."""


@pytest.fixture(scope="session")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder through which tests and the pipeline `Stepped` talk."""
    return tmp_path_factory.mktemp("gates")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, gates: Path) -> Iterator[Server]:
    """Everything that `make serve` starts, with a state folder of its own."""
    pipelines = DEFAULT_PIPELINES | {"Stepped": "acceptance.pipelines.Stepped"}
    variables = {"PIPELINES": json.dumps(pipelines), FOLDER: str(gates), "LOCAL_JOB_WORKERS": "2"}
    with running(tmp_path_factory.mktemp("state"), variables) as server:
        yield server


@pytest.fixture(scope="session")
def content(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Content:
    """What pages have to show."""
    return make_content(server, tmp_path_factory.mktemp("frames"))


@pytest.fixture
def gate(gates: Path, request: pytest.FixtureRequest) -> Iterator[Gate]:
    """A shut gate of this test's own; it opens when the test is over, so that no run is left behind."""
    made = Gate(gates / f"gate-{abs(hash(request.node.nodeid))}")
    made.let(0)
    yield made
    made.open()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    path = find_chromium()
    # a browser is no Python package, which `make` could install; what needs none is tested all the same
    if path is None:
        pytest.skip("pages cannot be seen without Chromium on this machine; CHROMIUM may name one")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def faults() -> Iterator[Faults]:
    """What goes wrong on the pages that this test opens; it fails if anything does."""
    faults = Faults()
    yield faults
    assert faults.found == []


@pytest.fixture
def new_context(browser: Browser, server: Server, faults: Faults) -> Iterator[Callable[..., BrowserContext]]:
    """Make a session of a browser: what it keeps is shared with no other."""
    made: list[BrowserContext] = []

    def make(**more: Any) -> BrowserContext:
        context = browser.new_context(base_url=server.url, **look(**more))
        context.set_default_timeout(PATIENCE_MS)
        faults.watch(context)
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


@pytest.fixture
def page(new_context: Callable[..., BrowserContext]) -> Page:
    """An empty page of a new session."""
    return new_context().new_page()
