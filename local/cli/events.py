"""`events`: list, show, create, delete."""

import argparse
import sys
from collections import Counter
from typing import Any
from urllib.parse import quote

from chalicelib.states import PRODUCTION_STATUSES
from local.cli.arguments import Verbs, add_limit, add_meta, word
from local.cli.output import as_json, clean, print_fields, print_json, print_table, say
from local.cli.session import FAILED, UsageError, connect

EXAMPLES = """
%(prog)s
%(prog)s list --status stuck
%(prog)s show GW150914
%(prog)s create GW150914 --meta gps_time=1126259462.4
"""


def add(commands: Any) -> None:
    """Add the noun with its verbs."""
    verbs = Verbs(commands, "events", "list, show, create or delete events", EXAMPLES)
    listing = verbs.add("list", "list events with the states of their productions", show_all)
    listing.add_argument(
        "--status",
        type=str.lower,
        choices=PRODUCTION_STATUSES,
        metavar="STATUS",
        help="only those that have a production in this state",
    )
    add_limit(listing)
    verbs.add("show", "show an event with its productions", show).add_argument("event", type=word, help="its name")
    creation = verbs.add(
        "create", "create an event", create, "%(prog)s GW150914 --meta far=1e-7 --repository git@a.b:c.git"
    )
    creation.add_argument("event", type=word, help="its name")
    creation.add_argument("--repository", help="address of its repository")
    creation.add_argument("--working-directory", metavar="FOLDER", help="where its analyses work")
    add_meta(creation)
    deletion = verbs.add("delete", "delete an event with its productions", delete)
    deletion.add_argument("event", type=word, help="its name")
    deletion.add_argument("--yes", action="store_true", help="do not ask")


def path_of(event: str) -> str:
    """Return the address of an event."""
    return f"/api/v1/events/{quote(event, safe='')}"


def show_all(options: argparse.Namespace) -> int:
    """List events."""
    wanted = options.status
    found = []
    for event in connect().pages("/api/v1/events/", "events", None if wanted else options.limit):
        if wanted is None or any(each["status"] == wanted for each in event["productions"]):
            found.append(event)
        if options.limit and len(found) == options.limit:
            break
    if options.json:
        print_json({"events": found})
        return 0
    rows = [(event["name"], len(event["productions"]), states_of(event["productions"])) for event in found]
    print_table(("event", "productions", "states"), rows, "no such events" if wanted else "there are no events yet")
    return 0


def states_of(productions: list[dict[str, Any]]) -> str:
    """Return how many productions are in each state: `2 running, 1 stuck`."""
    counts = Counter(str(production["status"]) for production in productions)
    return ", ".join(f"{count} {status}" for status, count in counts.most_common())


def show(options: argparse.Namespace) -> int:
    """Show an event."""
    answer = connect().call("GET", path_of(options.event))
    if options.json:
        print_json(answer)
    else:
        print_event(answer["event"])
    return 0


def print_event(event: dict[str, Any]) -> None:
    """Print an event with a table of its productions."""
    fields = ("name", "working directory", "repository")
    print_fields({**{name: event.get(name) for name in fields}, "meta": as_json(event["meta"])})
    say()
    rows = [(each["name"], each["pipeline"], each["status"], each["comment"]) for each in event["productions"]]
    print_table(("production", "pipeline", "status", "comment"), rows, "it has no productions yet")


def create(options: argparse.Namespace) -> int:
    """Create an event."""
    body: dict[str, Any] = {"name": options.event, "meta": dict(options.meta)}
    body |= {"repository": options.repository} if options.repository else {}
    body |= {"working_directory": options.working_directory} if options.working_directory else {}
    answer = connect().call("POST", "/api/v1/events/", json=body)
    if options.json:
        print_json(answer)
    else:
        say(f"created event {clean(answer['event']['name'])}")
    return 0


def delete(options: argparse.Namespace) -> int:
    """Delete an event, having asked."""
    client = connect()
    if not options.yes:
        event = client.call("GET", path_of(options.event))["event"]
        confirm(f"delete event {event['name']} with its {len(event['productions'])} productions?")
    answer = client.call("DELETE", path_of(options.event))
    if options.json:
        print_json(answer)
    else:
        say(f"deleted event {clean(options.event)}")
    return 0


def confirm(question: str) -> None:
    """Ask whoever sits at the terminal.

    Raises
    ------
    UsageError
        If there is nobody to ask.
    SystemExit
        If the answer is no.
    """
    if not sys.stdin.isatty():
        raise UsageError("this deletes: confirm it with --yes")
    print(f"{clean(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise SystemExit(FAILED)
