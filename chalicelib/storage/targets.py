"""Targets: `pk=TARGET#<id>, sk=TARGET` in the telescope table; a guard on the name; a card in a zone of the sky."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from chalicelib.errors import InvalidInputError, NotFoundError
from chalicelib.models.names import MAX_TITLE_LENGTH
from chalicelib.models.targets import Target, Timelapse
from chalicelib.settings import get_settings
from chalicelib.storage import counters, lists, requests
from chalicelib.storage.convert import number
from chalicelib.storage.freeform import check_free_form_size, pack, unpack
from chalicelib.storage.requests import ConditionFailedError, Key, Write

LIST = "TARGETS"
MAX_TIMELAPSES_SHOWN = 500


class TargetChangedError(Exception):
    """Raised when somebody else changed the target since it was read."""


def key(target_id: int) -> Key:
    """Return the key of a target."""
    return {"pk": f"TARGET#{target_id}", "sk": "TARGET"}


def exists(target_id: int) -> Write:
    """Describe the condition that a target exists and is not being deleted, for other records' transactions."""
    return requests.check_staying(_table(), key(target_id))


def next_id() -> int:
    """Return the id of the next target."""
    return counters.next_id("TARGET")


def create(target: Target, also: Sequence[Write] = ()) -> None:
    """Keep a new target, together with other writes. One transaction (conditions: neither its id nor its name is in use).

    Raises
    ------
    InvalidInputError
        If the name is in use, or `extra_fields` is too large.
    """
    record = _record(target)

    def writes_at(place: lists.Place) -> list[Write]:
        return [
            _guard(target.name, target.id),
            requests.put(_table(), key(target.id), record | place._asdict(), "attribute_not_exists(pk)"),
            *_cards(target),
            *also,
        ]

    try:
        lists.join(_table(), LIST, f"{target.id:015d}", writes_at)
    except ConditionFailedError as error:
        raise _explain(error) from None


def get(target_id: int) -> Target:
    """Return a target. One GetItem.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    item = requests.get(_table(), key(target_id))
    if item is None:
        raise NotFoundError("Not found.")
    return from_record(item)


def names_of(target_ids: Iterable[int]) -> dict[int, str]:
    """Return the names of those that exist, by id. One BatchGetItem per hundred, none for none."""
    keys = [key(each) for each in target_ids]
    items = requests.get_many(_table(), keys, projection={"#id": "id", "#name": "name"})
    return {item["id"]: item["name"] for item in items}


def find_by_name(name: str) -> Target | None:
    """Return the target of this name, or None. Two GetItem."""
    if len(name) > MAX_TITLE_LENGTH:  # DynamoDB refuses to look for a key that is too long
        return None
    guard = requests.get(_table(), _guard_key(name))
    item = requests.get(_table(), key(guard["target_id"])) if guard else None
    return from_record(item) if item else None


def find_near(ra: float, dec: float, radius: float, limit: int) -> tuple[list[Target], int]:
    """Return the nearest targets within `radius` of a position (all in degrees), and how many there are within it.

    One Query for each zone of one degree of declination that the cone touches, and one BatchGetItem per hundred found.
    """
    near: dict[int, float] = {}
    for zone in range(_zone(max(-90.0, dec - radius)), _zone(min(90.0, dec + radius)) + 1):
        for low, high in _ra_ranges(ra, dec, radius):
            for card in requests.query(_table(), f"SKY#{zone}", between=(f"{low:011.7f}", f"{high:011.7f}~")):
                distance = separation(ra, dec, card["ra"], card["dec"])
                if distance <= radius:
                    near[card["target_id"]] = distance
    nearest = sorted(near, key=lambda target_id: near[target_id])[:limit]
    items = sorted(requests.get_many(_table(), [key(each) for each in nearest]), key=lambda item: near[item["id"]])
    sizes = accumulate(lists.size_of(item) for item in items)
    return [from_record(item) for item, size in zip(items, sizes, strict=True) if size <= lists.MAX_PAGE_BYTES], len(
        near
    )


def read_page(limit: int, cursor: str | None, max_bytes: int) -> tuple[list[Target], int, lists.Page]:
    """Return targets in the order of their ids, how many there are, and the page with its cursors."""
    page = lists.read(_table(), LIST, limit, cursor, max_bytes)
    return [from_record(item) for item in page.items], lists.count(LIST), page


def read_newest(limit: int, cursor: str | None) -> tuple[list[Target], int, lists.Page]:
    """Return the newest targets, how many there are, and the page with its cursors."""
    page, total = lists.read_newest(_table(), LIST, limit, cursor)
    return [from_record(item) for item in page.items], total, page


def get_with_timelapses(target_id: int) -> tuple[Target, list[Timelapse]]:
    """Return a target and its timelapses, newest first. One Query of its partition.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    target: Target | None = None
    timelapses: list[Timelapse] = []
    # TARGET sorts before TIMELAPSE#...: read backwards, the newest timelapse comes first and the target last.
    for item in requests.query(_table(), f"TARGET#{target_id}", between=("TARGET", "TIMELAPSE#~"), is_forward=False):
        if item["sk"] == "TARGET":
            target = from_record(item)
        elif len(timelapses) < MAX_TIMELAPSES_SHOWN:
            timelapses.append(Timelapse(item["name"], item["format"], item["url"], item["created"], item["frames"]))
    if target is None:
        raise NotFoundError("Not found.")
    return target, timelapses


def replace(old: Target, new: Target) -> None:
    """Put `new` in the place of `old`. One transaction (condition: nobody changed it since it was read).

    Raises
    ------
    NotFoundError
        If it is being deleted.
    TargetChangedError
        If somebody did.
    InvalidInputError
        If the new name is in use, or `extra_fields` is too large.
    """
    record = _record(new)
    absent = [axis for axis in ("ra", "dec") if axis not in record]
    change = requests.update(
        _table(),
        key(old.id),
        "SET "
        + ", ".join(f"#{each} = :{each}" for each in record)
        + (" REMOVE " + ", ".join(f"#{each}" for each in absent) if absent else ""),
        "#modified = :seen AND attribute_not_exists(#gone)",
        names={f"#{each}": each for each in (*record, *absent)} | {"#gone": "is_going"},
        values={f":{each}": value for each, value in record.items()} | {":seen": old.modified},
    )
    writes = [change]
    if new.name != old.name:
        writes += [_guard(new.name, new.id), requests.delete(_table(), _guard_key(old.name))]
    if (new.ra, new.dec) != (old.ra, old.dec):
        writes += [requests.delete(_table(), card.key) for card in _cards(old) if card.key not in _card_keys(new)]
        writes += _cards(new)
    try:
        requests.transact(writes)
    except ConditionFailedError as error:
        if error.failed[0]:
            if "is_going" in (error.items[0] or {}):
                raise NotFoundError("Not found.") from None
            raise TargetChangedError from None
        raise InvalidInputError.of("name", "target with this name already exists.", "value_error.unique") from None


def mark_going(target_id: int) -> Target:
    """Mark a target as being deleted, so that nothing new is added to it, and return it. One UpdateItem.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    try:
        return from_record(requests.run(requests.mark_going(_table(), key(target_id))))
    except ConditionFailedError:
        raise NotFoundError("Not found.") from None


def delete(target: Target) -> None:
    """Delete the record of a target, of which nothing else is left. One transaction; done already is done."""
    writes = [
        requests.delete(_table(), key(target.id), "attribute_exists(pk)"),
        requests.delete(_table(), _guard_key(target.name)),
        *(requests.delete(_table(), each) for each in _card_keys(target)),
        lists.leave(LIST),
    ]
    try:
        requests.transact(writes)
    except ConditionFailedError:
        return


def separation(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    """Return the angle between two positions by the haversine formula; all in degrees."""
    phi1, phi2 = math.radians(dec1), math.radians(dec2)
    half_ra, half_dec = math.radians(ra2 - ra1) / 2, (phi2 - phi1) / 2
    chord = math.sin(half_dec) ** 2 + math.cos(phi1) * math.cos(phi2) * math.sin(half_ra) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(chord))))


def from_record(item: dict[str, Any]) -> Target:
    """Return the target that an item of the table holds."""
    return Target(
        id=item["id"],
        name=item["name"],
        created=item["created"],
        modified=item["modified"],
        type=item["type"],
        ra=_degrees(item.get("ra")),
        dec=_degrees(item.get("dec")),
        extra_fields=unpack(item["extra_fields"]),
    )


def _degrees(value: Any) -> float | None:
    return None if value is None else float(value)


def _record(target: Target) -> dict[str, Any]:
    packed = pack(target.extra_fields)
    check_free_form_size("extra_fields", packed)
    return {
        "id": target.id,
        "name": target.name,
        "type": target.type,
        "created": target.created,
        "modified": target.modified,
        "extra_fields": packed,
        **({"ra": number(target.ra)} if target.ra is not None else {}),
        **({"dec": number(target.dec)} if target.dec is not None else {}),
    }


def _guard_key(name: str) -> Key:
    return {"pk": f"TARGETNAME#{name}", "sk": "TARGETNAME"}


def _guard(name: str, target_id: int) -> Write:
    return requests.put(_table(), _guard_key(name), {"target_id": target_id}, "attribute_not_exists(pk)")


def _card_keys(target: Target) -> list[Key]:
    if target.ra is None or target.dec is None:
        return []
    return [{"pk": f"SKY#{_zone(target.dec)}", "sk": f"{target.ra:011.7f}#{target.id}"}]


def _cards(target: Target) -> list[Write]:
    if target.ra is None or target.dec is None:
        return []
    card = {"target_id": target.id, "ra": number(target.ra), "dec": number(target.dec)}
    return [requests.put(_table(), each, card) for each in _card_keys(target)]


def _zone(dec: float) -> int:
    return math.floor(dec)


def _ra_ranges(ra: float, dec: float, radius: float) -> Iterator[tuple[float, float]]:
    """Yield the ranges of right ascension that a cone can touch; the whole circle where it holds a pole."""
    if abs(dec) + radius >= 90:
        yield 0.0, 360.0
        return
    half = math.degrees(math.asin(min(1.0, math.sin(math.radians(radius)) / math.cos(math.radians(dec)))))
    low, high = ra - half, ra + half
    yield max(low, 0.0), min(high, 360.0)
    if low < 0:
        yield low + 360, 360.0
    if high > 360:
        yield 0.0, high - 360


def _explain(error: ConditionFailedError) -> InvalidInputError:
    if error.failed[0]:
        return InvalidInputError.of("name", "target with this name already exists.", "value_error.unique")
    return InvalidInputError.of("id", "target with this id already exists.", "value_error.unique")


def _table() -> str:
    return get_settings().telescope_table
