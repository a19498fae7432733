"""What the command line prints: tables that fit the terminal and are plain in a pipe, JSON, errors."""

import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that change the direction of what follows: with them a name could pose as another."""

MIN_WIDTH = 16
"""Columns that may wrap are not narrower than this, in characters, if they hold so much."""

_KEPT_WHOLE = (
    "id",
    "process",
    "pipeline",
    "status",
    "states",
    "progress",
    "created",
    "ended",
    "size",
    "ra",
    "dec",
    "s",
)
"""Columns that stay on one line; the others wrap where the terminal is narrow."""

_NUMBERS = ("id", "process", "productions", "size", "ra", "dec", "s", "frames")

_STYLES = {
    "green": "ok ready finished complete uploaded reviewed created",
    "cyan": "running processing uploading restart",
    "yellow": "wait pending review manual unknown",
    "red": "stuck failed unavailable review_failed",
    "dim": "stop stopped cancelled",
}
STYLES = {word: style for style, words in _STYLES.items() for word in words.split()}
"""Status word -> how it is shown on a terminal."""


def clean(value: object) -> str:
    """Return a text without what a terminal would obey: control characters become visible, line breaks spaces."""
    text = re.sub(r"\s*[\n\r]\s*|\t", " ", str(value))
    return "".join(_visible(each) if _is_hostile(each) else each for each in text)


def _visible(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode() if character > "\x7f" else f"\\x{ord(character):02x}"


def _is_hostile(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _TURNING


def print_json(answer: object, indent: int | None = 2) -> None:
    """Print what the API has answered; what a terminal would obey is escaped, which means the same in JSON."""
    text = json.dumps(answer, ensure_ascii=False, indent=indent)
    say("".join(f"\\u{ord(each):04x}" if each != "\n" and _is_hostile(each) else each for each in text))


def say(line: str = "") -> None:
    """Print a line."""
    print(line, flush=True)


def complain(line: str) -> None:
    """Print a line to stderr."""
    sys.stdout.flush()
    print(clean(line), file=sys.stderr, flush=True)


def console(stream: TextIO | None = None) -> "Console":
    """Return what draws on a terminal: names are no markup, whatever they hold."""
    from rich.console import Console

    return Console(file=stream or sys.stdout, markup=False, emoji=False, highlight=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print a table, or a line that says why there is none.

    Parameters
    ----------
    columns : sequence of str
        Their names.
    rows : iterable of sequences
        Cells; None is shown as nothing.
    empty : str
        Printed where there are no rows.
    """
    cells = [["" if cell is None else clean(cell) for cell in row] for row in rows]
    if not cells:
        say(empty)
    elif sys.stdout.isatty():
        _draw_table(columns, cells)
    else:
        _print_plain([list(columns), *cells], columns)


def _draw_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.cells import cell_len
    from rich.table import Table

    screen = console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold underline")
    least = -2
    for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
        width = max(cell_len(each) for each in (column, *cells))
        width = width if column in _KEPT_WHOLE else min(width, MIN_WIDTH)
        least += width + 2
        table.add_column(column, min_width=width, overflow="fold", justify="right" if column in _NUMBERS else "left")
    if least > screen.width:
        _print_records(columns, rows)
        return
    for row in rows:
        table.add_row(*(_styled(column, cell) for column, cell in zip(columns, row, strict=True)))
    screen.print(table)


def _print_records(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below one another, as a terminal that is too narrow for them side by side wants it."""
    for number, row in enumerate(rows):
        if number:
            say()
        print_fields(dict(zip(columns, row, strict=True)))


def _styled(column: str, cell: str) -> "Text":
    from rich.text import Text

    text = Text(cell, "bold" if column in ("name", "event", "production") else "")
    if column in ("status", "states"):
        for found in re.finditer(r"\w+", cell):
            text.stylize(STYLES.get(found[0].lower(), ""), *found.span())
    return text


def _print_plain(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> None:
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        parts = []
        for column, cell, width in zip(columns, row, widths, strict=True):
            space = " " * (width - cell_len(cell))
            parts.append(space + cell if column in _NUMBERS else cell + space)
        say("  ".join(parts).rstrip())


def print_fields(fields: Mapping[str, object]) -> None:
    """Print names and values of one record; what there is not is left out."""
    shown = {name: clean(value) for name, value in fields.items() if value not in (None, "")}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        say(f"{name:<{width}}  {value}".rstrip())


def as_json(value: object) -> str:
    """Return free-form values in one line."""
    return json.dumps(value, ensure_ascii=False)


def moment(seconds: Any) -> str | None:
    """Return a UNIX time as text in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(float(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S")


def progress(record: Mapping[str, Any]) -> str:
    """Return how far a process is: `12/40`, where that is known."""
    steps = record.get("progress") or {}
    return f"{steps.get('done', 0)}/{steps['total']}" if steps.get("total") else ""
