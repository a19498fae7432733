"""Environment variables of everything that runs on one machine."""

import math
import os
from collections.abc import Mapping

from local.home import Home

REGION = "us-east-1"

DEFAULTS = {
    # A worker that was killed on a laptop is noticed within seconds, not within the minute that suits the cloud.
    "JOB_LEASE_S": "15",
    "JOB_RESEND_AFTER_S": "60",
    # Nobody waits a quarter of an hour for frames that the stand-in of the portal does not send.
    "ALERT_QUIET_S": "5",
    "FROM_EMAIL_ADDRESS": "sidereal@localhost.localdomain",
}
"""Settings that differ from the deployed ones; the user's own values win."""


def aws_variables(endpoint_url: str) -> dict[str, str]:
    """Return what boto3 needs to talk to the embedded AWS."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a copy without any AWS variable: profiles and endpoints of the real cloud must not leak in."""
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")}


def read_seconds(name: str, default_s: float, lowest_s: float = 1.0) -> float:
    """Return the seconds that a variable says, up to a day.

    Raises
    ------
    SystemExit
        If it says something else.
    """
    text = os.environ.get(name, "")
    try:
        seconds = float(text or default_s)
    except ValueError:
        seconds = math.nan
    if not lowest_s <= seconds <= 86_400:
        raise SystemExit(f"{name} must be a number of seconds from {lowest_s:g} to 86400, not {text!r}")
    return seconds


def child_environment(
    home: Home, endpoint_url: str, extra: Mapping[str, str], url: str = "", overrides: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of the HTTP server, the workers and the provisioning.

    Parameters
    ----------
    home : Home
        The state folder.
    endpoint_url : str
        Address of the embedded AWS.
    extra : mapping
        What is set whatever the user's own variables say.
    url : str
        The address under which the API is served.
    overrides : mapping
        What takes the place of the user's own variables; as with those, an empty text counts as not set.
    """
    defaults = {**DEFAULTS, "MAIL_FOLDER": str(home.mail), "PUBLIC_URL": url}
    given = {**without_aws(os.environ), **(overrides or {})}
    return {
        **given,
        **{name: given.get(name) or value for name, value in defaults.items()},
        **aws_variables(endpoint_url),
        "TMPDIR": str(home.tmp),
        "PYTHONUNBUFFERED": "1",
        **extra,
    }


def shell_exports(variables: Mapping[str, str]) -> str:
    """Return lines that set `variables` in a shell."""
    import shlex

    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items()))
