"""The forms in which portal and archive write times."""

from datetime import UTC, datetime


def to_text(moment: datetime) -> str:
    """Return a time as the portal writes it: `2026-11-22T13:46:47.123456Z`, without a fraction if there is none."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def from_text(text: object) -> datetime | None:
    """Return the time that a text says, UTC where it names no zone; None if it says none."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
