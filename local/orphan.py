"""Children end when their parent does, however it ended."""

import os
import signal
import sys
import threading
import time

GRACE_S = 10.0
"""Seconds for a clean end; then the process is gone all the same."""


def end_with_parent() -> None:
    """End this process when standard input closes.

    The parent holds the other end of that pipe and never writes to it, so it closes even when the parent is killed; unlike
    the signal that Linux can send then, this works everywhere and for every thread.
    """
    threading.Thread(target=_watch, name="orphan-watch", daemon=True).start()


def _watch() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)
