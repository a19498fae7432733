"""Observation alerts: what is known about an observation on its way from the telescope to a mail."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from chalicelib.models.observations import Observation


class MailState(StrEnum):
    """How the mail about one timelapse stands."""

    SENDING = "sending"
    SENT = "sent"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class FrameState(StrEnum):
    """How a frame of the archive stands."""

    RESERVED = "reserved"
    KEPT = "kept"
    THERE = "there"
    GIVEN_UP = "given up"


@dataclass(frozen=True)
class Alert:
    """The alert of one observation as it is kept; times are stored time texts.

    Parameters
    ----------
    id : int
        That of its observation.
    place : str
        Where it stands among the open ones: when it is due, and its id. "" once it is closed.
    facility_due : str
        Until then the facility is not asked: it did not answer, or nothing is expected of it any more.
    failures : int
        Looks at the facility, in a row, that failed.
    ended_at : str or None
        Since when the observation has been seen in a state in which nothing more is observed.
    looked_at : str or None
        When the facility was last asked for state and frames, and answered.
    product_ids : frozenset of int
        Data products that its frames have become and that a timelapse can show.
    last_frame_at : str or None
        When the newest of them was kept.
    covered : int
        How many of them there were when the process was attached: more mean new data.
    process_id : int or None
        The run of the timelapse that shows them.
    settled_id : int or None
        The last such run that made one, after which the older timelapses were deleted.
    mailed_id : int or None
        The run about whose timelapse a mail was sent, or was to be sent, as `mail_state` tells.
    """

    id: int
    target_id: int
    facility: str
    email: str
    created: str
    place: str = ""
    facility_due: str = ""
    failures: int = 0
    ended_at: str | None = None
    looked_at: str | None = None
    product_ids: frozenset[int] = frozenset()
    last_frame_at: str | None = None
    covered: int = 0
    process_id: int | None = None
    settled_id: int | None = None
    mailed_id: int | None = None
    mail_state: str = ""

    @property
    def has_new_data(self) -> bool:
        """Whether there are frames that no timelapse has been asked for yet."""
        return len(self.product_ids) > self.covered


@dataclass(frozen=True)
class FrameRecord:
    """What is known about one frame of the archive.

    Parameters
    ----------
    id : str
        What the archive calls it.
    name : str
        Its file name here.
    product_id : int
        The data product that it becomes.
    tries : int
        How often fetching it failed.
    due_at : str
        When it may be tried again.
    """

    id: str
    name: str
    product_id: int
    state: str = FrameState.RESERVED
    tries: int = 0
    due_at: str = ""

    @property
    def is_outstanding(self) -> bool:
        """Whether it is still to be fetched."""
        return self.state == FrameState.RESERVED

    @property
    def is_there(self) -> bool:
        """Whether the target has its file."""
        return self.state in (FrameState.KEPT, FrameState.THERE)


@dataclass(frozen=True)
class Watch:
    """One observation with the frames of it that are known, by the archive's id."""

    observation: Observation
    frames: Mapping[str, FrameRecord]


def alert_from(item: Mapping[str, Any]) -> Alert:
    """Return the alert that an item of the table holds."""
    values = {name: item[name] for name in Alert.__dataclass_fields__ if name in item}
    values["product_ids"] = frozenset(item.get("product_ids", ()))
    values["place"] = item.get("list_sk", "")
    return Alert(**values)
