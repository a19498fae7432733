"""Targets, and tom_education's target detail and async process APIs."""

from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlencode

from chalice import Blueprint

from chalicelib import clock
from chalicelib.errors import InvalidInputError
from chalicelib.handlers import paging
from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import EMPTY, Parameter, operation
from chalicelib.handlers.replies import TELESCOPE, Reply
from chalicelib.handlers.request import Request
from chalicelib.models.answers import Listing
from chalicelib.models.processes import ProcessesOfTarget
from chalicelib.models.targets import PublicTarget, Target, TargetChange, TargetDetail, TargetInput
from chalicelib.models.validation import validate_telescope
from chalicelib.services import targets as service
from chalicelib.storage import processes, targets
from chalicelib.storage.lists import MAX_PAGE_BYTES, Page

blueprint = Blueprint(__name__)
router = Router(blueprint, TELESCOPE)

MAX_CONE_RADIUS_DEG = 10.0

NAME = Parameter("name", "Only the target of this name.")
CONE_SEARCH = Parameter(
    "cone_search",
    f"Only targets within a cone, nearest first: `ra,dec,radius` in degrees, the radius at most {MAX_CONE_RADIUS_DEG:g}.",
)
Member = TypeVar("Member")


@operation({200: Listing[PublicTarget]}, parameters=(paging.LIMIT, paging.NEXT, NAME, CONE_SEARCH), refuses=(503,))
def list_targets(request: Request) -> Reply:
    """List targets by id, or those of a name, or those within a cone, nearest first."""
    name, cone = request.query.get("name"), request.query.get("cone_search")
    limit = paging.limit_of(request, 100)
    if name is None and cone is None:
        found, total, page = targets.read_page(limit, request.query.get("next"), MAX_PAGE_BYTES)
        return page_of([target.public() for target in found], total, page, request)
    if cone is not None:
        found, total = targets.find_near(*_cone(cone), limit)
        if name is not None:
            found = [each for each in found if each.name == name]
            total = len(found)
    else:
        target = targets.find_by_name(name or "")
        found = [target] if target else []
        total = len(found)
    return page_of([each.public() for each in found], total, Page([], None, None), request)


@operation({201: PublicTarget}, takes=TargetInput)
def create_target(request: Request) -> Reply:
    """Create a target."""
    given = validate_telescope(TargetInput, request.json_object())
    now = clock.to_text(clock.now())
    draft = Target(0, given.name, now, now, given.type, given.ra, given.dec, given.extra_fields)
    draft.check_position()
    target = replace(draft, id=targets.next_id())
    reply = Reply(target.public(), 201, {"Location": f"{request.stage_prefix}/api/targets/{target.id}/"})
    targets.create(target, request.seal(reply))
    return reply


@operation({200: PublicTarget})
def get_target(request: Request) -> Reply:
    """Show a target."""
    return Reply(targets.get(request.id("target_id")).public())


@operation({200: PublicTarget}, takes=TargetChange)
def change_target(request: Request) -> Reply:
    """Change what is given of a target."""
    change = validate_telescope(TargetChange, request.json_object())
    return Reply(service.change_target(request.id("target_id"), change).public())


@operation({204: EMPTY})
def delete_target(request: Request) -> Reply:
    """Delete a target with all that belongs to it."""
    service.delete_target(request.id("target_id"))
    return Reply(None, 204)


@operation({200: TargetDetail})
def get_target_detail(request: Request) -> Reply:
    """Target detail and timelapses API."""
    target, timelapses = targets.get_with_timelapses(request.id("target_id"))
    detail: TargetDetail = {
        "target": {"name": target.name, "extra_fields": target.extra_fields},
        "timelapses": [timelapse.public() for timelapse in timelapses],
    }
    return Reply(detail)


@operation({200: ProcessesOfTarget}, parameters=(paging.LIMIT,))
def get_process_status(request: Request) -> Reply:
    """Async process API: the processes of a target, newest first."""
    limit = paging.limit_of(request)
    listed = processes.list_of_target(request.id("target_id"), limit)
    status: ProcessesOfTarget = {"timestamp": clock.now().timestamp(), "processes": listed}
    return Reply(status)


def page_of(results: list[Member], total: int, page: Page, request: Request) -> Reply:
    """Return one page in the form of Django REST framework's lists; `next` and `previous` are addresses."""

    def address(cursor: str | None) -> str | None:
        if cursor is None:
            return None
        query = {**request.query, "next": cursor}
        path = str(request.raw.context.get("resourcePath", ""))
        return f"{request.base_url}{path}/?{urlencode(query)}"

    listing: Listing[Member] = {
        "count": total,
        "next": address(page.next),
        "previous": address(page.previous),
        "results": results,
    }
    return Reply(listing)


def _cone(text: str) -> tuple[float, float, float]:
    """Return right ascension, declination and radius (degrees) of the parameter `cone_search`."""
    try:
        ra, dec, radius = (float(part) for part in text.split(","))
    except ValueError:
        raise InvalidInputError.of(
            "cone_search", "Give right ascension, declination and radius: `ra,dec,radius`."
        ) from None
    if not (0 <= ra < 360 and -90 <= dec <= 90 and 0 <= radius <= MAX_CONE_RADIUS_DEG):
        limits = f"0 <= ra < 360, -90 <= dec <= 90, 0 <= radius <= {MAX_CONE_RADIUS_DEG:g}"
        raise InvalidInputError.of("cone_search", f"Out of range: {limits}, all in degrees.")
    return ra, dec, radius


router.add("/api/targets", GET=list_targets, POST=create_target)
router.add("/api/targets/{target_id}", GET=get_target, PATCH=change_target, DELETE=delete_target)
router.add("/api/target/{target_id}", GET=get_target_detail)
router.add("/api/async/status/{target_id}", GET=get_process_status)
