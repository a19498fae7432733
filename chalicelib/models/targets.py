"""Targets: what the telescopes look at."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from chalicelib import clock
from chalicelib.errors import FieldError, InvalidInputError
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


@dataclass(frozen=True)
class Target:
    """One target as it is kept; `ra` and `dec` in degrees."""

    id: int
    name: str
    created: str
    modified: str
    type: str = "SIDEREAL"
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

    def public(self) -> dict[str, Any]:
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


@dataclass(frozen=True)
class Timelapse:
    """What the target detail API shows of one timelapse."""

    name: str
    format: str
    url: str
    created: str
    frames: int

    def public(self) -> dict[str, Any]:
        """Return the published form."""
        return {
            "name": self.name,
            "format": self.format,
            "url": self.url,
            "created": clock.to_unix(self.created),
            "frames": self.frames,
        }
