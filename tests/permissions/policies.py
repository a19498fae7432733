"""The policies of the functions as `.chalice` has them, and what they allow under the names that tests give to things.

Conditions are not evaluated: a statement that has some allows what it would allow where they hold, and a sentence about
it names them.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from tests.permissions.actions import ACCOUNT, REGION, bucket_arn, queue_arn, table_arn

FOLDER = Path(__file__).resolve().parents[2] / ".chalice"

_ARN_OF = {"AWS::DynamoDB::Table": table_arn, "AWS::SQS::Queue": queue_arn, "AWS::S3::Bucket": bucket_arn}
_PSEUDO = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::StackName": "sidereal"}
_NOTHING = {"Ref": "AWS::NoValue"}
_UNSET_NAMES = {"DeadLetterQueue": "sidereal-dead-letters"}
"""What no setting names, by its logical name."""


@dataclass(frozen=True)
class Grant:
    """One action on one resource: what a function is allowed, resource and condition as the template writes them."""

    function: str
    action: str
    resource: str
    condition: str = ""

    def __str__(self) -> str:
        under = f" under the condition {self.condition}" if self.condition else ""
        return f"{self.function}: {self.action} on {self.resource}{under}"


class Stack:
    """The names that logical names and parameters of the template have got.

    Parameters
    ----------
    resources : dict
        What `.chalice/resources.json` holds.
    settings : dict
        Values by the names of the environment variables through which functions are told them.
    """

    def __init__(self, resources: dict[str, Any], settings: dict[str, str]) -> None:
        self._kinds = {name: each.get("Type", "") for name, each in resources["Resources"].items()}
        defaults = {name: str(each.get("Default", "")) for name, each in resources.get("Parameters", {}).items()}
        told = {name: settings[variable] for name, variable in variables(resources).items() if settings.get(variable)}
        self._names = {**_PSEUDO, **_UNSET_NAMES, **defaults, **told}

    def pattern(self, resource: str) -> re.Pattern[str]:
        """Return what the ARNs look like that a resource of a grant stands for."""
        return re.compile(self._expression(json.loads(resource)), re.DOTALL)

    def _expression(self, written: Any) -> str:
        if isinstance(written, dict) and "Fn::If" in written:  # whatever its parameter is, one of both is meant
            return "|".join(f"(?:{self._expression(each)})" for each in written["Fn::If"][1:])
        if isinstance(written, str):
            text = written
        elif "Fn::GetAtt" in written:
            text = self._attribute(".".join(written["Fn::GetAtt"]))
        else:
            text = re.sub(r"\$\{([^}]+)\}", lambda found: self._attribute(found[1]), written["Fn::Sub"])
        return re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")

    def _attribute(self, name: str) -> str:
        logical, _, attribute = name.partition(".")
        made = self._names.get(logical, f"<{logical}>")
        kind = self._kinds.get(logical)
        return _ARN_OF[kind](made) if attribute == "Arn" and kind in _ARN_OF else made


@cache
def resources() -> dict[str, Any]:
    """Return what the deployment template is merged with."""
    found: dict[str, Any] = json.loads((FOLDER / "resources.json").read_text("utf-8"))
    return found


@cache
def grants() -> tuple[Grant, ...]:
    """Return everything that the functions are allowed."""
    found: list[Grant] = []
    for path in sorted(FOLDER.glob("policy-*.json")):
        found += read(path.stem.removeprefix("policy-"), json.loads(path.read_text("utf-8")))
    return tuple(found)


def read(function: str, policy: dict[str, Any]) -> Iterator[Grant]:
    """Yield what a policy allows; of a statement that depends on a parameter, both branches count."""
    for written in policy["Statement"]:
        for statement in written["Fn::If"][1:] if "Fn::If" in written else [written]:
            if statement == _NOTHING:
                continue
            if statement["Effect"] != "Allow":
                raise ValueError(f"the policy of {function} denies something, which this module does not evaluate")
            condition = json.dumps(statement["Condition"], sort_keys=True) if "Condition" in statement else ""
            for action in statement["Action"]:
                for resource in statement["Resource"]:
                    yield Grant(function, action, json.dumps(resource, sort_keys=True), condition)


def variables(resources: dict[str, Any]) -> dict[str, str]:
    """Return which environment variable tells functions a name, by logical name or parameter."""
    found: dict[str, str] = {}
    for resource in resources["Resources"].values():
        environment = resource.get("Properties", {}).get("Environment", {}).get("Variables", {})
        for variable, value in environment.items():
            text = json.dumps(value)
            found |= dict.fromkeys(re.findall(r'"Ref": "(\w+)"', text), variable)
    return found


def polled(function: str) -> list[str]:
    """Return the queues behind which a function is, as grants name them."""
    logical = "APIHandler" if function == "api" else function.title().replace("_", "")
    events = resources()["Resources"][logical]["Properties"].get("Events", {})
    sources = [event["Properties"]["Queue"]["Fn::Sub"] for event in events.values() if "Queue" in event["Properties"]]
    return [json.dumps({"Fn::GetAtt": source.strip("${}").split(".")}) for source in sources]


class Policies:
    """What each function is allowed to do in one stack.

    Parameters
    ----------
    granted : iterable of Grant
        What the policies say.
    stack : Stack
        What things are called.
    """

    def __init__(self, granted: tuple[Grant, ...], stack: Stack) -> None:
        self._granted = granted
        self._stack = stack

    @cached_property
    def _patterns(self) -> dict[tuple[str, str], list[tuple[Grant, re.Pattern[str]]]]:
        patterns: dict[tuple[str, str], list[tuple[Grant, re.Pattern[str]]]] = {}
        for grant in self._granted:
            known = patterns.setdefault((grant.function, grant.action), [])
            known.append((grant, self._stack.pattern(grant.resource)))
        return patterns

    def find(self, function: str, action: str, resource: str) -> Grant | None:
        """Return the first grant under which a function may do this, None if there is none."""
        for grant, pattern in self._patterns.get((function, action), ()):
            if pattern.fullmatch(resource):
                return grant
        return None
