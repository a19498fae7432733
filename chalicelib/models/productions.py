"""Productions: analyses of an event by one pipeline (asimov REST API, Productions)."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chalicelib.models.names import Name
from chalicelib.states import FIRST_PRODUCTION_STATUS, PIPELINE_NAMES, PRODUCTION_STATUSES

MAX_COMMENT_BYTES = 8_000
MAX_PRODUCTIONS = 500
"""Of one event: its answer shows them all with their comments, and a Lambda function answers at most 6 MB."""


def _check_pipeline(pipeline: str) -> str:
    if pipeline.lower() not in PIPELINE_NAMES:
        raise ValueError(f"unknown pipeline; known are {', '.join(PIPELINE_NAMES)}")
    return pipeline.lower()


def _check_comment(comment: str) -> str:
    if len(comment.encode("utf-8", "replace")) > MAX_COMMENT_BYTES:
        raise ValueError(f"must have at most {MAX_COMMENT_BYTES} bytes")
    return comment


def _check_status(status: str) -> str:
    if status.lower() not in PRODUCTION_STATUSES:
        raise ValueError(f"unknown status; known are {', '.join(PRODUCTION_STATUSES)}")
    return status.lower()


PipelineName = Annotated[str, AfterValidator(_check_pipeline)]
Status = Annotated[str, AfterValidator(_check_status)]
Comment = Annotated[str, AfterValidator(_check_comment)]


class ProductionInput(BaseModel):
    """Body of Create Production."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    name: Name
    pipeline: PipelineName
    comment: Comment | None = None
    dependencies: list[Name] = Field(default=[], max_length=500)
    meta: dict[str, Any] = {}


class ProductionChange(BaseModel):
    """Body of Update Production; what is absent stays. What cannot be changed may be there, and is ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    status: Status = ""
    comment: Comment | None = None
    meta: dict[str, Any] = {}
    name: Any = None
    pipeline: Any = None
    dependencies: Any = None


@dataclass(frozen=True)
class Production:
    """One production as it is kept."""

    event_name: str
    name: str
    pipeline: str
    created: str
    status: str = FIRST_PRODUCTION_STATUS
    comment: str = ""
    dependencies: tuple[str, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Return the published form in lists."""
        return {"name": self.name, "pipeline": self.pipeline, "status": self.status, "comment": self.comment}

    def public(self) -> dict[str, Any]:
        """Return the published form of one production."""
        return {**self.summary(), "dependencies": list(self.dependencies), "meta": self.meta}
