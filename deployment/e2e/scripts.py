"""The users' programs in `examples/`, run against the deployed stack."""

import os
import subprocess
import sys

from deployment.e2e.asking import E2EError
from deployment.e2e.stack import Deployment
from local.home import PROJECT

TIMEOUT_S = 150


def run_example(deployment: Deployment, name: str, *arguments: str) -> str:
    """Run a program of `examples/` as its author's machine would, and return what it prints.

    Raises
    ------
    E2EError
        If it fails.
    """
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **deployment.variables()}
    try:
        done = subprocess.run(
            [sys.executable, str(PROJECT / "examples" / name), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise E2EError(f"examples/{name} takes longer than {TIMEOUT_S} s:\n{late.stderr!r}") from None
    if done.returncode != 0:
        raise E2EError(f"examples/{name} ends with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
