"""`productions`: list, show, create, set, delete."""

import argparse
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from chalicelib.states import PIPELINE_NAMES, PRODUCTION_STATUSES
from local.cli.arguments import Verbs, add_limit, add_meta, word
from local.cli.events import confirm, path_of
from local.cli.output import as_json, clean, print_fields, print_json, print_table, say
from local.cli.session import UsageError, connect

EXAMPLES = """
%(prog)s list --status stuck
%(prog)s list GW150914
%(prog)s create GW150914 Prod1 --pipeline bilby --needs Prod0
%(prog)s set GW150914 Prod1 --status running --comment "on the new cluster"
"""


def add(commands: Any) -> None:
    """Add the noun with its verbs."""
    verbs = Verbs(commands, "productions", "list, show, create, change or delete productions (analyses)", EXAMPLES)
    listing = verbs.add("list", "list productions of one event, or of all", show_all)
    listing.add_argument("event", nargs="?", type=word, help="name of an event; all by default")
    _add_status(listing, "only those in this state")
    add_limit(listing)
    _add_names(verbs.add("show", "show a production", show))
    creation = verbs.add("create", "add a production to an event", create)
    _add_names(creation)
    creation.add_argument(
        "--pipeline", required=True, type=str.lower, choices=PIPELINE_NAMES, help="what does the analysis"
    )
    creation.add_argument("--comment", help="a remark")
    creation.add_argument(
        "--needs", action="append", default=[], metavar="PRODUCTION", help="one that it depends on; may be repeated"
    )
    add_meta(creation)
    change = verbs.add(
        "set", "change a production", change_one, '%(prog)s GW150914 Prod0 --status stuck --comment "no PSD"'
    )
    _add_names(change)
    _add_status(change, ", ".join(PRODUCTION_STATUSES))
    change.add_argument("--comment", help='a remark; "" removes it')
    add_meta(change)
    deletion = verbs.add("delete", "delete a production", delete)
    _add_names(deletion)
    deletion.add_argument("--yes", action="store_true", help="do not ask")


def _add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("event", type=word, help="name of its event")
    parser.add_argument("production", type=word, help="its name")


def _add_status(parser: argparse.ArgumentParser, help_text: str) -> None:
    parser.add_argument("--status", type=str.lower, choices=PRODUCTION_STATUSES, metavar="STATUS", help=help_text)


def _path(options: argparse.Namespace) -> str:
    return f"/api/v1/productions/{quote(options.event, safe='')}/{quote(options.production, safe='')}"


def show_all(options: argparse.Namespace) -> int:
    """List productions."""
    client = connect()
    events: Iterable[dict[str, Any]] = (
        client.pages("/api/v1/events/", "events")
        if options.event is None
        else [client.call("GET", path_of(options.event))["event"]]
    )
    found: list[dict[str, Any]] = []
    for event in events:
        its = (each for each in event["productions"] if options.status in (None, each["status"]))
        found.extend({"event": event["name"], **each} for each in its)
        if options.limit and len(found) >= options.limit:
            break
    found = found[: options.limit]
    if options.json:
        print_json({"productions": found})
        return 0
    rows = [(each["event"], each["name"], each["pipeline"], each["status"], each["comment"]) for each in found]
    print_table(("event", "production", "pipeline", "status", "comment"), rows, "there are no such productions")
    return 0


def show(options: argparse.Namespace) -> int:
    """Show a production."""
    _print(options, connect().call("GET", _path(options)))
    return 0


def create(options: argparse.Namespace) -> int:
    """Create a production."""
    body: dict[str, Any] = {"name": options.production, "pipeline": options.pipeline, "meta": dict(options.meta)}
    body |= {"dependencies": options.needs, **({"comment": options.comment} if options.comment else {})}
    answer = connect().call("POST", f"/api/v1/productions/{quote(options.event, safe='')}", json=body)
    _print(options, answer)
    return 0


def change_one(options: argparse.Namespace) -> int:
    """Change what is given of a production."""
    body: dict[str, Any] = {name: getattr(options, name) for name in ("status", "comment")}
    body = {name: value for name, value in body.items() if value is not None}
    body |= {"meta": dict(options.meta)} if options.meta else {}
    if not body:
        raise UsageError("say what to change: --status, --comment or --meta")
    _print(options, connect().call("PUT", _path(options), json=body))
    return 0


def delete(options: argparse.Namespace) -> int:
    """Delete a production, having asked."""
    if not options.yes:
        confirm(f"delete production {options.production} of event {options.event}?")
    answer = connect().call("DELETE", _path(options))
    if options.json:
        print_json(answer)
    else:
        say(f"deleted production {clean(options.production)} of event {clean(options.event)}")
    return 0


def _print(options: argparse.Namespace, answer: dict[str, Any]) -> None:
    if options.json:
        print_json(answer)
        return
    production = answer["production"]
    fields = {"event": options.event, **{name: production[name] for name in ("name", "pipeline", "status", "comment")}}
    print_fields({**fields, "needs": ", ".join(production["dependencies"]), "meta": as_json(production["meta"])})
