"""Archives of data product groups: one zip file, written to the bucket while its files are read from it."""

import re
import zipfile
from collections.abc import Callable, Sequence
from typing import IO, cast

from chalicelib import clock
from chalicelib.errors import ConflictError, NotFoundError
from chalicelib.models.data_products import DataProduct
from chalicelib.models.renditions import archive_of
from chalicelib.observability import logger
from chalicelib.services import renditions
from chalicelib.services.renditions import RETRIED_AFTER_S, CannotMakeError, check_archive
from chalicelib.settings import get_settings
from chalicelib.storage import artefacts, data_products
from chalicelib.storage import renditions as records
from chalicelib.storage.streaming import BucketWriter

MISSING = "MISSING.txt"
"""Member that names the files which were deleted while the archive was made."""

_PACKED = (".fz", ".gz", ".bz2", ".xz", ".zst", ".zip", ".png", ".jpg", ".jpeg", ".gif", ".mp4", ".webm")
"""Files that deflating makes no smaller."""

_LEVEL = 1
"""Of deflate. A 16-bit frame shrinks to 32 % at 90 MB/s; level 6 would make it 28 %, at 12 MB/s."""

# Separators, and what one system or another does not take in a name.
_NOT_IN_NAMES = re.compile(r'[/\\:*?"<>|\x00-\x1f]')


def make_archive(group_id: int, time_left_s: Callable[[], float]) -> None:
    """Make the archive of the files that a group has now, unless it is made; a deleted group needs none.

    Parameters
    ----------
    time_left_s : callable
        Returns the seconds that are left of the function's time.
    """
    try:
        _, members, _ = records.of_group(group_id)
    except NotFoundError:
        logger.info("nothing to make", extra={"group_id": group_id})
        return
    found = data_products.get_many(members)
    products = [found[each] for each in members if each in found]
    subject = archive_of(group_id, products)

    def work(go_on: Callable[[], None]) -> None:
        try:
            check_archive(products)
        except ConflictError as error:
            raise CannotMakeError(str(error)) from None
        _write(products, records.file_key(subject), lambda: _check_time(time_left_s, go_on))

    renditions.make(subject, work)


def _write(products: Sequence[DataProduct], key: str, go_on: Callable[[], None]) -> None:
    missing: list[str] = []
    # The writer has no `tell` and no `seek`, so sizes and checksums follow each file instead of standing before it.
    with BucketWriter(key) as writer, zipfile.ZipFile(cast("IO[bytes]", writer), "w") as archive:
        for product, name in zip(products, member_names(products), strict=True):
            try:
                size, pieces = artefacts.stream(product.key)
            except FileNotFoundError:
                missing.append(name)
                continue
            entry = zipfile.ZipInfo(name, clock.from_text(product.created).timetuple()[:6])
            entry.external_attr = 0o644 << 16
            entry.file_size = size  # decides on zip64
            entry.compress_type = zipfile.ZIP_STORED if name.lower().endswith(_PACKED) else zipfile.ZIP_DEFLATED
            entry._compresslevel = _LEVEL  # type: ignore[attr-defined] # `open` has no argument for it
            with archive.open(entry, "w") as member:
                for piece in pieces:
                    member.write(piece)
                    go_on()
        if missing:
            text = "These files were deleted while the archive was made:\n" + "".join(f"{each}\n" for each in missing)
            archive.writestr(MISSING, text)


def member_names(products: Sequence[DataProduct]) -> list[str]:
    """Return the names of files in an archive: none leads out of its folder, none is there twice in any case of letters.

    Files of two targets may have one name; all but the first have the id of the data product in front.
    """
    taken = {MISSING.lower()}
    names = []
    for product in products:
        name = _NOT_IN_NAMES.sub("_", product.name).rstrip(". ") or "_"
        while name.lower() in taken:
            name = f"{product.id}_{name}"
        taken.add(name.lower())
        names.append(name)
    return names


def _check_time(time_left_s: Callable[[], float], go_on: Callable[[], None]) -> None:
    if time_left_s() < get_settings().job_reserve_s:
        text = "The archive could not be made within 15 minutes. Download the files one by one, or split the group."
        raise CannotMakeError(text, RETRIED_AFTER_S)
    go_on()
