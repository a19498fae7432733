"""Data products (files of a target) and their groups."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated, NotRequired
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from chalicelib import clock
from chalicelib.models.answers import Address, UnixTime
from chalicelib.models.fields import FileSize, RecordId
from chalicelib.models.names import Title

MAX_FILE_NAME = 200
PLOT = "plot"
PLOT_CARDS = "PLOT#"
"""What the keys of the entries of plots in the partition of their target begin with."""
FITS_FILE = "fits_file"
FITS_SUFFIXES = (".fits", ".fz", ".fit", ".fts", ".fits.gz")
_FITS_MAGIC = (b"SIMPLE  =", b"\x1f\x8b")
FITS_MAGIC_BYTES = 16
"""Bytes from the start of a file that tell whether it is FITS."""
_IMAGE_SUFFIXES = (".gif", ".png", ".jpg", ".jpeg", ".mp4", ".webm", ".svg")


def check_file_name(name: str) -> str:
    """Return the last part of a file name as a browser sends it, if it can be kept.

    Raises
    ------
    ValueError
        If it is empty, a folder, too long, or holds control characters.
    """
    name = re.split(r"[/\\]", name)[-1].strip()
    if name in ("", ".", ".."):
        raise ValueError("A file needs a name.")
    if len(name.encode()) > MAX_FILE_NAME:
        raise ValueError(f"Ensure this filename has at most {MAX_FILE_NAME} bytes.")
    if has_control_characters(name):
        raise ValueError("A file name must not contain control characters.")
    return name


def has_control_characters(name: str) -> bool:
    """Say whether a name holds control characters, line breaks, or halves of surrogate pairs."""
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name)


def default_type(name: str) -> str:
    """Return the kind of product that a file of this name is."""
    lower = name.lower()
    if lower.endswith(FITS_SUFFIXES):
        return FITS_FILE
    return "image_file" if lower.endswith(_IMAGE_SUFFIXES) else ""


def is_fits_start(start: bytes) -> bool:
    """Say whether a file that begins like this is FITS, or gzipped."""
    return start.startswith(_FITS_MAGIC)


def segment_of(name: str) -> str:
    """Return the path segment that stands for a target or a file in addresses: its name without `/ \\ % ? #`.

    Gateways differ in how often they decode a path: what is left comes through all of them alike.
    """
    segment = re.sub(r"[/\\%?#]", "_", name)
    # browsers take these for the folder itself and the one above
    return segment.replace(".", "_") if segment in (".", "..") else segment


ProductType = Annotated[str, Field(max_length=50)]


class UploadInput(BaseModel):
    """The fields beside the file of a multipart upload."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    target: RecordId
    data_product_type: ProductType = ""
    group: list[RecordId] = Field(default=[], max_length=20)


class PresignedInput(UploadInput):
    """Body that asks for a presigned upload; `size` in bytes."""

    filename: Annotated[str, AfterValidator(check_file_name)]
    size: FileSize


class GroupInput(BaseModel):
    """Body of a new data product group."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    name: Title


class GroupChange(BaseModel):
    """Body of a change of a group: products that join and leave."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    name: Title = ""
    add: list[RecordId] = Field(default=[], max_length=500)
    remove: list[RecordId] = Field(default=[], max_length=500)


class PublicProduct(TypedDict):
    """A data product as the API shows it; `size` in bytes."""

    id: int
    target: int
    name: str
    data_product_type: str
    size: int
    url: Address
    groups: list[int]
    created: UnixTime


class UploadForm(TypedDict):
    """A form that is sent to the bucket as multipart/form-data: the fields, and the `file` as the last of them."""

    url: str
    fields: dict[str, str]


class CreatedProduct(PublicProduct):
    """A data product that was created; with `upload`, its file is still to be sent."""

    upload: NotRequired[UploadForm]


class GroupSummary(TypedDict):
    """A data product group as lists show it."""

    id: int
    name: str
    created: UnixTime


class PublicGroup(GroupSummary):
    """A data product group with the ids of its products."""

    products: list[int]


@dataclass(frozen=True)
class DataProduct:
    """One data product as it is kept; `size` in bytes, `key` in the bucket, `folder` in its address."""

    id: int
    target_id: int
    name: str
    data_product_type: str
    size: int
    key: str
    folder: str
    created: str
    groups: tuple[int, ...] = ()
    process_id: int | None = None
    is_uploading: bool = False
    timelapse_card: str | None = None

    @property
    def url(self) -> str:
        """The relative address from which the file is downloaded."""
        return f"/data/{quote(self.folder, safe='')}/none/{quote(self.address_name, safe='')}"

    @property
    def address_name(self) -> str:
        """The file name as it stands in the address."""
        return segment_of(self.name)

    @property
    def plot_card(self) -> str | None:
        """The sort key of a plot's entry in the partition of its target, which finds the newest one; None for others."""
        return f"{PLOT_CARDS}{self.created}#{self.id:015d}" if self.data_product_type == PLOT else None

    def public(self) -> PublicProduct:
        """Return the form in which the API shows it."""
        return {
            "id": self.id,
            "target": self.target_id,
            "name": self.name,
            "data_product_type": self.data_product_type,
            "size": self.size,
            "url": self.url,
            "groups": sorted(self.groups),
            "created": clock.to_unix(self.created),
        }


@dataclass(frozen=True)
class Group:
    """One data product group as it is kept."""

    id: int
    name: str
    created: str

    def summary(self) -> GroupSummary:
        """Return the form in which lists show it."""
        return {"id": self.id, "name": self.name, "created": clock.to_unix(self.created)}

    def public(self, products: list[int]) -> PublicGroup:
        """Return the form in which the API shows it, with its products."""
        return {**self.summary(), "products": products}
