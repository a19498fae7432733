"""The options of a run: what its caller gave, else what the deployment sets, else the pipeline's own defaults.

`TIMELAPSE_FPS` is the environment variable of the option `fps` of the pipeline `Timelapse`.
"""

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from chalicelib.models.pipelines import Limit, OptionType, PublicOption
from chalicelib.pipelines.base import AsyncError, PipelineOptions, PipelineProcess
from chalicelib.settings import Settings, get_settings

# JSON schema's name of a limit -> the one that the API shows
_LIMITS: dict[str, Limit] = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "exclusive_minimum",
    "exclusiveMaximum": "exclusive_maximum",
    "minItems": "min_items",
    "maxItems": "max_items",
    "enum": "choices",
}


_OPTION_SETTINGS = (
    "timelapse_format",
    "timelapse_fps",
    "timelapse_size",
    "timelapse_crop_scale",
    "timelapse_colours",
)
"""Settings of this project that are options of a pipeline; all the others are none, whatever a pipeline is called."""

_FOREIGN = "AWS_"
"""What the environment variables begin with that are boto3's and the functions' own: credentials are among them."""


def deployed_options(name: str, pipeline: type[PipelineProcess]) -> dict[str, Any]:
    """Return the options of the pipeline registered as `name` for which the deployment has a default of its own."""
    found: dict[str, Any] = {}
    for option, field in pipeline.options_model.model_fields.items():
        variable = re.sub(r"[^A-Z0-9]", "_", f"{name}_{option}".upper())
        setting = variable.lower()
        if setting in _OPTION_SETTINGS:
            found[option] = getattr(get_settings(), setting)
        elif setting in Settings.model_fields or variable.startswith(_FOREIGN):
            continue
        elif os.environ.get(variable):
            found[option] = _parsed(os.environ[variable], field)
    return found


def _parsed(text: str, field: FieldInfo) -> Any:
    """Return the value, as JSON has it, of an option in the environment; the text itself where it cannot be read.

    The strict check of the options comes later, and says what is wrong with it.
    """
    # of the type alone: limits and checks would keep a number from being shown as one
    kind: Any = field.annotation
    adapter = TypeAdapter[Any](kind)
    for read in (adapter.validate_python, adapter.validate_json):
        try:
            return json.loads(to_json(read(text, strict=False), inf_nan_mode="strings"))
        except Exception:  # noqa: BLE001, S112 - the type may be somebody else's; what cannot be read stays text
            continue
    return text


def merge_options(name: str, pipeline: type[PipelineProcess], given: Mapping[str, Any]) -> PipelineOptions:
    """Return the options with which a run works.

    Parameters
    ----------
    given : mapping
        What the caller gave; JSON.

    Raises
    ------
    pydantic.ValidationError
        If they are not what the pipeline takes.
    """
    # Read as JSON, in which a list is also a tuple: strictness is about the caller's types, not about Python's.
    return pipeline.options_model.model_validate_json(json.dumps({**deployed_options(name, pipeline), **given}))


def options_of_run(name: str, pipeline: type[PipelineProcess], given: Mapping[str, Any]) -> PipelineOptions:
    """Return the options with which a run works; see `merge_options`.

    Raises
    ------
    AsyncError
        If they are not what the pipeline takes: the deployment's own are seen here first.
    """
    try:
        return merge_options(name, pipeline, given)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        if not fault["loc"]:
            raise AsyncError(f"Invalid options: {fault['msg'].removeprefix('Value error, ')}") from None
        field = pipeline.options_model.model_fields.get(str(fault["loc"][0]))
        option = (field and field.title) or fault["loc"][0]
        value = fault["input"]
        text = f"{value:g}" if isinstance(value, float) else f"{value}"
        raise AsyncError(f"Invalid {option} {text}") from None


def describe_options(name: str, pipeline: type[PipelineProcess]) -> dict[str, PublicOption]:
    """Return what the API shows of the options of a pipeline: type, limits, and the default in this deployment."""
    deployed = deployed_options(name, pipeline)
    properties = _properties(pipeline.options_model)
    defaults = pipeline.options_model()
    shown: dict[str, PublicOption] = {}
    for option, field in pipeline.options_model.model_fields.items():
        if option not in properties:
            continue  # its author hides it from the schema
        default = deployed[option] if option in deployed else getattr(defaults, option)
        shown[option] = {
            "default": json.loads(to_json(default, inf_nan_mode="null")),
            "long_name": field.description or field.title or option,
            **properties[option],
        }
    return shown


@cache
def _properties(model: type[PipelineOptions]) -> dict[str, OptionType]:
    """Return type and limits of each option."""
    schema = model.model_json_schema(by_alias=False)
    found: dict[str, OptionType] = {}
    for option, whole in schema.get("properties", {}).items():
        part = _resolved(whole, schema)
        kind: OptionType = {"type": _type(part)}
        for limit, shown in _LIMITS.items():
            if limit in part:
                kind[shown] = part[limit]
        if "const" in part:
            kind["choices"] = [part["const"]]
        found[option] = kind
    return found


def _resolved(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return what a JSON schema says of a value, null left aside: that the default is null tells."""
    members = [member for member in part.get("anyOf", ()) if member.get("type") != "null"]
    if len(members) == 1:
        return _resolved(members[0], schema)
    if "$ref" in part:
        return dict(schema["$defs"][part["$ref"].rpartition("/")[2]])
    return part


def _type(part: dict[str, Any]) -> str:
    """Return the type as JSON schema calls it; `any` where there is more than one."""
    if "type" in part:
        return str(part["type"])
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return kinds.get(type(part.get("const")), "any")
