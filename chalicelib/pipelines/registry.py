"""Which pipelines there are: the setting `PIPELINES` maps names to dotted paths, as TOM_EDUCATION_PIPELINES did.

A class that cannot be used is refused and named in the log with the reason; the others are not touched by it.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from chalicelib.errors import NotFoundError
from chalicelib.models.pipelines import PublicFlag, PublicPipeline
from chalicelib.observability import logger
from chalicelib.pipelines.base import PipelineProcess
from chalicelib.pipelines.checks import MAX_NAME_LENGTH, faults_of
from chalicelib.pipelines.options import describe_options
from chalicelib.settings import get_settings


class RefusedPipelineError(Exception):
    """Raised when what the setting names cannot be used as a pipeline; the text says why."""


class Pipelines(dict[str, type[PipelineProcess]]):
    """The pipelines by the names under which they are registered; `refused` has the others' names and the reasons."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: dict[str, str] = {}


def find_pipeline(name: str) -> tuple[str, type[PipelineProcess]]:
    """Return the pipeline of this name, in upper or lower case, with the name under which it is registered.

    Raises
    ------
    NotFoundError
        If there is none, or it was refused.
    """
    pipelines = all_pipelines()
    for known, pipeline in pipelines.items():
        if known.lower() == name.lower():
            return known, pipeline
    if any(refused.lower() == name.lower() for refused in pipelines.refused):
        raise NotFoundError(f"The pipeline '{name}' is configured, but was refused; the log says why")
    raise NotFoundError(f"Invalid pipeline name '{name}'")


@cache
def all_pipelines() -> Pipelines:
    """Return the pipelines that the setting names; those that cannot be used are named in the log, once."""
    pipelines = load_pipelines(get_settings().pipelines)
    for name, reason in pipelines.refused.items():
        logger.error(refusal(name, reason), extra={"pipeline": name, "reason": reason})
    return pipelines


def refusal(name: str, reason: str) -> str:
    """Return the message that names the setting, the pipeline and the reason."""
    return f"PIPELINES: the pipeline '{name}' is refused: {reason}"


def load_pipelines(configured: Mapping[str, str]) -> Pipelines:
    """Load every pipeline of a mapping of name to dotted path; none of them can keep another from being loaded."""
    pipelines = Pipelines()
    for name, path in configured.items():
        try:
            _require_free_name(name, pipelines)
            pipeline = load_pipeline(path)
            _require_free_short_name(pipeline, pipelines)
            _require_description(name, pipeline)
        except RefusedPipelineError as error:
            pipelines.refused[name] = str(error)
        else:
            pipelines[name] = pipeline
    return pipelines


def load_pipeline(path: str) -> type[PipelineProcess]:
    """Return the class at a dotted path.

    Raises
    ------
    RefusedPipelineError
        If there is none, or it cannot be used as a pipeline.
    """
    module_path, _, name = path.rpartition(".")
    if not module_path or not all(part.isidentifier() for part in path.split(".")):
        raise RefusedPipelineError(f"'{path}' is not a dotted path such as 'package.module.Class'")
    try:
        module = import_module(module_path)
    except ModuleNotFoundError as error:
        raise RefusedPipelineError(_missing(module_path, error)) from error
    # a module of somebody else's may do anything when it is imported, even end the program
    except (Exception, SystemExit) as error:
        text = f"importing '{module_path}' raises {type(error).__name__}: {error}"
        raise RefusedPipelineError(text) from error
    try:
        pipeline = getattr(module, name, None)
    except (Exception, SystemExit) as error:  # a module may have a __getattr__ of its own
        text = f"looking for '{name}' in '{module_path}' raises {type(error).__name__}: {error}"
        raise RefusedPipelineError(text) from error
    if pipeline is None:
        raise RefusedPipelineError(f"the module '{module_path}' has no class '{name}'")
    try:
        faults = list(faults_of(pipeline))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - attributes of somebody else's class may do anything, too
        faults = [f"looking at it raises {type(error).__name__}: {error}"]
    if faults:
        raise RefusedPipelineError(f"'{path}' cannot be used: {'; '.join(faults)}")
    found: type[PipelineProcess] = pipeline
    return found


def _missing(module_path: str, error: ModuleNotFoundError) -> str:
    if error.name and (module_path == error.name or module_path.startswith(f"{error.name}.")):
        return f"there is no module '{module_path}'"
    return (
        f"importing '{module_path}' needs the module '{error.name}', which is not there; what only job functions carry"
        " is imported inside do_pipeline"
    )


def _require_free_name(name: str, others: Pipelines) -> None:
    if not name.strip() or len(name) > MAX_NAME_LENGTH:
        raise RefusedPipelineError(f"its name must have 1 to {MAX_NAME_LENGTH} characters")
    twins = [other for other in others if other.lower() == name.lower()]
    if twins:
        raise RefusedPipelineError(f"its name differs from that of '{twins[0]}' only by upper and lower case")


def _require_free_short_name(pipeline: type[PipelineProcess], others: Pipelines) -> None:
    for name, other in others.items():
        if other.short_name.lower() == pipeline.short_name.lower():
            raise RefusedPipelineError(f"its short_name '{pipeline.short_name}' is that of '{name}', too")


def _require_description(name: str, pipeline: type[PipelineProcess]) -> None:
    """Refuse a pipeline that cannot be described: the list would show none of the others either."""
    try:
        json.dumps(describe(name, pipeline), ensure_ascii=False, allow_nan=False).encode()
    except (Exception, SystemExit) as error:
        text = f"it cannot be described as JSON: {type(error).__name__}: {error}"
        raise RefusedPipelineError(text) from error


def describe(name: str, pipeline: type[PipelineProcess]) -> PublicPipeline:
    """Return what the API shows of a pipeline."""
    flags: dict[str, PublicFlag] = {
        flag: {"default": bool(options.get("default", False)), "long_name": options.get("long_name", flag)}
        for flag, options in (pipeline.flags or {}).items()
    }
    suffixes = pipeline.allowed_suffixes
    return {
        "name": name,
        "short_name": pipeline.short_name,
        "flags": flags,
        "options": describe_options(name, pipeline),
        "allowed_suffixes": None if suffixes is None else list(suffixes),
    }
