"""Whether requests for events take longer when many are stored.

One embedded AWS, two HTTP servers with tables of their own: one holds few events, the other many. Requests go to the two in
turn, so that what slows the machine slows both; the ratio of the medians is the figure.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MAX_RATIO = 1.3
FEW, MANY = 10, 10_000
PAGE = 10
START_S = 120
KEY = {"ASIMOV_API_KEY": "token-of-the-benchmark:bench"}


def run(many: int = MANY, repeat: int = 200) -> dict[str, Any]:
    """Return the median milliseconds of each request with few and with many events, and their ratio."""
    with _servers() as (small, large):
        for server, count in ((small, FEW), (large, many)):
            server.fill(count)
        cases = {}
        for name, request in REQUESTS.items():
            _time_pairs(request, small, large, 20)
            times = _time_pairs(request, small, large, repeat)
            few_ms, many_ms = (median(column) * 1e3 for column in zip(*times, strict=True))
            cases[name] = {
                "few_ms": round(few_ms, 2),
                "many_ms": round(many_ms, 2),
                "ratio": round(many_ms / few_ms, 2),
            }
        whole = _whole_list(large)
    ok = all(case["ratio"] < MAX_RATIO for case in cases.values())
    return {"few": FEW, "many": many, "cases": cases, "max_ratio": MAX_RATIO, "whole_list": whole, "ok": ok}


def rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the figures as rows of a table: what, measured, wanted."""
    found = [
        (
            f"{name}, {figures['few']} -> {figures['many']} events",
            f"{case['few_ms']} -> {case['many_ms']} ms, {case['ratio']} x",
            f"< {figures['max_ratio']} x",
        )
        for name, case in figures["cases"].items()
    ]
    whole = figures["whole_list"]
    return [*found, (f"list of all {whole['events']} events", f"{whole['seconds']} s in {whole['pages']} pages", "")]


class Server:
    """One HTTP server with tables of its own, over one kept-alive connection."""

    def __init__(self, url: str, environment: dict[str, str]) -> None:
        self._url = url
        self._environment = environment
        self._connection = HTTPConnection(url.removeprefix("http://"), timeout=30)
        self.count = 0
        self.last = ""
        self.cursor = ""

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request and return the answer's body."""
        headers = {"Authorization": "Bearer token-of-the-benchmark", "Content-Type": "application/json"}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")
        return json.loads(text)

    def fill(self, count: int) -> None:
        """Create events through the API until there are `count`, and remember a page in the middle."""
        share = (count + 3) // 4

        def create(first: int) -> None:
            other = Server(self._url, self._environment)
            for number in range(first, min(first + share, count)):
                other.send("POST", "/api/v1/events/", _event(f"E{number:05d}"))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(create, range(0, count, share)))
        self.count = count
        self.last = f"E{count - 1:05d}"
        for _ in range(count // PAGE // 2):
            query = f"?limit={PAGE}" + (f"&next={self.cursor}" if self.cursor else "")
            following = self.send("GET", f"/api/v1/events/{query}").get("next")
            if following is None or count <= PAGE:
                break
            self.cursor = following


def _event(name: str) -> dict[str, Any]:
    return {"name": name, "meta": {"gps_time": 1126259462.4, "far": 1e-7, "note": "x" * 200}}


REQUESTS: dict[str, Callable[[Server], Any]] = {
    "get event": lambda server: server.send("GET", f"/api/v1/events/{server.last}"),
    "update event": lambda server: server.send("PUT", f"/api/v1/events/{server.last}", {"meta": {"n": 1}}),
    "first page of 10": lambda server: server.send("GET", f"/api/v1/events/?limit={PAGE}"),
    "page of 10 in the middle": lambda server: server.send(
        "GET", f"/api/v1/events/?limit={PAGE}" + (f"&next={server.cursor}" if server.cursor else "")
    ),
    # last, because it adds to the few
    "create event": lambda server: server.send("POST", "/api/v1/events/", _event(uuid.uuid4().hex)),
}


def _time_pairs(
    request: Callable[[Server], Any], small: Server, large: Server, repeat: int
) -> list[tuple[float, float]]:
    return [(_seconds(request, small), _seconds(request, large)) for _ in range(repeat)]


def _seconds(request: Callable[[Server], Any], server: Server) -> float:
    started = time.perf_counter()
    request(server)
    return time.perf_counter() - started


def _whole_list(server: Server) -> dict[str, Any]:
    started = time.perf_counter()
    pages, events, query = 0, 0, ""
    while True:
        answer = server.send("GET", f"/api/v1/events/{query}")
        pages += 1
        events += len(answer["events"])
        if "next" not in answer:
            break
        query = f"?next={answer['next']}"
    return {"events": events, "pages": pages, "seconds": round(time.perf_counter() - started, 2)}


@contextmanager
def _servers() -> Iterator[tuple[Server, Server]]:
    """Start the embedded AWS with one server, and another server beside it whose tables have other names."""
    with tempfile.TemporaryDirectory(prefix="sidereal-bench-") as state:
        environment = {**os.environ, **KEY, "LOCAL_STATE": state, "POWERTOOLS_LOG_LEVEL": "WARNING"}
        first = free_port()
        main = start(["-m", "local", "serve", "--port", str(first)], environment)
        second: subprocess.Popen[str] | None = None
        try:
            wait(f"127.0.0.1:{first}", main)
            running = json.loads(Path(state, "running.json").read_text())
            tables = {f"{kind}_TABLE": f"bench-{kind.lower()}" for kind in ("LEDGER", "TELESCOPE", "OPERATIONS")}
            beside = {**environment, **running["environment"], **tables}
            provision = "from local.provision import provision; provision()"
            subprocess.run([sys.executable, "-c", provision], cwd=ROOT, env=beside, check=True)
            port = free_port()
            gunicorn = ["-m", "gunicorn", "-k", "gthread", "--threads", "1", "-w", "1", "--keep-alive", "60"]
            second = start([*gunicorn, "-b", f"127.0.0.1:{port}", "local.wsgi:create_app()"], beside)
            wait(f"127.0.0.1:{port}", second)
            third_port = free_port()
            own = {**environment, **running["environment"]}
            third = start([*gunicorn, "-b", f"127.0.0.1:{third_port}", "local.wsgi:create_app()"], own)
            try:
                wait(f"127.0.0.1:{third_port}", third)
                yield Server(f"http://127.0.0.1:{port}", beside), Server(f"http://127.0.0.1:{third_port}", own)
            finally:
                stop(third)
        finally:
            if second is not None:
                stop(second)
            stop(main)


def start(arguments: list[str], environment: dict[str, str]) -> "subprocess.Popen[str]":
    """Start Python in the project's folder."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def stop(process: "subprocess.Popen[str]") -> None:
    """End a process in order, or at all."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def wait(address: str, process: "subprocess.Popen[str]") -> None:
    """Wait until the server answers."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with code {process.returncode}")
        try:
            connection = HTTPConnection(address, timeout=5)
            connection.request("GET", "/api/v1/events/?limit=1")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"nothing answers on {address}")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
