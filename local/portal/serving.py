"""The stand-in as a part of `make serve`: when it is used, how children find it, and its process."""

import os
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path

from local.environment import read_seconds
from local.home import Home
from local.portal.archive import PREFIX
from local.portal.observatory import Pace
from local.portal.stand_in import StandIn

FRAME_SIZE_PX = 512


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Say whether the stand-in takes the place of a portal: where the user names none."""
    return not environment.get("PORTAL_URL")


def read_pace() -> Pace:
    """Return how fast observations are played: LOCAL_PORTAL_DELAY_S and LOCAL_PORTAL_FRAME_S."""
    usual = Pace()
    return Pace(
        delay_s=read_seconds("LOCAL_PORTAL_DELAY_S", usual.delay_s, lowest_s=0),
        frame_s=read_seconds("LOCAL_PORTAL_FRAME_S", usual.frame_s, lowest_s=0),
    )


def portal_variables(home: Home, url: str) -> dict[str, str]:
    """Return what leads the project to the stand-in at `url`, and nowhere else: a real token is not shown to it."""
    return {
        "PORTAL_URL": url,
        "ARCHIVE_URL": url + PREFIX,
        "PORTAL_TOKEN": _token(home),
        "PORTAL_TOKEN_PARAMETER": "",
        "PORTAL_TOKEN_SECRET": "",
    }


def run(listening_fd: int, folder: Path) -> None:
    """Answer on a bound socket until SIGTERM; everything is kept in `folder`, and PORTAL_TOKEN lets in."""
    from local.orphan import end_with_parent
    from local.workers import end_on_sigterm

    end_with_parent()
    end_on_sigterm()
    stand_in = StandIn(folder=folder, token=os.environ["PORTAL_TOKEN"], pace=read_pace(), size_px=FRAME_SIZE_PX)
    stand_in.start(listening_fd)
    threading.Event().wait()


def _token(home: Home) -> str:
    file = home.portal / "token"
    if not file.exists():
        home.portal.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = file.with_suffix(".new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as new:
            new.write(secrets.token_hex(20))
        draft.replace(file)
    return file.read_text().strip()
