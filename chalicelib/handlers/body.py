"""Reading request bodies: strict JSON, and forms of both kinds."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

from chalicelib.errors import FieldError, InvalidInputError, MalformedBodyError
from chalicelib.models.validation import MAX_FAULTS, location

MAX_DEPTH = 100
"""Levels of nesting accepted in a JSON body; deeper ones exhaust the interpreter's stack when written out again."""

MAX_FORM_FIELDS = 1000
"""Fields of a form; no form of ours has nearly as many."""


def parse_json_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that `raw` holds.

    Stricter than `json.loads`: a repeated key, NaN, an infinite number and half a surrogate pair are refused, because none
    of them would come back as it was sent.

    Raises
    ------
    MalformedBodyError
        If `raw` is not JSON, or not an object.
    InvalidInputError
        If it is JSON with something in it that cannot be kept; names the field.
    """
    oddities: list[float] = []
    try:
        # Decoded here: `json.loads` would take UTF-16, and half a surrogate pair in UTF-8.
        body = json.loads(
            raw.decode("utf-8-sig"),
            object_pairs_hook=lambda pairs: _note_repeated(oddities, _object_of(pairs)),
            parse_constant=lambda word: _note(oddities, float(word.replace("Infinity", "inf"))),
            parse_float=lambda text: _note(oddities, float(text)),
        )
    except InvalidInputError:
        raise
    except UnicodeDecodeError as error:
        raise MalformedBodyError("the body is not UTF-8") from error
    except RecursionError as error:
        raise MalformedBodyError(f"the body is nested deeper than {MAX_DEPTH} levels") from error
    except json.JSONDecodeError as error:
        raise MalformedBodyError(str(error)) from error
    except ValueError as error:
        raise MalformedBodyError("a number has too many digits") from error
    if not isinstance(body, dict):
        raise MalformedBodyError(f"the body must be an object, not {_kind(body)}")
    has_surrogates = b"\\ud" in raw.lower()
    if oddities or has_surrogates or raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        problems = list(islice(_problems(body), MAX_FAULTS))
        if problems:
            raise InvalidInputError(problems)
    return body


def _note_repeated(oddities: list[float], members: dict[str, Any]) -> dict[str, Any]:
    if isinstance(members, _Repeating):
        oddities.append(math.nan)
    return members


def _note(oddities: list[float], number: float) -> float:
    if not math.isfinite(number):
        oddities.append(number)
    return number


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        if not _is_text(repeated):
            raise MalformedBodyError("a key is not valid Unicode")
        return _Repeating(repeated, members)
    return members


class _Repeating(dict[str, Any]):
    """An object in which a key stood more than once."""

    def __init__(self, key: str, members: dict[str, Any]) -> None:
        super().__init__(members)
        self.key = key


def _kind(value: object) -> str:
    names = {
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        type(None): "null",
    }
    return names.get(type(value), "something else")


def _problems(body: dict[str, Any]) -> Iterator[FieldError]:
    """Walk the body without recursion and yield what cannot be kept, each with its path."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), body)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > MAX_DEPTH:
            yield FieldError(location(path[:1]), f"nested deeper than {MAX_DEPTH} levels", "value_error.depth")
            return
        if isinstance(value, _Repeating):
            yield FieldError(location((*path, value.key)), "key appears more than once", "value_error.duplicate")
        elif isinstance(value, dict):
            if not all(_is_text(key) for key in value):
                yield FieldError(location(path), "a key is not valid Unicode", "value_error.unicode")
            else:
                waiting.extend(((*path, key), member) for key, member in value.items())
        elif isinstance(value, list):
            waiting.extend(((*path, index), member) for index, member in enumerate(value))
        elif isinstance(value, float) and not math.isfinite(value):
            yield FieldError(location(path), "number is not finite", "value_error.number.not_finite")
        elif isinstance(value, str) and not _is_text(value):
            yield FieldError(location(path), "not valid Unicode", "value_error.unicode")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class UploadedFile:
    """One file of a multipart form."""

    name: str
    content: bytes
    content_type: str


@dataclass(frozen=True)
class Form:
    """A form: texts and files by field name, repeated fields in order."""

    fields: dict[str, list[str]]
    files: dict[str, list[UploadedFile]]


def parse_urlencoded(raw: bytes) -> Form:
    """Return the form that an application/x-www-form-urlencoded body holds.

    Raises
    ------
    MalformedBodyError
        If the body is not UTF-8, or has more fields than any form.
    """
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS)
    except UnicodeDecodeError as error:
        raise MalformedBodyError("the form is not UTF-8") from error
    except ValueError as error:
        raise MalformedBodyError(f"the form has more than {MAX_FORM_FIELDS} fields") from error
    form = Form({}, {})
    for name, text in pairs:
        form.fields.setdefault(name, []).append(text)
    return form


def parse_multipart(raw: bytes, content_type: str) -> Form:
    """Return the form that a multipart/form-data body holds.

    Texts are UTF-8, whatever charset a part names: of Python's codecs some give what is no text, and some take very long.

    Raises
    ------
    MalformedBodyError
        If the body is not what its content type says.
    InvalidInputError
        If a text is not UTF-8; names the field.
    """
    from io import BytesIO

    from multipart import MultipartError, MultipartParser, parse_options_header

    _, options = parse_options_header(content_type)
    boundary = options.get("boundary")
    if not boundary:
        raise MalformedBodyError("Multipart form parse error - Invalid boundary in multipart")
    form = Form({}, {})
    try:
        # The whole body is in memory already (Lambda hands it over so): no limits of the parser's own.
        parts = MultipartParser(
            BytesIO(raw), boundary, len(raw), strict=True, spool_limit=len(raw) + 1, memory_limit=2 * len(raw) + 65_536
        )
        for part in parts:
            if part.filename is None:
                form.fields.setdefault(part.name, []).append(_text_of(part.name, part.raw))
            else:
                file = UploadedFile(part.filename, part.raw, part.content_type or "")
                form.files.setdefault(part.name, []).append(file)
    except MultipartError as error:
        raise MalformedBodyError(f"Multipart form parse error - {error}") from error
    return form


def _text_of(field: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidInputError.of(field, "The text is not UTF-8.") from None
