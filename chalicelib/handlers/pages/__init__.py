"""The pages that the addresses in both APIs' answers lead to, for people with a browser.

Templates, style and scripts lie in `chalicelib/pages/`. A page is one answer with everything in it: style and scripts are
part of it, and the Content-Security-Policy names their hashes and nothing else.
"""

from chalicelib.handlers.pages import docs, events, groups, home, processes, targets
from chalicelib.handlers.pages.rendering import blueprint

__all__ = ["blueprint", "docs", "events", "groups", "home", "processes", "targets"]
