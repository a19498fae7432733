"""What can go wrong, in the project's own words. Nothing here knows HTTP or AWS."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with one field of the input.

    Parameters
    ----------
    loc : tuple of str or int
        The path to the field: ``("meta", "far")``.
    msg : str
        What is wrong, for people.
    type : str
        What is wrong, for programs: ``value_error.missing``.
    """

    loc: tuple[str | int, ...]
    msg: str
    type: str = "value_error"


class SiderealError(Exception):
    """Base of every error that a caller may be told about; `str(error)` is fit to show."""


class InvalidInputError(SiderealError):
    """Raised when fields of the input are wrong; carries one `FieldError` for each."""

    MAX_FIELDS = 100
    """Faults told at once: an answer must not grow with what was sent."""

    def __init__(self, fields: Sequence[FieldError]) -> None:
        fields = fields[: self.MAX_FIELDS]
        super().__init__("; ".join(f"{'.'.join(map(str, field.loc))}: {field.msg}" for field in fields))
        self.fields = tuple(fields)

    @classmethod
    def of(cls, field: str, msg: str, kind: str = "value_error") -> "InvalidInputError":
        """Build the error for one field."""
        return cls([FieldError((field,), msg, kind)])


class MalformedBodyError(SiderealError):
    """Raised when a body cannot be read at all: broken JSON, broken multipart, not an object."""


class UnauthenticatedError(SiderealError):
    """Raised when a write comes without a valid token."""


class NotFoundError(SiderealError):
    """Raised when the named record does not exist."""


class ConflictError(SiderealError):
    """Raised when the record exists already, or is in a state that forbids the change."""


class StillAtWorkError(ConflictError):
    """Raised when the same request came before and is still being worked on; says when to ask again."""

    def __init__(self, text: str, retry_after_s: int) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class KeyReusedError(SiderealError):
    """Raised when a key that stands for one request comes with another."""


class UnsupportedMediaTypeError(SiderealError):
    """Raised when a body is of a kind that the address does not take."""


class TooLargeError(SiderealError):
    """Raised when a body is larger than the platform passes on."""


class ThrottledError(SiderealError):
    """Raised when somebody asks more often than is allowed; says when to ask again."""

    def __init__(self, retry_after_s: int) -> None:
        seconds = f"{retry_after_s} second" + ("" if retry_after_s == 1 else "s")
        super().__init__(f"Request was throttled. Expected available in {seconds}.")
        self.retry_after_s = retry_after_s


class UpstreamError(SiderealError):
    """Raised when a service of somebody else's (the telescope portal) answers with what makes no sense, or refuses us."""


class UnavailableError(SiderealError):
    """Raised when something this project needs does not answer; the caller may try again."""

    def __init__(self, text: str, retry_after_s: int = 5) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class NotConfiguredError(UnavailableError):
    """Raised when no API key is configured, so that nobody could be let in."""


class ClaimLostError(SiderealError):
    """Raised inside a job whose process was cancelled, finished or taken over by somebody else."""


class ProcessBusyError(SiderealError):
    """Raised when a process is claimed by a worker that is still alive."""


class ProcessEndedError(SiderealError):
    """Raised when a process has ended, so that there is nothing left to run."""


class ProcessExhaustedError(SiderealError):
    """Raised when a process has been started as often as is allowed."""
