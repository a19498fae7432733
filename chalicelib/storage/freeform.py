"""Free-form objects (`meta`, `extra_fields`): a map of top-level key -> JSON text.

DynamoDB's numbers would change 1.0 to 1 and refuse 1e300; texts come back as they were, and one key can be set without
reading the others: two writers of different keys never undo each other.
"""

import json
from collections.abc import Callable
from typing import Any

from chalicelib.errors import InvalidInputError
from chalicelib.storage import changes, requests
from chalicelib.storage.requests import ConditionFailedError, Key, Write

MAX_ITEM_BYTES = 380_000
"""DynamoDB takes 400 KB with the names of attributes; some room is left for those that come later."""

MAX_KEYS_PER_CHANGE = 80
"""Keys that are set one by one; an update expression has at most 4 KB and 300 operators, and emulators take fewer."""

MAX_KEY_BYTES = 60_000
"""DynamoDB takes names of at most 64 KB inside a map."""

_ESCAPE = "~"


def pack(free_form: dict[str, Any]) -> dict[str, str]:
    """Return a free-form object as it is kept: each top-level value as JSON text."""
    return {pack_key(key): pack_value(value) for key, value in free_form.items()}


def unpack(packed: dict[str, str]) -> dict[str, Any]:
    """Return the free-form object that `pack` packed."""
    return {_unpack_key(key): json.loads(text) for key, text in packed.items()}


def pack_key(key: str) -> str:
    """Return a top-level key as it is kept: DynamoDB has no empty names, so those (and `~...`) get a `~` in front."""
    return _ESCAPE + key if not key or key.startswith(_ESCAPE) else key


def pack_value(value: Any) -> str:
    """Return one value as JSON text."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def check_size(field: str, *texts: str | None, limit: int = MAX_ITEM_BYTES) -> None:
    """Refuse what would not fit into one item.

    Raises
    ------
    InvalidInputError
        If the texts together have more than `limit` bytes; names `field`.
    """
    size = sum(len(text.encode("utf-8", "replace")) for text in texts if text)
    if size > limit:
        raise InvalidInputError.of(field, f"takes {size} bytes; at most {limit} can be kept", "value_error.too_large")


def check_free_form_size(field: str, packed: dict[str, str]) -> None:
    """Refuse a free-form object that would not fit into one item, or has a key that does not; see `check_size`."""
    for key in packed:
        check_size(field, key, limit=MAX_KEY_BYTES)
    check_size(field, *packed.keys(), *packed.values())


def change_record(
    table: str, record_key: Key, values: dict[str, Any], meta: dict[str, Any], told: Callable[[str], Write]
) -> dict[str, Any] | None:
    """Set attributes and single keys of `meta`, and return the record as it is then; None if there is none.

    What is returned has the change, and perhaps later ones. If the record was deleted before it could be read, None is
    returned, too, even where there is another one of its name by then.

    One transaction and a GetItem (only this where there is nothing to set). More than `MAX_KEYS_PER_CHANGE` keys do not fit
    into an expression: then the whole map is read and replaced; if somebody changed it meanwhile, what the refusal tells.

    Parameters
    ----------
    values : dict
        New values of attributes; None removes.
    told : callable
        Given the moment of the change, returns the write that tells of it.

    Raises
    ------
    InvalidInputError
        If the record would grow too large.
    UnavailableError
        If others changed `meta` every time.
    """
    packed = pack(meta)
    check_free_form_size("meta", packed)
    for attribute, value in values.items():
        check_size(attribute, value)
    if not values and not meta:
        return requests.get(table, record_key)
    old: dict[str, Any] | None = None
    for moment in changes.moments():
        if len(packed) <= MAX_KEYS_PER_CHANGE:
            write = _setting(table, record_key, values | {"changed_at": moment}, packed, moment)
        else:
            old = old or requests.get(table, record_key)
            if old is None:
                return None
            write = _replacing(table, record_key, values | {"changed_at": moment}, old["meta"], packed, moment)
        try:
            requests.transact([write, told(moment)])
        except ConditionFailedError as error:
            old = error.item
            if old is None:
                return None
            changes.heed(old)
        else:
            break
    item = requests.get(table, record_key)
    return item if item is not None and changes.is_same(item, moment) else None


def _setting(table: str, record_key: Key, values: dict[str, Any], packed: dict[str, str], moment: str) -> Write:
    keys = {f"#k{index}": key for index, key in enumerate(packed)}
    bound = {f":k{index}": text for index, text in enumerate(packed.values())}
    sets = [f"#m.#k{index}=:k{index}" for index in range(len(packed))]
    names = {"#m": "meta", **keys} if keys else {}
    return _changing(table, record_key, values, sets, names, bound, "attribute_exists(pk)", moment)


def _replacing(
    table: str, record_key: Key, values: dict[str, Any], old: dict[str, str], packed: dict[str, str], moment: str
) -> Write:
    bound = {":old": old, ":new": {**old, **packed}}
    return _changing(table, record_key, values, ["#m=:new"], {"#m": "meta"}, bound, "#m=:old", moment)


def _changing(
    table: str,
    record_key: Key,
    values: dict[str, Any],
    sets: list[str],
    names: dict[str, str],
    bound: dict[str, Any],
    condition: str,
    moment: str,
) -> Write:
    removes = []
    for index, (attribute, value) in enumerate(values.items()):
        names[f"#a{index}"] = attribute
        if value is None:
            removes.append(f"#a{index}")
        else:
            sets.append(f"#a{index}=:a{index}")
            bound[f":a{index}"] = value
    clauses = [f"{word} {','.join(parts)}" for word, parts in (("SET", sets), ("REMOVE", removes)) if parts]
    return requests.update(
        table,
        record_key,
        " ".join(clauses),
        f"{condition} AND {changes.IS_LATER}",
        names=names | changes.CHANGED,
        values=bound | changes.later(moment),
    )


def _unpack_key(key: str) -> str:
    return key.removeprefix(_ESCAPE) if key.startswith(_ESCAPE) else key
