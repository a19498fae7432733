"""tom_education's create observation alert API, whose throttle is the only one there is."""

from typing import Any

from chalice import Blueprint

from chalicelib.errors import InvalidInputError, MalformedBodyError
from chalicelib.handlers.body import Form, parse_json_object
from chalicelib.handlers.callers import throttle_key
from chalicelib.handlers.http import READING, Router
from chalicelib.handlers.operations import operation
from chalicelib.handlers.replies import TELESCOPE, Reply
from chalicelib.handlers.request import Request
from chalicelib.models.fields import MAX_ID
from chalicelib.models.observing import ObserveEcho, ObserveInput
from chalicelib.models.validation import validate_telescope
from chalicelib.services import observing as service
from chalicelib.settings import get_settings
from chalicelib.storage import throttle

blueprint = Blueprint(__name__)
router = Router(blueprint, TELESCOPE)

SCOPE = "observe"

_FORM = {
    "schema": {
        "type": "object",
        "description": "The same as a form.",
        "properties": {
            "target": {"type": "integer", "minimum": 1, "maximum": MAX_ID},
            "template_name": {"type": "string", "minLength": 1},
            "facility": {"type": "string", "minLength": 1},
            "overrides": {"type": "string", "contentMediaType": "application/json", "description": "A JSON object."},
            "email": {"type": "string", "format": "email"},
        },
        "required": ["target", "template_name", "facility", "email"],
    }
}


@operation(
    {201: ObserveEcho},
    takes=ObserveInput,
    refuses=(404, 429, 502),
    requestBody={"content": {"multipart/form-data": _FORM, "application/x-www-form-urlencoded": _FORM}},
)
def observe(request: Request) -> Reply:
    """Ask for an observation, of which the sender will hear by e-mail."""
    throttle.take(SCOPE, throttle_key(request), get_settings().throttle_observe)
    given = validate_telescope(ObserveInput, _sent(request))
    observation_pk = service.observe(given, request.user, request.identity)
    return Reply(given.echo(), 201, {"Location": f"{request.stage_prefix}/api/observations/{observation_pk}/"})


def _sent(request: Request) -> dict[str, Any]:
    """Return the body: JSON, or either kind of form."""
    if not (request.is_multipart or request.is_urlencoded):
        return request.json_object()
    return _values(request.form())


def _values(form: Form) -> dict[str, Any]:
    """Return the values of a form, of repeated ones the last; `overrides` is JSON, or not given if it is empty."""
    values: dict[str, Any] = {name: texts[-1] for name, texts in form.fields.items()}
    if any(name.startswith(("overrides.", "overrides[")) for name in values):
        raise InvalidInputError.of("overrides", "Send one field `overrides`, which holds a JSON object.")
    overrides = values.pop("overrides", "").strip()
    if overrides:
        try:
            values["overrides"] = parse_json_object(overrides.encode())
        except (MalformedBodyError, InvalidInputError) as error:
            raise InvalidInputError.of("overrides", f"Value must be a JSON object: {error}") from None
    return values


def _open_methods() -> tuple[str, ...]:
    return READING if get_settings().observe_requires_token else (*READING, "POST")


router.add("/api/observe", open_methods=_open_methods, POST=observe)
