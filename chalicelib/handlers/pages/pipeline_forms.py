"""What the form that starts a pipeline asks for: a field for each flag and option that the pipeline describes."""

import json
import re
from dataclasses import dataclass
from typing import Any

from chalicelib.models.pipelines import PublicOption, PublicPipeline
from chalicelib.pipelines import registry

_NUMBERS = ("integer", "number")


@dataclass(frozen=True)
class OptionField:
    """One option.

    Parameters
    ----------
    label, words : str
        What stands above it, and what it is about.
    kind : str
        ``choice``, ``boolean``, ``integer``, ``number``, ``string``, or ``json`` for what has no field of its own.
    value : str
        What is in the field before anybody has written: the default of this deployment, "" for none.
    choices : list of (str, str)
        For a choice: each as JSON, and as people read it.
    limits : str
        Those which the field itself cannot have, in words.
    """

    name: str
    label: str
    words: str
    kind: str
    value: str
    choices: list[tuple[str, str]]
    minimum: float | None
    maximum: float | None
    limits: str


@dataclass(frozen=True)
class PipelineForm:
    """One pipeline; `flags` are name, words, and whether it is set by default."""

    name: str
    flags: list[tuple[str, str, bool]]
    options: list[OptionField]
    suffixes: str


def pipeline_forms() -> list[PipelineForm]:
    """Return the forms of all pipelines."""
    return [_form(registry.describe(name, pipeline)) for name, pipeline in registry.all_pipelines().items()]


def _form(described: PublicPipeline) -> PipelineForm:
    flags = [(name, flag["long_name"], flag["default"]) for name, flag in described["flags"].items()]
    labels = {name: label for name, label, _ in flags}
    options = [_field(name, option, labels) for name, option in described["options"].items()]
    return PipelineForm(described["name"], flags, options, ", ".join(described["allowed_suffixes"] or ()))


def _field(name: str, option: PublicOption, flag_labels: dict[str, str]) -> OptionField:
    default = option["default"]
    kind = _kind(option)
    members = option.get("choices", [True, False]) if kind == "choice" else []
    choices = [(_json(each), each if isinstance(each, str) else _json(each)) for each in members]
    if kind in ("choice", "boolean"):
        value = _json(default)
    elif default is None:
        value = ""
    else:
        value = default if isinstance(default, str) and kind == "string" else _json(default)
    if choices and value not in dict(choices):
        choices = [(value, "as the pipeline decides" if default is None else value), *choices]
    minimum, maximum = option.get("minimum"), option.get("maximum")
    label, limits = name.replace("_", " "), _limits(option, kind)
    words = _words(option["long_name"], flag_labels)
    return OptionField(name, label, words, kind, value, choices, minimum, maximum, limits)


def _words(text: str, flag_labels: dict[str, str]) -> str:
    """Return a description as the form has it: what names a flag, as `name`, names it as it is seen there."""
    return re.sub(r"`([^`]+)`", lambda name: f"“{flag_labels[name[1]]}”" if name[1] in flag_labels else name[1], text)


def _kind(option: PublicOption) -> str:
    """Return the kind of field that an option has; one that knows two values and none is a choice of three."""
    kind = option["type"]
    if "choices" in option:
        return "choice"
    if kind == "boolean":
        return "boolean" if isinstance(option["default"], bool) else "choice"
    return kind if kind in (*_NUMBERS, "string") else "json"


def _limits(option: PublicOption, kind: str) -> str:
    low, high = option.get("minimum"), option.get("maximum")
    words = []
    if low is not None and high is not None:
        words.append(f"{low:g} to {high:g}" if kind == "number" else f"{low} to {high}")
    elif low is not None or high is not None:
        words.append(f"at least {low:g}" if low is not None else f"at most {high:g}")
    if "exclusive_minimum" in option:
        words.append(f"more than {option['exclusive_minimum']:g}")
    if "exclusive_maximum" in option:
        words.append(f"less than {option['exclusive_maximum']:g}")
    if "min_items" in option or "max_items" in option:
        words.append(_items(option.get("min_items"), option.get("max_items")))
    if kind == "json":
        words.append("as JSON")
    return ", ".join(words)


def _items(least: int | None, most: int | None) -> str:
    if least is None or most is None:
        return f"at least {least} of them" if most is None else f"at most {most} of them"
    return f"{least} to {most} of them"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
