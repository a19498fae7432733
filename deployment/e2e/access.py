"""What the roles of the functions keep them from, and what stands in the logs."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus

import requests

from deployment.e2e.asking import E2EError
from deployment.e2e.stack import STACK, Deployment
from deployment.logical_names import BUCKET
from local.schedule import make_event

SHOWN = 500
"""Characters of both ends of a line that are shown."""

KEPT_OUT = "(AccessDenied) when calling the GetObject operation"
EXPECTED = (
    ("/run_pipeline", KEPT_OUT),
    ("/run_dead_letters", "given up"),
    # on a busy machine the emulator answers nobody while it unpacks an update; what was to be done is done later
    ("", "ReadTimeoutError"),
    ("", "ConnectTimeoutError"),
)
"""Errors that this run has brought about: the end of the function's log group, and what the line says."""


def check_roles(deployment: Deployment, broken: int) -> str:
    """Send a function to a table of the stack that it has nothing to do with.

    Parameters
    ----------
    broken : int
        A process whose function was sent to a bucket that it has nothing to do with.

    Raises
    ------
    E2EError
        If a role has let one in.
    """
    own = {"TELESCOPE_TABLE": deployment.name_of("TelescopeTable")}
    deployment.set_variables("Sweep", {"TELESCOPE_TABLE": deployment.name_of("LedgerTable")})
    try:
        answer = deployment.invoke("Sweep", make_event(datetime.now(UTC), "sweep"))
    except E2EError as error:
        if "AccessDenied" not in str(error) or "dynamodb:Query" not in str(error):
            raise
    else:
        raise E2EError(f"the sweeper may read the ledger: {answer}")
    finally:
        deployment.set_variables("Sweep", own)
    if not any(f'"process_id":{broken},' in line and KEPT_OUT in line for _, line in deployment.logs()):
        raise E2EError(f"no log tells that process {broken} was kept from another bucket")
    return "a pipeline was kept from another bucket, the sweeper from the ledger"


def check_files(deployment: Deployment) -> str:
    """Ask the storage for a file, and send it one, without a signature.

    Raises
    ------
    E2EError
        If it does not refuse both.
    """
    bucket = deployment.name_of(BUCKET)
    key = deployment.client("s3").list_objects_v2(Bucket=bucket, MaxKeys=1)["Contents"][0]["Key"]
    for method, name in (("GET", key), ("PUT", f"{key}.new"), ("GET", "")):
        status = requests.request(method, f"{deployment.url}/{bucket}/{name}", timeout=30).status_code
        if status != HTTPStatus.FORBIDDEN:
            raise E2EError(f"{method} of a file without a signature is answered {status}")
    return "no file is read, written or listed without a signature"


def check_logs(deployment: Deployment, secrets: dict[str, str]) -> str:
    """Read all that the functions have logged.

    Parameters
    ----------
    secrets : dict
        What must not be there: name -> value.

    Raises
    ------
    E2EError
        If there is a secret, or an error that nobody has brought about; or if a group or its lines are missing.
    """
    faults, groups = [], Counter[str]()
    for group, line in _entries(deployment):
        groups[group] += 1
        faults += [f"{group} has the {name}: {line[:300]}" for name, value in secrets.items() if value in line]
        if _is_error(line) and not any(group.endswith(name) and text in line for name, text in EXPECTED):
            faults.append(f"{group}: {_shortened(line)}")
    if faults:
        raise E2EError("\n".join(faults[:10]))
    strange = [group for group in groups if not group.startswith(f"/sidereal/{STACK}/")]
    if strange or not groups:
        raise E2EError(f"functions have logged to {strange or 'nowhere'}")
    return f"{sum(groups.values())} lines in {len(groups)} groups: no error but those that were made, no secret"


def errors(deployment: Deployment) -> list[str]:
    """Return the errors that the functions have logged."""
    return [f"{group}: {_shortened(line)}" for group, line in _entries(deployment) if _is_error(line)]


def _entries(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Yield the lines of the logs; those of a chain of tracebacks, which Python writes one by one, together."""
    kept: list[tuple[str, str]] = []
    for group, line in deployment.logs():
        if kept and (group != kept[0][0] or line.startswith(("{", "START"))):
            yield kept[0][0], "\n".join(text for _, text in kept)
            kept = []
        kept.append((group, line))
    if kept:
        yield kept[0][0], "\n".join(text for _, text in kept)


def _shortened(line: str) -> str:
    return line if len(line) < 2 * SHOWN else f"{line[:SHOWN]} ... {line[-SHOWN:]}"


def _is_error(line: str) -> bool:
    if "AccessDenied" in line:
        return True
    try:
        record = json.loads(line)
    except ValueError:
        return any(word in line for word in ("Traceback", "Task timed out", "[ERROR]"))
    return isinstance(record, dict) and record.get("level") in ("ERROR", "CRITICAL")
