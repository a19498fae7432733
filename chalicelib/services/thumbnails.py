"""Thumbnails of data products; numpy and the image libraries are imported when the first one is made."""

import tempfile
from pathlib import Path

from chalicelib.errors import NotFoundError
from chalicelib.models.data_products import DataProduct
from chalicelib.models.renditions import Subject, thumbnail_of
from chalicelib.observability import logger
from chalicelib.services import renditions
from chalicelib.services.renditions import CannotMakeError
from chalicelib.storage import artefacts
from chalicelib.storage import renditions as records

MAX_FILE_BYTES = 5_000_000_000
"""The function has 10 GB of disk, and gzip data are unpacked beside the file."""


def make_thumbnail(product_id: int) -> None:
    """Make the thumbnail of a data product, unless it is made; one that was deleted meanwhile needs none."""
    try:
        product, _ = records.of_product(product_id)
    except NotFoundError:
        logger.info("nothing to make", extra={"product_id": product_id})
        return
    subject = thumbnail_of(product)
    renditions.make(subject, lambda _go_on: _put_thumbnail(product, subject))


def _put_thumbnail(product: DataProduct, subject: Subject) -> None:
    if product.size > MAX_FILE_BYTES:
        raise CannotMakeError(f"A thumbnail is made of files up to {MAX_FILE_BYTES / 1e9:g} GB.")
    try:
        picture = _picture(product)
    except FileNotFoundError:
        raise CannotMakeError(f"The file '{product.name}' is no longer there.") from None
    artefacts.put_bytes(records.file_key(subject), picture)


def _picture(product: DataProduct) -> bytes:
    from chalicelib.imaging import thumbnails
    from chalicelib.imaging.headers import FrameError

    # No need to fetch a large table to see that it is none. S3 has no first bytes of an empty file.
    start = artefacts.head(product.key, thumbnails.MAGIC_BYTES) if product.size else b""
    if thumbnails.find_reader(start) is None:
        raise CannotMakeError(f"Error in file '{product.name}': {thumbnails.UNKNOWN}")
    with tempfile.TemporaryDirectory(prefix="sidereal-") as folder:
        path = Path(folder) / "file"
        artefacts.fetch(product.key, path)
        try:
            return thumbnails.make_thumbnail(path, product.name)
        except FrameError as error:
            raise CannotMakeError(str(error)) from None
