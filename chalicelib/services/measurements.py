"""From what a pipeline says it has measured to reduced data that can be kept, or words about what is wrong with it."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral, Real
from pathlib import Path, PurePath
from typing import Any

from chalicelib.models.processes import Process
from chalicelib.models.reduced_data import PHOTOMETRY, Point, Text
from chalicelib.pipelines.base import FIRST_MJD, LAST_MJD, AsyncError, PipelineOutput
from chalicelib.storage import data_products
from chalicelib.storage.reduced_data import MAX_DATUM_BYTES, MAX_TEXT_BYTES

MAX_POINTS = 10_000
"""Of one run; it has at most 2,000 inputs."""

_FORM = "(MJD, magnitude, error, input file name)"


def points_of(outputs: Iterable[PipelineOutput], process: Process) -> list[Point]:
    """Return the points among a run's reduced data, in the order of time.

    One BatchGetItem for each hundred inputs, where there are points.

    Raises
    ------
    AsyncError
        If one cannot be kept: it is no point, a number is not finite, there are too many.
    """
    found = [point for output in outputs if output.data is not None for point in _of_output(output)]
    if len(found) > MAX_POINTS:
        raise AsyncError(f"The pipeline measured {len(found)} points; at most {MAX_POINTS} can be kept")
    inputs = data_products.get_many(process.product_ids) if found else {}
    by_name = {product.name: product.id for product in inputs.values()}
    points = [_point(number, values, by_name) for number, values in enumerate(found, start=1)]
    return sorted(points, key=lambda point: point.mjd)


def texts_of(outputs: Iterable[PipelineOutput], process: Process) -> list[Text]:
    """Return the texts among a run's reduced data: those that are given as a file.

    Raises
    ------
    AsyncError
        If one cannot be kept.
    """
    return [_text(output, process) for output in outputs if output.data is None]


def _of_output(output: PipelineOutput) -> Iterator[Any]:
    """Yield the points of one output: one by itself, or many."""
    if output.data_product_type not in ("", PHOTOMETRY):
        raise AsyncError(f"Points of the type '{output.data_product_type}' cannot be kept; the type is '{PHOTOMETRY}'")
    data = output.data
    if not _is_sequence(data):
        raise AsyncError(f"Reduced data must be a point {_FORM}, or a sequence of points")
    members = list(data)
    yield from [members] if members and not _is_sequence(members[0]) else members


def _is_sequence(value: object) -> bool:
    is_scalar = isinstance(value, (str, bytes, Mapping)) or getattr(value, "shape", None) == ()
    return isinstance(value, Iterable) and not is_scalar


def _point(number: int, values: Any, by_name: Mapping[str, int]) -> Point:
    members = list(values) if _is_sequence(values) else []
    if len(members) not in (4, 5):
        raise AsyncError(f"Point {number} is not of the form {_FORM}")
    mjd, magnitude, error = (
        _finite(number, name, value) for name, value in zip(("MJD", "magnitude", "error"), members, strict=False)
    )
    if not FIRST_MJD <= mjd <= LAST_MJD:
        raise AsyncError(f"Point {number} has the MJD {mjd:.10g}, which is out of range: is it a Julian date?")
    name = members[3]
    if not (name is None or isinstance(name, (str, PurePath))):
        raise AsyncError(f"Point {number} is not of the form {_FORM}")
    product_id = None if name is None else by_name.get(PurePath(name).name)
    return Point(mjd, magnitude, error, product_id, _further(number, members[4] if len(members) == 5 else None))


def _finite(number: int, name: str, value: Any) -> float:
    found = _number(value)
    if found is None:
        raise AsyncError(f"Point {number} has no finite {name}")
    return found


def _number(value: Any) -> float | None:
    """Return a finite number as a float, numpy's too; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        found = float(value) + 0.0  # which is no -0.0
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _further(number: int, given: Any) -> dict[str, Any]:
    """Return further values as JSON has them; what is not finite is null."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise AsyncError(f"The further values of point {number} must be a mapping with names")
    taken = {"magnitude", "error"} & given.keys()
    if taken:
        raise AsyncError(f"A further value of point {number} has the name '{min(taken)}', which is taken")
    further = {_unicode(name): _plain(number, name, value) for name, value in given.items()}
    size = len(json.dumps(further))
    if size > MAX_DATUM_BYTES:
        raise AsyncError(
            f"The further values of point {number} take {size} bytes; at most {MAX_DATUM_BYTES} can be kept"
        )
    return further


def _plain(number: int, name: str, value: Any) -> Any:
    if isinstance(value, str):
        return _unicode(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return _number(value)
    if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise AsyncError(f"The further value '{name}' of point {number} must be a number, a text, true, false or null")


def _unicode(text: str) -> str:
    """Return text without halves of surrogate pairs, as odd file names have; those cannot be answered."""
    return text.encode("utf-8", "replace").decode()


def _text(output: PipelineOutput, process: Process) -> Text:
    if output.path is None:
        raise AsyncError(f"Reduced data must be a point {_FORM}, a sequence of points, or a text file")
    path = Path(output.path)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise AsyncError(f"The output '{path.name}' is not there") from None
    except UnicodeDecodeError:
        raise AsyncError(f"The reduced data in '{path.name}' are no text in UTF-8; make it a data product") from None
    size = len(json.dumps(text))
    if size > MAX_TEXT_BYTES:
        raise AsyncError(
            f"The text '{path.name}' takes {size} bytes; reduced data have at most {MAX_TEXT_BYTES}: make it a data product"
        )
    return Text(_unicode(f"{process.identifier}_{path.name}"), output.data_product_type, text)
