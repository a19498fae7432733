"""Processes: runs of a pipeline on files of a target (tom_education's async process and pipeline process APIs)."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool
from typing_extensions import TypedDict

from chalicelib import clock
from chalicelib.models.answers import Address, UnixTime
from chalicelib.models.fields import RecordId
from chalicelib.states import ProcessStatus, is_terminal

MAX_FAILURE_MESSAGE = 255
MAX_INPUTS = 2000
MAX_OPTIONS_BYTES = 10_000


class ProcessInput(BaseModel):
    """Body that starts a pipeline; exactly one of `products` and `group` names its inputs, the other is absent or null."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    target: RecordId
    pipeline: Annotated[str, Field(min_length=1, max_length=100)]
    products: list[RecordId] | None = Field(None, max_length=MAX_INPUTS)
    group: RecordId | None = None
    flags: dict[Annotated[str, Field(max_length=100)], StrictBool] = Field(default={}, max_length=100)
    options: dict[str, Any] = {}


class PublicProcess(TypedDict):
    """The published fields of a process."""

    identifier: str
    created: UnixTime
    status: Annotated[str, Field(description="`pending`, `created`, `failed`, or what a running pipeline says.")]
    terminal_timestamp: UnixTime | None
    failure_message: str | None
    view_url: Address
    process_type: str


class OutputGroup(TypedDict):
    """The data product group with the outputs of a process, null until it exists."""

    group_name: str | None
    group_url: Address | None


class ProcessLog(PublicProcess, OutputGroup):
    """The answer of the pipeline process API."""

    logs: str


class ProcessesOfTarget(TypedDict):
    """The answer of the async process API: the newest process first."""

    timestamp: Annotated[float, Field(description="The server's time: UNIX time in seconds.")]
    processes: list[PublicProcess]


class Progress(TypedDict):
    """How far a process has come, in the steps of its pipeline; `total` is 0 until that is known."""

    done: int
    total: int


class OpenProcess(TypedDict):
    """A process that has not ended, as the list of these shows it."""

    id: int
    identifier: str
    target: int
    process_type: str
    created: UnixTime
    status: str
    progress: Progress
    view_url: Address


class ProcessesThatRun(TypedDict):
    """The newest processes that have not ended, of all targets."""

    timestamp: Annotated[float, Field(description="The server's time: UNIX time in seconds.")]
    count: Annotated[int, Field(description="How many there are; at least so many where `is_all` is false.")]
    is_all: Annotated[bool, Field(description="Whether all of them were counted.")]
    processes: list[OpenProcess]


class ProcessDetail(PublicProcess, OutputGroup):
    """A process with what it was started with, and its progress."""

    id: int
    target: int
    pipeline: str
    flags: dict[str, bool]
    options: dict[str, Any]
    progress: Progress
    status_url: Address
    logs_url: Address


@dataclass(frozen=True)
class Process:
    """One process as it is kept.

    Parameters
    ----------
    options : dict
        What the caller gave of them; the others get their values when the process runs.
    attempt : int
        How often it was claimed by a worker, ever.
    tries : int
        How often since it was submitted or retried.
    released_attempt : int
        The last attempt that gave the process back in order.
    handovers : int
        How often a run handed over to the next since it was submitted or retried.
    notes : int
        How many lines were added to its log from outside its runs.
    done, total : int
        Progress in the steps of its pipeline.
    output_ids : dict
        File name -> id of its data product, once outputs are being published.
    request_id : str
        The request that it was submitted with, which the log of its runs names; "" where there was none.
    """

    id: int
    identifier: str
    target_id: int
    target_folder: str
    pipeline: str
    process_type: str
    queue: str
    created: str
    status: str = ProcessStatus.PENDING
    flags: dict[str, bool] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    product_ids: tuple[int, ...] = ()
    user: str = ""
    terminal_timestamp: str | None = None
    failure_message: str = ""
    attempt: int = 0
    tries: int = 0
    released_attempt: int = 0
    handovers: int = 0
    notes: int = 0
    done: int = 0
    total: int = 0
    group_id: int | None = None
    group_name: str | None = None
    output_ids: dict[str, int] = field(default_factory=dict)
    request_id: str = ""

    @property
    def is_ended(self) -> bool:
        """Whether it has succeeded or failed."""
        return is_terminal(self.status)

    def public(self) -> PublicProcess:
        """Return the published fields of a process."""
        return summary(vars(self))

    def detail(self) -> ProcessDetail:
        """Return the published fields and those of this project's own address of one process."""
        return {
            "id": self.id,
            **self.public(),
            "target": self.target_id,
            "pipeline": self.pipeline,
            "flags": self.flags,
            "options": self.options,
            "progress": {"done": self.done, "total": self.total},
            "status_url": f"/api/async/status/{self.target_id}/",
            "logs_url": f"/api/pipeline/logs/{self.id}/",
            **self.group(),
        }

    def group(self) -> OutputGroup:
        """Return name and address of the output group, null until it exists."""
        url = f"/dataproducts/data/group/{self.group_id}/" if self.group_id else None
        return {"group_name": self.group_name, "group_url": url}


def summary(record: dict[str, Any]) -> PublicProcess:
    """Return the published fields of a process from its record, or from its card in the target's partition."""
    ended = record.get("terminal_timestamp")
    return {
        "identifier": record["identifier"],
        "created": clock.to_unix(record["created"]),
        "status": record["status"],
        "terminal_timestamp": clock.to_unix(ended) if ended else None,
        "failure_message": record.get("failure_message") or None,
        "view_url": f"/pipeline/{record['id']}",
        "process_type": record["process_type"],
    }
