"""Free-form objects (`meta`, `extra_fields`): a map of top-level key -> JSON text.

DynamoDB's numbers would change 1.0 to 1 and refuse 1e300; texts come back as they were, and one key can be set without
reading the others: two writers of different keys never undo each other.
"""

import json
from typing import Any

from chalicelib.errors import InvalidInputError
from chalicelib.storage import requests
from chalicelib.storage.requests import Key, Write

MAX_ITEM_BYTES = 380_000
"""DynamoDB takes 400 KB with the names of attributes; some room is left for those that come later."""

MAX_KEYS_PER_CHANGE = 150
"""An update expression has at most 4 KB, which is so many keys."""

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
    """Refuse a free-form object that would not fit into one item; see `check_size`."""
    check_size(field, *packed.keys(), *packed.values())


def change_record(table: str, record_key: Key, values: dict[str, Any], meta: dict[str, Any]) -> Write | None:
    """Describe setting attributes and single keys of `meta`; None where there is nothing to set.

    Raises
    ------
    InvalidInputError
        If `meta` has more keys than one update expression takes, or is too large.
    """
    if len(meta) > MAX_KEYS_PER_CHANGE:
        raise InvalidInputError.of("meta", f"at most {MAX_KEYS_PER_CHANGE} keys can be changed at once")
    packed = pack(meta)
    check_free_form_size("meta", packed)
    sets, removes = [], []
    names: dict[str, str] = {}
    bound: dict[str, Any] = {}
    for index, (attribute, value) in enumerate(values.items()):
        names[f"#a{index}"] = attribute
        if value is None:
            removes.append(f"#a{index}")
        else:
            check_size(attribute, str(value))
            sets.append(f"#a{index}=:a{index}")
            bound[f":a{index}"] = value
    for index, (top, value) in enumerate(meta.items()):
        names[f"#k{index}"] = pack_key(top)
        names["#m"] = "meta"
        sets.append(f"#m.#k{index}=:k{index}")
        bound[f":k{index}"] = pack_value(value)
    if not sets and not removes:
        return None
    expression = (f"SET {','.join(sets)} " if sets else "") + (f"REMOVE {','.join(removes)}" if removes else "")
    return requests.update(
        table, record_key, expression.strip(), "attribute_exists(pk)", names=names, values=bound or None
    )


def _unpack_key(key: str) -> str:
    return key.removeprefix(_ESCAPE) if key.startswith(_ESCAPE) else key
