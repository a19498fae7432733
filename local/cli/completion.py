"""`completion`: what lets a shell complete the command `sidereal`."""

import argparse
from collections.abc import Callable
from typing import Any

from local.cli.arguments import texts
from local.cli.output import say

SHELLS = ("bash", "zsh", "tcsh", "fish")
COMMAND = "sidereal"

EXAMPLES = """
source <(./sidereal completion bash)
./sidereal completion zsh > ~/.zfunc/_sidereal
"""


def add(commands: Any, make_parser: Callable[[str], argparse.ArgumentParser]) -> None:
    """Add the command; `make_parser` returns the whole parser for a program of a given name."""

    def show(options: argparse.Namespace) -> int:
        import shtab

        say(shtab.complete(_prepared(make_parser(COMMAND), shtab), shell=options.shell))
        return 0

    parser = commands.add_parser("completion", **texts(f"print what completes `{COMMAND}` in a shell", EXAMPLES))
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=show)


def _prepared(parser: argparse.ArgumentParser, shtab: Any) -> argparse.ArgumentParser:
    """Tell shtab which arguments are files, and which words it may suggest that are not enforced."""
    for action in parser._actions:
        if getattr(action, "is_file", False):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        action.choices = getattr(action, "words", action.choices)
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _prepared(inner, shtab)
    return parser
