"""A browser whose pages are watched: what goes wrong on one of them is written down."""

import os
import shutil
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

NAMES = ("chromium", "chromium-browser", "google-chrome")

WATCH = """
addEventListener('securitypolicyviolation', (event) => {
    console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
});
window.shift = 0;
new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: 'layout-shift', buffered: true });
"""
"""Runs in every page before its own scripts: tells of violations of its policy, and adds up how much its layout moved."""


def find_chromium() -> str | None:
    """Return the browser: what CHROMIUM names, else the first that is on the PATH, if any."""
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Faults:
    """What went wrong on the pages of a context.

    Parameters
    ----------
    base_url : str
        The address of the server; nothing may come from elsewhere but files from its storage.
    expected : set of int
        Statuses of answers that a test brings about itself.
    """

    expected: set[int] = field(default_factory=set)
    found: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Look at every page of a context from now on."""
        context.add_init_script(WATCH)
        context.on("page", self._watch_page)

    def _watch_page(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.found.append(f"{page.url}: {error}"))
        page.on("requestfailed", self._on_failure)
        page.on("response", self._on_response)

    def _on_console(self, message: ConsoleMessage) -> None:
        # The browser's own words on an answer above 400 come without its status; `_on_response` has it.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.found.append(f"{message.location.get('url')}: {message.text}")

    def _on_failure(self, request: Request) -> None:
        # Who leaves a page ends what it was still asking for; a player stops reading a film that it has seen enough of.
        if request.failure != "net::ERR_ABORTED":
            self.found.append(f"{request.method} {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.found.append(f"{response.request.method} {response.url}: {response.status}")


def look(**more: Any) -> dict[str, Any]:
    """Return the settings of a context: a small desktop in English, light, unless told otherwise."""
    return {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light", "locale": "en-GB", **more}
