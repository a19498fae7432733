"""Observation templates: what `POST /api/observe/` starts from."""

from chalice import Blueprint

from chalicelib.errors import InvalidInputError
from chalicelib.handlers import paging
from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import EMPTY, Parameter, operation
from chalicelib.handlers.replies import TELESCOPE, Reply
from chalicelib.handlers.request import Request
from chalicelib.handlers.targets import page_of
from chalicelib.models.answers import Listing
from chalicelib.models.fields import ParameterId
from chalicelib.models.observation_templates import ObservationTemplate, PublicTemplate, TemplateChange, TemplateInput
from chalicelib.models.validation import validate_telescope
from chalicelib.services import observation_templates as service
from chalicelib.storage import observation_templates

blueprint = Blueprint(__name__)
router = Router(blueprint, TELESCOPE)

TARGET = Parameter("target", "Only templates of the target with this id.", ParameterId)
FACILITY = Parameter("facility", "Only templates of this facility; with `target`.")
NAME = Parameter("name", "Only templates of this name; with `target`.")


@operation({200: Listing[PublicTemplate]}, parameters=(TARGET, FACILITY, NAME, paging.LIMIT, paging.NEXT))
def list_templates(request: Request) -> Reply:
    """List templates by id: all of them, or those of a target, of one facility and name if these are given."""
    limit, cursor = paging.limit_of(request, 100), request.query.get("next")
    target_id = paging.id_of(request, "target")
    facility, name = request.query.get("facility"), request.query.get("name")
    if target_id is not None:
        found, total, page = observation_templates.read_page_of_target(target_id, facility, name, limit, cursor)
    elif facility is None and name is None:
        found, total, page = observation_templates.read_page(limit, cursor)
    else:
        raise InvalidInputError.of("target", "Give it with `facility` and `name`, which choose among its templates.")
    return page_of([template.public() for template in found], total, page, request)


@operation({201: PublicTemplate}, takes=TemplateInput, refuses=(502,))
def create_template(request: Request) -> Reply:
    """Create a template."""

    def created(template: ObservationTemplate) -> Reply:
        location = f"{request.stage_prefix}/api/observationtemplates/{template.id}/"
        return Reply(template.public(), 201, {"Location": location})

    given = validate_telescope(TemplateInput, request.json_object())
    return created(service.create_template(given, lambda template: request.seal(created(template))))


@operation({200: PublicTemplate})
def get_template(request: Request) -> Reply:
    """Show a template."""
    return Reply(observation_templates.get(request.id("template_id")).public())


@operation({200: PublicTemplate}, takes=TemplateChange, refuses=(502,))
def change_template(request: Request) -> Reply:
    """Rename a template, or give it other fields."""
    change = validate_telescope(TemplateChange, request.json_object())
    return Reply(service.change_template(request.id("template_id"), change).public())


@operation({204: EMPTY})
def delete_template(request: Request) -> Reply:
    """Delete a template; observations made from it stay."""
    service.delete_template(request.id("template_id"))
    return Reply(None, 204)


router.add("/api/observationtemplates", GET=list_templates, POST=create_template)
router.add("/api/observationtemplates/{template_id}", GET=get_template, PATCH=change_template, DELETE=delete_template)
