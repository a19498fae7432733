"""gunicorn with the app, on a socket that the supervisor opened."""

import os
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from local.orphan import end_with_parent
from local.wsgi import create_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn, set up from a dict instead of its command line.

    Parameters
    ----------
    options : dict
        Its settings.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """Take the settings over."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> "WSGIApplication":
        """Return the app."""
        return create_app()


def worker_count() -> int:
    """Return the number of processes that answer requests: LOCAL_HTTP_WORKERS, else one per core, two to four."""
    text = os.environ.get("LOCAL_HTTP_WORKERS", "")
    if not text:
        return min(4, max(2, os.cpu_count() or 2))
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise SystemExit(f"LOCAL_HTTP_WORKERS must be a number from 1 to 64, not {text!r}")
    return int(text)


def run(listening_fd: int, *, debug: bool) -> None:
    """Answer requests until SIGTERM.

    Parameters
    ----------
    listening_fd : int
        The bound socket.
    debug : bool
        Whether to log every request and to load changed code at once.
    """
    end_with_parent()
    Server(
        {
            "bind": f"fd://{listening_fd}",
            "workers": worker_count(),
            # One thread serves one request at a time, as Lambda does; gthread also keeps connections open in between.
            "worker_class": "gthread",
            "threads": 1,
            "keepalive": 65,
            "timeout": 60,
            "graceful_timeout": 5,
            "limit_request_line": 8190,
            # One import for all workers; a reloading worker must import for itself.
            "preload_app": not debug,
            "reload": debug,
            "loglevel": "debug" if debug else "warning",
            "accesslog": "-" if debug else None,
            "control_socket_disable": True,
            "proc_name": "sidereal-http",
        }
    ).run()
