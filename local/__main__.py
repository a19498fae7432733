"""`python -m local ...`: serve, demo, env, and what talks to a deployment; commands without help are what `serve` starts."""

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import Any

from local.home import Home


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = make_parser(os.environ.get("LOCAL_PROGRAM") or "python -m local")
    options = parser.parse_args(with_verb(sys.argv[1:] if arguments is None else arguments))
    if "run" in options:
        from local.cli.session import perform

        return perform(options.run, options)
    command: str = options.command
    from pydantic import ValidationError

    from local.emulator import EmulatorMissingError
    from local.keys import NoKeyError
    from local.serve import InUseError
    from local.supervisor import ChildFailedError

    run = {"serve": _serve, "demo": _demo, "env": _env}.get(command, _internal)
    try:
        return run(options)
    except (NoKeyError, EmulatorMissingError, InUseError, ChildFailedError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ValidationError as error:
        if error.title != "Settings":
            raise
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            print(f"error: {str(fault['loc'][0]).upper()}: {fault['msg']}", file=sys.stderr)
        return 1


NOUNS = ("status", "events", "productions", "targets", "upload", "timelapse")
"""What talks to a deployment; a module of `local.cli` each."""

WITH_VERBS = ("events", "productions", "targets")

EXAMPLES = """
examples:
  %(prog)s serve --port 8000 --create-key
  %(prog)s status
  %(prog)s upload night1/ --target "M 13" --ra 250.42 --dec 36.46
  %(prog)s timelapse "M 13" --flag align --output film.mp4
  %(prog)s productions set GW150914 Prod0 --status running
  %(prog)s COMMAND --help

environment:
  SIDEREAL_URL    the deployment (default: the server that runs here, else http://127.0.0.1:8000)
  ASIMOV_API_KEY  a key of it, `token` or `token:user` (default: the key of this machine)

exit codes: 0 done, 1 failed or not ready, 2 wrong arguments, 130 interrupted
"""


def make_parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    from local.cli import completion

    parser = argparse.ArgumentParser(
        prog=program,
        description="Sidereal: on this machine, and wherever it is deployed.",
        epilog=EXAMPLES.strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serving(commands)
    for noun in NOUNS:
        importlib.import_module(f"local.cli.{noun}").add(commands)
    completion.add(commands, make_parser)
    _add_internal(commands)
    return parser


def _add_serving(commands: Any) -> None:
    serve = commands.add_parser("serve", help="run everything until interrupted")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument(
        "--port", type=_port, default=5000, help="port to listen on, 0 for a free one (default: %(default)s)"
    )
    serve.add_argument("--debug", action="store_true", help="log every request and load changed code at once")
    serve.add_argument(
        "--create-key", action="store_true", help="make an API key for this machine if none is configured"
    )
    demo = commands.add_parser("demo", help="upload frames, make a timelapse, create an event, stop")
    demo.add_argument("--frames", type=Path, help="folder of FITS frames; made up by default")
    commands.add_parser("env", help="print the variables that let other programs reach the running server's AWS")


def _add_internal(commands: Any) -> None:
    """Add what `serve` starts; without a help text it is not listed."""
    commands.add_parser("provision")
    http = commands.add_parser("http")
    http.add_argument("fd", type=int)
    http.add_argument("--debug", action="store_true")
    work = commands.add_parser("work")
    work.add_argument("queue")
    work.add_argument("function")
    schedule = commands.add_parser("schedule")
    schedule.add_argument("function")
    portal = commands.add_parser("portal")
    portal.add_argument("fd", type=int)
    portal.add_argument("folder", type=Path)


def with_verb(arguments: list[str]) -> list[str]:
    """Return arguments in which a noun that stands alone, or with options only, has its verb: `list`."""
    if arguments and arguments[0] in WITH_VERBS:
        following = arguments[1:2]
        if not following or (following[0].startswith("-") and following[0] not in ("-h", "--help")):
            return [arguments[0], "list", *arguments[1:]]
    return arguments


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port


def _serve(options: argparse.Namespace) -> int:
    from local.serve import Options, serve_command

    return serve_command(Options(Home.default(), options.host, options.port, options.debug, options.create_key))


def _demo(options: argparse.Namespace) -> int:
    from local.demo import demo_command

    return demo_command(options.frames)


def _env(options: argparse.Namespace) -> int:
    del options
    from local.environment import shell_exports
    from local.keys import find_token

    running = Home.default().read_running()
    if running is None:
        print("error: nothing is running here; start it with `make serve`", file=sys.stderr)
        return 1
    from chalicelib.settings import get_settings

    tables = ("ledger_table", "telescope_table", "operations_table", "idempotency_table")
    names = (*tables, "bucket", "timelapse_queue", "pipeline_queue", "rendition_queue", "given_up_queue")
    settings = get_settings()
    variables = {**running["environment"], **{name.upper(): str(getattr(settings, name)) for name in names}}
    token = find_token(Home.default(), running["environment"])
    variables |= {"SIDEREAL_URL": running["url"]} | ({"SIDEREAL_TOKEN": token} if token else {})
    print(shell_exports(variables))
    return 0


def _internal(options: argparse.Namespace) -> int:
    if options.command == "provision":
        from local.provision import SchemaMismatchError, provision

        try:
            provision()
        except SchemaMismatchError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        print(f"tables, bucket and queues are there ({os.environ.get('AWS_ENDPOINT_URL', 'AWS')})")
    elif options.command == "http":
        from local.http_server import run as run_http

        run_http(options.fd, debug=options.debug)
    elif options.command == "work":
        from local.workers import work

        work(options.queue, options.function)
    elif options.command == "portal":
        from local.portal.serving import run as run_portal

        run_portal(options.fd, options.folder)
    else:
        from local.schedule import run as run_schedule

        run_schedule(options.function)
    return 0


if __name__ == "__main__":
    sys.exit(main())
