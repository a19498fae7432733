"""The order of what stands in columns, with few crossings between them, and the heights that keep it."""

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

Lane = tuple[str, int]
"""The way of all arrows from one box through one column."""

Member = str | Lane
"""What stands in a column: a box, by its name, or a lane."""

SWEEPS = 8
"""Times, at most, that the columns are gone through, forth and back in turn."""


class Columns:
    """Members in columns, and the lines between members of neighbouring columns.

    Parameters
    ----------
    count : int
        Number of columns.
    """

    def __init__(self, count: int) -> None:
        self.members: list[list[Member]] = [[] for _ in range(count)]
        self.before: dict[Member, list[Member]] = {}
        self.after: dict[Member, list[Member]] = {}
        self.heights: dict[Member, float] = {}

    def add(self, member: Member, column: int, height: float) -> None:
        """Put a member at the end of a column; its height is that of the room it takes, with what it keeps free."""
        self.members[column].append(member)
        self.before[member], self.after[member] = [], []
        self.heights[member] = height

    def join(self, member: Member, other: Member) -> None:
        """Draw a line from a member to one of the next column; a second one changes nothing."""
        if other not in self.after[member]:
            self.after[member].append(other)
            self.before[other].append(member)

    def order(self) -> None:
        """Order each column by the barycentres of the neighbours before and behind it; keep the fewest crossings seen."""
        best, fewest = [list(column) for column in self.members], self.crossings()
        idle = 0
        for sweep in range(SWEEPS):
            if not fewest or idle == 2:
                break
            is_forth = sweep % 2 == 0
            neighbours = self.before if is_forth else self.after
            at = self._relative_places()
            for column in self.members if is_forth else reversed(self.members):
                column.sort(key=lambda member: _mean([at[each] for each in neighbours[member]], at[member]))
                at.update(_relative(column))
            count = self.crossings()
            idle += 1
            if count < fewest:
                idle = 0
                best, fewest = [list(column) for column in self.members], count
        self.members = best

    def crossings(self) -> int:
        """Count the pairs of lines that cross."""
        total = 0
        for column, following in pairwise(self.members):
            place = {member: number for number, member in enumerate(following)}
            seen: list[int] = []
            for member in column:
                ends = sorted(place[other] for other in self.after[member])
                total += sum(len(seen) - bisect_right(seen, end) for end in ends)
                for end in ends:
                    insort(seen, end)
        return total

    def stack(self) -> dict[Member, float]:
        """Return the middle of each member: in order, near to the middle of its neighbours, the highest at 0.

        No column takes more than the fullest one does.
        """
        offsets = [self._offsets(column) for column in self.members]
        room = max((its[-1] for its in offsets if its), default=0.0)
        middles: dict[Member, float] = {}
        for column, its in zip(self.members, offsets, strict=True):
            middles |= _settle(column, its, dict.fromkeys(column, room / 2), room)
        both = {member: [*self.before[member], *self.after[member]] for member in self.heights}
        for neighbours in (self.before, self.after, self.before, both, both):
            numbers = range(len(self.members))
            for number in numbers if neighbours is not self.after else reversed(numbers):
                column = self.members[number]
                wanted = {each: _wanted(each, neighbours[each], middles) for each in column}
                middles |= _settle(column, offsets[number], wanted, room)
        highest = min(middles.values(), default=0.0)
        return {member: middle - highest for member, middle in middles.items()}

    def _offsets(self, column: Sequence[Member]) -> list[float]:
        """Return how far below the first the middle of each member is where they stand close together."""
        steps = [(self.heights[one] + self.heights[two]) / 2 for one, two in pairwise(column)]
        return list(accumulate(steps, initial=0.0)) if column else []

    def _relative_places(self) -> dict[Member, float]:
        return {member: at for column in self.members for member, at in _relative(column).items()}


def _relative(column: Sequence[Member]) -> dict[Member, float]:
    return {member: (number + 0.5) / len(column) for number, member in enumerate(column)}


def _wanted(member: Member, neighbours: Sequence[Member], middles: Mapping[Member, float]) -> float:
    """Return where a member wants to be: a lane straight on, everything else in the middle of its neighbours."""
    ahead = [each for each in neighbours if isinstance(each, tuple)] if isinstance(member, tuple) else []
    return _mean([middles[each] for each in ahead or neighbours], middles[member])


def _settle(
    column: Sequence[Member], offsets: Sequence[float], wanted: Mapping[Member, float], room: float
) -> dict[Member, float]:
    """Return middles from 0 to `room` as near as possible to those wanted (least squares), in order, without overlap."""
    # Less their offsets, the middles must not fall: those that would are pooled at their mean (isotonic regression), which
    # may be cut off at bounds afterwards.
    pools: list[tuple[float, int]] = []
    for member, offset in zip(column, offsets, strict=True):
        total, count = wanted[member] - offset, 1
        while pools and pools[-1][0] * count >= total * pools[-1][1]:
            more, others = pools.pop()
            total, count = total + more, count + others
        pools.append((total, count))
    settled = [total / count for total, count in pools for _ in range(count)]
    return {
        member: min(max(middle, 0.0), room - offsets[-1]) + offset
        for member, middle, offset in zip(column, settled, offsets, strict=True)
    }


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
