"""What clients were told, held against what is stored: nothing may be lost, nothing may be there twice."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tally:
    """Records of one kind.

    Parameters
    ----------
    told : int
        How many clients were told of.
    lost : tuple of str
        What clients were told of and is not there.
    doubled : tuple of str
        What is there twice, or without anybody having been told; or what two clients were told of, each as their own.
    """

    told: int
    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()


def compare(told: Iterable[str], stored: Iterable[str]) -> Tally:
    """Hold what clients were told against what is stored; each record is a text that names it and what it must hold."""
    told_count, stored_count = Counter(told), Counter(stored)
    twice_told = [name for name, count in told_count.items() if count > 1]
    too_often = [name for name, count in stored_count.items() if count > 1 or name not in told_count]
    return Tally(
        told=sum(told_count.values()),
        lost=tuple(sorted(told_count.keys() - stored_count.keys())),
        doubled=tuple(sorted({*twice_told, *too_often})),
    )


@dataclass
class Told:
    """What one client, or all of them, were told: records by kind, each a text."""

    records: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, record: str) -> None:
        """Remember that a record was answered to be there."""
        self.records.setdefault(kind, []).append(record)

    def remove(self, kind: str, record: str) -> None:
        """Remember that a record was answered to be gone."""
        self.records[kind].remove(record)

    def merge(self, other: "Told") -> None:
        """Take over what another client was told."""
        for kind, records in other.records.items():
            self.records.setdefault(kind, []).extend(records)

    def compare(self, stored: Mapping[str, Iterable[str]]) -> dict[str, Tally]:
        """Hold every kind against what is stored of it."""
        return {kind: compare(self.records.get(kind, ()), stored[kind]) for kind in stored}


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that this share of the values does not exceed; 0 where there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
