"""What a whole timelapse job costs: the worker's process from its start, with boto3, DynamoDB, S3 and SQS.

`benchmarks.timelapse` measures the pipeline in a process of its own. Here the frames come from S3, the log goes to DynamoDB
and the film back to S3. No limit is set on the CPU time. Linux only: the figures come from /proc. The first log line of a
second job is timed from the request that starts it, on the worker that the first job has warmed up.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.events import KEY, Server, free_port, start, stop, wait
from benchmarks.timelapse import MAX_PEAK_MB, make_sequence

CASES = {
    "10 of 1024 x 1024 float32": (10, 1024),
    "50 of 1024 x 1024 float32": (50, 1024),
    "10 of 2048 x 2048 float32": (10, 2048),
}
TIMEOUT_S = 120
MAX_FIRST_LINE_S = 1.0


def run() -> dict[str, Any]:
    """Return CPU seconds and peak memory of the worker for each case."""
    cases = {name: _measure(count, size_px) for name, (count, size_px) in CASES.items()}
    ok = all(case["peak_mb"] < MAX_PEAK_MB and case["first_line_s"] <= MAX_FIRST_LINE_S for case in cases.values())
    return {"cases": cases, "ok": ok}


def rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the figures as rows of a table: what, measured, wanted."""
    found = []
    for name, case in figures["cases"].items():
        measured = f"{case['cpu_s']:.2f} s CPU, peak {case['peak_mb']:.0f} MB"
        found.append((f"whole job, {name}", measured, f"< {MAX_PEAK_MB} MB"))
        first = f"{case['first_line_s']:.2f} s"
        found.append((f"first log line on a warm worker, {name}", first, f"<= {MAX_FIRST_LINE_S} s"))
    return found


def _measure(count: int, size_px: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="sidereal-bench-") as scratch:
        frames, state = Path(scratch, "frames"), Path(scratch, "state")
        make_sequence(frames, count, size_px)
        environment = {**os.environ, **KEY, "LOCAL_STATE": str(state), "POWERTOOLS_LOG_LEVEL": "WARNING"}
        port = free_port()
        served = start(["-m", "local", "serve", "--port", str(port)], environment)
        try:
            wait(f"127.0.0.1:{port}", served)
            server = Server(f"http://127.0.0.1:{port}", environment)
            target = server.send("POST", "/api/targets/", {"name": "field", "ra": 1, "dec": 1})["id"]
            products = [_upload(server, target, path) for path in sorted(frames.iterdir())]
            wish = {"target": target, "pipeline": "Timelapse", "products": products}
            _finish(server, server.send("POST", "/api/pipeline/", wish)["id"])
            cost = _cost(_worker(state))
            begin = time.monotonic()
            process = server.send("POST", "/api/pipeline/", wish)["id"]
            while not server.send("GET", f"/api/pipeline/logs/{process}/")["logs"]:
                if time.monotonic() - begin > TIMEOUT_S:
                    raise RuntimeError("the second job never began")
                time.sleep(0.02)
            cost["first_line_s"] = round(time.monotonic() - begin, 2)
            _finish(server, process)
            return cost
        finally:
            stop(served)
            shutil.rmtree(state, ignore_errors=True)


def _finish(server: Server, process: int) -> None:
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        shown = server.send("GET", f"/api/pipeline/{process}/")
        if shown["terminal_timestamp"]:
            if shown["status"] != "created":
                raise RuntimeError(shown["failure_message"])
            return
        time.sleep(0.2)
    raise RuntimeError("the job did not end in time")


def _upload(server: Server, target: int, path: Path) -> int:
    import requests

    wish = {"target": target, "filename": path.name, "size": path.stat().st_size, "data_product_type": "fits_file"}
    answer = server.send("POST", "/api/dataproducts/", wish)
    with path.open("rb") as file:
        requests.post(answer["upload"]["url"], data=answer["upload"]["fields"], files={"file": file}, timeout=60)
    product: int = server.send("POST", f"/api/dataproducts/{answer['id']}/complete/")["id"]
    return product


def _worker(state: Path) -> int:
    """Return the process id of the timelapse worker that serves from this state folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = process.joinpath("cmdline").read_bytes().split(b"\0")
            environment = process.joinpath("environ").read_bytes()
        except OSError:
            continue  # it has ended, or is somebody else's
        if b"run_timelapse" in arguments and str(state).encode() in environment:
            return int(process.name)
    raise RuntimeError("the worker is not there")


def _cost(pid: int) -> dict[str, float]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    status = Path(f"/proc/{pid}/status").read_text()
    peak_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return {"cpu_s": round(ticks / os.sysconf("SC_CLK_TCK"), 2), "peak_mb": round(peak_kb / 1024, 1)}
