"""`timelapse`: start one, watch it, fetch the film."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.cli.arguments import add_command, count, pair, word
from local.cli.output import clean, complain, print_json, say
from local.cli.session import INTERRUPTED, FailedError, UsageError, connect, target_of

if TYPE_CHECKING:
    from local.client import Client

FORMATS = ("gif", "mp4", "webm")
FLAGS = ("normalise_background", "align", "clean_cosmics", "crop", "annotate", "colour_map")
MAX_INPUTS = 2000
"""Of one process."""

JSON_HELP = (
    "print the process as the API answers it; watching it, one object a line: the messages of its stream as "
    '{"event", "id", "data"}, then {"event": "output", "data": data product}'
)

EXAMPLES = """
%(prog)s "M 13" --flag align --option fps=12.5 --watch
%(prog)s "M 13" --group 3 --output film.mp4
%(prog)s --follow 12
"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(commands, "timelapse", "make a film of the frames of a target", run, EXAMPLES, JSON_HELP)
    parser.add_argument("target", nargs="?", type=word, help="name or id of the target")
    inputs = parser.add_mutually_exclusive_group()
    inputs.add_argument(
        "--products", type=count, nargs="+", metavar="ID", help="frames by id; all FITS files by default"
    )
    inputs.add_argument("--group", type=count, metavar="ID", help="the frames of a group")
    inputs.add_argument("--follow", type=count, metavar="PROCESS", help="start nothing, but watch what runs already")
    flag_help = f"{', '.join(FLAGS)}; may be repeated"
    flag = parser.add_argument("--flag", action="append", default=[], metavar="FLAG", help=flag_help)
    # Suggested by the shell, not enforced here: which there are is the deployment's affair.
    flag.words = FLAGS  # type: ignore[attr-defined]
    option_help = "fps=12.5, size=800, ...; may be repeated"
    parser.add_argument("--option", action="append", type=pair, default=[], metavar="NAME=VALUE", help=option_help)
    format_help = "by default what the name of the output ends in, or the deployment's own"
    parser.add_argument("--format", choices=FORMATS, help=format_help)
    parser.add_argument("--watch", action="store_true", help="follow its log and progress to the end")
    output = parser.add_argument("--output", type=Path, metavar="FILE", help="watch it, then put the film there")
    output.is_file = True  # type: ignore[attr-defined]


def run(options: argparse.Namespace) -> int:
    """Start a timelapse, or go on watching one; the exit code is 1 if it failed."""
    if (options.target is None) == (options.follow is None):
        raise UsageError("name a target, or a process with --follow")
    if options.output:
        _check_place(options.output)
    client = connect()
    process = _start(client, options) if options.follow is None else _process(client, options.follow)
    if not (options.watch or options.output or options.follow):
        if options.json:
            print_json(process)
        else:
            say(
                f"process {process['id']} is {clean(process['status'])}; watch it with `timelapse --follow {process['id']}`"
            )
        return 0
    return _watch(client, options, int(process["id"]))


def _check_place(output: Path) -> None:
    """Find out that a film cannot be put there before it is made."""
    folder = output if output.is_dir() else output.parent
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"nothing can be written to {folder}")


def _process(client: "Client", process_id: int) -> dict[str, Any]:
    from local.faults import RefusedError

    try:
        return dict(client.call("GET", f"/api/pipeline/{process_id}/"))
    except RefusedError as error:
        if error.status != 404:
            raise
        raise FailedError(f"there is no process {process_id}") from None


def _start(client: "Client", options: argparse.Namespace) -> dict[str, Any]:
    given = dict(options.option)
    film_format = options.format or given.get("format") or _format_of(options.output)
    if film_format:
        given["format"] = film_format
    if options.output and _format_of(options.output) not in (None, film_format):
        raise UsageError(f"{options.output} is no name for a film in {film_format}")
    target = target_of(client, options.target)
    body = {
        "target": target["id"],
        "pipeline": "Timelapse",
        "flags": dict.fromkeys(options.flag, True),
        "options": given,
    }
    if options.group is not None:
        body["group"] = options.group
    else:
        body["products"] = options.products or _frames(client, target)
    return dict(client.call("POST", "/api/pipeline/", json=body))


def _format_of(output: Path | None) -> str | None:
    suffix = output.suffix.lower().removeprefix(".") if output else ""
    return suffix if suffix in FORMATS else None


def _frames(client: "Client", target: dict[str, Any]) -> list[int]:
    listed = client.pages("/api/dataproducts/", target=str(target["id"]))
    frames = [int(each["id"]) for each in listed if each["data_product_type"] == "fits_file"]
    if not frames:
        raise FailedError(f"{target['name']} has no frames")
    if len(frames) > MAX_INPUTS:
        raise UsageError(
            f"{target['name']} has {len(frames)} frames, and a film takes {MAX_INPUTS}: choose with --products"
        )
    return frames


def _watch(client: "Client", options: argparse.Namespace, process_id: int) -> int:
    try:
        process = _follow(client, process_id, is_json=options.json)
    except KeyboardInterrupt:
        complain(f"process {process_id} goes on without you; watch it again with `timelapse --follow {process_id}`")
        return INTERRUPTED
    if process["status"] != "created":
        raise FailedError(f"process {process_id} failed: {process['failure_message']}")
    for film in _outputs(client, process):
        if options.json:
            print_json({"event": "output", "data": film}, indent=None)
        else:
            say(clean(client.base_url + film["url"]))
        if options.output:
            place = options.output / Path(film["name"]).name if options.output.is_dir() else options.output
            client.download(film["url"], place)
            complain(f"saved {place}")
            break
    return 0


def _follow(client: "Client", process_id: int, *, is_json: bool) -> dict[str, Any]:
    """Show what a process does to its end, and return it as it is then."""
    import time

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.text import Text

    from local.cli.output import console
    from local.following import follow

    path = f"/api/pipeline/{process_id}/"
    screen = console(sys.stderr)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen, transient=True, disable=is_json or not sys.stderr.isatty()) as bar:
        task = bar.add_task("waiting", total=None)
        for message in follow(client, f"{path}stream", time.sleep):
            if is_json:
                print_json({"event": message.event, "id": message.id, "data": message.data}, indent=None)
            elif message.event == "log":
                for line in message.data["text"].splitlines():
                    screen.print(Text(clean(line)), soft_wrap=True)
            elif message.event == "process":
                status, steps = message.data["status"], message.data["progress"]
                # A pipeline that names no steps of its own is `pending` to its end.
                shown = "working" if status == "pending" and steps["total"] else clean(status)
                bar.update(task, description=shown, completed=steps["done"], total=steps["total"] or None)
    return dict(client.call("GET", path))


def _outputs(client: "Client", process: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the data products that a process has made."""
    if not process.get("group_url"):
        return []
    group = str(process["group_url"]).rstrip("/").rpartition("/")[2]
    products = client.call("GET", f"/api/dataproductgroups/{group}/")["products"]
    return [dict(client.call("GET", f"/api/dataproducts/{each}/")) for each in products]
