"""The parameters with which a stack is deployed: from a file of the stage and from PARAMETERS, the rest as they were."""

import json
import secrets
import shlex
from collections.abc import Collection, Mapping
from typing import Any

from chalicelib.handlers.api_keys import DEFAULT_USER
from deployment.account import DeployError
from deployment.stages import CHALICE

SECRETS = ("AsimovApiKey",)
"""Those whose value is never shown."""


def given_parameters(stage: str, text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return what `.chalice/parameters-<stage>.json` says, and `Name=value Name='two words'`, which goes before it.

    Raises
    ------
    DeployError
        If either cannot be read. What they say is not told: it may be secret.
    """
    file = CHALICE / f"parameters-{stage}.json"
    content: Any = {}
    if file.exists():
        try:
            content = json.loads(file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise DeployError(f"{file} cannot be read as JSON: {type(error).__name__}") from None
    if not isinstance(content, dict) or not all(isinstance(value, str | int) for value in content.values()):
        raise DeployError(f"{file} must hold one JSON object of texts and numbers")
    try:
        words = shlex.split(text)
    except ValueError:
        raise DeployError("PARAMETERS has a quotation mark too many or too few") from None
    named: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise DeployError("PARAMETERS is a list of Name=value; values with spaces are quoted: Name='two words'")
        named[name] = value
    return {name: str(value) for name, value in content.items()}, named


def first_key(given: Mapping[str, str]) -> dict[str, str]:
    """Return a random API key for a new stack that is given none, as a parameter; nothing where one is given."""
    if given.get("AsimovApiKey") or given.get("ApiKeysParameter"):
        return {}
    return {"AsimovApiKey": f"{secrets.token_urlsafe(32)}:{DEFAULT_USER}"}


def choose(declared: Mapping[str, Any], given: Mapping[str, str], kept: Collection[str]) -> list[dict[str, Any]]:
    """Return the parameters of a change set.

    Parameters
    ----------
    declared : mapping
        The parameters of the template.
    given : mapping
        Values of some of them.
    kept : collection of str
        Those that the stack has: where nothing is given, they stay what they are.

    Raises
    ------
    DeployError
        If one is given that the template does not have, or one is missing.
    """
    unknown = sorted(given.keys() - declared.keys())
    if unknown:
        raise DeployError(f"there is no parameter {', '.join(unknown)}; there are {', '.join(sorted(declared))}")
    chosen: list[dict[str, Any]] = []
    for name, about in declared.items():
        if name in given:
            chosen.append({"ParameterKey": name, "ParameterValue": given[name]})
        elif name in kept:
            chosen.append({"ParameterKey": name, "UsePreviousValue": True})
        elif "Default" not in about:
            raise DeployError(
                f"the parameter {name} is needed: PARAMETERS='{name}=...' ({about.get('Description', '')})"
            )
    return chosen
