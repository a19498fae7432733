"""A browser's own EventSource follows the streams through connections that break at any byte: each message comes once."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from acceptance.conftest import PATIENCE_MS
from acceptance.content import CHAIN, Content, make_event, start
from acceptance.cutting import CuttingProxy, cutting_proxy
from acceptance.pipelines import Gate
from acceptance.server import Server
from chalicelib.states import PRODUCTION_STATUSES

SEED = 1
STEPS = 8
CLOSED = 2  # EventSource.CLOSED

FOLLOW = """
([path, kinds]) => {
    window.seen = [];
    window.source = new EventSource(path);
    for (const kind of kinds) {
        source.addEventListener(kind, ({ data, lastEventId }) => seen.push([kind, lastEventId, JSON.parse(data)]));
    }
}
"""


@pytest.fixture
def proxy(server: Server) -> Iterator[CuttingProxy]:
    with cutting_proxy(server.url, SEED) as proxy:
        yield proxy


@pytest.fixture
def page(browser: Browser, proxy: CuttingProxy) -> Iterator[Page]:
    """A page that came through the proxy; the browser complains of every cut, so its complaints do not count here."""
    # Playwright waits by means of `eval`, which the pages' policy would forbid.
    context = browser.new_context(base_url=proxy.url, bypass_csp=True)
    context.set_default_timeout(3 * PATIENCE_MS)
    page = context.new_page()
    page.goto("/events/")
    yield page
    context.close()


def test_a_process_is_followed_through_cut_connections(
    page: Page, proxy: CuttingProxy, server: Server, content: Content, gate: Gate
) -> None:
    client = server.client()
    options = {"gate": gate.name, "steps": STEPS}
    process = start(client, content.target, "Stepped", content.products[:1], options=options)
    page.evaluate(FOLLOW, [f"/api/pipeline/{process}/stream", ["process", "log", "end"]])
    told = "window.seen.filter(([kind]) => kind === 'log').map(([, , { text }]) => text).join('')"
    for step in range(1, STEPS + 1):
        page.wait_for_function(f"{told}.includes('Step {step}\\n')")
        gate.let(step)
    page.wait_for_function(f"window.source.readyState === {CLOSED}")
    seen: list[tuple[str, str, Any]] = page.evaluate("window.seen")
    assert page.evaluate(told) == client.call("GET", f"/api/pipeline/logs/{process}/")["logs"]
    assert [kind for kind, _, _ in seen].count("end") == 1
    states = [data for kind, _, data in seen if kind == "process"]
    assert states[-1] == client.call("GET", f"/api/pipeline/{process}/")
    assert all(before != after for before, after in pairwise(states))
    assert proxy.cuts >= 3


def test_the_ledger_is_followed_through_cut_connections(page: Page, proxy: CuttingProxy, server: Server) -> None:
    client = server.client()
    name = "GW190521"
    page.evaluate(FOLLOW, ["/api/v1/stream", ["event", "production"]])
    make_event(client, name)
    expected: list[tuple[str, str, str | None, str | None]] = [("created", "event", None, None)]
    for production, _, _, status in CHAIN:
        expected += [("created", "production", production, "ready"), ("changed", "production", production, status)]
    for number in range(STEPS):
        client.call("PUT", f"/api/v1/productions/{name}/Prod3", json={"status": PRODUCTION_STATUSES[number]})
        expected.append(("changed", "production", "Prod3", PRODUCTION_STATUSES[number]))
        page.wait_for_function("(count) => window.seen.length >= count", arg=len(expected) // 2)
    client.call("DELETE", f"/api/v1/productions/{name}/Prod3")
    expected.append(("deleted", "production", "Prod3", None))
    page.wait_for_function(
        f"window.seen.some(([, , {{ event, action }}]) => event === '{name}' && action === 'deleted')"
    )
    seen = [each for _, _, each in page.evaluate("window.seen") if each["event"] == name]
    assert [(each["action"], each["kind"], each.get("name"), each.get("status")) for each in seen] == expected
    assert proxy.cuts >= 2
