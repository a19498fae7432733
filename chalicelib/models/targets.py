"""Targets: what the telescopes look at."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from chalicelib import clock
from chalicelib.errors import FieldError, InvalidInputError
from chalicelib.models.answers import Address, UnixTime
from chalicelib.models.fields import Declination, RightAscension
from chalicelib.models.names import Title

TargetType = Literal["SIDEREAL", "NON_SIDEREAL"]


class TargetInput(BaseModel):
    """Body of a new target."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    name: Title
    type: TargetType = "SIDEREAL"
    ra: RightAscension | None = None
    dec: Declination | None = None
    extra_fields: dict[str, Any] = {}


class TargetChange(BaseModel):
    """Body of a change of a target; what is absent stays, `extra_fields` is merged at its top level."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    name: Title = ""
    type: TargetType = "SIDEREAL"
    ra: RightAscension | None = None
    dec: Declination | None = None
    extra_fields: dict[str, Any] = {}
    id: Any = None
    created: Any = None
    modified: Any = None


class PublicTarget(TypedDict):
    """A target as the API shows it; `ra` and `dec` in degrees, null for one that moves."""

    id: int
    name: str
    type: TargetType
    ra: float | None
    dec: float | None
    extra_fields: dict[str, Any]
    created: UnixTime
    modified: UnixTime


@dataclass(frozen=True)
class Target:
    """One target as it is kept; `ra` and `dec` in degrees."""

    id: int
    name: str
    created: str
    modified: str
    type: TargetType = "SIDEREAL"
    ra: float | None = None
    dec: float | None = None
    extra_fields: dict[str, Any] = field(default_factory=dict)

    def check_position(self) -> None:
        """Refuse a sidereal target without a position.

        Raises
        ------
        InvalidInputError
            Naming `ra`, `dec` or both.
        """
        missing = [axis for axis in ("ra", "dec") if getattr(self, axis) is None]
        if self.type == "SIDEREAL" and missing:
            raise InvalidInputError([FieldError((axis,), "This field is required.") for axis in missing])

    def public(self) -> PublicTarget:
        """Return the form in which the API shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "ra": self.ra,
            "dec": self.dec,
            "extra_fields": self.extra_fields,
            "created": clock.to_unix(self.created),
            "modified": clock.to_unix(self.modified),
        }


class PublicTimelapse(TypedDict):
    """A timelapse as the target detail API shows it."""

    name: str
    format: str
    url: Address
    created: UnixTime
    frames: int


class TargetSummary(TypedDict):
    """What the target detail API shows of the target itself."""

    name: str
    extra_fields: dict[str, Any]


class TargetDetail(TypedDict):
    """The answer of the target detail API; the newest timelapse first."""

    target: TargetSummary
    timelapses: list[PublicTimelapse]


@dataclass(frozen=True)
class Timelapse:
    """What the target detail API shows of one timelapse."""

    name: str
    format: str
    url: str
    created: str
    frames: int

    def public(self) -> PublicTimelapse:
        """Return the published form."""
        return {
            "name": self.name,
            "format": self.format,
            "url": self.url,
            "created": clock.to_unix(self.created),
            "frames": self.frames,
        }
