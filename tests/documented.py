"""Holds every reply of the suite against the API's description of itself, and the description against the replies.

A reply whose status or body is not described fails its test, and so does a body that was taken though it is none of those
described. After a run of the whole suite, each status that a view tells of and no test has seen is named.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

ANYWHERE = (503,)
"""Statuses that views tell of because something they need may not answer: seen at some of them, they are alike at all."""

_PARTIAL = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "stepwise", "collectonly", "aws_endpoint")
"""Options of pytest that leave tests out, or let them be skipped."""

_READING = ("get", "head")
_SCHEMAS = "urn:schemas"


class Sent(NamedTuple):
    """A request and its reply, as a test sees them."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    reply_headers: Mapping[str, str]
    text: str

    def __str__(self) -> str:
        return f"{self.method} {self.path[:200]} -> {self.status}"


class Document:
    """The description in one state of the settings, ready to hold replies against.

    Parameters
    ----------
    paths : dict
        The document's paths.
    schemas : dict
        Its schemas by name.
    """

    def __init__(self, paths: dict[str, Any], schemas: dict[str, Any]) -> None:
        self.paths = paths
        self._schemas = schemas
        self._items = [(_pattern(path), item) for path, item in paths.items()]
        self._items.sort(key=lambda each: each[0].groups)  # `/targets/new` is asked before `/targets/{id}`
        self._found: dict[str, dict[str, Any] | None] = {}
        self._validators: dict[tuple[str, bool], Any] = {}
        self._registries: dict[bool, Any] = {}

    def operation(self, sent: Sent) -> dict[str, Any] | None:
        """Return what is said of a request; None if its address or its method is none of ours."""
        path = sent.path.partition("?")[0].rstrip("/") or "/"
        if path not in self._found:
            self._found[path] = next((item for pattern, item in self._items if pattern.fullmatch(path)), None)
        item = self._found[path] or {}
        method = sent.method.lower()
        return item.get("get" if method in _READING else method)

    def faults(self, operation: dict[str, Any], sent: Sent) -> Iterator[str]:
        """Yield what the document does not know of a reply, and of the request where that was taken."""
        response = operation["responses"].get(str(sent.status))
        if response is None:
            yield f"{sent.status} is none of {', '.join(operation['responses'])}"
            return
        if sent.text:
            yield from self._body_faults("answered", sent.reply_headers, sent.text, response.get("content", {}), True)
        elif "application/json" in response.get("content", {}) and sent.method != "HEAD":
            yield "the reply has no body"
        contents = operation.get("requestBody", {}).get("content", {})
        if 200 <= sent.status < 300 and contents and _media_type(sent.headers) == "application/json":
            yield from self._body_faults("taken", sent.headers, sent.body, contents, False)

    def _body_faults(
        self, word: str, headers: Mapping[str, str], body: str | bytes, contents: dict[str, Any], is_closed: bool
    ) -> Iterator[str]:
        media_type = _media_type(headers)
        if media_type not in contents:
            yield f"{media_type or 'a body'} was {word}, and is none of {', '.join(contents) or 'nothing'}"
        elif media_type == "application/json":
            validator = self._validator(contents[media_type]["schema"], is_closed)
            for error in validator.iter_errors(json.loads(body)):
                place = "/".join(map(str, error.instance_path))
                yield f"a body was {word} that is none of the described: {place}: {error.message[:500]}"

    def _validator(self, schema: dict[str, Any], is_closed: bool) -> Any:
        import jsonschema_rs

        key = (json.dumps(schema, sort_keys=True), is_closed)
        if key not in self._validators:
            if is_closed not in self._registries:
                whole = {"components": {"schemas": self._schemas}}
                shown = _absolute(_closed(whole) if is_closed else whole)
                self._registries[is_closed] = jsonschema_rs.Registry([(_SCHEMAS, shown)])
            own = _absolute(_closed(schema) if is_closed else schema)
            self._validators[key] = jsonschema_rs.Draft202012Validator(
                own, registry=self._registries[is_closed], validate_formats=False
            )
        return self._validators[key]


class Documented:
    """Looks at each reply; in a run of several processes, the first one gathers what the others saw."""

    def __init__(self) -> None:
        self._documents: list[Document] = []
        self._seen: set[tuple[str, int]] = set()
        self._unseen: list[tuple[str, int]] = []
        self._config: pytest.Config | None = None

    def watch(self, config: pytest.Config) -> None:
        """Begin to watch a run."""
        self._config = config
        config.pluginmanager.register(self, "documented")

    def look(self, sent: Sent) -> None:
        """Fail the test if the document does not know what was answered.

        Raises
        ------
        AssertionError
            Naming each fault.
        """
        document = self._document(is_fresh=not self._documents)
        faults = self._faults(document, sent)
        if faults:
            # the settings say which addresses are open, and tests change them
            faults = self._faults(self._document(is_fresh=True), sent)
        assert not faults, "\n".join(["The document does not know this:", str(sent), *faults])

    def _faults(self, document: Document, sent: Sent) -> list[str]:
        operation = document.operation(sent)
        if operation is None:
            return []
        faults = list(document.faults(operation, sent))
        if not faults:
            # processes of a run exchange plain numbers; a view may answer with a member of HTTPStatus
            self._seen.add((operation["operationId"], int(sent.status)))
        return faults

    def _document(self, *, is_fresh: bool) -> Document:
        if is_fresh:
            import app  # noqa: F401 - all routes are there
            from chalicelib.handlers.openapi.document import document

            made = document()
            known = next((each for each in self._documents if each.paths is made["paths"]), None)
            if known is None:
                known = Document(made["paths"], made["components"]["schemas"])
                self._documents.append(known)
            return known
        return self._documents[0]

    # What pytest tells.

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what another process of this run saw."""
        self._seen |= {(name, status) for name, status in getattr(node, "workeroutput", {}).get("seen_statuses", ())}

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand over what was seen, or compare it with what is told."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["seen_statuses"] = sorted(self._seen)
        elif _is_whole(session.config) and session.exitstatus == pytest.ExitCode.OK:
            self._unseen = sorted(told_statuses() - self._seen)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name what no test has seen."""
        if self._unseen:
            terminalreporter.section("described, but not seen", yellow=True)
            terminalreporter.line("Views tell of these statuses, and no test has seen them:")
            for name, status in self._unseen:
                terminalreporter.line(f"{name}: {status}")


def told_statuses() -> set[tuple[str, int]]:
    """Return what views tell of their own answers and refusals; those that follow from a method are left aside."""
    import app  # noqa: F401 - all routes are there
    from chalicelib.handlers import operations
    from chalicelib.handlers.http import ROUTES

    told = [operations.told(view) for route in ROUTES for view in route.views.values()]
    return {
        (each.name, status)
        for each in told
        for status in (*each.operation.answers, *each.operation.refuses)
        if status not in ANYWHERE
    }


def _is_whole(config: pytest.Config) -> bool:
    is_all = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return is_all and not any(getattr(config.option, name, None) for name in _PARTIAL)


def _pattern(path: str) -> re.Pattern[str]:
    parts = (re.escape(part) if place % 2 == 0 else "([^/]+)" for place, part in enumerate(re.split(r"({\w+})", path)))
    return re.compile("".join(parts).rstrip("/") or "/")


def _media_type(headers: Mapping[str, str]) -> str:
    found = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    return found.partition(";")[0].strip().lower()


def _closed(schema: Any) -> Any:
    """Return a schema whose objects have nothing beside what is described: callers may find more, tests may not."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: value if key in ("example", "enum", "const") else _closed(value) for key, value in schema.items()}
    is_object = schema.get("type") == "object" and "properties" in schema
    return {"additionalProperties": False, **closed} if is_object else closed


def _absolute(schema: Any) -> Any:
    """Return a schema whose references lead to the registry."""
    if isinstance(schema, list):
        return [_absolute(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: f"{_SCHEMAS}{value}" if key == "$ref" and isinstance(value, str) else _absolute(value)
        for key, value in schema.items()
    }


documented = Documented()
