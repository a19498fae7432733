"""The page of a process holds to the truth when the server is gone, and when somebody else was faster."""

import re

from playwright.sync_api import Page, Route, expect

from acceptance.browsers import Faults
from acceptance.content import Content, start, wait_for_status
from acceptance.pipelines import Gate
from acceptance.server import Server
from acceptance.test_journeys import give_key


def start_stepped(server: Server, content: Content, gate: Gate) -> int:
    """Start a process that stops at the gate."""
    return start(server.client(), content.target, "Stepped", content.products[:1], options={"gate": gate.name})


def test_silence_is_told_however_often_the_browser_asks_again(
    page: Page, server: Server, content: Content, gate: Gate
) -> None:
    process = start_stepped(server, content, gate)
    page.clock.install()
    page.goto(f"/pipeline/{process}")
    expect(page.locator("#log")).to_contain_text("Step 1")
    waiting = page.locator("#waiting")
    expect(waiting).to_have_text("This page follows it.")

    def cut(route: Route) -> None:
        route.abort("aborted")

    page.route("**/stream?**", cut)
    for _ in range(2):
        with page.expect_event("requestfailed"):
            pass
        page.clock.run_for(5500)
    expect(waiting).to_have_text("No answer from the server; asking again.", timeout=1000)
    page.unroute("**/stream?**", cut)
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
