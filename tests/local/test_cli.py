"""The command line, without a server: arguments, tables, what reaches the terminal, completion."""

import argparse
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.__main__ import main, make_parser, with_verb
from local.cli import output, session
from local.cli.arguments import json_or_text, pair
from local.home import PROJECT, Home


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["events"], ["events", "list"]),
        (["events", "--json"], ["events", "list", "--json"]),
        (["targets", "--limit", "3"], ["targets", "list", "--limit", "3"]),
        (["events", "--help"], ["events", "--help"]),
        (["events", "show", "x"], ["events", "show", "x"]),
        (["status", "--json"], ["status", "--json"]),
        ([], []),
    ],
)
def test_a_noun_alone_lists(given: list[str], meant: list[str]) -> None:
    assert with_verb(given) == meant


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12.5", 12.5),
        ("1e-7", 1e-7),
        ("true", True),
        ('{"a": [1]}', {"a": [1]}),
        ("mp4", "mp4"),
        ("NaN", "NaN"),
        ("[" * 100_000, "[" * 100_000),
        ("", ""),
    ],
)
def test_values_are_json_where_they_can_be(text: str, value: object) -> None:
    assert json_or_text(text) == value
    assert pair(f"name={text}") == ("name", value)


def test_a_pair_needs_a_name() -> None:
    for text in ("fps", "=3"):
        with pytest.raises(argparse.ArgumentTypeError):
            pair(text)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["events", "show"],
        ["targets", "show", ""],
        ["targets", "create", "M 13", "--ra", "nan", "--dec", "1"],
        ["upload", "a.fits", "--target", "M 13", "--ra", "1", "--dec", "inf"],
        ["targets", "list", "--limit", "0"],
        ["productions", "list", "--status", "asleep"],
        ["productions", "create", "GW150914", "Prod0"],
        ["timelapse", "M 13", "--option", "fps"],
        ["timelapse", "M 13", "--follow", "3", "--group", "1"],
        ["upload", "a.fits"],
    ],
)
def test_wrong_arguments_end_with_2(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as ending:
        main(arguments)

    assert ending.value.code == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["timelapse"], "error: name a target, or a process with --follow\n"),
        (["productions", "set", "GW150914", "Prod0"], "error: say what to change: --status, --comment or --meta\n"),
        (["timelapse", "M 13", "--format", "gif", "--output", "a.mp4"], "error: a.mp4 is no name for a film in gif\n"),
        (["timelapse", "M 13", "--output", "/none/a.mp4"], "error: there is no folder /none\n"),
    ],
)
def test_arguments_that_do_not_go_together_are_told_and_end_with_2(
    arguments: list[str], told: str, capsys: Any
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", told)


def test_a_folder_that_takes_no_film_is_told_before_one_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)

    for place in (tmp_path, tmp_path / "film.gif"):
        assert main(["timelapse", "M 13", "--output", str(place)]) == 2
        assert capsys.readouterr() == ("", f"error: nothing can be written to {tmp_path}\n")


def test_a_file_that_is_missing_is_told_before_anything_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("requests.Session.request", None)

    assert main(["upload", "/none/a.fits", "--target", "New", "--ra", "1", "--dec", "2"]) == 1
    assert capsys.readouterr() == ("", "error: there is no file /none/a.fits\n")


@pytest.mark.parametrize("key", ["hid\nden", "hid den", "hidd\u00ebn", "\u203dhidden", "\udcffhidden"])
def test_a_key_that_fits_in_no_header_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, key: str
) -> None:
    monkeypatch.setenv("ASIMOV_API_KEY", f"{key}:me")

    assert main(["targets", "create", "M 13", "--ra", "1", "--dec", "2"]) == 2
    [told] = capsys.readouterr().err.splitlines()
    assert told.startswith("error: ASIMOV_API_KEY holds no key")
    assert "hid" not in told


def test_who_has_read_enough_ends_a_command_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "local", "completion", "bash"]
    ended = subprocess.run(command, cwd=PROJECT, stdout=writing, stderr=subprocess.PIPE, timeout=20)
    os.close(writing)

    assert (ended.returncode, ended.stderr) == (141, b"")


def test_the_internal_commands_are_not_listed() -> None:
    listed = make_parser("sidereal").format_help()

    assert "timelapse" in listed
    assert "provision" not in listed


def test_help_needs_nothing_that_takes_long() -> None:
    code = "import sys, local.__main__ as m; m.make_parser('x').format_help(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)

    assert not {"requests", "rich", "pydantic", "boto3", "yaml"} & set(loaded.stdout.split())


HOSTILE = "a\x1b[2J\x07\u202eb\u2028\x9b1m\nend\t[red]:smile:"


def test_what_a_terminal_would_obey_becomes_visible() -> None:
    assert output.clean(HOSTILE) == r"a\x1b[2J\x07\u202eb\u2028\x9b1m end [red]:smile:"


def test_json_is_what_was_answered_and_holds_nothing_that_a_terminal_would_obey(capsys: Any) -> None:
    answer = {HOSTILE: [1e-7, 10**30, None, "ü"]}
    output.print_json(answer)

    printed = capsys.readouterr().out
    assert json.loads(printed) == answer
    assert "ü" in printed
    assert not set(printed) & set("\x1b\x07\u202e\u2028\x9b")


class Terminal(io.StringIO):
    """A stream that says that it is one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Draw a table on a terminal of a width, and return what stands there."""

    def draw(width: int, columns: tuple[str, ...], *rows: tuple[object, ...]) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stdout", screen := Terminal())
        output.print_table(columns, rows, "nothing")
        return re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())

    return draw


COLUMNS = ("event", "productions", "states")
ROWS = [("GW150914", 2, "1 running, 1 stuck"), ("天文 [red]", 10, "10 ready")]


def test_a_table_in_a_pipe_is_plain_and_aligned(capsys: Any) -> None:
    output.print_table(COLUMNS, ROWS, "nothing")

    assert capsys.readouterr().out.splitlines() == [
        "event       productions  states",
        "GW150914              2  1 running, 1 stuck",
        "天文 [red]           10  10 ready",
    ]
    output.print_table(COLUMNS, [], "nothing")
    assert capsys.readouterr().out == "nothing\n"


@pytest.mark.parametrize("width", [30, 62, 100])
def test_a_table_fits_the_terminal_and_loses_nothing(drawn: Callable[..., str], width: int) -> None:
    from rich.cells import cell_len

    comment = "a comment that is longer than the line " * 3
    drawing = drawn(width, (*COLUMNS, "comment"), *((*row, comment) for row in ROWS))

    assert {"GW150914", "天文", "stuck"} <= set(drawing.replace(",", " ").split())
    assert drawing.split().count("comment") >= 2 * 3
    # What is too narrow for a table has a line for each value, which the terminal wraps.
    if width >= 62:
        assert max(map(cell_len, drawing.splitlines())) <= width


def test_names_are_no_markup(drawn: Callable[..., str]) -> None:
    assert "[red]x[/nope] :smile:" in drawn(80, ("name",), ("[red]x[/nope] :smile:",))


def test_states_have_their_colours(drawn: Callable[..., str]) -> None:
    text = output._styled("states", "2 running, 1 stuck")

    assert [(text.plain[span.start : span.end], span.style) for span in text.spans if span.style] == [
        ("running", "cyan"),
        ("stuck", "red"),
    ]


def test_what_an_alphabet_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))

    def run(_: argparse.Namespace) -> int:
        output.say("Ω 5")
        return 0

    assert session.perform(run, argparse.Namespace()) == 0
    assert raw.getvalue() == b"\\u03a9 5\n"


def test_no_server_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("local.client.time.sleep", lambda _: None)
    for url, told in (
        ("http://127.0.0.1:9/dev/", "error: no server answers at http://127.0.0.1:9/dev\n"),
        ("127.0.0.1:9", "error: this is no address of a server: 127.0.0.1:9\n"),
        ("http://[::1", "error: this is no address of a server: http://[::1\n"),
    ):
        monkeypatch.setenv("SIDEREAL_URL", url)
        assert main(["status"]) == 1
        assert capsys.readouterr() == ("", told)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Home:
    """A machine on which a server runs, with a key of its own, and whose user has set nothing."""
    for name in ("SIDEREAL_URL", "SIDEREAL_TOKEN", "ASIMOV_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOCAL_STATE", str(tmp_path))
    made = Home.default()
    made.keys_file.write_text("api_keys: {of-this-machine: local}\n")
    environment = {"ASIMOV_API_KEYS_FILE": str(made.keys_file)}
    made.write_running({"pid": os.getpid(), "url": "http://127.0.0.1:8123", "environment": environment})
    return made


def test_what_runs_here_is_found_with_its_key(home: Home) -> None:
    assert (session.address(), session.find_token()) == ("http://127.0.0.1:8123", "of-this-machine")


def test_the_key_of_this_machine_goes_to_no_other(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEREAL_URL", "https://api.example.org/dev/")

    assert (session.address(), session.find_token()) == ("https://api.example.org/dev", "")


def test_what_the_user_has_set_wins_and_the_user_of_a_key_stays_here(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASIMOV_API_KEY", " token\r:me\n")

    assert session.find_token() == "token"


def test_without_a_server_the_default_is_tried(home: Home) -> None:
    home.running_file.unlink()

    assert (session.address(), session.find_token()) == ("http://127.0.0.1:8000", "")


def test_a_shell_completes_verbs_and_states(tmp_path: Path, capsys: Any) -> None:
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)
    asking = """
        source "$1"; complete -p sidereal; shift
        for line; do
            read -ra COMP_WORDS <<< "$line"; [[ "$line" == *" " ]] && COMP_WORDS+=("")
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _shtab_sidereal; echo "${COMPREPLY[@]}"
        done"""
    verbs = ["ti", "events s", "productions set --status rev", "timelapse --flag al", "pr"]
    lines = [f"sidereal {verb}" for verb in verbs]
    told = subprocess.run(
        ["bash", "-c", asking, "bash", script, *lines], capture_output=True, text=True, check=True, timeout=20
    )

    assert told.stdout.splitlines() == [
        "complete -o bashdefault -F _shtab_sidereal sidereal",
        "timelapse",
        "show",
        "review reviewed review_failed",
        "align",
        "productions",
    ]


def test_the_command_runs_from_any_folder_and_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "__main__.py").write_text("raise SystemExit('another one')")
    (tmp_path / "sidereal").symlink_to(PROJECT / "sidereal")

    # the command looks for `.venv`; whoever runs the tests from another environment has none to look for
    if not (PROJECT / ".venv/bin/python").exists():
        pytest.skip("this checkout has no environment of its own")
    told = subprocess.run(["./sidereal", "events", "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=20)

    assert told.stdout.startswith("usage: sidereal events")
