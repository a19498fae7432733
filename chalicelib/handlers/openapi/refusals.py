"""With what an operation can be refused: the statuses that follow from its method, address and body, and their bodies."""

from chalicelib.handlers.openapi.schemas import TEMPLATE, Schema
from chalicelib.handlers.operations import Operation
from chalicelib.handlers.replies import ASIMOV, TELESCOPE, Family

GATEWAY = (429, 502, 504)
"""What API Gateway answers by itself, to any request: too many of them, one whose function died, or took too long."""

_TEXTS = {
    400: "Something of the body, of the parameters or of the `Idempotency-Key` is wrong.",
    401: "The bearer token is missing or wrong.",
    404: "Something that the request names does not exist.",
    409: "The request contradicts what is there.",
    413: "The body is too large.",
    415: "The body is of another kind than those that are taken.",
    422: "This `Idempotency-Key` came with another body before.",
    429: "Too many requests: ask again later.",
    500: "An error of ours; the log has more under the request id.",
    502: "The function died while it was answering.",
    503: "Something that is needed does not answer at the moment: ask again later.",
    504: "The request took too long.",
}
_OF_PORTAL = "The telescope portal gave an answer that makes no sense. Or the function died while it was answering."
_STILL_AT_WORK = " Or the first request with this `Idempotency-Key` has not ended yet."
_RETRY_AFTER = {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds after which to ask again."}
_CHALLENGE = {"schema": {"type": "string", "const": "Bearer"}, "description": "How to say who is asking."}


def statuses(method: str, operation: Operation, *, names_records: bool, is_open: bool, is_telescope: bool) -> list[int]:
    """Return the statuses of all refusals of an operation, in order.

    Parameters
    ----------
    names_records : bool
        Whether its address has parameters.
    is_open : bool
        Whether it needs no token.
    is_telescope : bool
        Whether it belongs to the telescope API: the other one answers 400 to a body of another kind.
    """
    has_body = operation.takes is not None or "requestBody" in operation.more
    is_keyed = method == "POST"
    found = {500, *GATEWAY, *operation.refuses, *(status for status in operation.answers if status >= 400)}
    if has_body or is_keyed or any(parameter.is_checked for parameter in operation.parameters):
        found.add(400)
    if has_body:
        found.add(413)
    if has_body and is_telescope:
        found.add(415)
    if names_records:
        found.add(404)
    if is_keyed:
        found |= {409, 422, 503}
    if not is_open:
        found |= {401, 503}
    return sorted(found)


def response(status: int, family: Family, method: str, operation: Operation) -> Schema:
    """Return what is answered with a status, as the family words it."""
    text = _TEXTS[status]
    if status == 409 and method == "POST":
        text += _STILL_AT_WORK
    if status == 502 and status in operation.refuses:
        text = _OF_PORTAL
    answer: Schema = {"description": text, "content": _content(status, family, status in operation.refuses)}
    headers: Schema = {}
    if status == 401:
        headers["WWW-Authenticate"] = _CHALLENGE
    if status in (429, 503) or (status == 409 and method == "POST"):
        headers["Retry-After"] = _RETRY_AFTER
    return {**answer, "headers": headers} if headers else answer


def _content(status: int, family: Family, is_told: bool) -> Schema:
    """Return the body; what only API Gateway answers is of no family."""
    if status in (502, 504) and not is_told:
        return _json("GatewayError")
    if family is ASIMOV or family is TELESCOPE:
        api = "Ledger" if family is ASIMOV else "Telescope"
        kind = {400: "InputError", 500: "Fault"}.get(status, "Error")
        return _json(f"{api}{kind}")
    page: Schema = {"text/html": {"schema": {"type": "string"}}}
    return {**page, **_json("GatewayError")} if status in (413, 429, 500) else page


def _json(model: str) -> Schema:
    return {"application/json": {"schema": {"$ref": TEMPLATE.format(model=model)}}}
