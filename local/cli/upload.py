"""`upload`: files, or the frames of folders, to a target."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.cli.arguments import add_command, degrees, word
from local.cli.output import clean, complain, console, print_json, say
from local.cli.session import FAILED, FailedError, connect

if TYPE_CHECKING:
    from rich.progress import Progress

    from local.client import Client
    from local.uploads import Uploads

MAX_AT_ONCE = 32

EXAMPLES = """
%(prog)s night1/ --target "M 13" --ra 250.42 --dec 36.46
%(prog)s night2/*.fits.fz --target 1
"""


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "upload",
        "upload frames to a target; what it has already, by name and size, is left out",
        upload,
        EXAMPLES,
        'print one object: {"target": id, "uploaded": [{"file", "id"}], "skipped": [file], '
        '"refused": [{"file", "reason"}], "left": number}',
    )
    files = parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="files, and folders of frames")
    files.is_file = True  # type: ignore[attr-defined]
    parser.add_argument("--target", required=True, type=word, metavar="TARGET", help="name or id of the target")
    parser.add_argument("--ra", type=degrees, metavar="DEG", help="right ascension of a new target, degrees")
    parser.add_argument("--dec", type=degrees, metavar="DEG", help="declination of a new target, degrees")
    parser.add_argument(
        "--type", default="fits_file", metavar="TYPE", help="data_product_type of the files (default: %(default)s)"
    )
    jobs_help = f"uploads at once, at most {MAX_AT_ONCE} (default: %(default)s)"
    parser.add_argument("--jobs", type=int, choices=range(1, MAX_AT_ONCE + 1), default=4, metavar="N", help=jobs_help)


def upload(options: argparse.Namespace) -> int:
    """Upload files; the exit code is 1 if one was refused."""
    from local.uploads import NoFramesError, Uploads, find_files

    client = connect()
    try:
        files = find_files(options.files)
    except NoFramesError as error:
        raise FailedError(error) from None
    uploads = Uploads(client, _target(client, options)["id"], options.type)
    missing = uploads.find_missing(files)
    try:
        with _bar() as bar:
            task = bar.add_task("uploading", total=sum(file.stat().st_size for file in missing))
            uploads.heed = lambda size: bar.advance(task, size)
            uploads.send(missing, options.jobs)
    finally:
        _tell(options, uploads, len(files) - len(missing), files, missing)
    return FAILED if uploads.refused else 0


def _target(client: "Client", options: argparse.Namespace) -> dict[str, Any]:
    target = client.find_target(options.target)
    if target is not None:
        return target
    if options.ra is None or options.dec is None:
        raise FailedError(f"there is no target {options.target!r}; --ra and --dec create it")
    body = {"name": options.target, "ra": options.ra, "dec": options.dec}
    return dict(client.call("POST", "/api/targets/", json=body))


def _bar() -> "Progress":
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    screen = console(sys.stderr)
    columns = (TextColumn("uploading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)


def _tell(
    options: argparse.Namespace, uploads: "Uploads", skipped: int, files: list[Path], missing: list[Path]
) -> None:
    for file, reason in sorted(uploads.refused.items()):
        complain(f"refused: {file}: {reason}")
    left = len(missing) - len(uploads.products) - len(uploads.refused)
    if not options.json:
        counts = f"{len(uploads.products)} uploaded, {skipped} were there, {len(uploads.refused)} refused"
        say(f"{clean(options.target)}: {counts}" + (f", {left} left: the same again goes on" if left else ""))
        return
    print_json(
        {
            "target": uploads.target,
            "uploaded": [{"file": str(file), "id": product} for file, product in sorted(uploads.products.items())],
            "skipped": [str(file) for file in files if file not in missing],
            "refused": [{"file": str(file), "reason": reason} for file, reason in sorted(uploads.refused.items())],
            "left": left,
        }
    )
