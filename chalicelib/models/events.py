"""Events: triggers such as GW150914 (asimov REST API, Events)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from chalicelib.models.names import Name
from chalicelib.models.productions import Production, ProductionSummary

LongText = Annotated[str, Field(max_length=4096)]


def _tell_of_alias(schema: dict[str, Any]) -> None:
    """Describe the other spelling of `working_directory`, which may stand in its place."""
    schema["properties"]["working directory"] = schema["properties"]["working_directory"]
    schema["not"] = {"required": ["working_directory", "working directory"]}


class EventInput(BaseModel):
    """Body of Create Event."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True, json_schema_extra=_tell_of_alias)

    name: Name
    repository: LongText | None = None
    working_directory: LongText | None = Field(
        None, validation_alias=AliasChoices("working_directory", "working directory")
    )
    meta: dict[str, Any] = {}


class EventChange(BaseModel):
    """Body of Update Event; what is absent stays. What only the server sets may be there, and is ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    repository: LongText | None = None
    working_directory: LongText | None = None
    answered_directory: LongText | None = Field(None, validation_alias="working directory")
    meta: dict[str, Any] = {}
    name: Any = None
    productions: Any = None

    def values(self) -> dict[str, str | None]:
        """Return what was given of the event itself; `working_directory` wins over the name under which we answer it."""
        values = {field: getattr(self, field) for field in self.model_fields_set - {"meta", "name", "productions"}}
        answered = values.pop("answered_directory", None)
        if "answered_directory" in self.model_fields_set:
            values.setdefault("working_directory", answered)
        return values


PublicEvent = TypedDict(
    "PublicEvent",
    {
        "name": str,
        "working directory": str,
        "repository": NotRequired[str],
        "productions": list[ProductionSummary],
        "meta": dict[str, Any],
    },
)
"""An event as the API shows it; `repository` only where it has one."""


class EventReply(TypedDict):
    """One event."""

    event: PublicEvent


class EventList(TypedDict):
    """Events in creation order."""

    events: list[PublicEvent]
    next: NotRequired[Annotated[str, Field(description="Cursor of the next page; not there on the last one.")]]


class EventAgain(TypedDict):
    """An answer that is sent back, changed."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    event: EventChange


@dataclass(frozen=True)
class Event:
    """One event as it is kept."""

    name: str
    working_directory: str
    created: str
    repository: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    production_names: frozenset[str] = frozenset()

    def public(self, productions: Sequence[Production]) -> PublicEvent:
        """Return the published form."""
        answer: PublicEvent = {
            "name": self.name,
            "working directory": self.working_directory,
            "repository": self.repository or "",
            "productions": [production.summary() for production in productions],
            "meta": self.meta,
        }
        if self.repository is None:
            del answer["repository"]
        return answer
