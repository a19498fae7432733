"""Observations that were asked for, and how they stand."""

from chalice import Blueprint

from chalicelib.handlers import paging
from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import operation
from chalicelib.handlers.replies import TELESCOPE, Reply
from chalicelib.handlers.request import Request
from chalicelib.handlers.targets import page_of
from chalicelib.models.answers import Listing
from chalicelib.models.observations import PublicObservation
from chalicelib.services import cancelling as service
from chalicelib.storage import observations

blueprint = Blueprint(__name__)
router = Router(blueprint, TELESCOPE)


@operation({200: Listing[PublicObservation]}, parameters=(paging.TARGET, paging.LIMIT, paging.NEXT))
def list_observations(request: Request) -> Reply:
    """List the observations of a target, newest first."""
    target_id = paging.target_of(request)
    found, total, page = observations.read_page(target_id, paging.limit_of(request, 100), request.query.get("next"))
    return page_of([observation.public() for observation in found], total, page, request)


@operation({200: PublicObservation})
def get_observation(request: Request) -> Reply:
    """Show an observation."""
    return Reply(observations.get(request.id("observation_pk")).public())


@operation({200: PublicObservation}, refuses=(409, 502))
def cancel_observation(request: Request) -> Reply:
    """Cancel an observation at its facility."""
    return Reply(service.cancel_observation(request.id("observation_pk")).public())


router.add("/api/observations", GET=list_observations)
router.add("/api/observations/{observation_pk}", GET=get_observation)
router.add("/api/observations/{observation_pk}/cancel", PATCH=cancel_observation)
