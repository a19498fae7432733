"""The parts of the demonstration that decide something; `make demo` runs the whole."""

from pathlib import Path

import pytest
from PIL import Image

from local.client import Client
from local.demo import remove_leftovers
from local.demo_checks import DemoError, check_film, wait_for
from local.demo_observing import EMAIL, SETTINGS, Observing
from local.home import Home
from local.serve import _lock


def save_film(file: Path, count: int) -> None:
    frames = [Image.new("L", (6, 4), 60 * number) for number in range(count)]
    frames[0].save(file, save_all=True, append_images=frames[1:])


def test_a_film_is_measured(tmp_path: Path) -> None:
    save_film(tmp_path / "t.gif", 3)

    assert check_film(tmp_path / "t.gif") == (6, 4, 3)


@pytest.mark.parametrize("kept_bytes", [0, 20, 60])
def test_a_film_that_does_not_play_is_told(tmp_path: Path, kept_bytes: int) -> None:
    save_film(tmp_path / "t.gif", 3)
    (tmp_path / "t.gif").write_bytes((tmp_path / "t.gif").read_bytes()[:kept_bytes])

    with pytest.raises(DemoError):
        check_film(tmp_path / "t.gif")


def test_a_film_of_one_frame_is_told(tmp_path: Path) -> None:
    save_film(tmp_path / "t.gif", 1)

    with pytest.raises(DemoError, match="1 frame only"):
        check_film(tmp_path / "t.gif")


def test_what_does_not_come_is_told() -> None:
    with pytest.raises(DemoError, match="the mail did not come"):
        wait_for("the mail", lambda: None, timeout_s=0)


def test_what_is_waited_for_may_be_nothing_much() -> None:
    assert wait_for("a number", lambda: 0, timeout_s=0) == 0


@pytest.mark.parametrize(
    ("to", "text"),
    [
        ("another@example.org", "http://127.0.0.1:9/data/HAT-P-32/none/t.gif"),
        (EMAIL, "https://example.org/data/HAT-P-32/none/t.gif"),
        (EMAIL, "no link at all"),
    ],
)
def test_a_mail_to_another_or_without_a_link_to_this_server_is_told(tmp_path: Path, to: str, text: str) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "one.eml").write_text(f"Subject: new data\nTo: {to}\n\n{text}\n")

    with pytest.raises(DemoError, match="links to this server"):
        Observing(Client("http://127.0.0.1:9", "token"), tmp_path / "mail", tmp_path)._wait_for_mail()


def test_the_demonstration_books_no_telescope() -> None:
    assert SETTINGS["PORTAL_URL"] == ""


def test_what_a_killed_demonstration_left_is_removed_and_a_running_one_stays(tmp_path: Path) -> None:
    running, killed, kept = Home(tmp_path / "state-1"), tmp_path / "state-2", tmp_path / "t.gif"
    killed.mkdir()
    (killed / "lock").touch()
    kept.touch()
    with _lock(running):
        remove_leftovers(tmp_path)

        assert sorted(file.name for file in tmp_path.iterdir()) == ["state-1", "t.gif"]
