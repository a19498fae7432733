"""Productions: analyses of an event by one pipeline (asimov REST API, Productions)."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

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


def _one_of(words: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON schema of one of these words, in upper or lower case."""
    spelled = ("".join(f"[{letter}{letter.upper()}]" if letter != "_" else letter for letter in word) for word in words)
    return {"anyOf": [{"enum": [*words]}, {"pattern": f"^({'|'.join(spelled)})$"}]}


PipelineName = Annotated[str, AfterValidator(_check_pipeline), Field(json_schema_extra=_one_of(PIPELINE_NAMES))]
Status = Annotated[str, AfterValidator(_check_status), Field(json_schema_extra=_one_of(PRODUCTION_STATUSES))]
Comment = Annotated[
    str,
    AfterValidator(_check_comment),
    # a text of as many bytes has no more characters
    Field(
        description=f"At most {MAX_COMMENT_BYTES} bytes in UTF-8.", json_schema_extra={"maxLength": MAX_COMMENT_BYTES}
    ),
]


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


class ProductionSummary(TypedDict):
    """A production as lists show it."""

    name: str
    pipeline: Annotated[str, Field(json_schema_extra={"enum": [*PIPELINE_NAMES]})]
    status: Annotated[str, Field(json_schema_extra={"enum": [*PRODUCTION_STATUSES]})]
    comment: str


class PublicProduction(ProductionSummary):
    """A production as its own address shows it."""

    dependencies: Annotated[list[str], Field(description="Names of productions of the same event.")]
    meta: dict[str, Any]


class ProductionReply(TypedDict):
    """One production."""

    production: PublicProduction


class AnalysisReply(TypedDict):
    """One production, under its newer name."""

    analysis: PublicProduction


class ProductionList(TypedDict):
    """The productions of an event in creation order."""

    productions: list[ProductionSummary]


class AnalysisList(TypedDict):
    """The productions of an event in creation order, under their newer name."""

    analyses: list[ProductionSummary]


class ProductionAgain(TypedDict):
    """An answer that is sent back, changed."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    production: ProductionChange


class AnalysisAgain(TypedDict):
    """An answer that is sent back, changed, under the newer name."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    analysis: ProductionChange


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

    def summary(self) -> ProductionSummary:
        """Return the published form in lists."""
        return {"name": self.name, "pipeline": self.pipeline, "status": self.status, "comment": self.comment}

    def public(self) -> PublicProduction:
        """Return the published form of one production."""
        return {**self.summary(), "dependencies": list(self.dependencies), "meta": self.meta}
