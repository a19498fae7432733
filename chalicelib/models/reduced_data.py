"""Reduced data: what pipelines have measured, in the form of TOM Toolkit's reduced datums."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from chalicelib import clock
from chalicelib.models.answers import UnixTime

PHOTOMETRY = "photometry"
_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_DAY_US = 86_400_000_000


class PublicDatum(TypedDict):
    """A reduced datum as the API shows it."""

    id: int
    target: int
    data_type: str
    source_name: str
    timestamp: UnixTime
    value: Annotated[
        dict[str, Any] | str,
        Field(description="Of photometry `magnitude`, `error`, and what else was measured; else text."),
    ]
    data_product: int | None
    process: int


class PhotometryAddresses(TypedDict):
    """Where the table of a target's points and its newest plot are: absolute addresses, null until there is one."""

    csv: str | None
    plot: str | None


@dataclass(frozen=True)
class Point:
    """One measured magnitude.

    Parameters
    ----------
    mjd : float
        Modified Julian date, UTC.
    product_id : int, optional
        The data product in which it was measured.
    further : dict
        What else was measured, by name; JSON.
    """

    mjd: float
    magnitude: float
    error: float
    product_id: int | None = None
    further: dict[str, Any] = field(default_factory=dict)

    @property
    def moment(self) -> datetime:
        """The time, to the microsecond, which is as good as a double-precision MJD can tell."""
        return moment_of(self.mjd)


@dataclass(frozen=True)
class Text:
    """A reduced datum whose value is free text, as tom_education's authors write them to a file."""

    source_name: str
    data_type: str
    text: str


@dataclass(frozen=True)
class ReducedRun:
    """What is known of the reduced data of one run, without the data themselves.

    Its members are numbered from 0: the points in the order of time, then the texts.

    Parameters
    ----------
    ended : str
        When the process ended, as stored text.
    attempt : int
        The attempt that measured them.
    first_id : int
        Id of the first member; the others follow.
    point_count, text_count : int
        How many there are.
    """

    target_id: int
    process_id: int
    identifier: str
    ended: str
    attempt: int
    first_id: int
    point_count: int
    text_count: int = 0

    @property
    def count(self) -> int:
        """How many members it has."""
        return self.point_count + self.text_count

    def public(self, number: int, datum: Point | Text) -> PublicDatum:
        """Return the form in which the API shows one member."""
        if isinstance(datum, Text):
            name, data_type, timestamp, value = (
                datum.source_name,
                datum.data_type,
                clock.to_unix(self.ended),
                datum.text,
            )
            return self._public(number, data_type, name, timestamp, value, None)
        name = f"{self.identifier}_{round(datum.mjd)}"
        values = {"magnitude": datum.magnitude, "error": datum.error, **datum.further}
        return self._public(number, PHOTOMETRY, name, datum.moment.timestamp(), values, datum.product_id)

    def _public(
        self, number: int, data_type: str, name: str, timestamp: float, value: Any, product_id: int | None
    ) -> PublicDatum:
        return {
            "id": self.first_id + number,
            "target": self.target_id,
            "data_type": data_type,
            "source_name": name,
            "timestamp": timestamp,
            "value": value,
            "data_product": product_id,
            "process": self.process_id,
        }


def moment_of(mjd: float) -> datetime:
    """Return the time of a modified Julian date, to the microsecond."""
    day = math.floor(mjd)
    return _MJD_EPOCH + timedelta(days=day, microseconds=round((mjd - day) * _DAY_US))
