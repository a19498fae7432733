"""Many queued jobs while their workers are killed at random: each must finish exactly once.

Linux only: the workers are found in /proc. Only children of the server that the benchmark itself has started are killed.
"""

import random
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from os import kill
from pathlib import Path
from signal import SIGKILL
from typing import Any

from benchmarks.load_client import Connection, multipart
from benchmarks.load_tally import Told
from benchmarks.serving import Served

SETTINGS = {
    "LOCAL_JOB_WORKERS": "3",
    # a dead worker is noticed sooner, so that the benchmark ends sooner
    "JOB_LEASE_S": "5",
    "JOB_RESEND_AFTER_S": "15",
    "LOCAL_SWEEP_INTERVAL_S": "2",
    # the limit is for jobs that kill their workers; here they are innocent
    "JOB_MAX_TRIES": "20",
}
TARGETS, FRAMES, FRAME_SIZE_PX = 10, 3, 64
KILL_EVERY_S, MAX_KILLS = 3.0, 15
"""Mean time between two kills, and when it is enough: the supervisor waits longer and longer for what dies so often."""

SEED = 1
CUT_SHARE = 0.2
"""Share of the jobs that are asked for twice, because the first answer is lost."""

MAX_S = 180


@dataclass
class Kills:
    """Kills timelapse workers of one server at random moments until it is told to stop."""

    server_pid: int
    count: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Kill until `stop`, or until it is enough."""
        chance = random.Random(SEED)
        while self.count < MAX_KILLS and not self._stop.wait(chance.expovariate(1 / KILL_EVERY_S)):
            workers = _workers(self.server_pid)
            if workers:
                with suppress(ProcessLookupError):
                    kill(chance.choice(workers), SIGKILL)
                    self.count += 1

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()


def upload_frames(connection: Connection, name: str, told: Told) -> tuple[int, list[int]]:
    """Make a target with a few tiny frames; return its id and theirs."""
    from local.frames import make_frames

    target = connection.post("/api/targets/", {"name": name, "ra": 12.5, "dec": -60.25})["id"]
    told.add("targets", f"{target} {name}")
    products = []
    with tempfile.TemporaryDirectory() as folder:
        for path in make_frames(Path(folder), FRAMES, FRAME_SIZE_PX):
            _, made = connection.send("POST", "/api/dataproducts/", *multipart(target, path.name, path.read_bytes()))
            products.append(made["id"])
            told.add("data products", f"{made['id']} {path.name}")
            told.add("files", f"products/{target}/{made['id']}/{path.name}")
    return target, products


def run_jobs(served: Served, count: int) -> dict[str, Any]:
    """Ask for jobs, kill workers until all have ended, and look at what is there."""
    connection = Connection(served.address)
    fields = [upload_frames(connection, f"field {number}", Told()) for number in range(TARGETS)]
    kills = Kills(served.pid)
    killer = threading.Thread(target=kills.run, daemon=True)
    begin = time.monotonic()
    killer.start()
    try:
        with ThreadPoolExecutor(TARGETS) as pool:
            shares = [(served.address, field, range(number, count, TARGETS)) for number, field in enumerate(fields)]
            told = [each for made in pool.map(lambda share: _submit(*share), shares) for each in made]
        _wait(connection, [target for target, _ in fields], count, begin + MAX_S)
    finally:
        kills.stop()
        killer.join()
    seconds = time.monotonic() - begin
    items = served.items("telescope")
    faults = faults_of(told, items, served.keys("processes/"))
    left = {queue: served.message_count(queue) for queue in ("dead-letters", "given-up")}
    processes = [item for item in items if item["sk"] == "PROCESS"]
    return {
        "count": count,
        "seconds": round(seconds, 1),
        "kills": kills.count,
        "taken_over": sum(1 for process in processes if process["attempt"] > 1),
        "attempts": sum(process["attempt"] for process in processes),
        "finished_once": count - len({fault.partition(":")[0] for fault in faults}),
        "faults": faults[:20],
        "given_up": left,
        "ok": not faults and len(processes) == count and not any(left.values()),
    }


def faults_of(told: Iterable[int], items: list[dict[str, Any]], keys: list[str]) -> list[str]:
    """Return what is wrong with jobs that should have finished exactly once, each as `<process>: <what>`.

    Parameters
    ----------
    told : iterable of int
        The processes that clients were told of.
    items : list of dict
        The telescope table.
    keys : list of str
        The files of processes.
    """
    told_count = Counter(told)
    processes = {item["id"]: item for item in items if item["sk"] == "PROCESS"}
    groups = {item["id"] for item in items if item["sk"] == "GROUP"}
    outputs: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for item in items:
        if item["sk"] == "DATAPRODUCT" and item.get("process_id"):
            outputs[item["process_id"]].append(item)
    cards = Counter(item["product_id"] for item in items if item["sk"].startswith("TIMELAPSE#"))
    files: defaultdict[int, list[str]] = defaultdict(list)
    for key in keys:
        files[int(key.split("/")[1])].append(key)
    logs: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    for item in items:
        if item["sk"].startswith("LOG#"):
            logs[int(item["pk"].removeprefix("PROCESS#"))].append((item["sk"], item["text"]))
    found = []
    for number in sorted({*told_count, *processes, *outputs}):
        process = processes.get(number)
        faults = []
        if process is None or told_count[number] != 1:
            faults.append(f"told of {told_count[number]} times, {'not ' if process is None else ''}there")
        if process is not None:
            made = outputs[number]
            log = "".join(text for _, text in sorted(logs[number]))
            faults += [
                text
                for is_so, text in (
                    (process["status"] == "created", f"status {process['status']}"),
                    (len(made) == 1, f"{len(made)} outputs"),
                    (sum(cards[each["id"]] for each in made) == 1, "not one timelapse on its target"),
                    (process.get("group_id") in groups, "no group"),
                    (files[number] == [each["key"] for each in made], f"files {files[number]}"),
                    (_is_whole(log, process["attempt"]), f"log {log!r}"),
                )
                if not is_so
            ]
        found += [f"{number}: {fault}" for fault in faults]
    group_counts = Counter(process["group_id"] for process in processes.values() if process.get("group_id"))
    return found + [f"{group}: group of {count} processes" for group, count in group_counts.items() if count > 1]


def _is_whole(log: str, attempt: int) -> bool:
    """Say whether a log tells of a last attempt from its beginning to its end, once."""
    lines = log.splitlines()
    openings = [number for number, line in enumerate(lines) if line.startswith("Attempt ")]
    if attempt > 1 and (not openings or not lines[openings[-1]].startswith(f"Attempt {attempt}: ")):
        return False
    last = lines[openings[-1] + 1 :] if attempt > 1 else lines
    frames = [f"Processing frame {number}/{FRAMES}" for number in range(1, FRAMES + 1)]
    return last == ["Sorting frames", *frames, "Finished"] and lines.count("Finished") <= attempt


def _submit(address: str, field: tuple[int, list[int]], numbers: range) -> list[int]:
    """Ask for a share of the jobs; of some twice, as one does whose connection was cut."""
    connection, chance = Connection(address), random.Random(numbers.start)
    target, products = field
    wish = {"target": target, "pipeline": "Timelapse", "products": products}
    return [
        connection.post_twice("/api/pipeline/", wish, chance.uniform(0, 0.3))["id"]
        if chance.random() < CUT_SHARE
        else connection.post("/api/pipeline/", wish)["id"]
        for _ in numbers
    ]


def _wait(connection: Connection, targets: list[int], count: int, deadline: float) -> None:
    """Wait until so many processes of the targets have ended, or the time is over."""
    while time.monotonic() < deadline:
        ended = 0
        for target in targets:
            _, shown = connection.send("GET", f"/api/async/status/{target}/", None, {})
            ended += sum(1 for process in shown["processes"] if process["terminal_timestamp"])
        if ended >= count:
            return
        time.sleep(0.5)


def _workers(server_pid: int) -> list[int]:
    """Return the process ids of the timelapse workers that are children of the server."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):  # it has ended
            parent = int(process.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            if parent == server_pid and b"run_timelapse" in process.joinpath("cmdline").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return sorted(found)
