"""The pages work under the stage prefix that API Gateway puts before every path."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from acceptance.content import Content
from acceptance.server import Server
from acceptance.stage import STAGE, stage_of
from acceptance.test_access import PAGES
from acceptance.test_journeys import give_key

ADDRESSES = """
() => [...document.querySelectorAll('a[href], img[src], video[src], link[href], script[src]')]
    .map((element) => element.href?.baseVal ?? element.href ?? element.src)
"""


@pytest.fixture(scope="module")
def stage(server: Server) -> Iterator[str]:
    with stage_of(server) as url:
        yield url


def test_every_address_on_every_page_lies_under_the_stage(page: Page, stage: str, content: Content) -> None:
    host = urlsplit(stage).netloc
    found: set[str] = set()
    for name, path in PAGES.items():
        if name != "not found":
            page.goto(stage + path.format(**vars(content)))
            found |= {address.partition("#")[0] for address in page.evaluate(ADDRESSES)}
    ours = {address for address in found if urlsplit(address).netloc == host}
    assert len(ours) > len(PAGES)
    assert [address for address in ours if not urlsplit(address).path.startswith(f"/{STAGE}/")] == []
    statuses = {address: page.request.get(address, max_redirects=0).status for address in ours}
    assert {address: status for address, status in statuses.items() if status >= 400} == {}


def test_a_pipeline_is_started_and_followed_under_the_stage(
    page: Page, stage: str, content: Content, server: Server
) -> None:
    page.goto(f"{stage}/targets/{content.target}/")
    form = page.locator("#pipeline-form")
    form.get_by_label("Pipeline").select_option("Timelapse")
    form.get_by_role("button", name="Start").click()
    give_key(page, server.token)
    page.wait_for_url(f"{stage}/pipeline/*")
    expect(page.locator("#status")).to_have_text("created", timeout=60_000)
    page.locator("#group").click()
    page.wait_for_url(f"{stage}/dataproducts/data/group/*/")
    expect(page.locator("figure img")).to_be_visible()
