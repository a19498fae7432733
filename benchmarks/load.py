"""What the server stands: many clients at once for a minute, then jobs whose workers are killed.

Clients, server, workers and the embedded AWS share the processors of this machine, so the throughput is that of all of them;
the figures that must hold anywhere are the errors and what was lost or doubled: none. Smaller runs for a quick look:
LOAD_SECONDS, LOAD_CLIENTS, LOAD_JOBS.
"""

import os
import threading
import time
from collections import Counter, defaultdict
from typing import Any

from benchmarks.load_client import Client, Connection, Sample, Shared
from benchmarks.load_jobs import SETTINGS, run_jobs, upload_frames
from benchmarks.load_tally import Tally, Told, percentile
from benchmarks.serving import Served, serving

SHARED_EVENTS, SHARED_GROUPS = 10, 5
FIRST_JOB_S = 60
LISTS = {"events": "EVENTS", "targets": "TARGETS"}
"""Whose members are counted in the API's answers, too, and what their heads are called."""


def run() -> dict[str, Any]:
    """Return throughput, times, errors, and what was lost or doubled; and how the jobs ended."""
    seconds = float(os.environ.get("LOAD_SECONDS") or 60)
    client_count = int(os.environ.get("LOAD_CLIENTS") or 50)
    job_count = int(os.environ.get("LOAD_JOBS") or 200)
    with serving() as served:
        requests = _measure_requests(served, client_count, seconds)
    with serving(**SETTINGS) as served:
        jobs = run_jobs(served, job_count)
    return {"requests": requests, "jobs": jobs, "ok": requests["ok"] and jobs["ok"]}


def rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the figures as rows of a table: what, measured, wanted."""
    load, jobs = figures["requests"], figures["jobs"]
    title = f"{load['clients']} clients for {load['seconds']:.0f} s"
    found = [
        (
            f"{title}: requests, errors",
            f"{load['count']} ({load['per_second']} /s), {load['error_count']}",
            "errors 0",
        ),
        *(
            (
                f"{title}: {kind}, p50 / p95 / p99",
                " / ".join(f"{times[p]:.0f}" for p in ("p50", "p95", "p99")) + " ms",
                "",
            )
            for kind, times in load["ms"].items()
        ),
        (f"{title}: processor time of the clients", f"{load['client_cpu_share']:.0%} of one", ""),
        (
            f"{title}: records told of, lost, doubled",
            f"{load['told']}, {load['lost']}, {load['doubled']}",
            "lost 0, doubled 0",
        ),
        (f"{title}: asked again after a cut, records doubled", f"{load['repeated']}, {load['repeated_doubled']}", "0"),
    ]
    return [
        *found,
        (
            f"{jobs['count']} jobs, workers killed {jobs['kills']} times",
            f"{jobs['finished_once']} finished once, in {jobs['seconds']:.0f} s; {jobs['taken_over']} taken over",
            f"{jobs['count']} finished once",
        ),
    ]


def _measure_requests(served: Served, client_count: int, seconds: float) -> dict[str, Any]:
    setup = Connection(served.address)
    shared, told = _prepare(setup)
    clients = [Client(Connection(served.address), number, shared) for number in range(client_count)]
    threads = [threading.Thread(target=client.run, args=(seconds,)) for client in clients]
    cpu, begin = time.process_time(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begin
    cpu = time.process_time() - cpu
    for client in clients:
        told.merge(client.told)
    samples = [sample for client in clients for sample in client.samples]
    errors = [error for client in clients for error in client.errors]
    tallies = told.compare(_stored(served, setup, told))
    lost, doubled = (sum(len(getattr(tally, kind)) for tally in tallies.values()) for kind in ("lost", "doubled"))
    return {
        "clients": client_count,
        "seconds": round(took, 1),
        "count": len(samples),
        "per_second": round(len(samples) / took, 1),
        "ms": _times(samples),
        "ms_by_request": {
            name: _summary([each for each in samples if each.name == name])
            for name in sorted({each.name for each in samples})
        },
        "client_cpu_share": round(cpu / took, 3),
        "error_count": len(errors),
        "errors": dict(Counter(error[:120] for error in errors).most_common(20)),
        "told": sum(tally.told for tally in tallies.values()),
        "lost": lost,
        "doubled": doubled,
        "repeated": sum(client.repeated for client in clients),
        "repeated_doubled": len(tallies["groups"].doubled),
        "records": {kind: _shown(tally) for kind, tally in tallies.items()},
        "ok": not errors and lost == doubled == 0,
    }


def _prepare(setup: Connection) -> tuple[Shared, Told]:
    """Make what the clients share."""
    told = Told()
    events = tuple(f"S{number}" for number in range(SHARED_EVENTS))
    for name in events:
        setup.post("/api/v1/events/", {"name": name})
        told.add("events", name)
    groups = []
    for number in range(SHARED_GROUPS):
        made = setup.post("/api/dataproductgroups/", {"name": f"shared {number}"})
        groups.append(made["id"])
        told.add("groups", f"{made['id']} {made['name']}")
    target, products = upload_frames(setup, "shared", told)
    process = setup.post("/api/pipeline/", {"target": target, "pipeline": "Timelapse", "products": products})["id"]
    end = time.monotonic() + FIRST_JOB_S
    while not setup.send("GET", f"/api/pipeline/{process}/", None, {})[1]["terminal_timestamp"]:
        if time.monotonic() > end:
            raise RuntimeError("the first job did not end")
        time.sleep(0.1)
    return Shared(events, tuple(groups), target, process), told


def _stored(served: Served, connection: Connection, told: Told) -> dict[str, list[str]]:
    """Return what is there, in the words of what clients were told; outputs of the one process are left out."""
    ledger, telescope = _by_kind(served.items("ledger")), _by_kind(served.items("telescope"))
    products = [item for item in telescope["DATAPRODUCT"] if not item.get("process_id")]
    totals = {item["pk"]: item["total"] for item in served.items("operations") if item["sk"] == "HEAD"}
    stored = {
        "events": [item["name"] for item in ledger["EVENT"]],
        "keys of meta": [
            f"{item['name']} {key}={text}"
            for item in ledger["EVENT"]
            if item["name"].startswith("S")
            for key, text in item["meta"].items()
        ],
        "productions": [f"{item['event_name']} {item['name']}" for item in ledger["PRODUCTION"]],
        "targets": [f"{item['id']} {item['name']}" for item in telescope["TARGET"]],
        "data products": [f"{item['id']} {item['name']}" for item in products],
        "files": served.keys("products/"),
        "groups": [
            f"{item['id']} {item['name']}" for item in telescope["GROUP"] if not item["name"].endswith("_outputs")
        ],
        "members of groups": [
            f"{item['pk'].removeprefix('GROUP#')} {item['product_id']}"
            for item in telescope["MEMBER"]
            if item["pk"] in {f"GROUP#{record.partition(' ')[0]}" for record in told.records["groups"]}
        ],
    }
    # what the lists answer, and what their heads have counted, must be the same again
    for kind, records in told.records.items():
        if kind in LISTS:
            told.records = {**told.records, f"{kind} listed": records, f"{kind} counted": [str(len(records))]}
    stored["events listed"] = [event["name"] for event in _walk(connection, "/api/v1/events/?limit=200", "events")]
    listed = _walk(connection, "/api/targets/?limit=200", "results")
    stored["targets listed"] = [f"{target['id']} {target['name']}" for target in listed]
    for kind, name in LISTS.items():
        stored[f"{kind} counted"] = [str(totals[f"LIST#{name}"])]
    return stored


def _by_kind(items: list[dict[str, Any]]) -> defaultdict[str, list[dict[str, Any]]]:
    """Return the items of a table by the kind of record, which is the first word of the sort key."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in items:
        found[item["sk"].partition("#")[0]].append(item)
    return found


def _walk(connection: Connection, path: str, name: str) -> list[dict[str, Any]]:
    """Return the members of a list, read page by page."""
    found, cursor = [], ""
    while True:
        _, page = connection.send("GET", f"{path}{cursor}", None, {})
        found += page[name]
        following = page.get("next")
        if not following:
            return found
        # one API answers the cursor, the other the address of the next page
        cursor = f"&next={following.rpartition('next=')[2].partition('&')[0]}"


def _times(samples: list[Sample]) -> dict[str, dict[str, float]]:
    return {
        "all": _summary(samples),
        "reads": _summary([each for each in samples if not each.is_write]),
        "writes": _summary([each for each in samples if each.is_write]),
    }


def _summary(samples: list[Sample]) -> dict[str, float]:
    times = [each.seconds * 1e3 for each in samples]
    return {"count": len(times), **{f"p{share}": round(percentile(times, share / 100), 1) for share in (50, 95, 99)}}


def _shown(tally: Tally) -> dict[str, Any]:
    return {"told": tally.told, "lost": tally.lost[:20], "doubled": tally.doubled[:20]}
