"""Productions: analyses of an event by one pipeline (asimov REST API, Productions)."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chalicelib.models.names import Name
from chalicelib.states import FIRST_PRODUCTION_STATUS, PIPELINE_NAMES, PRODUCTION_STATUSES


def _check_pipeline(pipeline: str) -> str:
    if pipeline.lower() not in PIPELINE_NAMES:
        raise ValueError(f"unknown pipeline; known are {', '.join(PIPELINE_NAMES)}")
    return pipeline.lower()


def _check_status(status: str) -> str:
    if status.lower() not in PRODUCTION_STATUSES:
        raise ValueError(f"unknown status; known are {', '.join(PRODUCTION_STATUSES)}")
    return status.lower()


PipelineName = Annotated[str, AfterValidator(_check_pipeline)]
Status = Annotated[str, AfterValidator(_check_status)]
Comment = Annotated[str, Field(max_length=10_000)]


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
