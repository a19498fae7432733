"""What every telescope facility offers: a form, submission, status, frames.

Services know this interface only. Parameters of a form are JSON values by field name; faults are told by field name, too.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from chalicelib.errors import SiderealError
from chalicelib.models.observations import ObservationState as ObservationState  # for those who write facilities
from chalicelib.models.targets import Target


class LostAnswerError(SiderealError):
    """Raised when a submission was sent and no answer came: it may have been taken, or not.

    `may_still_arrive` says whether the portal may still be at work on it (silence, a connection that broke off), or is done
    with it (it answered, but not with what tells).
    """

    def __init__(self, text: str, *, may_still_arrive: bool) -> None:
        super().__init__(text)
        self.may_still_arrive = may_still_arrive


class FrameUnavailableError(SiderealError):
    """Raised when one frame cannot be fetched, or is not what the archive says it is; others may be well."""


@dataclass(frozen=True)
class Submitted:
    """What a facility calls an observation that it has taken: the request, and the group that it can be cancelled by."""

    observation_id: str
    group_id: str


@dataclass(frozen=True)
class Frame:
    """One reduced frame in a facility's archive.

    Parameters
    ----------
    id : str
        What the archive calls it.
    name : str
        Its file name.
    url : str or None
        A link that lasts for a while, None where there is no file; never to be stored.
    md5 : str or None
        Checksum of the file in hexadecimal digits, where the archive tells it.
    """

    id: str
    name: str
    url: str | None = field(repr=False)
    md5: str | None = None


class Facility(ABC):
    """A telescope facility.

    All methods that ask the portal are bounded in time and raise `UnavailableError` where it does not answer, and
    `UpstreamError` where it answers with what makes no sense or refuses our token.
    """

    name: ClassVar[str]
    """The name by which the API knows it: `LCO`."""

    COMPLETED: ClassVar[str] = "COMPLETED"

    max_name_length: ClassVar[int]
    """Characters that the name of an observation may have."""

    terminal_states: ClassVar[frozenset[str]]
    """States in which nothing more is observed. `COMPLETED` among them may still be taken back by the site."""

    @abstractmethod
    def check_fields(self, fields: Mapping[str, Any]) -> None:
        """Check the fields of a template, each by itself: a template may leave out what overrides will give.

        Raises
        ------
        InvalidInputError
            With one fault, `loc` being `(field,)`, for each field that is unknown or wrong.
        """

    @abstractmethod
    def check_form(self, parameters: Mapping[str, Any], target: Target) -> dict[str, Any]:
        """Check the whole form of one observation and return it in its normal form (texts of numbers as numbers).

        Raises
        ------
        InvalidInputError
            With one fault for each field that is unknown, missing or wrong; `loc` is empty where no single field is.
        """

    @abstractmethod
    def exposure_count(self, parameters: Mapping[str, Any]) -> int:
        """Return how many frames an observation with these parameters yields when it goes well."""

    @abstractmethod
    def submit(self, parameters: Mapping[str, Any], target: Target) -> Submitted:
        """Submit an observation whose form was checked; the parameter `name` is the one that `find` looks for.

        Never sent twice by itself.

        Raises
        ------
        InvalidInputError
            If the portal refuses it: by field where a field caused it, else with an empty `loc`.
        LostAnswerError
            If it is not known whether the portal has taken it.
        """

    @abstractmethod
    def find(self, name: str, created_after: datetime) -> Submitted | None:
        """Return the submission of exactly this name that was made since, or None."""

    @abstractmethod
    def state(self, observation_id: str) -> ObservationState:
        """Return how an observation stands.

        Raises
        ------
        NotFoundError
            If the facility shows us no such observation.
        """

    @abstractmethod
    def cancel(self, submitted: Submitted) -> None:
        """Cancel an observation; cancelled already is done.

        Raises
        ------
        ConflictError
            If its state forbids it.
        NotFoundError
            If the facility shows us no such observation.
        """

    @abstractmethod
    def frames(self, observation_id: str) -> Iterator[Frame]:
        """Yield the reduced frames of an observation that the archive has so far."""

    @abstractmethod
    def open_frame(self, frame: Frame) -> AbstractContextManager[Iterator[bytes]]:
        """Open the file of a frame: a context manager that gives its content in pieces of at most 1 MB.

        The end of the content is only reached if all of it came and fits the checksum.

        Raises
        ------
        FrameUnavailableError
            If there is no file, it cannot be fetched, breaks off, or is another one.
        """
