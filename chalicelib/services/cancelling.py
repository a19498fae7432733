"""Cancelling observations at their facilities."""

from contextlib import suppress

from chalicelib import clock
from chalicelib.errors import ConflictError, SiderealError
from chalicelib.facilities.base import Facility, Submitted
from chalicelib.facilities.budget import time_budget
from chalicelib.facilities.registry import find_facility
from chalicelib.models.observations import Observation
from chalicelib.storage import observations

PORTAL_S = 23.0
"""Seconds that a request leaves to its facility; API Gateway gives it 29."""

TRIES = 3
"""Times that an observation is looked at, where another wrote down meanwhile how it stood before."""


def cancel_observation(observation_pk: int) -> Observation:
    """Cancel an observation at its facility, and return it as it stands then; cancelled already is done.

    Raises
    ------
    NotFoundError
        If there is no such observation, here or there.
    ConflictError
        If its state forbids it; that state is kept.
    UpstreamError, UnavailableError
        If the facility does not answer, or not with sense.
    """
    observation = observations.get(observation_pk)
    facility = find_facility(observation.facility)
    with time_budget(PORTAL_S):
        try:
            facility.cancel(Submitted(observation.observation_id, observation.group_id))
        except ConflictError:
            with suppress(SiderealError):  # the refusal is what the caller has to hear
                _look(observation, facility)
            raise
        return _look(observation, facility)


def _look(observation: Observation, facility: Facility) -> Observation:
    """Keep how an observation stands at its facility, and return it."""
    for _ in range(TRIES):
        state = facility.state(observation.observation_id)
        observation = observations.set_state(observation, state, clock.now())
        if observation.status == state.status:
            break
    return observation
