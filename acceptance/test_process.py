"""The page of a process holds to the truth when the server is gone, and when somebody else was faster."""

import json
import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, Route, expect

from acceptance.browsers import Faults
from acceptance.content import Content, start, wait_for_status
from acceptance.pipelines import Gate
from acceptance.server import Server
from acceptance.test_journeys import give_key

STUB = """
window.EventSource = class extends EventTarget {
    static CLOSED = 2;
    readyState = 0;
    constructor() { super(); window.source = this; }
    close() {}
};
"""
"""An EventSource that does what a test says."""


def start_stepped(server: Server, content: Content, gate: Gate) -> int:
    """Start a process that stops at the gate."""
    return start(server.client(), content.target, "Stepped", content.products[:1], options={"gate": gate.name})


def test_silence_is_told_however_often_the_browser_asks_again(
    page: Page, server: Server, content: Content, gate: Gate
) -> None:
    process = start_stepped(server, content, gate)
    page.clock.install()
    page.add_init_script(STUB)
    page.goto(f"/pipeline/{process}")
    waiting = page.locator("#waiting")
    expect(waiting).to_have_text("This page follows it.")
    page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=60))
    for _ in range(3):
        page.evaluate("source.dispatchEvent(new Event('error'))")
        page.clock.run_for(4000)
    expect(waiting).to_have_text("No answer from the server; asking again.", timeout=1000)
    page.evaluate("source.dispatchEvent(new Event('open'))")
    expect(waiting).to_have_text("This page follows it.")


def test_a_retry_from_elsewhere_is_followed(
    page: Page, server: Server, content: Content, gate: Gate, faults: Faults
) -> None:
    faults.expected.add(409)
    client = server.client()
    process = start_stepped(server, content, gate)
    gate.shut()
    page.goto(f"/pipeline/{process}")
    status = page.locator("#status")
    expect(status).to_have_text("failed")
    expect(page.locator("#waiting")).to_have_text("It has ended.")

    gate.let(0)
    client.call("POST", f"/api/pipeline/{process}/retry/")
    page.get_by_role("button", name="Retry this process").click()
    give_key(page, server.token)
    expect(page.locator("#fault")).to_have_text("Only a failed process can be retried.")
    expect(status).to_have_text("Stepping")
    expect(page.locator("#outputs")).to_contain_text("They are shown here when it has ended.")
    gate.shut()
    expect(status).to_have_text("failed")

    wait_for_status(client, process, lambda word: word == "failed")
    gate.open()
    client.call("POST", f"/api/pipeline/{process}/retry/")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(status).to_have_text("created")
    expect(page.locator("#outputs").get_by_role("link", name=re.compile(r"steps\.txt"))).to_be_visible()


def test_what_has_begun_is_called_running_though_its_pipeline_does_not_say_so(
    page: Page, server: Server, content: Content, gate: Gate
) -> None:
    process = start_stepped(server, content, gate)
    told = server.client().call("GET", f"/api/pipeline/{process}/") | {"status": "pending"}

    def tell(route: Route) -> None:
        data = json.dumps(told | {"progress": {"done": 42, "total": 60}})
        route.fulfill(body=f"event: process\ndata: {data}\n\n", content_type="text/event-stream")

    page.route("**/stream?**", tell)
    page.goto(f"/pipeline/{process}")
    expect(page.locator("#steps")).to_have_text("42 of 60")
    expect(page.locator("#status")).to_have_text("running")
    expect(page).to_have_title(re.compile("^running:"))
