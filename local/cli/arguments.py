"""What arguments of several commands have in common."""

import argparse
import json
import math
from collections.abc import Callable
from typing import Any

Run = Callable[[argparse.Namespace], int]

AS_ANSWERED = "print what the API answers, and nothing else"
"""What `--json` does where one answer says it all; commands that ask several times tell what they make of it."""


class Verbs:
    """The verbs of a noun: `events list`, `events show`; the noun alone lists.

    Parameters
    ----------
    commands : argparse action
        To which the noun is added.
    name, help : str
        The noun, and what it is.
    examples : str
        Shown below its help.
    """

    def __init__(self, commands: Any, name: str, help_text: str, examples: str) -> None:
        self._noun = commands.add_parser(name, **texts(help_text, examples))
        self._verbs = self._noun.add_subparsers(metavar="VERB", required=True)

    def add(
        self, name: str, help_text: str, run: Run, examples: str = "", json_help: str = AS_ANSWERED
    ) -> argparse.ArgumentParser:
        """Add a verb and return its parser."""
        return prepare(self._verbs.add_parser(name, **texts(help_text, examples)), run, json_help)


def add_command(
    commands: Any, name: str, help_text: str, run: Run, examples: str, json_help: str = AS_ANSWERED
) -> argparse.ArgumentParser:
    """Add a command without verbs and return its parser."""
    return prepare(commands.add_parser(name, **texts(help_text, examples)), run, json_help)


def prepare(parser: argparse.ArgumentParser, run: Run, json_help: str) -> argparse.ArgumentParser:
    """Let a parser run a command and take `--json`."""
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help=json_help)
    return parser


def texts(help_text: str, examples: str = "") -> dict[str, Any]:
    """Return the arguments that give a parser its help, with examples of how it is called."""
    epilog = "examples:\n" + "\n".join(f"  {line.strip()}" for line in examples.strip().splitlines())
    return {
        "help": help_text,
        "description": f"{help_text[:1].upper()}{help_text[1:]}.",
        "epilog": epilog if examples else None,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Let a list be shorter."""
    parser.add_argument("--limit", type=count, metavar="N", help="show at most so many; all by default")


def add_meta(parser: argparse.ArgumentParser) -> None:
    """Let a record get metadata."""
    parser.add_argument(
        "--meta",
        action="append",
        type=pair,
        default=[],
        metavar="KEY=JSON",
        help="metadata, a text where it is no JSON; may be repeated",
    )


def count(text: str) -> int:
    """Read a number above zero; argparse tells of the ValueError."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def degrees(text: str) -> float:
    """Read an angle; argparse tells of the ValueError."""
    if not math.isfinite(number := float(text)):
        raise argparse.ArgumentTypeError("not a finite number")
    return number


def word(text: str) -> str:
    """Read a name or an id, which is never empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def pair(text: str) -> tuple[str, Any]:
    """Read `fps=12.5`, `format=mp4` or `meta={"a": [1]}`."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    return name, json_or_text(value)


def json_or_text(text: str) -> Any:
    """Return what a text says as JSON, else the text itself."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> None:
    """NaN and its like are no JSON."""
    raise ValueError(constant)
