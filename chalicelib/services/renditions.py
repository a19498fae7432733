"""Renditions on request: who asks first sends the message, all wait a little, and workers make each one once."""

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress

from chalicelib import clock
from chalicelib.errors import ClaimLostError, ConflictError, NotFoundError, UnavailableError
from chalicelib.models.data_products import DataProduct, Group
from chalicelib.models.messages import MakeArchive, MakeThumbnail
from chalicelib.models.renditions import Rendition, RenditionState, Subject, archive_of, thumbnail_of
from chalicelib.observability import logger
from chalicelib.settings import get_settings
from chalicelib.storage import artefacts, data_products, groups, queues, renditions
from chalicelib.storage.schema import MAX_DELIVERIES

POLL_S = 0.15
MADE_IN_VAIN = "It could not be made; an unexpected error occurred."

REMEMBERED_S = 30 * 86_400.0
"""How long it is remembered that a file holds no picture: files do not change."""

RETRIED_AFTER_S = 3600.0
"""After this time, what failed for reasons of our own is tried again, if anybody asks."""


class CannotMakeError(Exception):
    """Raised by what makes a rendition when the files are to blame; the text is for those who ask.

    Parameters
    ----------
    reason : str
        One sentence.
    remembered_s : float
        How long nobody need try again.
    """

    def __init__(self, reason: str, remembered_s: float = REMEMBERED_S) -> None:
        super().__init__(reason)
        self.remembered_s = remembered_s


def find_thumbnail(product_id: int, wait_s: float) -> str | None:
    """Return the key of the thumbnail of a data product; None if it is being made.

    Parameters
    ----------
    wait_s : float
        How long to wait for one that was asked for a moment ago.

    Raises
    ------
    NotFoundError
        If there is no such data product, or no picture in it: says why.
    UnavailableError
        If the queue does not take the message.
    """
    product, known = renditions.of_product(product_id)
    subject = thumbnail_of(product)
    found = _find(subject, known, MakeThumbnail(product_id=product_id), wait_s)
    if found.state == RenditionState.IMPOSSIBLE:
        raise NotFoundError(found.reason)
    return None if found.is_waiting else renditions.file_key(subject)


def find_archive(group_id: int, wait_s: float) -> tuple[Group, str | None]:
    """Return a group and the key of the archive of its files; None for a key if it is being made.

    Raises
    ------
    NotFoundError
        If there is no such group.
    ConflictError
        If it has no files, or too much for one archive.
    UnavailableError
        If the queue does not take the message.
    """
    group, members, known = renditions.of_group(group_id)
    products = list(data_products.get_many(members).values())
    check_archive(products)
    subject = archive_of(group_id, products)
    found = _find(subject, known, MakeArchive(group_id=group_id), wait_s)
    if found.state == RenditionState.IMPOSSIBLE:
        raise ConflictError(found.reason)
    return group, None if found.is_waiting else renditions.file_key(subject)


def check_archive(products: list[DataProduct]) -> None:
    """Refuse what cannot become an archive within the time of a function.

    Raises
    ------
    ConflictError
        If there are no files, or too much.
    """
    if not products:
        raise ConflictError("The group has no files.")
    total, limit = sum(product.size for product in products), get_settings().archive_max_bytes
    if total > limit:
        raise ConflictError(
            f"The files of the group have {total / 1e9:.1f} GB together; an archive takes {limit / 1e9:g} GB. "
            "Download them one by one, or split the group."
        )


def delete_group(group_id: int) -> None:
    """Delete a group with its archives; its products stay.

    Raises
    ------
    NotFoundError
        If there is none of this id.
    """
    groups.delete(group_id)
    # The archives go behind the group: one that is finished just now sees that its group is gone, and removes itself.
    artefacts.delete(artefacts.list_keys(renditions.archive_folder(group_id)))
    renditions.forget_group(group_id)


def make(subject: Subject, work: Callable[[Callable[[], None]], None]) -> None:
    """Let one worker make a rendition; do nothing if another one does, or it is settled.

    Parameters
    ----------
    work : callable
        Puts the file at its key. It is given a function that says that the work goes on, to be called every few
        seconds, which raises `ClaimLostError` when somebody else took over.

    Anything that goes wrong but `CannotMakeError` is raised, after the rendition was given back: the message is to be
    delivered again.
    """
    token, lease_s = uuid.uuid4().hex, get_settings().job_lease_s
    next_sign = time.monotonic() + lease_s / 4

    def go_on() -> None:
        nonlocal next_sign
        if time.monotonic() >= next_sign:
            renditions.hold(subject, token, _now() + lease_s)
            next_sign = time.monotonic() + lease_s / 4

    try:
        if renditions.claim(subject, token, _now(), _now() + lease_s) > MAX_DELIVERIES:
            give_up(subject)  # its workers died without a word, more than once
            return
        work(go_on)
    except ClaimLostError as error:
        logger.info("nothing to make", extra={"subject": vars(subject), "reason": str(error)})
    except CannotMakeError as error:
        logger.info("a rendition is impossible", extra={"subject": vars(subject), "reason": str(error)})
        renditions.refuse(subject, str(error), _now(), error.remembered_s)
    except Exception:
        with suppress(ClaimLostError):  # then it is another worker's already
            renditions.release(subject, token)
        raise
    else:
        if not renditions.finish(subject, _now()):
            artefacts.delete([renditions.file_key(subject)])


def give_up(subject: Subject) -> None:
    """Remember for a while that a rendition was tried in vain."""
    logger.error("rendition given up", extra={"subject": vars(subject)})
    renditions.refuse(subject, MADE_IN_VAIN, _now(), RETRIED_AFTER_S)


def give_up_message(message: MakeThumbnail | MakeArchive) -> None:
    """Give up what a message asks for that was delivered as often as is allowed; what is deleted needs nothing."""
    try:
        if isinstance(message, MakeThumbnail):
            product, _ = renditions.of_product(message.product_id)
            subject = thumbnail_of(product)
        else:
            _, members, _ = renditions.of_group(message.group_id)
            subject = archive_of(message.group_id, data_products.get_many(members).values())
    except NotFoundError:
        logger.info("nothing to give up", extra={"job": message.model_dump()})
        return
    give_up(subject)


def _find(
    subject: Subject, known: Mapping[str, Rendition], message: MakeThumbnail | MakeArchive, wait_s: float
) -> Rendition:
    """Return a rendition as it is after waiting a little; ask for it if nobody sees to it."""
    now, found = _now(), known.get(subject.fingerprint)
    if found is not None and not _is_abandoned(found, now):
        # One that takes long is not waited for by every request anew.
        wait_s -= max(0.0, now - found.asked_at)
    else:
        if renditions.ask(subject, found, now, now + get_settings().job_lease_s):
            _send(subject, message)
        found = Rendition(subject.fingerprint, RenditionState.ASKED, now, now, int(now))
    end = time.monotonic() + wait_s
    while found.is_waiting and time.monotonic() < end:
        time.sleep(POLL_S)
        found = renditions.find(subject) or found
    return found


def _is_abandoned(found: Rendition, now: float) -> bool:
    return found.expires_at < now or (found.is_waiting and found.held_until < now)


def _send(subject: Subject, message: MakeThumbnail | MakeArchive) -> None:
    try:
        queues.send_make_rendition(message)
    except UnavailableError:
        renditions.forget(subject)  # or else nobody would ask again for a while
        raise


def _now() -> float:
    return clock.now().timestamp()
