"""`targets`: list, show, create."""

import argparse
from typing import Any

from local.cli.arguments import Verbs, add_limit, degrees, word
from local.cli.output import as_json, clean, moment, print_fields, print_json, print_table, say
from local.cli.session import connect, target_of

EXAMPLES = """
%(prog)s list --cone 250.42,36.46,0.5
%(prog)s show "M 13"
%(prog)s create "M 13" --ra 250.42 --dec 36.46
"""


def add(commands: Any) -> None:
    """Add the noun with its verbs."""
    verbs = Verbs(commands, "targets", "list, show or create targets", EXAMPLES)
    listing = verbs.add("list", "list targets", show_all)
    listing.add_argument("--name", help="only the one of this name")
    listing.add_argument("--cone", metavar="RA,DEC,RADIUS", help="only those within a circle, nearest first; degrees")
    add_limit(listing)
    showing = verbs.add(
        "show",
        "show a target with its timelapses",
        show,
        json_help="print the target as the API answers it, with `timelapses` as GET /api/target/<id>/ does",
    )
    showing.add_argument("target", type=word, help="name or id")
    creation = verbs.add("create", "create a target", create)
    creation.add_argument("name", type=word, help="its name")
    creation.add_argument("--ra", type=degrees, metavar="DEG", help="right ascension, degrees")
    creation.add_argument("--dec", type=degrees, metavar="DEG", help="declination, degrees")
    creation.add_argument("--moving", action="store_true", help="it has no fixed position: a comet, an asteroid")


def show_all(options: argparse.Namespace) -> int:
    """List targets."""
    query = {"name": options.name, "cone_search": options.cone}
    given = {name: value for name, value in query.items() if value is not None}
    found = list(connect().pages("/api/targets/", limit=options.limit, **given))
    if options.json:
        print_json({"count": len(found), "next": None, "previous": None, "results": found})
        return 0
    rows = [(each["id"], each["name"], each["ra"], each["dec"], moment(each["created"])) for each in found]
    empty = "there are no such targets" if given else "there are no targets yet"
    print_table(("id", "name", "ra", "dec", "created"), rows, empty)
    return 0


def show(options: argparse.Namespace) -> int:
    """Show a target."""
    client = connect()
    target = target_of(client, options.target)
    timelapses = client.call("GET", f"/api/target/{target['id']}/")["timelapses"]
    if options.json:
        print_json({**target, "timelapses": timelapses})
        return 0
    times = {name: moment(target[name]) for name in ("created", "modified")}
    extra = {"extra fields": as_json(target["extra_fields"])} if target["extra_fields"] else {}
    print_fields({**{name: target[name] for name in ("id", "name", "type", "ra", "dec")}, **times, **extra})
    say()
    rows = [
        (each["format"], each["frames"], moment(each["created"]), client.base_url + each["url"]) for each in timelapses
    ]
    print_table(("format", "frames", "created", "timelapse"), rows, "it has no timelapses yet")
    return 0


def create(options: argparse.Namespace) -> int:
    """Create a target."""
    body = {"name": options.name, "type": "NON_SIDEREAL" if options.moving else "SIDEREAL"}
    position = {axis: getattr(options, axis) for axis in ("ra", "dec") if getattr(options, axis) is not None}
    target = connect().call("POST", "/api/targets/", json={**body, **position})
    if options.json:
        print_json(target)
    else:
        say(f"created target {target['id']}: {clean(target['name'])}")
    return 0
