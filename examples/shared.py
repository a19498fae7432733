"""What all scripts here share: settings from the environment, arguments, errors in one line."""

import argparse
import os
import sys
from collections.abc import Callable

import requests
from botocore.exceptions import BotoCoreError, ClientError

INTERRUPTED = 130


def run(main: Callable[[], int]) -> None:
    """Run a script and end with its exit code; what goes wrong with a server or a file is told in one line."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except (BotoCoreError, ClientError, OSError) as error:
        sys.exit(f"error: {cause(error)}")


def cause(error: Exception) -> str:
    """Return in one line what went wrong with a server or a file."""
    if not isinstance(error, requests.RequestException):
        return str(error)
    address = error.request.url if error.request is not None else os.environ.get("SIDEREAL_URL")
    return f"no answer from {(address or '').partition('?')[0]} ({type(error).__name__})"


def parser_of(text: str | None) -> argparse.ArgumentParser:
    """Return a parser of arguments whose help is the text at the top of a script."""
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def count(text: str) -> int:
    """Read how many there may be; argparse tells of the ValueError."""
    if not 0 <= (number := int(text)) <= sys.maxsize:
        raise ValueError(text)
    return number


def need(name: str) -> str:
    """Return an environment variable."""
    return os.environ.get(name) or sys.exit(f"error: {name} is not set; examples/README.md says where to find it")
