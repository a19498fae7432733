"""The stages that `.chalice/config.json` has, and the stack of each."""

import json
import os
import re
from pathlib import Path
from typing import Any

from deployment.account import DeployError

CHALICE = Path(__file__).resolve().parents[1] / ".chalice"


def stack_name(stage: str) -> str:
    """Return the name of the stack of a stage: `sidereal-<stage>`, unless STACK names another.

    Raises
    ------
    DeployError
        If there is no such stage, or it is no name for a stack, or that of another stage.
    """
    _stage(stage)
    name = os.environ.get("STACK") or f"sidereal-{stage}"
    for other in _stages():
        if other != stage and name == f"sidereal-{other}":
            raise DeployError(f"STACK={name} is the stack of {other}, not of {stage}: unset STACK")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,49}", name):
        raise DeployError(
            f"{name!r} is no name of a stack: a letter, then up to 49 letters, digits and hyphens (STACK)"
        )
    return name


def gateway_stage(stage: str) -> str:
    """Return the last part of the API's address."""
    return str(_stage(stage)["api_gateway_stage"])


def _stage(stage: str) -> dict[str, Any]:
    stages = _stages()
    if stage not in stages:
        raise DeployError(f"there is no stage {stage!r}: STAGE={' or '.join(stages)}")
    about: dict[str, Any] = stages[stage]
    return about


def _stages() -> dict[str, Any]:
    return dict(json.loads((CHALICE / "config.json").read_text("utf-8"))["stages"])
