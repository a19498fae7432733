"""Observation templates: `pk=TEMPLATE#<id>, sk=TEMPLATE`, with a card in the partition of their target.

The card (`pk=TARGET#<target>, sk=OBSERVATIONTEMPLATE#<facility>#<name>`) is a copy. It makes sure that a target has one
template of a name and facility, lists the templates of a target, and is read with it when an observation is asked for.
"""

from collections.abc import Sequence
from typing import Any

from chalicelib.errors import InvalidInputError, NotFoundError
from chalicelib.models.names import MAX_TITLE_LENGTH
from chalicelib.models.observation_templates import MAX_FIELDS_BYTES, MAX_PER_TARGET, ObservationTemplate
from chalicelib.models.targets import Target
from chalicelib.settings import get_settings
from chalicelib.storage import counters, lists, requests, targets
from chalicelib.storage.freeform import check_size, pack, unpack
from chalicelib.storage.requests import ConditionFailedError, Key, Write

LIST = "OBSERVATIONTEMPLATES"
_CARDS = ("OBSERVATIONTEMPLATE#", "OBSERVATIONTEMPLATE$")
"""Cards lie between these: `$` is what follows `#`."""

_TAKEN = "observation template with this name already exists for this target and facility."


class TemplateChangedError(Exception):
    """Raised when somebody else changed the template since it was read."""


def key(template_id: int) -> Key:
    """Return the key of a template."""
    return {"pk": f"TEMPLATE#{template_id}", "sk": "TEMPLATE"}


def next_id() -> int:
    """Return the id of the next template."""
    return counters.next_id("TEMPLATE")


def create(template: ObservationTemplate, also: Sequence[Write] = ()) -> None:
    """Keep a new template, together with other writes. One transaction.

    Conditions: its target exists, has room, and has none of this name.

    Raises
    ------
    InvalidInputError
        If one of these does not hold, or `fields` is too large.
    """
    record = _record(template)

    def writes_at(place: lists.Place) -> list[Write]:
        return [
            _count_one_more(template.target_id),
            requests.put(_table(), _card_key(template), record, "attribute_not_exists(pk)"),
            requests.put(_table(), key(template.id), record | place._asdict(), "attribute_not_exists(pk)"),
            *also,
        ]

    try:
        lists.join(_table(), LIST, f"{template.id:015d}", writes_at)
    except ConditionFailedError as error:
        if error.failed[0]:
            raise _explain_target(template.target_id, error.items[0]) from None
        raise InvalidInputError.of("name", _TAKEN, "value_error.unique") from None


def get(template_id: int) -> ObservationTemplate:
    """Return a template. One GetItem.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    item = requests.get(_table(), key(template_id))
    if item is None:
        raise NotFoundError("Not found.")
    return from_record(item)


def find(target_id: int, facility: str, name: str) -> tuple[Target | None, ObservationTemplate | None]:
    """Return a target, and its template of this name and facility; None for what does not exist. One BatchGetItem."""
    keys = [targets.key(target_id)]
    if max(len(facility), len(name)) <= MAX_TITLE_LENGTH:  # DynamoDB refuses to look for a key that is too long
        keys.append(_key_of_card(target_id, facility, name))
    target: Target | None = None
    template: ObservationTemplate | None = None
    for item in requests.get_many(_table(), keys):
        if item["sk"] == "TARGET":
            target = targets.from_record(item)
        elif (item["facility"], item["name"]) == (facility, name):  # a `#` in a name can stand in a facility's, too
            template = from_record(item)
    return target, template


def read_page(limit: int, cursor: str | None) -> tuple[list[ObservationTemplate], int, lists.Page]:
    """Return templates in the order of their ids, how many there are, and the page with its cursors."""
    page = lists.read(_table(), LIST, limit, cursor, lists.MAX_PAGE_BYTES)
    return [from_record(item) for item in page.items], lists.count(LIST), page


def read_page_of_target(
    target_id: int, facility: str | None, name: str | None, limit: int, cursor: str | None
) -> tuple[list[ObservationTemplate], int, lists.Page]:
    """Return templates of a target in the order of their ids, how many there are, and the page with its cursors.

    Those of all facilities and names, where these are None. One Query per MB of the target's templates.
    """
    cards = sorted(_cards(target_id), key=lambda card: int(card["id"]))
    cards = [card for card in cards if facility in (None, card["facility"]) and name in (None, card["name"])]
    page = _cut(cards, limit, cursor)
    return [from_record(card) for card in page.items], len(cards), page


def ids_of_target(target_id: int) -> list[int]:
    """Return the ids of the templates of a target. One Query per MB of them."""
    return [card["id"] for card in _cards(target_id)]


def replace(old: ObservationTemplate, new: ObservationTemplate) -> None:
    """Put `new` in the place of `old`. One transaction (conditions: nobody changed it since it was read; the target stays).

    Raises
    ------
    NotFoundError
        If its target is being deleted.
    TemplateChangedError
        If somebody did, or deleted it.
    InvalidInputError
        If the new name is in use, or `fields` is too large.
    """
    record = _record(new)
    is_renamed = _card_key(new) != _card_key(old)
    writes = [
        requests.update(
            _table(),
            key(old.id),
            "SET " + ", ".join(f"#{each} = :{each}" for each in record),
            "#modified = :seen",
            names={f"#{each}": each for each in record},
            values={f":{each}": value for each, value in record.items()} | {":seen": old.modified},
        ),
        targets.exists(old.target_id),
        requests.put(_table(), _card_key(new), record, "attribute_not_exists(pk)" if is_renamed else None),
    ]
    if is_renamed:
        writes.append(requests.delete(_table(), _card_key(old)))
    try:
        requests.transact(writes)
    except ConditionFailedError as error:
        if error.failed[0]:
            raise TemplateChangedError from None
        if error.failed[1]:
            raise NotFoundError("Not found.") from None
        raise InvalidInputError.of("name", _TAKEN, "value_error.unique") from None


def delete(template: ObservationTemplate) -> None:
    """Delete a template. One transaction (condition: nobody changed it since it was read).

    Raises
    ------
    TemplateChangedError
        If somebody did, or deleted it.
    """
    writes = [
        requests.delete(
            _table(),
            key(template.id),
            "#modified = :seen",
            names={"#modified": "modified"},
            values={":seen": template.modified},
        ),
        requests.delete(_table(), _card_key(template)),
        requests.update(
            _table(),
            targets.key(template.target_id),
            "ADD #count :minus",
            "attribute_exists(pk)",
            names={"#count": "template_count"},
            values={":minus": -1},
        ),
        lists.leave(LIST),
    ]
    try:
        requests.transact(writes)
    except ConditionFailedError:
        raise TemplateChangedError from None


def from_record(item: dict[str, Any]) -> ObservationTemplate:
    """Return the template that an item of the table, record or card, holds."""
    return ObservationTemplate(
        id=item["id"],
        name=item["name"],
        target_id=item["target_id"],
        facility=item["facility"],
        fields=unpack(item["fields"]),
        created=item["created"],
        modified=item["modified"],
    )


def _record(template: ObservationTemplate) -> dict[str, Any]:
    packed = pack(template.fields)
    check_size("fields", *packed.keys(), *packed.values(), limit=MAX_FIELDS_BYTES)
    return {
        "id": template.id,
        "name": template.name,
        "target_id": template.target_id,
        "facility": template.facility,
        "fields": packed,
        "created": template.created,
        "modified": template.modified,
    }


def _cards(target_id: int) -> list[dict[str, Any]]:
    return list(requests.query(_table(), f"TARGET#{target_id}", between=_CARDS))


def _card_key(template: ObservationTemplate) -> Key:
    return _key_of_card(template.target_id, template.facility, template.name)


def _key_of_card(target_id: int, facility: str, name: str) -> Key:
    return {"pk": f"TARGET#{target_id}", "sk": f"{_CARDS[0]}{facility}#{name}"}


def _count_one_more(target_id: int) -> Write:
    return requests.update(
        _table(),
        targets.key(target_id),
        "ADD #count :one",
        "attribute_exists(pk) AND attribute_not_exists(#gone) AND (attribute_not_exists(#count) OR #count < :most)",
        names={"#count": "template_count", "#gone": "is_going"},
        values={":one": 1, ":most": MAX_PER_TARGET},
    )


def _explain_target(target_id: int, found: dict[str, Any] | None) -> InvalidInputError:
    if found is None or "is_going" in found:
        return InvalidInputError.of("target", f'Invalid pk "{target_id}" - object does not exist.')
    return InvalidInputError.of(
        "target", f"The target has {MAX_PER_TARGET} observation templates, which is all it may."
    )


def _cut(cards: list[dict[str, Any]], limit: int, cursor: str | None) -> lists.Page:
    """Return the page of cards, which are in the order of their ids, that a cursor leads to."""
    _, order, is_forward = lists.decode_cursor(LIST, cursor) if cursor else (0, "", True)
    if is_forward:
        behind = [card for card in cards if _order(card) > order]
        found = behind[:limit]
    else:
        before = [card for card in cards if _order(card) < order]
        found = before[-limit:]
    has_next = bool(found) and found[-1] is not cards[-1]
    has_previous = bool(found) and found[0] is not cards[0]
    return lists.Page(
        found,
        lists.encode_cursor(0, _order(found[-1]), is_forward=True) if has_next else None,
        lists.encode_cursor(0, _order(found[0]), is_forward=False) if has_previous else None,
    )


def _order(card: dict[str, Any]) -> str:
    return f"{card['id']:015d}"


def _table() -> str:
    return get_settings().telescope_table
