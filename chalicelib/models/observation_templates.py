"""Observation templates: forms of a facility, filled in beforehand for one target."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints
from typing_extensions import TypedDict

from chalicelib import clock
from chalicelib.models.answers import UnixTime
from chalicelib.models.fields import RecordId
from chalicelib.models.names import Title

MAX_PER_TARGET = 200
"""Templates of one target: they lie in one partition, and are answered together."""

MAX_FIELDS_BYTES = 20_000
"""Size of `fields` as it is kept; 200 templates of this size make one answer."""


FacilityName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class TemplateInput(BaseModel):
    """Body of a new observation template."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    name: Title
    target: RecordId
    facility: FacilityName
    fields: dict[str, Any]


class TemplateChange(BaseModel):
    """Body of a change of a template; what is absent stays, `fields` is replaced as a whole.

    `target` and `facility` may be there as they are: a template stays with them.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True)

    name: Title = ""
    fields: dict[str, Any] = {}
    target: RecordId | None = None
    facility: FacilityName | None = None
    id: Any = None
    created: Any = None
    modified: Any = None


class PublicTemplate(TypedDict):
    """An observation template as the API shows it."""

    id: int
    name: str
    target: int
    facility: str
    fields: dict[str, Any]
    created: UnixTime
    modified: UnixTime


@dataclass(frozen=True)
class ObservationTemplate:
    """One observation template as it is kept."""

    id: int
    name: str
    target_id: int
    facility: str
    fields: dict[str, Any]
    created: str
    modified: str

    def public(self) -> PublicTemplate:
        """Return the form in which the API shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "target": self.target_id,
            "facility": self.facility,
            "fields": self.fields,
            "created": clock.to_unix(self.created),
            "modified": clock.to_unix(self.modified),
        }
