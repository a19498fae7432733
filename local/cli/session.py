"""Where the command line finds its deployment and the key, and how what goes wrong ends."""

import argparse
import io
import os
import sys
from typing import TYPE_CHECKING, Any

from local.cli.output import complain

if TYPE_CHECKING:
    from local.cli.arguments import Run
    from local.client import Client

DEFAULT_URL = "http://127.0.0.1:8000"
FAILED, MISUSED, INTERRUPTED, CUT_OFF = 1, 2, 130, 141


class UsageError(Exception):
    """Raised when arguments do not go together."""


class FailedError(Exception):
    """Raised when a command has not done what it should; its text is one for people."""


def perform(run: "Run", options: argparse.Namespace) -> int:
    """Run a command and return its exit code: 1 if it failed, 2 if its arguments are wrong; says why in one line."""
    import requests

    from local.faults import ClientError, RefusedError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what its alphabet lacks is no reason to fail
    try:
        return run(options)
    except UsageError as error:
        complain(f"error: {error}")
        return MISUSED
    except RefusedError as error:
        complain(f"error: {_explained(error)}")
    except (ClientError, FailedError, requests.RequestException) as error:
        complain(f"error: {error}")
    except BrokenPipeError:
        # Whoever read has seen enough. Python would complain when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT_OFF
    except OSError as error:
        complain(f"error: {error}")
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    return FAILED


def _explained(error: Any) -> str:
    if error.status == 401:
        return f"the API key was not accepted ({error.text}): set ASIMOV_API_KEY to one of {address()}"
    later = f"; try again in {error.retry_after} s" if error.retry_after else ""
    return f"{error.text} ({error.status}){later}"


def connect() -> "Client":
    """Return a client of the deployment that the environment names, else of what runs on this machine."""
    from local.client import Client

    return Client(address(), find_token)


def address() -> str:
    """Return SIDEREAL_URL, else the address of the server that runs here, else that of `make serve`."""
    named = os.environ.get("SIDEREAL_URL")
    if named:
        return named.rstrip("/")
    running = _running()
    return str(running["url"]) if running else DEFAULT_URL


def find_token() -> str:
    """Return the API key, "" where none is known. The key of this machine goes to no other.

    Raises
    ------
    UsageError
        If what is given can be in no header; it is not shown.
    """
    for name in ("ASIMOV_API_KEY", "SIDEREAL_TOKEN"):
        token = os.environ.get(name, "").partition(":")[0].strip()
        if not all("!" <= each <= "~" for each in token):
            raise UsageError(f"{name} holds no key: spaces, line breaks and letters beyond ASCII are in none")
        if token:
            return token
    running = _running()
    if running is None or address() != running["url"]:
        return ""
    from local.home import Home
    from local.keys import find_token as find_token_of_machine

    return find_token_of_machine(Home.default(), running["environment"]) or ""


def _running() -> dict[str, Any] | None:
    from local.home import Home

    return Home.default().read_running()


def target_of(client: "Client", name: str) -> dict[str, Any]:
    """Return a target by name or id.

    Raises
    ------
    FailedError
        If there is none.
    """
    target = client.find_target(name)
    if target is None:
        raise FailedError(f"there is no target {name!r}")
    return target
