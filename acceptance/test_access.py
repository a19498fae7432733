"""Everybody can use the pages: axe-core finds nothing grave, light or dark, and nothing is wider than a narrow screen."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext

from acceptance.browsers import Faults
from acceptance.content import EVENT, Content

PAGES = {
    "home": "/",
    "target": "/targets/{target}/",
    "process": "/pipeline/{film}",
    "group": "/dataproducts/data/group/1/",
    "events": "/events/",
    "event": f"/events/{EVENT}/",
    "docs": "/docs",
    "not found": "/targets/999/",
}

SIZES = {"wide": (1280, 900), "narrow": (320, 640)}

GRAVE = ("serious", "critical")

NOT_OURS = {("docs", "nested-interactive")}
"""What is as it is: each row of Swagger UI can be opened, and holds a button that opens it for keys."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_grave_and_nothing_is_too_wide(
    new_context: Callable[..., BrowserContext], content: Content, faults: Faults, name: str, scheme: str
) -> None:
    if name == "not found":
        faults.expected.add(404)
    page = new_context(color_scheme=scheme).new_page()
    page.goto(PAGES[name].format(**vars(content)))
    if name == "docs":
        page.locator("#servers[aria-label]").wait_for()
    axe = Axe()
    grave: set[str] = set()
    for width, height in SIZES.values():
        page.set_viewport_size({"width": width, "height": height})
        for found in axe.run(page).response["violations"]:
            if found["impact"] in GRAVE and (name, found["id"]) not in NOT_OURS:
                places = [" ".join(map(str, node["target"])) for node in found["nodes"]]
                grave |= {f"at {width} px: {found['id']} ({found['impact']}): {place}" for place in places}
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert grave == set()
