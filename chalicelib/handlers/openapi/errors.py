"""The bodies of refusals: one family for each of the two published APIs, and what API Gateway answers by itself."""

from typing import Any

from chalicelib.handlers.openapi.schemas import TEMPLATE, Schema
from chalicelib.handlers.replies import TelescopeFamily


def _object(description: str, required: list[str], properties: Schema, **more: Any) -> Schema:
    return {"type": "object", "description": description, "required": required, "properties": properties, **more}


_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_REQUEST_ID = {"type": "string", "description": "Names the request in the log."}
_EXAMPLE_ID = "b0a7cbc4-3d7e-4c6b-9d0e-6f1f8b7a2c11"
_FAULTS = {"$ref": TEMPLATE.format(model="TelescopeFaults")}
_DETAIL = _object(
    "What is wrong with one field: where it is, and in words for people and for programs.",
    ["loc", "msg", "type"],
    {"loc": {"type": "array", "items": {"type": ["string", "integer"]}}, "msg": _TEXT, "type": _TEXT},
)

COMPONENTS: dict[str, Schema] = {
    "LedgerError": _object(
        "A refusal of the asimov REST API.", ["error"], {"error": _TEXT}, examples=[{"error": "Event not found"}]
    ),
    "LedgerInputError": _object(
        "A refusal of the asimov REST API because of what was sent.",
        ["error", "details"],
        {"error": _TEXT, "details": {"type": "array", "items": _DETAIL}},
        examples=[
            {
                "error": "Validation error",
                "details": [{"loc": ["name"], "msg": "field required", "type": "value_error.missing"}],
            }
        ],
    ),
    "LedgerFault": _object(
        "An error of ours, in the asimov REST API.",
        ["error"],
        {"error": _TEXT, "request_id": _REQUEST_ID},
        examples=[{"error": "Internal server error", "request_id": _EXAMPLE_ID}],
    ),
    "TelescopeError": _object(
        "A refusal of the telescope API.", ["detail"], {"detail": _TEXT}, examples=[{"detail": "Not found."}]
    ),
    "TelescopeInputError": _object(
        "A refusal of the telescope API because of what was sent: what is wrong with each field, or `detail` where no "
        "single field is to blame.",
        [],
        {"detail": _TEXT, **{form: {"anyOf": [_TEXTS, _FAULTS]} for form in TelescopeFamily.FORMS}},
        minProperties=1,
        additionalProperties=_TEXTS,
        examples=[{"email": ["Enter a valid email address."], "options": {"fps": ["A valid number is required."]}}],
    ),
    "TelescopeFaults": _object(
        "What is wrong with the members of a form; `detail` is what is wrong with the form itself.",
        [],
        {},
        additionalProperties={"anyOf": [_TEXTS, _FAULTS]},
        examples=[{"fps": ["A valid number is required."]}],
    ),
    "TelescopeFault": _object(
        "An error of ours, in the telescope API.",
        ["detail"],
        {"detail": _TEXT, "request_id": _REQUEST_ID},
        examples=[{"detail": "Internal server error", "request_id": _EXAMPLE_ID}],
    ),
    "GatewayError": _object(
        "An answer of API Gateway itself, which does not know which API was meant.",
        ["error", "detail"],
        {"error": _TEXT, "detail": _TEXT, "request_id": _REQUEST_ID},
        examples=[{"error": "Too many requests", "detail": "Request was throttled."}],
    ),
}
