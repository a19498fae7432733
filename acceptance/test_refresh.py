"""Parts of a page are kept fresh, and who looks at them is not disturbed."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from acceptance.browsers import Faults

SCRIPT = (Path(__file__).parents[1] / "chalicelib/pages/refresh.js").read_text(encoding="utf-8")
ADDRESS = "/a-page-of-this-test"


def row(key: int, text: str) -> str:
    """Return a member of the list."""
    return (
        f'<li data-key="{key}"><a href="#{key}">{text}</a><details><summary>more of {key}</summary>text</details></li>'
    )


@dataclass
class Site:
    """What is answered to who asks for the page; `asked` counts how often."""

    rows: str
    status: int = 200
    is_silent: bool = False
    refresh_s: float = 0.1
    asked: int = 0

    def answer(self, route: Route) -> None:
        """Answer one request."""
        self.asked += 1
        if self.is_silent:
            route.abort("aborted")
            return
        part = f'<ul id="part" data-refresh="{self.refresh_s}">{self.rows}</ul>'
        body = f"<!DOCTYPE html><body>{part}<script>{SCRIPT}</script>"
        route.fulfill(status=self.status, body=body, content_type="text/html; charset=utf-8")


@pytest.fixture
def site(page: Page) -> Site:
    """A page with two rows, which is open."""
    site = Site(row(1, "one") + row(2, "two"))
    page.route(f"**{ADDRESS}", site.answer)
    page.goto(ADDRESS)
    return site


def test_what_stays_keeps_focus_and_open_details_while_others_come_and_go(page: Page, site: Site) -> None:
    page.evaluate("document.querySelector('[data-key=\"2\"]').isSame = true")
    page.locator("summary", has_text="more of 2").click()
    page.get_by_role("link", name="two").focus()
    site.rows = row(3, "three") + row(2, "changed") + row(1, "one")
    expect(page.locator("#part a")).to_have_text(["three", "changed", "one"])
    expect(page.get_by_role("link", name="changed")).to_be_focused()
    expect(page.locator('[data-key="2"] details')).to_have_attribute("open", "")
    assert page.evaluate("document.querySelector('[data-key=\"2\"]').isSame")


def test_what_the_server_does_not_answer_is_told_until_it_does(page: Page, site: Site) -> None:
    site.is_silent = True
    expect(page.get_by_role("status")).to_have_text("No answer from the server; asking again.")
    site.is_silent, site.rows = False, row(1, "back")
    expect(page.get_by_role("link", name="back")).to_be_visible()
    expect(page.get_by_role("status")).to_be_hidden()


def test_what_was_deleted_is_asked_for_no_more(page: Page, site: Site, faults: Faults) -> None:
    faults.expected.add(404)
    site.status = 404
    expect(page.get_by_role("status")).to_have_text("This was deleted.")
    asked = site.asked
    page.wait_for_timeout(400)
    assert site.asked == asked


@pytest.mark.parametrize("event", ["new PageTransitionEvent('pageshow', {persisted: true})", "new Event('online')"])
def test_who_comes_back_sees_at_once_what_is_new(page: Page, site: Site, event: str) -> None:
    site.refresh_s = 1000
    page.goto(ADDRESS)
    site.rows = row(1, "new")
    page.evaluate(f"dispatchEvent({event})")
    expect(page.get_by_role("link", name="new")).to_be_visible()
