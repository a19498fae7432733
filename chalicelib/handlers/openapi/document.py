"""The whole document: OpenAPI 3.1, made of the routes, of what each view tells, of the models and of the examples."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

from chalicelib.handlers import idempotency, operations
from chalicelib.handlers.http import ROUTES, Route, View
from chalicelib.handlers.openapi import refusals
from chalicelib.handlers.openapi.addresses import path_parameters, published
from chalicelib.handlers.openapi.errors import COMPONENTS
from chalicelib.handlers.openapi.examples import EXAMPLES, Example
from chalicelib.handlers.openapi.schemas import Schema, Schemas, of_parameter
from chalicelib.handlers.openapi.tags import place_of, tag_of
from chalicelib.handlers.operations import Content, Parameter, Told
from chalicelib.handlers.replies import TELESCOPE

VERSION = "1"
BEARER = "bearer"

_ABOUT = """\
The ledger of gravitational-wave analyses (the asimov REST API, under `/api/v1/`), and targets, files, pipelines and \
observations of telescope programmes (tom_education's API and what belongs to it, under `/api/`), with the pages that their \
answers lead to.

Addresses are spelled as in the published documents; each is answered with a slash at its end and without one alike. \
Whoever reads needs no token; whoever writes sends one as `Authorization: Bearer <token>`. What `GET` answers, `HEAD` does \
without the body; `OPTIONS` names the methods of an address; others get 405 with `Allow`. Every answer has an \
`X-Request-Id`, under which the log has more of it. A `POST` with an `Idempotency-Key` can be sent again: it is done once, \
and answered as it was, with `Idempotency-Replayed`. Bodies are JSON unless something else is said; an object may be nested \
100 levels deep, and no key may stand in it twice. The two APIs word their refusals differently; what API Gateway answers \
by itself (429, 502, 504) fits both.
"""
_KEY: Schema = {
    "name": idempotency.HEADER,
    "in": "header",
    "description": "Names this request, so that it can be sent again without being done twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
_LOCATION = {"schema": {"type": "string"}, "description": "Address of what this answer tells of."}
_REPLAYED = {
    "schema": {"type": "string", "const": "true"},
    "description": "Where this is the answer to an earlier request with the same key.",
}
_FOLLOWED = "Browsers follow the redirect by themselves: whoever tries this out on a page sees the file, and 200."
_RETRY_AFTER = {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds after which to ask again."}


class _Operation(NamedTuple):
    """One method of one route, with what its view tells."""

    route: Route
    method: str
    view: View
    told: Told

    @property
    def is_open(self) -> bool:
        """Whether it needs no token."""
        return self.method in self.route.open_methods()


def document(prefix: str = "") -> Schema:
    """Return the description of the API of this deployment.

    Parameters
    ----------
    prefix : str
        What stands before every path: `/dev`, or "".
    """
    # a server's settings may say which operations are open
    made = _document(tuple(route.open_methods() for route in ROUTES))
    return {**made, "servers": [{"url": prefix or "/"}]}


@cache
def _document(_open_methods: Sequence[Sequence[str]]) -> Schema:
    all_operations = sorted(_operations(), key=lambda each: place_of(each.view))
    schemas = Schemas(
        (each.told.operation.takes for each in all_operations if each.told.operation.takes is not None),
        (
            kind
            for each in all_operations
            for kinds in each.told.operation.answers.values()
            for alternative in _alternatives(kinds)
            for kind in _json_of(alternative)
        ),
    )
    paths: dict[str, Schema] = {}
    for each in all_operations:
        path = published(each.route.path)
        item = paths.setdefault(path, {"parameters": path_parameters(path)} if "{" in path else {})
        item[each.method.lower()] = _describe(each, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sidereal", "version": VERSION, "description": _ABOUT},
        "servers": [],
        "tags": [tag._asdict() for tag in dict.fromkeys(tag_of(each.view) for each in all_operations)],
        "paths": paths,
        "components": {
            "schemas": {**COMPONENTS, **schemas.components},
            "securitySchemes": {BEARER: {"type": "http", "scheme": "bearer"}},
        },
    }


def _operations() -> Iterator[_Operation]:
    for route in ROUTES:
        for method, view in route.views.items():
            yield _Operation(route, method, view, operations.told(view))


def _describe(each: _Operation, schemas: Schemas) -> Schema:
    """Return the operation object."""
    told, operation = each.told, each.told.operation
    example = EXAMPLES.get(told.name, Example())
    summary, _, rest = told.text.partition("\n\n")
    parameters = [_parameter(parameter) for parameter in operation.parameters]
    described: Schema = {
        "operationId": told.name,
        # plain text, unlike descriptions
        "summary": " ".join(summary.split()).removesuffix(".").replace("`", ""),
        "tags": [tag_of(each.view).name],
        "security": [] if each.is_open else [{BEARER: []}],
        "parameters": [*parameters, *([_KEY] if each.method == "POST" else [])],
        "responses": {},
    }
    texts = [" ".join(rest.split()), _FOLLOWED if HTTPStatus.FOUND in operation.answers else ""]
    if any(texts):
        described["description"] = "\n\n".join(filter(None, texts))
    if operation.takes is not None:
        media = {"schema": schemas.of_input(operation.takes), **_example(example.takes)}
        described["requestBody"] = {"required": True, "content": {"application/json": media}}
    for status, kinds in sorted(operation.answers.items()):
        if status < 400:
            described["responses"][str(status)] = _answer(each, status, kinds, schemas, example)
    for status in refusals.statuses(
        each.method,
        operation,
        names_records="{" in each.route.path,
        is_open=each.is_open,
        is_telescope=each.route.family is TELESCOPE,
    ):
        response = refusals.response(status, each.route.family, each.method, operation)
        content = _contents(operation.answers.get(status, ()), status, schemas, example)
        if content:
            response = {**response, "content": {**response["content"], **content}}
        described["responses"][str(status)] = response
    forms = {kind: {"example": form} for kind, form in example.forms.items()}
    return _joined(_joined(described, operation.more), {"requestBody": {"content": forms}} if forms else {})


def _parameter(parameter: Parameter) -> Schema:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.is_required,
        "schema": of_parameter(parameter.kind),
    }


def _answer(each: _Operation, status: int, kinds: Any, schemas: Schemas, example: Example) -> Schema:
    """Return the response object of a good answer."""
    contents = _contents(kinds, status, schemas, example)
    words = [kind.description for kind in _alternatives(kinds) if isinstance(kind, Content)]
    answer: Schema = {"description": " ".join(words) or f"{HTTPStatus(status).phrase}."}
    headers: Schema = {}
    if status == HTTPStatus.FOUND or (
        each.route.family is TELESCOPE and each.method == "POST" and status in (HTTPStatus.CREATED, HTTPStatus.ACCEPTED)
    ):
        headers["Location"] = _LOCATION
    if status == HTTPStatus.ACCEPTED and each.method == "GET":
        headers["Retry-After"] = _RETRY_AFTER
    if each.method == "POST":
        headers[idempotency.REPLAYED] = _REPLAYED
    if headers:
        answer["headers"] = headers
    return {**answer, "content": contents} if contents else answer


def _contents(kinds: Any, status: int, schemas: Schemas, example: Example) -> Schema:
    """Return the bodies that an answer may have, by media type."""
    contents: Schema = {}
    for kind in _alternatives(kinds):
        if isinstance(kind, Content):
            if kind.media_type:
                schema = _of_stream(kind, schemas) if kind.messages else {"type": "string"}
                contents[kind.media_type] = {"schema": schema, **_example(example.texts.get(kind.media_type))}
        else:
            contents["application/json"] = {
                "schema": schemas.of_answer(kind),
                **_example(example.answers.get(status)),
            }
    return contents


def _of_stream(kind: Content, schemas: Schemas) -> Schema:
    """Return the schema of a stream. Of its text it says nothing: some readers hold it against each message."""
    messages = [
        {
            "properties": {
                "id": {"type": "string"},
                "event": {"const": name},
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": schemas.of_answer(data),
                },
            },
            "required": ["event", "data"],
        }
        for name, data in kind.messages
    ]
    about = "Messages, each of lines `name: value` up to an empty line. The properties are those of each."
    return {"description": about, "contentMediaType": kind.media_type, "anyOf": messages}


def _json_of(kind: Any) -> list[Any]:
    """Return the types of the JSON in an answer: it itself, or the data of messages."""
    return [data for _, data in kind.messages] if isinstance(kind, Content) else [kind]


def _example(value: Any) -> Schema:
    return {} if value is None else {"example": value}


def _alternatives(kinds: Any) -> tuple[Any, ...]:
    return kinds if isinstance(kinds, tuple) and not isinstance(kinds, Content) else (kinds,)


def _joined(described: Schema, more: Mapping[str, Any]) -> Schema:
    """Return an object with what another one adds to it, at every level; lists follow one another."""
    joined = dict(described)
    for key, value in more.items():
        old = joined.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping):
            joined[key] = _joined(old, value)
        else:
            joined[key] = [*old, *value] if isinstance(old, list) else value
    return joined
