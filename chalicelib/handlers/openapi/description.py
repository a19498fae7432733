"""The description of the API: for programs, and as a page on which every call can be tried out."""

import hashlib
import json
from typing import Any

from chalice import Blueprint

from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import EMPTY, Parameter, operation
from chalicelib.handlers.replies import ASIMOV, Reply
from chalicelib.handlers.request import Request

blueprint = Blueprint(__name__)
router = Router(blueprint, ASIMOV)


@operation(
    answers={200: dict[str, Any], 304: EMPTY},
    parameters=(
        Parameter("If-None-Match", "The `ETag` of a copy that is there already.", place="header", is_checked=False),
    ),
)
def describe_api(request: Request) -> Reply:
    """Describe both APIs, and the pages, in OpenAPI."""
    # pydantic's schemas and the examples are loaded for those who ask for them
    from chalicelib.handlers.openapi.document import document

    text = json.dumps(document(request.stage_prefix), ensure_ascii=False)
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = request.raw.headers.get("if-none-match", "")
    if tag in known or known.strip() == "*":
        return Reply(None, 304, headers)
    return Reply(text, 200, {**headers, "Content-Type": "application/json"})


router.add("/openapi.json", GET=describe_api)
