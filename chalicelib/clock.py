"""The one source of the current time, and the forms in which times are stored and answered."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time, aware, in UTC. Tests replace this one function."""
    return datetime.now(UTC)


def to_text(moment: datetime) -> str:
    """Return `moment` as fixed-width ISO 8601 text in UTC, which sorts in time order.

    Raises
    ------
    ValueError
        If `moment` is naive: a time without its zone is a guess.
    """
    if moment.tzinfo is None:
        raise ValueError("a time must carry its zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_text(text: str) -> datetime:
    """Return the time that `to_text` wrote."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def to_unix(text: str) -> float:
    """Return stored time text as seconds since 1970, as the telescope API answers it."""
    return from_text(text).timestamp()
