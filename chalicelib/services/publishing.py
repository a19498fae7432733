"""What a run has made and measured becomes data products and reduced data of its target, and the process ends."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from chalicelib import clock
from chalicelib.errors import InvalidInputError
from chalicelib.models.data_products import DataProduct, Group, ProductType, has_control_characters
from chalicelib.models.processes import Process
from chalicelib.models.reduced_data import Point, ReducedRun, Text
from chalicelib.pipelines import base
from chalicelib.services.measurements import points_of, texts_of
from chalicelib.services.processes import delete_product
from chalicelib.storage import artefacts, data_products, groups, process_moves, processes, reduced_data
from chalicelib.storage.requests import Write

TIMELAPSE = "timelapse"
MAX_OUTPUTS = 80
"""Files of one run: each may add an entry to the transaction that ends it, which has room for 100 actions."""

MAX_FRAMES = 1_000_000
"""Of a timelapse; more are a mistake."""

_TYPE: TypeAdapter[str] = TypeAdapter(ProductType)


def publish(process: Process, token: str, outputs: Sequence[base.PipelineOutput]) -> None:
    """Keep the outputs, and then end the process: who sees `created` sees the outputs, too.

    Raises
    ------
    AsyncError
        If an output cannot be kept.
    ClaimLostError
        If the claim no longer stands.
    """
    outputs = [_checked(output) for output in outputs]
    made = [output for output in outputs if output.output_type is base.DataProduct]
    measured = [output for output in outputs if output.output_type is base.ReducedDatum]
    files = _by_name(process, made)
    points, texts = points_of(measured, process), texts_of(measured, process)
    file_count = len(files) + len(texts)
    if file_count > MAX_OUTPUTS:
        raise base.AsyncError(f"The pipeline made {file_count} outputs; at most {MAX_OUTPUTS} can be kept")
    ended = clock.to_text(clock.now())
    if process.attempt > 1:  # whose worker has lost its claim, and can add nothing any more
        reduced_data.discard(process.id, process.attempt - 1)
        _delete_outputs_of_earlier_attempts([each for name, each in process.output_ids.items() if name not in files])
    group, cards = _keep_files(process, token, files, ended) if files else (None, [])
    cards += _keep_reduced_data(process, token, points, texts, ended)
    process_moves.succeed(process, token, ended, group, cards)
    if process.attempt > 1:
        current = f"processes/{process.id}/{process.attempt}/"
        stale = [key for key in artefacts.list_keys(f"processes/{process.id}/") if not key.startswith(current)]
        artefacts.delete(stale)


def _checked(output: base.PipelineOutput) -> base.PipelineOutput:
    """Return an output whose fields are of the kinds that are documented; no type is the type ``""``.

    Raises
    ------
    AsyncError
        If one is not: what is stored must be fit to be read.
    """
    if output.output_type is not base.DataProduct and output.output_type is not base.ReducedDatum:
        raise base.AsyncError("A pipeline's outputs must be data products or reduced data")
    data_product_type = "" if output.data_product_type is None else output.data_product_type
    try:
        data_product_type = str(_TYPE.validate_python(data_product_type, strict=True))
    except ValidationError:
        raise base.AsyncError(
            f"The type of an output must be a text of at most 50 characters, not {data_product_type!r:.100}"
        ) from None
    if output.path is not None:
        _require_file(output.path)
    checked = replace(output, data_product_type=data_product_type)
    if checked.output_type is base.DataProduct and data_product_type == TIMELAPSE:
        _frame_count(checked)
    return checked


def _require_file(path: object) -> None:
    if not (isinstance(path, str) or (isinstance(path, PathLike) and isinstance(path.__fspath__(), str))):
        raise base.AsyncError(f"The path of an output must be a Path or a text, not {path!r:.100}")
    file = Path(path)
    if not file.is_file():
        raise base.AsyncError(f"The output '{file.name}' is {'a folder' if file.is_dir() else 'not there'}")
    if has_control_characters(file.name):
        raise base.AsyncError(f"The output {file.name!a} has control characters in its name")


def _frame_count(output: base.PipelineOutput) -> int:
    """Return how many frames a timelapse has, 0 where that is not said."""
    data = {} if output.data is None else output.data
    count: Any = data.get("frames", 0) if isinstance(data, Mapping) else None
    is_number = isinstance(count, Real) and not isinstance(count, bool)
    if not (is_number and 0 <= count <= MAX_FRAMES and count == int(count)):
        raise base.AsyncError(f'The data of a timelapse must be of the form {{"frames": 71}}, not {output.data!r:.100}')
    return int(count)


def _by_name(process: Process, made: Sequence[base.PipelineOutput]) -> dict[str, base.PipelineOutput]:
    files = {f"{process.identifier}_{_file(output).name}": output for output in made}
    if len(files) < len(made):
        names = Counter(_file(output).name for output in made)
        raise base.AsyncError(f"The pipeline made more than one output named '{names.most_common(1)[0][0]}'")
    return files


def _keep_files(
    process: Process, token: str, files: Mapping[str, base.PipelineOutput], ended: str
) -> tuple[Group, list[Write]]:
    """Keep files as data products; return their group and entries, which the end of the process makes visible."""
    ids = dict(zip(files, data_products.next_ids(len(files)), strict=True))
    ids, group_id = process_moves.reserve_outputs(process, token, ids, groups.next_id())
    cards: list[Write] = []
    for name, output in files.items():
        product = _product(process, ids[name], name, output, group_id, ended)
        artefacts.put_file(product.key, _file(output))
        try:
            data_products.publish_output(product, process_moves.holds_claim(process.id, token))
        except InvalidInputError as error:
            raise base.AsyncError(f"Output '{name}' could not be kept: {error}") from None
        cards += data_products.plot_entry(product)
        if product.timelapse_card:
            cards.append(
                processes.put_timelapse_card(process.target_id, product.timelapse_card, _entry(product, output, ended))
            )
    return Group(group_id, f"{process.identifier}_outputs", ended), cards


def _keep_reduced_data(
    process: Process, token: str, points: Sequence[Point], texts: Sequence[Text], ended: str
) -> list[Write]:
    """Keep what was measured; return what the end of the process makes it visible by."""
    count = len(points) + len(texts)
    if count == 0:
        return []
    run = ReducedRun(
        target_id=process.target_id,
        process_id=process.id,
        identifier=process.identifier,
        ended=ended,
        attempt=process.attempt,
        first_id=reduced_data.next_ids(count)[0],
        point_count=len(points),
        text_count=len(texts),
    )
    reduced_data.keep(run, points, texts, process_moves.holds_claim(process.id, token))
    return reduced_data.cards(run)


def _file(output: base.PipelineOutput) -> Path:
    if output.path is None:
        raise base.AsyncError("An output that is a data product needs a file")
    return Path(output.path)


def _delete_outputs_of_earlier_attempts(product_ids: Sequence[int]) -> None:
    """Delete what an attempt that died had kept and this one has not made again."""
    for product in data_products.get_many(product_ids).values():
        delete_product(product)


def _product(
    process: Process, product_id: int, name: str, output: base.PipelineOutput, group_id: int, ended: str
) -> DataProduct:
    is_timelapse = output.data_product_type == TIMELAPSE
    return DataProduct(
        id=product_id,
        target_id=process.target_id,
        name=name,
        data_product_type=output.data_product_type,
        size=_file(output).stat().st_size,
        key=artefacts.output_key(process.id, process.attempt, name),
        folder=process.target_folder,
        created=ended,
        groups=(group_id,),
        process_id=process.id,
        timelapse_card=processes.timelapse_card(ended, product_id) if is_timelapse else None,
    )


def _entry(product: DataProduct, output: base.PipelineOutput, ended: str) -> dict[str, Any]:
    return {
        "name": product.name,
        "format": Path(product.name).suffix.lstrip("."),
        "url": product.url,
        "created": ended,
        "frames": _frame_count(output),
        "product_id": product.id,
    }
