"""`status`: is the deployment there, what does it hold, and what is it working on."""

import argparse
from itertools import islice
from typing import TYPE_CHECKING, Any

from local.cli.arguments import add_command, count, word
from local.cli.output import clean, moment, print_json, print_table, progress, say
from local.cli.session import FAILED, connect, target_of

if TYPE_CHECKING:
    from local.client import Client

COUNTED = 2000
"""Events are counted by listing them, so far."""

ENDED = ("created", "failed")

EXAMPLES = """
%(prog)s
%(prog)s --target "M 13"
"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "status",
        "show whether the deployment is ready, and what runs",
        show,
        EXAMPLES,
        'print one object: {"url", "ready": GET /api/v1/health/ready, "targets": number, "events": number, '
        '"running": GET /api/async/status/}; with --target GET /api/async/status/<id>/',
    )
    parser.add_argument("--target", type=word, metavar="TARGET", help="show the processes of a target: name or id")
    parser.add_argument(
        "--limit", type=count, default=20, metavar="N", help="processes of a target (default: %(default)s)"
    )


def show(options: argparse.Namespace) -> int:
    """Show the state of the whole, or of one target; the exit code is 1 if the deployment is not ready."""
    client = connect()
    if options.target is not None:
        return _show_target(client, options)
    ready = client.call("GET", "/api/v1/health/ready", accepts=(503,))
    is_ready = ready.get("status") == "ok"
    found: dict[str, Any] = {"url": client.base_url, "ready": ready}
    if is_ready:
        found |= _inventory(client)
    if options.json:
        print_json(found)
        return 0 if is_ready else FAILED
    say(f"{clean(client.base_url)} is {'ready' if is_ready else 'NOT READY'}\n")
    checks = ready.get("checks", {})
    rows = [(name, check.get("status"), f"{check.get('seconds', 0):.3f}") for name, check in checks.items()]
    print_table(("check", "status", "s"), rows, "no checks were answered")
    if is_ready:
        running = found["running"]
        events = _at_least(min(found["events"], COUNTED), is_all=found["events"] <= COUNTED)
        runs = _at_least(running["count"], is_all=running["is_all"])
        say(f"\ntargets {found['targets']}, events {events}, running processes {runs}")
        if running["processes"]:
            say()
            print_processes(client, running["processes"])
    return 0 if is_ready else FAILED


def _at_least(number: int, *, is_all: bool) -> str:
    return f"{number}" if is_all else f"{number} or more"


def _inventory(client: "Client") -> dict[str, Any]:
    targets = client.call("GET", "/api/targets/?limit=1")
    events = sum(1 for _ in client.pages("/api/v1/events/", "events", COUNTED + 1))
    return {"targets": targets["count"], "events": events, "running": client.call("GET", "/api/async/status/")}


def print_processes(client: "Client", processes: list[dict[str, Any]]) -> None:
    """Print processes that run, with the names of their targets."""
    ids = {process["target"] for process in processes}
    names = {each: client.call("GET", f"/api/targets/{each}/")["name"] for each in islice(sorted(ids), 50)}
    rows = [
        (
            process["id"],
            names.get(process["target"], process["target"]),
            process["process_type"],
            process["status"],
            progress(process),
            moment(process["created"]),
        )
        for process in processes
    ]
    print_table(("process", "target", "type", "status", "progress", "created"), rows, "nothing runs")


def _show_target(client: "Client", options: argparse.Namespace) -> int:
    target = target_of(client, options.target)
    answer = client.call("GET", f"/api/async/status/{target['id']}/?limit={options.limit}")
    if options.json:
        print_json(answer)
        return 0
    rows = []
    for process in answer["processes"]:
        process_id = str(process["view_url"]).rpartition("/")[2]
        is_running = process["status"] not in ENDED
        steps = progress(client.call("GET", f"/api/pipeline/{process_id}/")) if is_running else ""
        times = moment(process["created"]), moment(process["terminal_timestamp"])
        rows.append((process_id, process["process_type"], process["status"], steps, *times, process["failure_message"]))
    columns = ("process", "type", "status", "progress", "created", "ended", "failure")
    print_table(columns, rows, f"no process has run for {clean(target['name'])}")
    return 0
