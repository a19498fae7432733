"""Frames of the archive: `pk=OBSERVATION#<id>, sk=FRAME#<frame id>` in the telescope table, beside the alert.

One Query answers an observation with all its frames; what is deleted with an observation lies in one partition. A frame gets
the id of its data product before it is fetched, so that whatever dies in between, the next run writes the same file.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chalicelib.errors import ClaimLostError, NotFoundError
from chalicelib.models.alerts import FrameRecord, FrameState, Watch
from chalicelib.models.data_products import DataProduct
from chalicelib.models.observations import Observation
from chalicelib.settings import get_settings
from chalicelib.storage import alerts, data_products, observations, requests, targets
from chalicelib.storage.requests import ConditionFailedError, Key, Write

_TOGETHER = 90
"""Frames reserved, or deleted, in one transaction; DynamoDB takes 100 actions."""

_FIELDS = tuple(FrameRecord.__dataclass_fields__)


def key(observation_id: int, frame_id: str) -> Key:
    """Return the key of a frame of an observation."""
    return {"pk": f"OBSERVATION#{observation_id}", "sk": f"FRAME#{frame_id}"}


def read(observation_id: int) -> Watch:
    """Return an observation with its frames. One Query of its partition per MB.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    observation: Observation | None = None
    found: dict[str, FrameRecord] = {}
    for item in requests.query(_table(), f"OBSERVATION#{observation_id}", between=("FRAME#", "OBSERVATION")):
        if item["sk"] == "OBSERVATION":
            observation = observations.from_record(item)
        else:
            found[item["id"]] = _from_record(item)
    if observation is None:
        raise NotFoundError("Not found.")
    return Watch(observation, found)


def reserve(observation_id: int, target_id: int, token: str, frames: Sequence[FrameRecord]) -> None:
    """Keep frames that are to be fetched. One transaction for every ninety.

    Raises
    ------
    ClaimLostError
        If the claim on the alert no longer stands.
    NotFoundError
        If the target does not exist, or is being deleted.
    """
    for first in range(0, len(frames), _TOGETHER):
        writes = [alerts.holds_claim(observation_id, token), targets.exists(target_id)]
        for frame in frames[first : first + _TOGETHER]:
            frame_key = key(observation_id, frame.id)
            writes.append(requests.put(_table(), frame_key, _record(frame), "attribute_not_exists(pk)"))
        try:
            requests.transact(writes)
        except ConditionFailedError as error:
            if error.failed[1] and not error.failed[0]:
                raise NotFoundError("Target not found.") from None
            raise ClaimLostError("the claim on the alert no longer stands") from None


def keep(
    observation_id: int, token: str, frame: FrameRecord, product: DataProduct, now: datetime, *, is_input: bool
) -> None:
    """Keep a frame, whose file is there, as a data product. One transaction; two as for `data_products.create`.

    Parameters
    ----------
    is_input : bool
        Whether a timelapse can show it.

    Raises
    ------
    ClaimLostError
        If the claim on the alert no longer stands.
    InvalidInputError
        As for `data_products.create`.
    """
    done = _change(observation_id, frame, {"state": FrameState.KEPT.value})
    gain = alerts.gain(observation_id, token, product.id if is_input else None, now)
    data_products.create(product, [gain, done])


def change(observation_id: int, token: str, frame: FrameRecord, **values: Any) -> None:
    """Set `state`, `tries`, `due_at` or `reason` of a frame. One transaction.

    Raises
    ------
    ClaimLostError
        If the claim on the alert no longer stands.
    """
    try:
        requests.transact([alerts.holds_claim(observation_id, token), _change(observation_id, frame, values)])
    except ConditionFailedError:
        raise ClaimLostError("the claim on the alert no longer stands") from None


def delete_all(observation_id: int) -> None:
    """Delete what is known about the frames of an observation. One Query, and one transaction for every ninety."""
    found = requests.query(
        _table(),
        f"OBSERVATION#{observation_id}",
        between=("FRAME#", "FRAME#~"),
        projection={"#id": "id"},
    )
    writes = [requests.delete(_table(), key(observation_id, item["id"])) for item in found]
    for first in range(0, len(writes), _TOGETHER):
        requests.transact(writes[first : first + _TOGETHER])


def _change(observation_id: int, frame: FrameRecord, values: Mapping[str, Any]) -> Write:
    return requests.update(
        _table(),
        key(observation_id, frame.id),
        "SET " + ", ".join(f"#{name} = :{name}" for name in values),
        "#state = :reserved",
        names={"#state": "state", **{f"#{name}": name for name in values}},
        values={":reserved": FrameState.RESERVED.value, **{f":{name}": value for name, value in values.items()}},
    )


def _record(frame: FrameRecord) -> dict[str, Any]:
    return {name: getattr(frame, name) for name in _FIELDS}


def _from_record(item: Mapping[str, Any]) -> FrameRecord:
    return FrameRecord(**{name: item[name] for name in _FIELDS if name in item})


def _table() -> str:
    return get_settings().telescope_table
