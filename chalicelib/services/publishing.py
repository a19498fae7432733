"""What a run has made becomes data products of its target, and the process ends."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chalicelib import clock
from chalicelib.errors import InvalidInputError
from chalicelib.models.data_products import DataProduct, Group
from chalicelib.models.processes import Process
from chalicelib.pipelines import base
from chalicelib.services.processes import delete_product
from chalicelib.storage import artefacts, data_products, groups, process_moves, processes

TIMELAPSE = "timelapse"
MAX_OUTPUTS = 80
"""Of one run: each may add an entry to the transaction that ends it, which has room for 100 actions."""


def publish(process: Process, token: str, outputs: Sequence[base.PipelineOutput]) -> None:
    """Keep the outputs, and then end the process: who sees `created` sees the outputs, too.

    Raises
    ------
    AsyncError
        If an output cannot be kept.
    ClaimLostError
        If the claim no longer stands.
    """
    if any(output.output_type is not base.DataProduct for output in outputs):
        raise base.AsyncError("A pipeline's outputs must be data products")
    if len(outputs) > MAX_OUTPUTS:
        raise base.AsyncError(f"The pipeline made {len(outputs)} outputs; at most {MAX_OUTPUTS} can be kept")
    files = {f"{process.identifier}_{_file(output).name}": output for output in outputs}
    if len(files) < len(outputs):
        names = Counter(_file(output).name for output in outputs)
        raise base.AsyncError(f"The pipeline made more than one output named '{names.most_common(1)[0][0]}'")
    ended = clock.to_text(clock.now())
    if not files:
        process_moves.succeed(process, token, ended, None, [])
        return
    ids = dict(zip(files, data_products.next_ids(len(files)), strict=True))
    ids, group_id = process_moves.reserve_outputs(process, token, ids, groups.next_id())
    _delete_outputs_of_earlier_attempts([each for name, each in ids.items() if name not in files])
    group = Group(group_id, f"{process.identifier}_outputs", ended)
    cards = []
    for name, output in files.items():
        product = _product(process, ids[name], name, output, group_id, ended)
        artefacts.put_file(product.key, _file(output))
        try:
            data_products.publish_output(product, process_moves.holds_claim(process.id, token))
        except InvalidInputError as error:
            raise base.AsyncError(f"Output '{name}' could not be kept: {error}") from None
        if product.timelapse_card:
            cards.append(
                processes.put_timelapse_card(process.target_id, product.timelapse_card, _entry(product, output, ended))
            )
    process_moves.succeed(process, token, ended, group, cards)
    if process.attempt > 1:
        current = f"processes/{process.id}/{process.attempt}/"
        stale = [key for key in artefacts.list_keys(f"processes/{process.id}/") if not key.startswith(current)]
        artefacts.delete(stale)


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
    data = output.data if isinstance(output.data, dict) else {}
    return {
        "name": product.name,
        "format": Path(product.name).suffix.lstrip("."),
        "url": product.url,
        "created": ended,
        "frames": int(data.get("frames", 0)),
        "product_id": product.id,
    }
