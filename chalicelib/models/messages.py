"""Bodies of the queue messages. A user's own program may send them; docs/data-model.md shows how."""

from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter

Token = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
"""What tells one request from another: visible ASCII characters."""


class RunProcess(BaseModel):
    """Ask a job function to run one process; everything else stands in the record of the process."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    version: Literal[1] = 1
    process_id: PositiveInt


class StartProcess(BaseModel):
    """Ask for a new process, with the fields of `POST /api/pipeline/`: `model_extra`, which nobody has checked yet.

    Parameters
    ----------
    request : str
        Chosen by whoever asks, for this request alone: however often the message comes, it starts one process. The record
        of this name says which, or why there is none.
    """

    model_config = ConfigDict(extra="allow", defer_build=True)

    version: Literal[1] = 1
    kind: Literal["process"]
    request: Token


class MakeThumbnail(BaseModel):
    """Ask for the thumbnail of a data product."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    version: Literal[1] = 1
    kind: Literal["thumbnail"] = "thumbnail"
    product_id: PositiveInt


class MakeArchive(BaseModel):
    """Ask for the archive of the files that a group has when the message is worked on."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    version: Literal[1] = 1
    kind: Literal["archive"] = "archive"
    group_id: PositiveInt


MakeRendition = Annotated[MakeThumbnail | MakeArchive, Field(discriminator="kind")]


def read_process_message(body: str) -> RunProcess | StartProcess:
    """Return the message of the queues of processes that a body holds.

    Raises
    ------
    ValidationError
        If it holds none.
    """
    return _processes().validate_json(body)


def read_make_rendition(body: str) -> MakeThumbnail | MakeArchive:
    """Return the message of the rendition queue that a body holds.

    Raises
    ------
    ValidationError
        If it holds none.
    """
    return _renditions().validate_json(body)


def read_job(body: str) -> RunProcess | StartProcess | MakeThumbnail | MakeArchive:
    """Return the message of any job queue that a body holds.

    Raises
    ------
    ValidationError
        If it holds none.
    """
    return _jobs().validate_json(body)


@cache
def _processes() -> TypeAdapter[RunProcess | StartProcess]:
    return TypeAdapter(RunProcess | StartProcess)


@cache
def _renditions() -> TypeAdapter[MakeThumbnail | MakeArchive]:
    return TypeAdapter(MakeRendition)


@cache
def _jobs() -> TypeAdapter[RunProcess | StartProcess | MakeThumbnail | MakeArchive]:
    return TypeAdapter(RunProcess | StartProcess | MakeRendition)
