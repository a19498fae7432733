"""What all scripts here share: settings from the environment, errors in one line, the HTTP API."""

import argparse
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from botocore.exceptions import BotoCoreError, ClientError
from requests.adapters import HTTPAdapter
from urllib3 import Retry

INTERRUPTED = 130


def run(main: Callable[[], int]) -> None:
    """Run a script and end with its exit code; what goes wrong with a server or a file is told in one line."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except requests.RequestException as error:
        address = error.request.url if error.request is not None else os.environ.get("SIDEREAL_URL")
        sys.exit(f"error: no answer from {(address or '').partition('?')[0]} ({type(error).__name__})")
    except (BotoCoreError, ClientError, OSError) as error:
        sys.exit(f"error: {error}")


def parser_of(text: str | None) -> argparse.ArgumentParser:
    """Return a parser of arguments whose help is the text at the top of a script."""
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def need(name: str) -> str:
    """Return an environment variable."""
    return os.environ.get(name) or sys.exit(f"error: {name} is not set; examples/README.md says where to find it")


def reason(answer: requests.Response) -> str:
    """Return why a request was refused, in one line."""
    return f"{answer.status_code} {' '.join(answer.text.split())[:500]}"


class Api:
    """The HTTP API at SIDEREAL_URL; what is lost or comes too early is asked again, which the key makes safe for a POST."""

    def __init__(self) -> None:
        busy = (429, 502, 503, 504)
        again = Retry(
            5, connect=2, backoff_factor=0.5, status_forcelist=busy, allowed_methods=None, raise_on_status=False
        )
        self.url, self.session = need("SIDEREAL_URL").rstrip("/"), requests.Session()
        self.session.headers["Authorization"] = f"Bearer {need('SIDEREAL_TOKEN')}"
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(pool_maxsize=32, max_retries=again))

    def ask(self, method: str, path: str, body: object = None, key: str = "") -> requests.Response:
        """Send one request; a token that is not taken ends the script."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4())} if method == "POST" else {}
        answer = self.session.request(method, self.url + path, json=body, headers=headers, timeout=60)
        return answer if answer.status_code != 401 else sys.exit(f"error: SIDEREAL_TOKEN: {reason(answer)}")

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield what a list of the telescope API has, page after page; an answer that is no list ends the script."""
        while path:
            answer = self.ask("GET", path)
            if not answer.ok:
                sys.exit(f"error: {reason(answer)}")
            yield from answer.json()["results"]
            onward = answer.json()["next"]
            path = f"{path.partition('?')[0]}?{urlsplit(onward).query}" if onward else ""
