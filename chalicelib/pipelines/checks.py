"""What must be true of a class before it is offered as a pipeline: found out at the start, not in the middle of a night."""

import inspect
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chalicelib.pipelines.base import PipelineOptions, PipelineProcess

QUEUES = ("timelapse", "pipeline")

MAX_NAME_LENGTH = 100
"""Of the name under which a pipeline is registered; so much the API takes."""

# An identifier, `<short name>_<target>_<time>_<number>`, has at most 100 characters and stands in file names.
_SHORT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")

_FLAG_KEYS = {"default": bool, "long_name": str}
_RESERVED_FLAGS = ("self", "tmpdir")


def faults_of(pipeline: object) -> Iterator[str]:
    """Yield, in words, everything that keeps an object from being used as a pipeline."""
    if not (isinstance(pipeline, type) and issubclass(pipeline, PipelineProcess)):
        yield "it is not a subclass of PipelineProcess"
        return
    if inspect.isabstract(pipeline):
        yield f"it is abstract: {', '.join(sorted(getattr(pipeline, '__abstractmethods__', ())))} must be written"
    if not isinstance(pipeline.short_name, str) or not _SHORT_NAME.fullmatch(pipeline.short_name):
        yield (
            f"its short_name {pipeline.short_name!r} must be 1 to 60 letters, digits, dots, hyphens and underscores,"
            " beginning with a letter or digit"
        )
    if pipeline.runs_on not in QUEUES:
        yield f"its runs_on {pipeline.runs_on!r} must be one of {', '.join(map(repr, QUEUES))}"
    yield from _faults_of_suffixes(pipeline.allowed_suffixes)
    flags = list(_faults_of_flags(pipeline.flags))
    yield from flags
    yield from _faults_of_options(pipeline.options_model)
    yield from _faults_of_methods(pipeline, () if flags else tuple(pipeline.flags or ()))


def _faults_of_suffixes(suffixes: Any) -> Iterator[str]:
    if suffixes is None:
        return
    is_sequence = isinstance(suffixes, Sequence) and not isinstance(suffixes, str | bytes)
    if not is_sequence or not all(isinstance(suffix, str) and suffix for suffix in suffixes):
        yield f"its allowed_suffixes {suffixes!r} must be a list or tuple of texts such as '.fits'"


def _faults_of_flags(flags: Any) -> Iterator[str]:
    if flags is None:
        return
    if not isinstance(flags, Mapping):
        yield "its flags must be a mapping of name to {'default': ..., 'long_name': ...}"
        return
    for name, about in flags.items():
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            yield f"the flag {name!r} must have a name that can be a parameter: letters, digits and underscores"
        elif name in _RESERVED_FLAGS:
            yield f"the flag '{name}' has the name of another parameter of do_pipeline"
        if not isinstance(about, Mapping):
            yield f"the flag {name!r} must be a mapping with 'default' and 'long_name'"
            continue
        for key in about:
            if key not in _FLAG_KEYS:
                yield f"the flag {name!r} has the unknown key {key!r}; 'default' and 'long_name' are known"
        if not isinstance(about.get("default"), bool):
            yield f"the flag {name!r} must have a 'default' that is True or False"
        if not isinstance(about.get("long_name"), str) or not about["long_name"].strip():
            yield f"the flag {name!r} must have a 'long_name' for people"


def _faults_of_options(model: Any) -> Iterator[str]:
    if not (isinstance(model, type) and issubclass(model, PipelineOptions)):
        yield "its options_model must be a subclass of PipelineOptions"
        return
    without = [name for name, field in model.model_fields.items() if field.is_required()]
    if without:
        yield f"its options need defaults: {', '.join(without)}"
        return
    try:
        model()
        model.model_json_schema()  # the list of pipelines shows it
    except Exception as error:  # noqa: BLE001 - the border to other people's code
        yield f"its options_model cannot be used: {type(error).__name__}: {error}"


def _faults_of_methods(pipeline: type[PipelineProcess], flags: Sequence[str]) -> Iterator[str]:
    do_pipeline = pipeline.do_pipeline
    if do_pipeline is PipelineProcess.do_pipeline:
        yield "it has no do_pipeline method"
    elif (
        not callable(do_pipeline) or inspect.iscoroutinefunction(do_pipeline) or inspect.isasyncgenfunction(do_pipeline)
    ):
        yield "its do_pipeline must be a plain method"
    elif not _takes(do_pipeline, None, Path(), **dict.fromkeys(flags, False)):
        wanted = ", ".join(("self", "tmpdir", *flags))
        yield f"its do_pipeline must take ({wanted}); `def do_pipeline(self, tmpdir, **flags)` always does"
    if not _takes(pipeline, None, (), None, "", None, None):
        yield "its __init__ must take what that of PipelineProcess takes"


def _takes(function: Any, *positional: Any, **named: Any) -> bool:
    try:
        inspect.signature(function).bind(*positional, **named)
    except TypeError:
        return False
    return True
