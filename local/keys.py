"""API keys of one machine."""

import os
import secrets
from collections.abc import Mapping

import yaml

from chalicelib.errors import NotConfiguredError
from chalicelib.handlers.auth import require_configured
from local.home import Home

USER = "local"


class NoKeyError(Exception):
    """Raised when no API key is configured; says how to set one."""


def key_variables(home: Home, *, create: bool) -> dict[str, str]:
    """Return the variables that give the server its API keys: none if they are configured already.

    Parameters
    ----------
    home : Home
        Where a key that was made for this machine is kept.
    create : bool
        Whether to make such a key where nothing is configured.

    Raises
    ------
    NoKeyError
        If nothing is configured, or what is configured cannot be read.
    """
    try:
        require_configured()
    except NotConfiguredError as error:
        names_something = os.environ.get("ASIMOV_API_KEYS_FILE") or os.environ.get("ASIMOV_API_KEY")
        if names_something or not create:
            hint = "" if create else " `make serve` makes a key for this machine by itself."
            raise NoKeyError(f"{error}{hint}") from error
        machine_token(home)
        return {"ASIMOV_API_KEYS_FILE": str(home.keys_file)}
    return {}


def machine_token(home: Home) -> str:
    """Return the key that was made for this machine, making it on first use."""
    if not home.keys_file.exists():
        home.root.mkdir(parents=True, exist_ok=True)
        draft = home.keys_file.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(yaml.safe_dump({"api_keys": {secrets.token_urlsafe(24): USER}}))
        draft.replace(home.keys_file)
    content = yaml.safe_load(home.keys_file.read_text())
    return str(next(iter(content["api_keys"])))


def find_token(home: Home, environment: Mapping[str, str]) -> str | None:
    """Return a token that the running server takes; None where only its keys' owner knows one.

    Parameters
    ----------
    environment : mapping
        What the server was given beside the user's own variables: names the keys of this machine where it has them.
    """
    if environment.get("ASIMOV_API_KEYS_FILE") == str(home.keys_file):
        return machine_token(home)
    return os.environ.get("ASIMOV_API_KEY", "").partition(":")[0] or None
