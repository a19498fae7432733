"""The changes of the ledger for those who follow them: each once, and those of one record in the order in which it changed.

A change may come up to `SETTLED_S` after its moment. So the position of who follows has two parts: a place before which all
is settled and was told, and the tags of what was told behind it. Nothing is kept here.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chalicelib import clock
from chalicelib.models.streams import Batch, StreamMessage
from chalicelib.storage import changes
from chalicelib.storage.changes import CLOCKS_S, KEPT_S, SETTLED_S, TAG_LENGTH, KeptChange

BEGIN_S = 300.0
"""How far back who comes without a position begins: further than it takes to read the ledger before."""

NEAR_S = 300.0
"""What is behind a position is looked at as a whole, if it is no more than so much older than what is settled."""

STEP_S = 60.0
"""Where there is nothing to tell, a position is moved on when it is so much older than what is settled."""

MOST_TAGS = 300
"""In a position; while more changes are unsettled, the newer ones wait."""

BATCH_MESSAGES = 250
BATCH_BYTES = 200_000
"""A batch is ended by the message with which it has as many; while much is unsettled, most of them are ids."""

BATCH_BUCKETS = 24

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = re.compile(
    rf"1\.([0-9]{{16}})\.([\w-]{{{TAG_LENGTH}}})?\.((?:[\w-]{{{TAG_LENGTH}}}){{0,{MOST_TAGS}}})", re.ASCII
)


@dataclass(frozen=True)
class Position:
    """What somebody has been told.

    Parameters
    ----------
    after : str
        A moment, or the order of a change: all before was told, this change too.
    tags : tuple of str
        What was told of that which is behind.
    """

    after: str
    tags: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the text that stands for it, which only `read` understands."""
        moment, _, tag = self.after.partition("#")
        microseconds = (clock.from_text(moment) - _EPOCH) // timedelta(microseconds=1)
        return f"1.{microseconds:016d}.{tag}.{''.join(self.tags)}"

    @classmethod
    def read(cls, text: str) -> "Position | None":
        """Return the position that a text stands for; None if it is none."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        moment = _EPOCH + timedelta(microseconds=int(found[1]))
        if moment > clock.now() + timedelta(seconds=SETTLED_S):
            return None
        after = clock.to_text(moment) + (f"#{found[2]}" if found[2] else "")
        tags = found[3]
        return cls(after, tuple(tags[at : at + TAG_LENGTH] for at in range(0, len(tags), TAG_LENGTH)))


def follow(seen: Position | None) -> Batch:
    """Return what is new since a position, or within the last minutes. One Query, and one for each further bucket.

    What is older than is kept cannot be told: then the first message is `reset`, and the last minutes follow.
    """
    now = clock.now()
    settled = _text(now, -SETTLED_S)
    beginning = Position(_text(now, -BEGIN_S))
    messages: list[StreamMessage] = []
    position = seen or beginning
    if position.after < _text(now, -KEPT_S):
        position = beginning
        messages.append(StreamMessage(str(position), "reset", {}))
    is_near = position.after >= _text(now, -SETTLED_S - NEAR_S)
    if is_near:
        found, end, has_more = changes.read_latest(position.after, _text(now, CLOCKS_S)), settled, False
    else:
        found, end, has_more = _read_settled(position.after, settled)
    tags = set(position.tags)
    told = [change for change in found if change.tag in tags]
    # near the end all was read that is behind the position, else further tags may be of what comes later
    unread = () if is_near else tuple(sorted(tags.difference(change.tag for change in found)))
    size = 0
    for change in found:
        if change.tag in tags:
            continue
        if len(messages) >= BATCH_MESSAGES or size >= BATCH_BYTES:
            return Batch(messages, has_more=True)
        told.append(change)
        after = max(position.after, min(change.order, end))
        next_position = Position(after, _behind(after, told) + unread)
        if len(next_position.tags) > MOST_TAGS:
            return Batch(messages, has_more=has_more)
        position = next_position
        messages.append(StreamMessage(str(position), change.data["kind"], change.data))
        size += len(messages[-1].id) + len(json.dumps(change.data))
    if not messages and (seen is None or has_more or position.after < _text(now, -SETTLED_S - STEP_S)):
        after = max(position.after, end)
        position = Position(after, _behind(after, told) + unread)
        messages.append(StreamMessage(str(position), "", None))
    return Batch(messages, has_more)


def _read_settled(after: str, settled: str) -> tuple[list[KeptChange], str, bool]:
    """Return the oldest changes of those that are settled, up to where all were read, and that there are more."""
    found: list[KeptChange] = []
    wanted = BATCH_MESSAGES + MOST_TAGS  # so many may have been told before
    for bucket in changes.buckets(after, settled)[:BATCH_BUCKETS]:
        found += changes.read_settled(bucket, after, settled, wanted - len(found))
        end = min(settled, changes.end_of(bucket))
        if len(found) >= wanted:
            return found, found[-1].order, True
    return found, end, True


def _behind(place: str, told: list[KeptChange]) -> tuple[str, ...]:
    """Return the tags of what was told behind a place."""
    return tuple(change.tag for change in told if change.order > place)


def _text(now: datetime, seconds: float) -> str:
    return clock.to_text(now + timedelta(seconds=seconds))
