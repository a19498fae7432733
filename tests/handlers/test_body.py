"""Bodies: what is no JSON object, what cannot be kept, and what is too large."""

import json
from typing import Any

import pytest

from chalicelib.errors import InvalidInputError, MalformedBodyError
from chalicelib.handlers.body import MAX_DEPTH, parse_json_object, parse_multipart
from chalicelib.models.validation import MAX_FAULTS
from chalicelib.settings import get_settings

EVENTS = "/api/v1/events/"
GW = "/api/v1/events/GW150914"
JSON = {"Content-Type": "application/json"}
SECRET = "what-the-caller-sent"


def post(
    api: Any, body: bytes, path: str = EVENTS, method: str = "POST", content_type: str = "application/json"
) -> Any:
    """Send a body as it is."""
    return api.request(method, path, body=body, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b'["name"]', b'"text"', b"1", b"1.5", b"null", b"true", b"NaN", b"", b" ", b"{", b"}", b"{]", b"name=GW",
        b'{"name": "a"} x', b'{"name": "a",}', b'{"name": "\n"}', b'{"name": "\\x"}', b'{"name": 01}',
        b'{"name": "\xff"}', b'{"name": "\xed\xa0\x80"}', b'{"\xed\xa0\x80": 1}', b'\xff\xfe{\x00}\x00', b"\x00",
        '{"name": "a"}'.encode("utf-16"), '{"name": "a"}'.encode("utf-32"), b"[" * 200_000, b'{"a":' * 200_000,
        b'{"meta": ' + b"9" * 5_000 + b"}", b'{"\\ud800": 1, "\\ud800": 2}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_body_that_is_no_json_object_is_refused_in_the_documented_shape(api: Any, method: str, body: bytes) -> None:
    path = EVENTS if method == "POST" else GW
    if body == b'{"name": "\n"}':
        body = b'{"name": "\x01"}'
    answer = post(api, body, path, method)
    assert answer.status == 400
    assert answer.json["error"] == "Invalid or missing JSON payload"
    (detail,) = answer.json["details"]
    assert list(detail) == ["loc", "msg", "type"]
    assert "sys." not in detail["msg"]


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"],
)
def test_body_of_another_kind_is_a_missing_json_payload(api: Any, content_type: str) -> None:
    answer = post(api, b'{"name": "GW150914"}', content_type=content_type)
    assert (answer.status, answer.json["error"]) == (400, "Invalid or missing JSON payload")
    assert api.get(GW).status == 404


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/ld+json", ""],
)
def test_json_is_taken_under_each_of_its_names(api: Any, content_type: str) -> None:
    assert post(api, b'{"name": "GW150914"}', content_type=content_type).status == 201


def test_byte_order_mark_is_skipped(api: Any) -> None:
    assert post(api, b'\xef\xbb\xbf{"name": "GW150914"}').status == 201


@pytest.mark.parametrize(
    ("meta", "loc"),
    [
        ('{"far": NaN}', ["meta", "far"]),
        ('{"far": Infinity}', ["meta", "far"]),
        ('{"far": -Infinity}', ["meta", "far"]),
        ('{"far": 1e400}', ["meta", "far"]),
        ('{"far": -1e400}', ["meta", "far"]),
        ('{"far": [0, {"x": [1e999]}]}', ["meta", "far", 1, "x", 0]),
        ('{"text": "\\ud800"}', ["meta", "text"]),
        ('{"text": ["a", "\\uDFFF"]}', ["meta", "text", 1]),
        ('{"\\ud800": 1}', ["meta"]),
        ('{"a": 1, "a": 1}', ["meta", "a"]),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_would_not_come_back_is_refused_with_its_place(api: Any, method: str, meta: str, loc: list[Any]) -> None:
    api.post(EVENTS, {"name": "GW150914"})
    name = '"name": "GW2", ' if method == "POST" else ""
    answer = post(api, f'{{{name}"meta": {meta}}}'.encode(), EVENTS if method == "POST" else GW, method)
    assert (answer.status, answer.json["error"]) == (400, "Validation error")
    assert answer.json["details"][0]["loc"] == loc
    listed = api.get(EVENTS)
    assert [event["name"] for event in listed.json["events"]] == ["GW150914"]
    assert listed.json["events"][0]["meta"] == {}


def test_pair_of_surrogates_is_one_character(api: Any) -> None:
    answer = post(api, b'{"name": "GW150914", "meta": {"a": "\\ud83d\\ude00 \\\\ud800"}}')
    assert answer.json["event"]["meta"] == {"a": "😀 \\ud800"}


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ('{"name": "a", "name": "b"}', ["name"]),
        ('{"name": "a", "meta": {"name": 1, "x": 2, "name": 3}}', ["meta", "name"]),
    ],
)
def test_repeated_key_is_refused_with_its_place(api: Any, body: str, loc: list[str]) -> None:
    answer = post(api, body.encode())
    assert answer.status == 400
    assert answer.json["details"] == [
        {"loc": loc, "msg": "key appears more than once", "type": "value_error.duplicate"}
    ]


def test_nesting_is_taken_to_a_limit_and_refused_beyond_it(api: Any) -> None:
    deepest: Any = 1
    for _ in range(MAX_DEPTH - 2):
        deepest = [deepest]
    assert api.post(EVENTS, {"name": "GW1", "meta": {"a": deepest}}).json["event"]["meta"] == {"a": deepest}
    assert api.get(EVENTS).status == 200
    answer = api.post(EVENTS, {"name": "GW2", "meta": {"a": [[deepest]]}})
    assert answer.status == 400
    assert answer.json["details"] == [
        {"loc": ["meta"], "msg": "nested deeper than 100 levels", "type": "value_error.depth"}
    ]


@pytest.mark.parametrize("value", [[], "text", 1, 1.5, True, None])
def test_meta_that_is_no_object_is_refused(api: Any, value: Any) -> None:
    answer = api.post(EVENTS, {"name": "GW150914", "meta": value})
    assert (answer.status, answer.json["details"][0]["loc"]) == (400, ["meta"])


@pytest.mark.parametrize("value", [[], {}, 1, True, None])
def test_name_that_is_no_text_is_refused(api: Any, value: Any) -> None:
    answer = api.post(EVENTS, {"name": value})
    assert (answer.status, answer.json["details"][0]["loc"]) == (400, ["name"])


@pytest.mark.parametrize("field", ["repository", "working_directory", "working directory"])
@pytest.mark.parametrize("value", [[], {}, 1, True, "x" * 4097])
def test_other_fields_of_another_kind_are_refused(api: Any, field: str, value: Any) -> None:
    assert api.post(EVENTS, {"name": "GW150914", field: value}).status == 400
    api.post(EVENTS, {"name": "GW150914"})
    assert api.put(GW, {field: value}).status == 400


@pytest.mark.parametrize(
    "body",
    [
        {"name": SECRET + "/"},
        {"name": [SECRET]},
        {"name": "GW150914", "meta": SECRET},
        {"name": "GW150914", "meta": [SECRET]},
        {"name": "GW150914", "repository": {"a": SECRET}},
        {"name": "GW150914", "unknown": SECRET},
        {"name": SECRET * 100},
    ],
)
def test_details_do_not_repeat_what_was_sent(api: Any, body: Any) -> None:
    answer = api.post(EVENTS, body)
    assert answer.status == 400
    assert SECRET not in answer.text


def test_details_of_a_production_do_not_repeat_what_was_sent(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914"})
    for wrong in ({"pipeline": SECRET}, {"status": SECRET}, {"dependencies": [SECRET + "/"]}, {"comment": [SECRET]}):
        answer = api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"} | wrong)
        assert answer.status == 400
        assert SECRET not in answer.text
    answer = api.put("/api/v1/productions/GW150914/Prod_A", {"status": SECRET})
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({f"unknown {number}": 1 for number in range(20_000)}),
        '{"name": "a", "meta": {"a": [' + "NaN," * 20_000 + "1]}}",
        '{"name": "a", "meta": {"a": [' + '"\\ud800",' * 20_000 + "1]}}",
        json.dumps({"u" * 1_000_000: 1}),
        '{"name": "a", "meta": {"' + "k" * 1_000_000 + '": NaN}}',
        '{"' + "k" * 1_000_000 + '": 1, "' + "k" * 1_000_000 + '": 1}',
        json.dumps({"name": "a", "dependencies": [1] * 20_000}),
    ],
)
def test_refusal_stays_small_however_much_is_wrong(api: Any, body: str) -> None:
    for path in (EVENTS, "/api/v1/productions/GW150914"):
        answer = post(api, body.encode(), path)
        assert answer.status == 400
        assert len(answer.json["details"]) <= MAX_FAULTS
        assert len(answer.text) < 50_000


def test_body_of_ten_megabytes_is_refused_before_it_is_read(api: Any) -> None:
    answer = post(api, b'{"name": "GW150914", "meta": {"a": "' + b"x" * 10_000_000 + b'"}}')
    assert answer.status == 413
    assert list(answer.json) == ["error"]
    assert api.get(GW).status == 404


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("DELETE", 204)])
def test_a_body_that_nobody_reads_may_have_any_size(
    api: Any, monkeypatch: pytest.MonkeyPatch, method: str, status: int
) -> None:
    api.post(EVENTS, {"name": "GW150914"})
    small = get_settings().model_copy(update={"max_body_bytes": 10})
    monkeypatch.setattr("chalicelib.handlers.request.get_settings", lambda: small)
    assert post(api, b"x" * 11, GW, "PUT").status == 413
    assert post(api, b"x" * 11, GW, method).status == status


@pytest.mark.parametrize(
    "meta",
    [
        {"a": "x" * 1_000_000},
        {str(number): "x" * 1_000 for number in range(1_000)},
        {"a": ["\u00e9"] * 100_000},
        {"k" * 70_000: 1},
        {"é" * 40_000: 1},
    ],
)
def test_meta_that_does_not_fit_is_refused_and_changes_nothing(api: Any, meta: Any) -> None:
    api.post(EVENTS, {"name": "GW150914", "meta": {"kept": 1}})
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    for method, path, body in (
        ("POST", EVENTS, {"name": "GW2", "meta": meta}),
        ("PUT", GW, {"meta": meta}),
        ("POST", "/api/v1/productions/GW150914", {"name": "Prod_B", "pipeline": "bilby", "meta": meta}),
        ("PUT", "/api/v1/productions/GW150914/Prod_A", {"meta": meta}),
    ):
        answer = api.request(method, path, body)
        assert (answer.status, answer.json["details"][0]["loc"]) == (400, ["meta"])
    (event,) = api.get(EVENTS).json["events"]
    assert event["meta"] == {"kept": 1}
    assert [production["name"] for production in event["productions"]] == ["Prod_A"]


def test_comment_and_meta_that_fit_only_one_at_a_time_are_refused(api: Any) -> None:
    api.post(EVENTS, {"name": "GW150914"})
    body = {"name": "Prod_A", "pipeline": "bilby", "comment": "é" * 10_000, "meta": {"a": "x" * 375_000}}
    assert api.post("/api/v1/productions/GW150914", body).status == 400
    assert api.get("/api/v1/events/GW150914/productions").json == {"productions": []}


def test_large_but_possible_meta_comes_back(api: Any) -> None:
    meta = {"a": "x" * 370_000}
    assert api.post(EVENTS, {"name": "GW150914", "meta": meta}).status == 201
    assert api.get(GW).json["event"]["meta"] == meta


def test_body_is_read_without_the_interpreters_stack() -> None:
    with pytest.raises((MalformedBodyError, InvalidInputError)):
        parse_json_object(b'{"a":' * 900 + b"1" + b"}" * 900)


@pytest.mark.parametrize("body", [b"overrides.ipp_value=2", b"overrides={}&overrides%5Bname%5D=a"])
def test_overrides_that_are_fields_of_a_form_by_themselves_are_not_dropped_in_silence(api: Any, body: bytes) -> None:
    answer = post(api, body, "/api/observe/", content_type="application/x-www-form-urlencoded")
    assert (answer.status, list(answer.json)) == (400, ["overrides"])


def multipart(text: bytes, charset: str) -> tuple[bytes, str]:
    headers = f'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset={charset}\r\n\r\n'
    return b"--x\r\n" + headers.encode() + text + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    "charset", ["undefined", "utf-7", "unicode_escape", "raw_unicode_escape", "punycode", "idna", "utf-16", "hex", "zz"]
)
def test_texts_of_a_form_are_utf_8_whatever_charset_is_named(charset: str) -> None:
    for text in ("+2AA-", "\\ud800", "xn--\u00e9"):
        assert parse_multipart(*multipart(text.encode(), charset)).fields == {"a": [text]}


@pytest.mark.parametrize("text", [b"\xff", b"\xed\xa0\x80"])
@pytest.mark.parametrize("charset", ["latin-1", "utf-8", "undefined"])
def test_a_text_of_a_form_that_is_not_utf_8_is_told_by_field(text: bytes, charset: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_multipart(*multipart(text, charset))
    assert [fault.loc for fault in caught.value.fields] == [("a",)]
