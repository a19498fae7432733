"""Data products: uploads through the API or past it, downloads, groups."""

from dataclasses import replace
from typing import Any

from chalice import Blueprint

from chalicelib import clock
from chalicelib.errors import ConflictError, FieldError, InvalidInputError, NotFoundError, SiderealError
from chalicelib.handlers import paging
from chalicelib.handlers.body import UploadedFile
from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import EMPTY, REDIRECT, operation
from chalicelib.handlers.replies import TELESCOPE, Reply, Upload
from chalicelib.handlers.request import Request
from chalicelib.handlers.targets import page_of
from chalicelib.models.answers import Listing
from chalicelib.models.data_products import (
    FITS_FILE,
    FITS_MAGIC_BYTES,
    CreatedProduct,
    DataProduct,
    Group,
    GroupChange,
    GroupInput,
    GroupSummary,
    PresignedInput,
    PublicGroup,
    PublicProduct,
    UploadInput,
    check_file_name,
    default_type,
    is_fits_start,
    segment_of,
)
from chalicelib.models.fields import MAX_ID
from chalicelib.models.validation import validate_telescope
from chalicelib.services.processes import delete_product as delete_with_file
from chalicelib.services.renditions import delete_group as delete_with_archives
from chalicelib.settings import get_settings
from chalicelib.storage import artefacts, data_products, groups, targets

blueprint = Blueprint(__name__)
router = Router(blueprint, TELESCOPE)

_UPLOAD = {
    "type": "object",
    "description": "A file, with what it is; repeat `group` for each of several groups.",
    "properties": {
        "file": {"type": "string", "contentMediaType": "application/octet-stream"},
        "target": {"type": "integer", "minimum": 1, "maximum": MAX_ID},
        "data_product_type": {"type": "string", "maxLength": 50},
        "group": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": MAX_ID}, "maxItems": 20},
    },
    "required": ["file", "target"],
    "additionalProperties": False,
}


@operation({200: Listing[PublicProduct]}, parameters=(paging.TARGET, paging.LIMIT, paging.NEXT))
def list_products(request: Request) -> Reply:
    """List the data products of a target by id."""
    target_id = paging.target_of(request)
    limit = paging.limit_of(request, 100)
    found, total, page = data_products.read_page(target_id, limit, request.query.get("next"))
    return page_of([product.public() for product in found], total, page, request)


@operation(
    {201: CreatedProduct},
    takes=PresignedInput,
    requestBody={"content": {"multipart/form-data": {"schema": _UPLOAD}}},
)
def create_product(request: Request) -> Reply:
    """Upload a file (multipart), or ask for a presigned upload (JSON)."""
    if request.is_multipart:
        return _upload(request)
    given = validate_telescope(PresignedInput, request.json_object())
    limit = get_settings().max_upload_bytes
    if given.size > limit:
        raise InvalidInputError.of("size", f"Ensure this value is less than or equal to {limit}.")
    product = replace(_new_product(given, given.filename, given.size), is_uploading=True)
    expires_at = int(clock.now().timestamp()) + get_settings().upload_lifetime_s

    def reserved(product: DataProduct) -> Reply:
        arrival = artefacts.upload_key(product.target_id, product.id, product.name)
        return _created(product, request, Upload(arrival, product.size, expires_at))

    return reserved(data_products.reserve(product, expires_at, lambda product: request.seal(reserved(product))))


@operation({200: PublicProduct}, refuses=(409,))
def complete_product(request: Request) -> Reply:
    """Say that a presigned upload has been done."""
    product = data_products.get(request.id("product_id"), int(clock.now().timestamp()))
    if product.is_uploading:
        arrival = artefacts.upload_key(product.target_id, product.id, product.name)
        size = artefacts.size(arrival)
        if size is None:
            raise ConflictError("The file has not been uploaded yet.")
        if size == 0:
            raise InvalidInputError.of("file", "The submitted file is empty.")
        try:
            if product.data_product_type == FITS_FILE:
                _check_fits(artefacts.head(arrival, FITS_MAGIC_BYTES))
            artefacts.copy(arrival, product.key)
        except FileNotFoundError:  # it was there a moment ago
            raise ConflictError("Another request completes or deletes this upload; ask again.") from None
        product = data_products.complete(replace(product, size=size))
        artefacts.delete([arrival])
    return Reply(product.public())


@operation({200: PublicProduct})
def get_product(request: Request) -> Reply:
    """Show a data product."""
    return Reply(data_products.get(request.id("product_id")).public())


@operation({204: EMPTY})
def delete_product(request: Request) -> Reply:
    """Delete a data product with its file, or give up an upload that is not complete."""
    product = data_products.get(request.id("product_id"), int(clock.now().timestamp()))
    if product.is_uploading:
        artefacts.delete([artefacts.upload_key(product.target_id, product.id, product.name)])
    delete_with_file(product)
    return Reply(None, 204)


@operation({302: REDIRECT})
def download(request: Request) -> Reply:
    """Send the caller to the file itself, by a link that lasts for minutes."""
    key, name = data_products.find_by_address(request.params["folder"], request.params["file_name"])
    return Reply(None, 302, {"Location": artefacts.download_link(key, name), "Cache-Control": "no-store"})


@operation({200: Listing[GroupSummary]}, parameters=(paging.LIMIT, paging.NEXT))
def list_groups(request: Request) -> Reply:
    """List groups by id."""
    found, total, page = groups.read_page(paging.limit_of(request, 100), request.query.get("next"))
    return page_of([group.summary() for group in found], total, page, request)


@operation({201: PublicGroup}, takes=GroupInput)
def create_group(request: Request) -> Reply:
    """Create a data product group."""
    given = validate_telescope(GroupInput, request.json_object())
    group = Group(groups.next_id(), given.name, clock.to_text(clock.now()))
    location = f"{request.stage_prefix}/api/dataproductgroups/{group.id}/"
    reply = Reply(group.public([]), 201, {"Location": location})
    groups.create(group, request.seal(reply))
    return reply


@operation({200: PublicGroup})
def get_group(request: Request) -> Reply:
    """Show a group with the ids of its products."""
    group, members = groups.get(request.id("group_id"))
    return Reply(group.public(members))


@operation({200: PublicGroup}, takes=GroupChange)
def change_group(request: Request) -> Reply:
    """Rename a group, let products join and leave it."""
    change = validate_telescope(GroupChange, request.json_object())
    group_id = request.id("group_id")
    groups.get(group_id)
    known = data_products.get_many([*change.add, *change.remove])
    faults = [
        FieldError((field,), f'Invalid pk "{each}" - object does not exist.')
        for field in ("add", "remove")
        for each in getattr(change, field)
        if each not in known
    ]
    if faults:
        raise InvalidInputError(faults)
    if change.name:
        groups.rename(group_id, change.name)
    groups.add(group_id, change.add)
    groups.remove(group_id, change.remove)
    group, members = groups.get(group_id)
    return Reply(group.public(members))


@operation({204: EMPTY})
def delete_group(request: Request) -> Reply:
    """Delete a group; its products stay."""
    delete_with_archives(request.id("group_id"))
    return Reply(None, 204)


def _upload(request: Request) -> Reply:
    form = request.form()
    files = [file for field, several in form.files.items() if field == "file" for file in several]
    stray = [field for field in form.files if field != "file"]
    values: dict[str, Any] = {field: texts if field == "group" else texts[-1] for field, texts in form.fields.items()}
    if stray:
        raise InvalidInputError([FieldError((field,), "Unknown field.") for field in stray])
    given = validate_telescope(UploadInput, values)
    if len(files) != 1:
        raise InvalidInputError.of("file", "No file was submitted." if not files else "Submit one file at a time.")
    file = _checked(files[0])
    product = _new_product(given, file.name, len(file.content))
    if product.data_product_type == FITS_FILE:
        _check_fits(file.content[:FITS_MAGIC_BYTES])
    artefacts.put_bytes(product.key, file.content)
    try:
        product = data_products.create(product, seal=lambda product: request.seal(_created(product, request)))
    except SiderealError:
        artefacts.delete([product.key])  # no record will ever name it
        raise
    return _created(product, request)


def _checked(file: UploadedFile) -> UploadedFile:
    if not file.content:
        raise InvalidInputError.of("file", "The submitted file is empty.")
    try:
        return replace(file, name=check_file_name(file.name))
    except ValueError as error:
        raise InvalidInputError.of("file", str(error)) from None


def _check_fits(start: bytes) -> None:
    if not is_fits_start(start):
        raise InvalidInputError.of("file", "This is not a FITS file: it does not begin with SIMPLE, nor is it gzipped.")


def _new_product(given: UploadInput, name: str, size: int) -> DataProduct:
    try:
        target = targets.get(given.target)
    except NotFoundError:
        raise InvalidInputError.of("target", f'Invalid pk "{given.target}" - object does not exist.') from None
    product_id = data_products.next_id()
    return DataProduct(
        id=product_id,
        target_id=target.id,
        name=name,
        data_product_type=given.data_product_type or default_type(name),
        size=size,
        key=artefacts.product_key(target.id, product_id, name),
        folder=segment_of(target.name),
        created=clock.to_text(clock.now()),
        groups=tuple(dict.fromkeys(given.group)),
    )


def _created(product: DataProduct, request: Request, upload: Upload | None = None) -> Reply:
    location = f"{request.stage_prefix}/api/dataproducts/{product.id}/"
    return Reply(product.public(), 201, {"Location": location}, upload)


router.add("/api/dataproducts", GET=list_products, POST=create_product)
router.add("/api/dataproducts/{product_id}", GET=get_product, DELETE=delete_product)
router.add("/api/dataproducts/{product_id}/complete", POST=complete_product)
router.add("/api/dataproductgroups", GET=list_groups, POST=create_group)
router.add("/api/dataproductgroups/{group_id}", GET=get_group, PATCH=change_group, DELETE=delete_group)
router.add("/data/{folder}/{observation}/{file_name}", GET=download)
