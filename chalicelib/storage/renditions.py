"""Renditions: `sk=RENDITION#<fingerprint>` in the partition of the data product or the group that they show.

Nothing here is worth keeping for ever: every record has `expires_at`, and the file that it speaks of goes a little later
by a rule of the bucket.
"""

from typing import Any

from chalicelib.errors import ClaimLostError, NotFoundError
from chalicelib.models.data_products import DataProduct, Group
from chalicelib.models.renditions import Rendition, RenditionKind, RenditionState, Subject
from chalicelib.settings import get_settings
from chalicelib.storage import data_products, groups, requests
from chalicelib.storage.convert import number
from chalicelib.storage.requests import ConditionFailedError, Key, Write
from chalicelib.storage.schema import KEPT_DAYS

_DAY_S = 86_400
_FOLDERS = {RenditionKind.THUMBNAIL: "thumbnails", RenditionKind.ARCHIVE: "archives"}
_SUFFIXES = {RenditionKind.THUMBNAIL: ".png", RenditionKind.ARCHIVE: ".zip"}


def key(subject: Subject) -> Key:
    """Return the key of a rendition's record."""
    owner = "DATAPRODUCT" if subject.kind == RenditionKind.THUMBNAIL else "GROUP"
    return {"pk": f"{owner}#{subject.record_id}", "sk": f"RENDITION#{subject.fingerprint}"}


def file_key(subject: Subject) -> str:
    """Return the key of a rendition's file: the same, however often it is made."""
    return f"{_FOLDERS[subject.kind]}/{subject.record_id}/{subject.fingerprint}{_SUFFIXES[subject.kind]}"


def archive_folder(group_id: int) -> str:
    """Return what the keys of all archives of a group begin with."""
    return f"{_FOLDERS[RenditionKind.ARCHIVE]}/{group_id}/"


def of_product(product_id: int) -> tuple[DataProduct, dict[str, Rendition]]:
    """Return a data product and its renditions by fingerprint. One Query of its partition.

    Raises
    ------
    NotFoundError
        If there is none of this id, or its upload is not complete.
    """
    product: DataProduct | None = None
    found: dict[str, Rendition] = {}
    for item in requests.query(_table(), f"DATAPRODUCT#{product_id}"):
        if item["sk"] == "DATAPRODUCT":
            product = data_products.from_record(item)
        else:
            found[item["fingerprint"]] = _from_record(item)
    if product is None or product.is_uploading:
        raise NotFoundError("Not found.")
    return product, found


def of_group(group_id: int) -> tuple[Group, list[int], dict[str, Rendition]]:
    """Return a group, the ids of its products, and its renditions by fingerprint. One Query of its partition per MB.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    group: Group | None = None
    members: list[int] = []
    found: dict[str, Rendition] = {}
    for item in requests.query(_table(), f"GROUP#{group_id}"):
        if item["sk"] == "GROUP":
            group = groups.from_record(item)
        elif "product_id" in item:
            members.append(item["product_id"])
        else:
            found[item["fingerprint"]] = _from_record(item)
    if group is None:
        raise NotFoundError("Not found.")
    return group, members, found


def find(subject: Subject) -> Rendition | None:
    """Return a rendition, or None. One GetItem."""
    item = requests.get(_table(), key(subject))
    return _from_record(item) if item else None


def ask(subject: Subject, seen: Rendition | None, now: float, held_until: float) -> bool:
    """Note that a rendition is asked for; False if somebody else was faster, and sees to it. One request.

    Parameters
    ----------
    seen : Rendition, optional
        What was there a moment ago.
    """
    if seen is not None and seen.expires_at >= now:
        # nobody saw to it in time: how often it was tried still counts
        write = requests.update(
            _table(),
            key(subject),
            "SET #asked = :now, #held = :until REMOVE #claim",
            "#state = :asked AND #held < :now",
            names={"#state": "state", "#held": "held_until", "#asked": "asked_at", "#claim": "claim"},
            values={":now": number(now), ":until": number(held_until), ":asked": RenditionState.ASKED.value},
        )
    else:
        write = requests.put(
            _table(),
            key(subject),
            _record(subject, now, held_until),
            "attribute_not_exists(pk) OR #expires < :now",
            names={"#expires": "expires_at"},
            values={":now": number(now)},
        )
    try:
        requests.run(write)
    except ConditionFailedError:
        return False
    return True


def removal(subject: Subject) -> Write:
    """Describe removing the record of a rendition, for the transaction that deletes what it shows."""
    return requests.delete(_table(), key(subject))


def forget(subject: Subject) -> None:
    """Remove the record of a rendition. One DeleteItem."""
    requests.run(removal(subject))


def forget_group(group_id: int) -> None:
    """Remove the records of all archives of a group. One Query, and one DeleteItem each."""
    pk = f"GROUP#{group_id}"
    for item in requests.query(_table(), pk, between=("RENDITION#", "RENDITION#~")):
        requests.run(requests.delete(_table(), {"pk": pk, "sk": item["sk"]}))


def claim(subject: Subject, token: str, now: float, held_until: float) -> int:
    """Take a rendition for one worker, and return how often that was done so far, this time included. One UpdateItem.

    One that nobody asked for here is taken, too: the message may be that of another program.

    Raises
    ------
    ClaimLostError
        If another worker makes it, or it is made, or known to be impossible.
    """
    record = _record(subject, now, held_until)
    write = requests.update(
        _table(),
        key(subject),
        "SET #state = :asked, #held = :until, #claim = :token, #fingerprint = :fingerprint, #expires = :expires, "
        "#asked = if_not_exists(#asked, :now) ADD #tries :one",
        "attribute_not_exists(pk) OR #expires < :now"
        " OR (#state = :asked AND (attribute_not_exists(#claim) OR #held < :now))",
        names={
            "#state": "state",
            "#held": "held_until",
            "#claim": "claim",
            "#fingerprint": "fingerprint",
            "#expires": "expires_at",
            "#asked": "asked_at",
            "#tries": "tries",
        },
        values={
            ":asked": record["state"],
            ":until": record["held_until"],
            ":token": token,
            ":fingerprint": subject.fingerprint,
            ":expires": record["expires_at"],
            ":now": number(now),
            ":one": 1,
        },
    )
    try:
        return int(requests.run(write)["tries"])
    except ConditionFailedError:
        raise ClaimLostError("nothing to make: another worker makes it, or it is settled") from None


def hold(subject: Subject, token: str, held_until: float) -> None:
    """Say that a worker is still at it. One UpdateItem.

    Raises
    ------
    ClaimLostError
        If another one took over, or nobody needs it any more.
    """
    write = requests.update(
        _table(),
        key(subject),
        "SET #held = :until",
        "#claim = :token",
        names={"#claim": "claim", "#held": "held_until"},
        values={":token": token, ":until": number(held_until)},
    )
    _run_claimed(write)


def release(subject: Subject, token: str) -> None:
    """Let another delivery of the message claim a rendition. One UpdateItem.

    Raises
    ------
    ClaimLostError
        As for `hold`.
    """
    write = requests.update(
        _table(),
        key(subject),
        "REMOVE #claim",
        "#claim = :token",
        names={"#claim": "claim"},
        values={":token": token},
    )
    _run_claimed(write)


def finish(subject: Subject, now: float) -> bool:
    """Say that the file is there; False if what it shows has been deleted meanwhile. One transaction."""
    if subject.kind == RenditionKind.THUMBNAIL:
        is_there = requests.check_staying(_table(), data_products.key(subject.record_id))
    else:
        is_there = groups.exists(subject.record_id)
    made = _record(subject, now, now) | {"state": RenditionState.MADE.value}
    try:
        requests.transact([is_there, requests.put(_table(), key(subject), made)])
    except ConditionFailedError:
        return False
    return True


def refuse(subject: Subject, reason: str, now: float, forgotten_after_s: float) -> None:
    """Remember for a while that a rendition cannot be made, and why; one that is made stays. One PutItem."""
    record = _record(subject, now, now) | {
        "state": RenditionState.IMPOSSIBLE.value,
        "reason": reason,
        "expires_at": int(now + forgotten_after_s),
    }
    write = requests.put(
        _table(),
        key(subject),
        record,
        "attribute_not_exists(pk) OR #state = :asked",
        names={"#state": "state"},
        values={":asked": RenditionState.ASKED.value},
    )
    try:
        requests.run(write)
    except ConditionFailedError:
        return


def _run_claimed(write: Write) -> None:
    try:
        requests.run(write)
    except ConditionFailedError:
        raise ClaimLostError("the claim on the rendition no longer stands") from None


def _record(subject: Subject, now: float, held_until: float) -> dict[str, Any]:
    return {
        "fingerprint": subject.fingerprint,
        "state": RenditionState.ASKED.value,
        "asked_at": number(now),
        "held_until": number(held_until),
        "expires_at": int(now + KEPT_DAYS[_FOLDERS[subject.kind]] * _DAY_S),
    }


def _from_record(item: dict[str, Any]) -> Rendition:
    return Rendition(
        fingerprint=item["fingerprint"],
        state=item["state"],
        asked_at=float(item["asked_at"]),
        held_until=float(item["held_until"]),
        expires_at=item["expires_at"],
        tries=item.get("tries", 0),
        reason=item.get("reason", ""),
    )


def _table() -> str:
    return get_settings().telescope_table
