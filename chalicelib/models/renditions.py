"""Renditions: what is made of files on request, and kept for a while: thumbnails of data products, archives of groups."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.models.data_products import FITS_SUFFIXES, DataProduct

_PICTURE_SUFFIXES = (*FITS_SUFFIXES, ".gif", ".png", ".jpg", ".jpeg", ".mp4", ".webm")


class RenditionKind(StrEnum):
    """What can be asked for."""

    THUMBNAIL = "thumbnail"
    ARCHIVE = "archive"


class RenditionState(StrEnum):
    """How far one is: asked for, made, or known to be impossible."""

    ASKED = "asked"
    MADE = "made"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True)
class Subject:
    """What a rendition shows: one state of one record.

    Parameters
    ----------
    kind : RenditionKind
        Thumbnail or archive.
    record_id : int
        Id of the data product, or of the group.
    fingerprint : str
        Changes with the files: what was made of others is never mistaken for this.
    """

    kind: RenditionKind
    record_id: int
    fingerprint: str


@dataclass(frozen=True)
class Rendition:
    """One rendition as it is kept.

    Parameters
    ----------
    asked_at : float
        When it was last asked for; seconds since 1970, as the next two.
    held_until : float
        Until then somebody sees to it, and it need not be asked for again.
    expires_at : int
        When it counts as forgotten.
    tries : int
        How often a worker has begun to make it.
    reason : str
        Why it cannot be made.
    """

    fingerprint: str
    state: str
    asked_at: float
    held_until: float
    expires_at: int
    tries: int = 0
    reason: str = ""

    @property
    def is_waiting(self) -> bool:
        """Whether it is yet to be made."""
        return self.state == RenditionState.ASKED


def thumbnail_of(product: DataProduct) -> Subject:
    """Return the subject of a thumbnail: a file that an interrupted run made anew has another one."""
    return Subject(RenditionKind.THUMBNAIL, product.id, _fingerprint([product.key]))


def archive_of(group_id: int, products: Iterable[DataProduct]) -> Subject:
    """Return the subject of the archive of a group that has these files."""
    lines = sorted(f"{product.id} {product.key}" for product in products)
    return Subject(RenditionKind.ARCHIVE, group_id, _fingerprint(lines))


def may_have_picture(name: str) -> bool:
    """Say whether a thumbnail of a file of this name is worth asking for."""
    return name.lower().endswith(_PICTURE_SUFFIXES)


def _fingerprint(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
