"""gunicorn with the app, on a socket that the supervisor opened."""

import os
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from chalicelib.storage import clients
from local.orphan import end_with_parent
from local.wsgi import create_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


DEFAULT_WORKERS = 8
"""More than the requests of one caller that may wait for a slow telescope portal in a minute; who waits needs no core."""


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Takes no new connection while it is at work: another worker is free for it.

    gunicorn's own takes them and lets them wait, for as long as a slow portal keeps its one thread.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._at_work = 0

    def set_accept_enabled(self, enabled: bool) -> None:
        """Take new connections, or none; called in every turn of the main loop."""
        super().set_accept_enabled(enabled and not self._at_work)

    def enqueue_req(self, conn: Any) -> None:
        """Hand a connection to the thread."""
        self._at_work += 1
        super().enqueue_req(conn)
        self.set_accept_enabled(False)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Take a connection back from the thread; called by the main loop."""
        self._at_work -= 1
        super().finish_request(conn, fs)
        if self._at_work and self.alive and self.nr_conns < self.worker_connections:
            # Who waits to be let in now has found no worker free. With enough callers that keep their connections none
            # ever is: each request that is done lets one more in.
            for listener in self.sockets:
                self.accept(listener)


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
        """Return the app, and import boto3 with it, once for all workers; else each does so in its first request."""
        clients.dynamodb()
        clients.s3()
        return create_app()


def worker_count() -> int:
    """Return the number of processes that answer requests: LOCAL_HTTP_WORKERS, else eight."""
    text = os.environ.get("LOCAL_HTTP_WORKERS", "")
    if not text:
        return DEFAULT_WORKERS
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
            # One thread serves one request at a time, as Lambda does, and Chalice knows one request at a time only;
            # gthread also keeps connections open in between.
            "worker_class": Worker,
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
