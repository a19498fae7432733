"""What happens shows on the pages that are open, without a reload; what can be stopped and repeated is, from there."""

import pytest
from playwright.sync_api import Page, Route, expect

from acceptance.browsers import Faults
from acceptance.content import Content, make_event, start
from acceptance.pipelines import Gate
from acceptance.server import Server
from acceptance.test_journeys import MARK, give_key

STEPS = 40


@pytest.fixture
def process(server: Server, content: Content, gate: Gate) -> int:
    """A process that waits at its gate."""
    options = {"gate": gate.name, "steps": STEPS}
    return start(server.client(), content.target, "Stepped", content.products[:1], options=options)


def test_a_log_grows_to_its_end_and_moves_nothing_on_the_page(page: Page, process: int, gate: Gate) -> None:
    page.goto(f"/pipeline/{process}")
    page.evaluate(MARK)
    log = page.locator("#log")
    for step in (1, 5, 20, 39):
        gate.let(step - 1)
        expect(log).to_contain_text(f"Step {step}\n")
        expect(page.locator("#steps")).to_have_text(f"{step} of {STEPS}")
        assert page.locator("#bar").evaluate("(bar) => bar.value / bar.max") == step / STEPS
    assert page.evaluate("window.shift") == 0
    gate.open()
    expect(page.locator("#status")).to_have_text("created")
    expect(page.locator("#outputs").get_by_role("link", name="steps.txt")).to_be_visible()
    assert page.evaluate("window.isSameDocument")
    assert log.inner_text().split("\n")[:STEPS] == [f"Step {number}" for number in range(1, STEPS + 1)]


def test_a_running_process_is_on_the_first_page_until_it_has_ended(page: Page, process: int, gate: Gate) -> None:
    page.goto("/")
    page.evaluate(MARK)
    row = page.locator("#running-now li", has=page.locator(f"a[href$='/pipeline/{process}']"))
    expect(row.get_by_role("progressbar")).to_be_visible()
    gate.let(9)
    expect(row).to_contain_text(f"10 of {STEPS}")
    gate.open()
    expect(row).to_have_count(0)
    assert page.evaluate("window.isSameDocument")


def test_a_process_is_cancelled_and_goes_on_when_it_is_retried(
    page: Page, process: int, gate: Gate, server: Server
) -> None:
    page.goto(f"/pipeline/{process}")
    page.evaluate(MARK)
    page.get_by_role("button", name="Cancel this process").click()
    page.get_by_role("button", name="Cancel the process").click()
    give_key(page, server.token)
    status = page.locator("#status")
    expect(status).to_have_text("failed")
    expect(page.locator("#failure")).to_contain_text("ancel")
    gate.open()
    page.get_by_role("button", name="Retry this process").click()
    expect(status).to_have_text("created")
    expect(page.locator("#failure")).to_be_hidden()
    expect(page.locator("#outputs").get_by_role("link", name="steps.txt")).to_be_visible()
    assert page.evaluate("window.isSameDocument")


def test_the_graph_of_an_event_shows_who_needs_whom_and_follows_their_states(page: Page, server: Server) -> None:
    client = server.client()
    make_event(client, "GW170817")
    page.goto("/events/GW170817/")
    page.evaluate(MARK)
    graph = page.get_by_role("region", name="Which production needs which")
    expect(graph.locator(".box")).to_have_count(4)
    expect(graph.locator(".arrows path")).to_have_count(4)
    box = graph.get_by_role("link", name="Prod1:")
    expect(box).to_contain_text("running")
    client.call("PUT", "/api/v1/productions/GW170817/Prod1", json={"status": "finished"})
    expect(box).to_contain_text("finished")
    client.call(
        "POST", "/api/v1/productions/GW170817", json={"name": "Prod4", "pipeline": "bilby", "dependencies": ["Prod3"]}
    )
    expect(graph.locator(".box")).to_have_count(5)
    expect(graph.locator(".arrows path")).to_have_count(5)
    assert page.evaluate("window.isSameDocument")


def test_an_event_is_followed_on_after_an_answer_that_makes_a_browser_give_up(
    page: Page, server: Server, faults: Faults
) -> None:
    faults.expected.add(503)
    refused = iter((503, 503))

    def refuse_at_first(route: Route) -> None:
        status = next(refused, None)
        route.fallback() if status is None else route.fulfill(status=status, body="{}")

    client = server.client()
    make_event(client, "GW200115")
    page.route("**/api/v1/stream**", refuse_at_first)
    page.goto("/events/GW200115/")
    box = page.get_by_role("region", name="Which production needs which").get_by_role("link", name="Prod1:")
    expect(box).to_contain_text("running")
    client.call("PUT", "/api/v1/productions/GW200115/Prod1", json={"status": "finished"})
    expect(box).to_contain_text("finished")
