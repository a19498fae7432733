"""Which pipelines there are: the setting `PIPELINES` maps names to dotted paths, as TOM_EDUCATION_PIPELINES did."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from chalicelib.errors import NotFoundError
from chalicelib.observability import logger
from chalicelib.pipelines.base import PipelineProcess
from chalicelib.pipelines.options import describe_options
from chalicelib.settings import get_settings


def find_pipeline(name: str) -> tuple[str, type[PipelineProcess]]:
    """Return the pipeline of this name, in upper or lower case, with the name under which it is registered.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    for known, pipeline in all_pipelines().items():
        if known.lower() == name.lower():
            return known, pipeline
    raise NotFoundError(f"Invalid pipeline name '{name}'")


@cache
def all_pipelines() -> Mapping[str, type[PipelineProcess]]:
    """Return all pipelines by name. One that cannot be loaded is left out and named in the log; the others stay."""
    found: dict[str, type[PipelineProcess]] = {}
    for name, path in get_settings().pipelines.items():
        try:
            found[name] = load_pipeline(path)
        except Exception as error:  # noqa: BLE001 - the border to other people's code
            logger.error("pipeline left out", extra={"pipeline": name, "path": path, "reason": str(error)})
    return found


def load_pipeline(path: str) -> type[PipelineProcess]:
    """Return the class at a dotted path, if it is a pipeline.

    Raises
    ------
    ImportError, AttributeError
        If there is no such class.
    TypeError, ValueError
        If it is no pipeline, or its flags are not of the documented form.
    """
    module, _, name = path.rpartition(".")
    if not module:
        raise ValueError(f"'{path}' is not a dotted path")
    pipeline = getattr(import_module(module), name)
    if not (isinstance(pipeline, type) and issubclass(pipeline, PipelineProcess)):
        raise TypeError(f"'{path}' is not a subclass of PipelineProcess")
    for flag, options in (pipeline.flags or {}).items():
        if not isinstance(options, Mapping) or not flag.isidentifier():
            raise ValueError(f"the flag '{flag}' of '{path}' needs a mapping with `default` and `long_name`")
    return pipeline


def describe(name: str, pipeline: type[PipelineProcess]) -> dict[str, Any]:
    """Return what the API shows of a pipeline."""
    flags = {
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
