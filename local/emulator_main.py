"""The embedded AWS: MiniStack, with its state saved while it runs.

Runs under the Python of `.venv-aws`, which has nothing of this project, so it imports nothing of it but `local.orphan`.
MiniStack itself writes DynamoDB and SQS only on a clean stop. Here a forked copy of the process writes what has changed,
within two seconds of the change: the copy is a consistent picture that costs the emulator only the fork, and a file is
replaced only by a whole new one. Names used here that MiniStack does not promise: `_build_persistence_save_dict` and the
module `core.persistence`; its version is pinned.

usage: python -m local.emulator_main LISTENING_FD
"""

import asyncio
import copy
import fcntl
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from local.orphan import end_with_parent

QUIET_S = 0.5
"""Shortest pause before a save, so that a burst of writes is one save."""

LOSS_S = 1.8
"""A write is saved within this time, as long as one save takes less than a third of it."""

READS = ("Get", "Query", "Scan", "BatchGet", "TransactGet", "Describe", "List", "Receive", "Search")
"""First words of operations after which nothing needs saving; readers of a queue may see a message twice anyway."""

SERVICES = {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs"}
EVERYTHING = "*"

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Callable[[], Awaitable[dict[str, Any]]], Send], Awaitable[None]]

log = logging.getLogger("local.emulator")


def changed_service(scope: Scope) -> str | None:
    """Return the service whose state this successful request has changed, `*` for any of them, None for none."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    target = headers.get(b"x-amz-target", b"").decode("latin-1")
    if target:
        prefix, _, operation = target.rpartition(".")
        return None if operation.startswith(READS) else SERVICES.get(prefix, EVERYTHING)
    if scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return None
    if headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded"):
        return EVERYTHING
    # Objects are written to disk as they come; what stays in memory is what is known of their bucket.
    is_object = scope["path"].strip("/").count("/") > 0
    return None if is_object else "s3"


def pause_before_save(last_save_s: float) -> float:
    """Return how long to gather changes: about as long as the last save took, within what may be lost."""
    return max(QUIET_S, min(last_save_s, LOSS_S - 2 * last_save_s))


def write_state(folder: Path, service: str, version: int, state: Any, default: Callable[[Any], Any]) -> None:
    """Replace the state file of one service by a whole new one that has reached the disk."""
    text = json.dumps({"__ministack_format__": version, "payload": state}, default=default)
    draft = folder / f"{service}.json.tmp"
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / f"{service}.json")
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def remove_drafts(folder: Path) -> None:
    """Remove half-written objects of a killed run, which would come back as objects named `*.tmp`."""
    for draft in folder.rglob("*.tmp"):
        if draft.is_file() and not draft.with_name(f"{draft.name}.meta.json").exists():
            draft.unlink()


class Saver:
    """Saves the services that have changed, at a pace set by what saving costs.

    Parameters
    ----------
    save : callable
        Writes the state of the named services; runs in a forked copy of this process.
    """

    def __init__(self, save: Callable[[set[str]], None]) -> None:
        self._save = save
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self.last_save_s = 0.0

    def note(self, service: str) -> None:
        """Remember that this service has changed."""
        self._changed.add(service)
        self._wake.set()

    async def run(self) -> None:
        """Save until the process ends."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(pause_before_save(self.last_save_s))
            await self.save_now()

    async def save_now(self) -> None:
        """Save what has changed; on failure it counts as changed still."""
        self._wake.clear()
        services, self._changed = self._changed, set()
        if not services:
            return
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            self._save_and_exit(services)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        self.last_save_s = time.monotonic() - started
        if status != 0:
            log.error("saving %s failed with status %s; trying again", sorted(services), status)
            self._changed |= services
            self._wake.set()

    def _save_and_exit(self, services: set[str]) -> None:
        code = 1
        try:
            self._save(services)
            code = 0
        except Exception as error:  # noqa: BLE001 - whatever is wrong, this copy of the process must end here
            # Not through logging: another thread may have held its lock when the process was copied.
            os.write(2, f"saving failed: {error!r}\n".encode())
        finally:
            os._exit(code)


def watch(app: App, saver: Saver) -> App:
    """Wrap the emulator so that successful changes are noted and the saver runs beside it."""
    tasks: list[asyncio.Task[None]] = []

    async def watched(scope: Scope, receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                tasks.append(asyncio.create_task(saver.run()))
            await app(scope, receive, send)
            return
        status = 0

        async def send_and_see(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await app(scope, receive, send_and_see)
        service = changed_service(scope) if 200 <= status < 300 else None
        if service is not None:
            saver.note(service)

    return watched


def take_lock(path: Path, wait_s: float = 15.0) -> int:
    """Wait until no other emulator uses this state.

    The lock lasts as long as the process and any forked copy of it that is still saving.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise SystemExit(f"another embedded AWS still uses {path.parent}") from None
            time.sleep(0.1)
        else:
            return descriptor


async def _serve(listening_fd: int) -> None:
    # Only `.venv-aws` has these.
    from hypercorn.asyncio import serve  # type: ignore[import-not-found]
    from hypercorn.config import Config  # type: ignore[import-not-found]
    from ministack import app as emulator  # type: ignore[import-not-found]
    from ministack.core import persistence  # type: ignore[import-not-found]

    folder = Path(persistence.STATE_DIR)

    def save(services: Iterable[str]) -> None:
        # Nothing else changes the state in the forked copy, nor at the end: the copies that MiniStack makes are wasted work.
        copy.deepcopy = lambda value, *_: value
        states = emulator._build_persistence_save_dict()
        for service in states if EVERYTHING in services else services:
            state = states[service]() if service in states else None
            if state is not None:
                version = persistence._state_format_version(service)
                write_state(folder, service, version, state, persistence._json_default)

    def stop_serving() -> None:
        # The long polls that are cut off now are nothing to report.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        stop.set()

    emulator.save_all = lambda _: save([EVERYTHING])  # called on a clean stop
    config = Config()
    config.bind = [f"fd://{listening_fd}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.3
    config.loglevel = "WARNING"
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_serving)
    await serve(watch(emulator.app, Saver(save)), config, shutdown_trigger=stop.wait)


def main(arguments: list[str]) -> None:
    """Run the emulator on a listening socket that the parent opened."""
    end_with_parent()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    state, objects = Path(os.environ["STATE_DIR"]), Path(os.environ["S3_DATA_DIR"])
    for folder in (state, objects):
        folder.mkdir(parents=True, exist_ok=True)
    take_lock(state / "lock")
    remove_drafts(objects)
    asyncio.run(_serve(int(arguments[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
