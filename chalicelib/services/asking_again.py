"""Asking for an observation again: which requests are the same, and what the later ones are answered."""

import math

from chalicelib import clock
from chalicelib.errors import UnavailableError
from chalicelib.models.observing import Submission
from chalicelib.settings import get_settings
from chalicelib.storage import submissions

TOGETHER_S = 10.0
"""Seconds within which equal requests are asked for on purpose, so that each is an observation of its own."""

BUSY_S = 5.0
"""Seconds after which a caller may ask again while somebody else looks after the submission."""

UNSETTLED = (
    "It is not known yet whether the facility has taken this observation. "
    "Send the same request again after the time that Retry-After tells: it will not be doubled."
)


def earlier_of(draft: Submission) -> Submission | int | None:
    """Return what the same input asked for before, in vain: a submission to go on with, or the observation that came of it.

    A submission on which its first request has just begun to work is not this one's: who asks twice at once wants two, if no
    key says otherwise. One that takes long may have died, or been given up by its caller, who asks again.

    Raises
    ------
    UnavailableError
        If there is one that cannot be gone on with yet.
    """
    now = clock.now().timestamp()
    wait_s = 0.0
    settled: Submission | None = None
    for seen in submissions.of_input(draft.digest, now):
        is_worked_on = seen.worked_until > now
        if seen.observation_id is not None:
            settled = settled or seen
        elif seen.held_until <= now:
            taken = submissions.take_over(seen, draft)
            if taken is not None:
                return taken
            wait_s = max(wait_s, BUSY_S)
        elif seen.is_keyed or seen.is_lost or _age_s(seen) > TOGETHER_S:
            wait_s = max(wait_s, BUSY_S if is_worked_on else seen.held_until - now)
    if wait_s:
        raise UnavailableError(UNSETTLED, math.ceil(wait_s))
    if settled is None:
        return None
    tell(settled, now)
    return settled.observation_id


def kept_s(submission: Submission, *, is_told: bool) -> int:
    """Return for how many seconds a submission that is settled now answers who asks again."""
    if submission.is_keyed:  # nobody knows whether the answer is kept, or has reached anybody
        return math.ceil(get_settings().idempotency_hours * 3600)
    if not is_told:
        return submissions.SETTLED_KEPT_S
    # Of one that was lost, or that takes long, somebody may have been told that asking again does not double it.
    is_promised = submission.is_lost or _age_s(submission) > TOGETHER_S
    return submissions.TOLD_KEPT_S if is_promised else 0


def tell(submission: Submission, now: float) -> None:
    """Note that the caller of a settled submission is told; one with a key may ask as long as the key is known."""
    if not submission.is_keyed:
        submissions.tell(submission, now)


def _age_s(submission: Submission) -> float:
    """Return the seconds since the last of those began who may have sent a submission."""
    return (clock.now() - clock.from_text(submission.sent)).total_seconds()
