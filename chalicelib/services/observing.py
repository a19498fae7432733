"""Asking a facility for observations, each once: whatever fails on the way, none is asked for twice, and none forgotten.

A submission is written down before it is sent. It ends in one transaction with the observation that it became, or because
the facility is known not to have it. As long as neither is known it stays, and is looked for by its name: when the same
input comes again, or by the schedule. docs/data-model.md tells its life.
"""

import math
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib import clock
from chalicelib.errors import ConflictError, NotFoundError, SiderealError, UnavailableError, UpstreamError
from chalicelib.facilities.base import Facility, LostAnswerError, Submitted
from chalicelib.facilities.budget import time_budget, time_left
from chalicelib.facilities.registry import find_facility
from chalicelib.metrics import Metric
from chalicelib.models.observations import Observation
from chalicelib.models.observing import ObserveInput, Submission
from chalicelib.models.targets import Target
from chalicelib.observability import logger, metrics
from chalicelib.services.asking_again import BUSY_S, UNSETTLED, earlier_of, kept_s, tell
from chalicelib.storage import alerts, observation_templates, observations, submissions
from chalicelib.storage.requests import ConditionFailedError
from chalicelib.storage.submissions import NameTakenError

PORTAL_S = 23.0
"""Seconds that a request leaves to its facility; API Gateway gives it 29."""

SEARCH_S = 7.0
"""Seconds of these that are kept for finding out whether a submission whose answer was lost has arrived."""

WORK_S = 28.0
"""Seconds after which nobody works on a request any more."""

ARRIVAL_S = 30.0
"""Seconds after which a facility that was asked has the observation, or never will."""

PAUSE_S = 1.0
"""Seconds after which a facility that broke off is asked again whether it has an observation."""

SKEW = timedelta(hours=1)
"""The facility's clock may be another: from so much before its creation on a submission is looked for."""

SETTLING_S = 30.0
"""Seconds that the schedule leaves to one submission."""

GIVEN_UP_AFTER = timedelta(minutes=15)
"""A submission that the facility does not have so long after it was sent is dropped."""

NAMES_IN_ORDER = 20
"""Numbers that are tried behind a name in use, before one that nobody would guess."""


class _UnsettledError(Exception):
    """Raised when a facility may have a submission; `answer` is what the caller is told."""

    def __init__(self, answer: SiderealError) -> None:
        super().__init__(str(answer))
        self.answer = answer


def observe(given: ObserveInput, user: str, identity: str = "") -> int:
    """Ask for an observation of a target as a template says, and return its id; an alert is opened with it.

    Parameters
    ----------
    identity : str
        What the request has in common with its repetitions only, if it has an `Idempotency-Key`.

    Raises
    ------
    NotFoundError
        If there is no such target, facility or template.
    InvalidInputError
        If the form is wrong, as we see it or as the facility does.
    UpstreamError, UnavailableError
        If the facility does not answer, or not with sense.
    """
    asked = clock.now()
    with time_budget(PORTAL_S):
        target, template = observation_templates.find(given.target, given.facility, given.template_name)
        if target is None:
            raise NotFoundError("Target not found.")
        facility = find_facility(given.facility)
        if template is None:
            wanted = f"target '{target.name}' and facility '{given.facility}'"
            raise NotFoundError(f"Template '{given.template_name}' not found for {wanted}")
        default = f"{given.template_name}-{asked:%Y-%m-%d-%H%M%S}"
        form = {**template.fields, **given.overrides, "name": given.name(default)}
        draft = _draft(given, user, identity, facility.check_form(form, target), asked)
        earlier = earlier_of(draft)
        if isinstance(earlier, int):
            return earlier
        submission = earlier or _begin(draft, facility.max_name_length)
        submitted = _submitted(submission, facility, target)
        try:
            # An answer after API Gateway has given up reaches nobody: the caller will ask again.
            is_told = clock.now().timestamp() <= draft.worked_until
            return _settle(submission, submitted, facility, is_told=is_told)
        except NotFoundError:
            raise
        except Exception as error:
            logger.exception("observation is not recorded", extra=_about(submission))
            if not _let_go(submission, 0.0):
                return _settled_already(submission, is_told=True)
            raise UnavailableError(UNSETTLED, math.ceil(BUSY_S)) from error


def settle_submissions(seconds_left: Callable[[], float]) -> int:
    """Find out what became of submissions that nobody works on, and return how many became observations.

    The failure of one does not stop the others; a facility that does not answer is left alone until the next time.

    Parameters
    ----------
    seconds_left : callable
        Returns the seconds that the function has.
    """
    settled = 0
    silent: set[str] = set()
    for seen in submissions.open_submissions():
        if seconds_left() < SETTLING_S:
            break
        now = clock.now()
        if seen.facility in silent or seen.held_until > now.timestamp():
            continue
        about = _about(seen)
        try:
            settled += _settle_later(seen, now)
        except (UnavailableError, UpstreamError) as error:
            silent.add(seen.facility)
            logger.warning("submission cannot be looked for", extra={**about, "reason": str(error)})
        except Exception:  # noqa: BLE001 - the border: one that fails must not stop the others
            logger.exception("settling a submission failed", extra=about)
            metrics.add(Metric.SETTLE_ERRORS)
    return settled


def _draft(given: ObserveInput, user: str, identity: str, parameters: dict[str, Any], asked: datetime) -> Submission:
    worked_until = asked.timestamp() + WORK_S
    return Submission(
        digest=given.digest(identity),
        name=parameters["name"],
        facility=given.facility,
        target_id=given.target,
        parameters=parameters,
        email=given.email,
        user=user,
        created=clock.to_text(asked),
        sent=clock.to_text(asked),
        holder=uuid.uuid4().hex,
        worked_until=worked_until,
        held_until=worked_until + ARRIVAL_S,
        is_keyed=bool(identity),
    )


def _about(submission: Submission) -> dict[str, str]:
    """Return what the log says about a submission."""
    return {"observation_name": submission.name, "facility": submission.facility}


def _begin(draft: Submission, max_length: int) -> Submission:
    """Write a submission down under the first name of its that is free."""
    for name in _names(draft.name, max_length):
        submission = replace(draft, name=name, parameters={**draft.parameters, "name": name})
        with suppress(NameTakenError):
            submissions.begin(submission, clock.now().timestamp())
            return submission
    raise UnavailableError("Too many observations have this name; try again.")


def _names(name: str, max_length: int) -> Iterator[str]:
    """Yield a name, and then others that begin as it does; none is longer than the facility takes."""
    yield name
    for suffix in (*(f"_{number}" for number in range(2, NAMES_IN_ORDER + 1)), f"_{uuid.uuid4().hex[:8]}"):
        yield name[: max_length - len(suffix)] + suffix


def _submitted(submission: Submission, facility: Facility, target: Target) -> Submitted:
    """Send a submission, or find it where it may have been sent, and return what the facility calls it.

    Where the facility does not have it, it is gone afterwards; where that is not known, it waits.
    """
    try:
        return _sent_or_found(submission, facility, target)
    except _UnsettledError as error:
        logger.warning("submission is unsettled", extra={**_about(submission), "reason": str(error.__cause__)})
        # What was refused did not arrive; of anything else that is known only after a while.
        _let_go(submission, ARRIVAL_S if isinstance(error.answer, UnavailableError) else 0.0)
        raise error.answer from None
    except SiderealError:
        submissions.drop(submission)
        raise


def _let_go(submission: Submission, wait_s: float) -> bool:
    """Leave a submission that the facility may have to whoever comes so much later; False if it is not ours any more.

    Raises
    ------
    UnavailableError
        If that cannot be written down either: then it is ours until its time is over.
    """
    metrics.add(Metric.UNSETTLED_SUBMISSIONS)
    now = clock.now().timestamp()
    try:
        return submissions.let_go(submission, now, now + wait_s)
    except Exception as error:
        logger.exception("submission cannot be let go", extra=_about(submission))
        raise UnavailableError(UNSETTLED, math.ceil(WORK_S + ARRIVAL_S)) from error


def _sent_or_found(submission: Submission, facility: Facility, target: Target) -> Submitted:
    lost: LostAnswerError | None = None
    if not submission.is_lost:
        try:
            with time_budget(time_left() - SEARCH_S):
                return facility.submit(submission.parameters, target)
        except LostAnswerError as error:
            lost = error
    try:
        return _found_or_sent_again(submission, facility, target, lost)
    except (LostAnswerError, UpstreamError, UnavailableError) as error:
        raise _UnsettledError(UnavailableError(UNSETTLED, math.ceil(ARRIVAL_S))) from error
    except SiderealError as error:
        raise _UnsettledError(error) from error


def _found_or_sent_again(
    submission: Submission, facility: Facility, target: Target, lost: LostAnswerError | None
) -> Submitted:
    """Look for a submission that may have arrived; where it has not and will not, send it once more.

    Parameters
    ----------
    lost : LostAnswerError, optional
        How its answer was lost, a moment ago; None if that is long enough ago for it to be there.
    """
    found = _find(submission, facility)
    if found is None and lost is not None:
        if lost.may_still_arrive:
            raise lost
        time.sleep(PAUSE_S)
        found = _find(submission, facility)
    if found is not None:
        return found
    try:
        return facility.submit(submission.parameters, target)
    except SiderealError:
        # Refused, perhaps because the first one took what there was; or lost again.
        found = _find(submission, facility)
        if found is None:
            raise
        return found


def _find(submission: Submission, facility: Facility) -> Submitted | None:
    return facility.find(submission.name, clock.from_text(submission.created) - SKEW)


def _settle(submission: Submission, submitted: Submitted, facility: Facility, *, is_told: bool) -> int:
    """Make the observation that a submission has become, with its alert, and return its id.

    Parameters
    ----------
    is_told : bool
        Whether the caller hears of it now. If not, the same input, sent again, is answered with it.

    Raises
    ------
    NotFoundError
        If the target was deleted meanwhile; the observation is cancelled then.
    """
    now = clock.now()
    observation = Observation(
        id=observations.next_id(),
        target_id=submission.target_id,
        facility=submission.facility,
        observation_id=submitted.observation_id,
        group_id=submitted.group_id,
        parameters=submission.parameters,
        created=clock.to_text(now),
        modified=clock.to_text(now),
        user=submission.user,
    )
    end = submissions.settling(submission, observation.id, now.timestamp(), kept_s(submission, is_told=is_told))
    try:
        observations.create(observation, [alerts.opening(observation, submission.email), *end])
    except NotFoundError:
        _take_back(submission, submitted, facility)
        raise
    except ConditionFailedError:
        return _settled_already(submission, is_told=is_told)
    metrics.add(Metric.OBSERVATIONS)
    return observation.id


def _settled_already(submission: Submission, *, is_told: bool) -> int:
    """Return what a submission became that is not ours any more: another settled it, or we did and heard no answer."""
    observation_pk = submissions.became(submission)
    if observation_pk is None:
        raise UnavailableError(UNSETTLED, math.ceil(BUSY_S))
    if is_told:
        tell(submission, clock.now().timestamp())
    return observation_pk


def _take_back(submission: Submission, submitted: Submitted, facility: Facility) -> None:
    """Cancel an observation whose target is gone: nobody would ever see it. If that fails, the schedule tries again."""
    try:
        with suppress(ConflictError, NotFoundError):  # it is over, or gone
            facility.cancel(submitted)
    except SiderealError as error:
        now = clock.now().timestamp()
        submissions.let_go(submission, now, now)
        extra = {**_about(submission), "reason": str(error)}
        logger.warning("observation of a deleted target is not cancelled", extra=extra)
    else:
        submissions.end(submission, clock.now().timestamp())


def _settle_later(seen: Submission, now: datetime) -> bool:
    """Look for one submission that nobody works on; say whether it became an observation."""
    until = now.timestamp() + SETTLING_S
    mine = submissions.take_over(seen, replace(seen, holder=uuid.uuid4().hex, worked_until=until, held_until=until))
    if mine is None:
        return False
    facility = find_facility(mine.facility)
    try:
        with time_budget(SETTLING_S / 2):
            found = _find(mine, facility)
            if found is not None:
                _settle(mine, found, facility, is_told=False)
                return True
    except NotFoundError:
        return False  # its target is gone, and it with it
    except SiderealError:
        submissions.let_go(mine, now.timestamp(), now.timestamp())
        raise
    if now - clock.from_text(mine.sent) > GIVEN_UP_AFTER:
        submissions.drop(mine)
    else:
        submissions.let_go(mine, now.timestamp(), now.timestamp())
    return False
