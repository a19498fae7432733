"""Observations asked of a facility."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from chalicelib import clock
from chalicelib.models.answers import UnixTime


@dataclass(frozen=True)
class ObservationState:
    """How an observation stands at its facility; the times (aware, UTC) are None until it is scheduled."""

    status: str
    scheduled_start: datetime | None = None
    scheduled_end: datetime | None = None


class PublicObservation(TypedDict):
    """An observation as the API shows it."""

    id: int
    target: int
    facility: str
    observation_id: Annotated[str, Field(description="What the facility calls it.")]
    status: Annotated[str, Field(description="The facility's word, empty until the first look.")]
    parameters: dict[str, Any]
    created: UnixTime
    modified: UnixTime
    scheduled_start: UnixTime | None
    scheduled_end: UnixTime | None


@dataclass(frozen=True)
class Observation:
    """One observation as it is kept; times are stored time texts.

    Parameters
    ----------
    id : int
        Ours.
    observation_id, group_id : str
        The facility's: the request, and the group that it is cancelled by.
    parameters : dict
        The form as it was submitted, with its `name`.
    status : str
        The facility's word, "" until the first look.
    """

    id: int
    target_id: int
    facility: str
    observation_id: str
    group_id: str
    parameters: dict[str, Any]
    created: str
    modified: str
    status: str = ""
    scheduled_start: str | None = None
    scheduled_end: str | None = None
    user: str = ""

    def public(self) -> PublicObservation:
        """Return the form in which the API shows it."""
        return {
            "id": self.id,
            "target": self.target_id,
            "facility": self.facility,
            "observation_id": self.observation_id,
            "status": self.status,
            "parameters": self.parameters,
            "created": clock.to_unix(self.created),
            "modified": clock.to_unix(self.modified),
            "scheduled_start": None if self.scheduled_start is None else clock.to_unix(self.scheduled_start),
            "scheduled_end": None if self.scheduled_end is None else clock.to_unix(self.scheduled_end),
        }
