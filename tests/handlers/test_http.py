"""The border: names in addresses, and what an unexpected error tells."""

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from chalicelib.errors import UnauthenticatedError
from chalicelib.handlers import auth

EVENTS = "/api/v1/events/"
GOOD = [
    "GW150914", "S190814bv", "a", "~", "-", "_", "...", ".hidden", "a.b", "GW150914 (copy)", "a+b", "a&b=c", "a:b@c",
    "Ünïcödé", "重力波", "😀", "e\u0301", "\u00e9", "productions", "health", "n" * 200, "😀" * 200, "a;b,c", "\"'`", "{x}",
]  # fmt: skip
BAD = [
    "", " ", " a", "a ", "\t", ".", "..", "/", "a/b", "../../etc/passwd", "a\\b", "50%", "%2e%2e", "a?b", "a#b", "n" * 201,
    "n" * 300, "a\x00b", "a\nb", "a\x7f", "a\x85b", "a\u2028b", "\u3000a", "\u00a0",
]  # fmt: skip
ABSENT = [
    "..", "%2E%2E", "a%2Fb", "%2F", "%00", "%0A", "%FF", "%zz", "%", "%25", "%ED%A0%80", "a%5Cb", "n" * 300, "n" * 5000,
    quote("😀" * 300), "%3Cscript%3E",
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_name_that_can_stand_in_an_address_works_everywhere(api: Any, name: str) -> None:
    path = EVENTS + quote(name, safe="")
    production = f"/api/v1/productions/{quote(name, safe='')}/{quote(name, safe='')}"
    assert api.post(EVENTS, {"name": name}).json["event"]["name"] == name
    assert api.post(EVENTS, {"name": name}).status == 409
    body = {"name": name, "pipeline": "bilby"}
    assert api.post(f"/api/v1/productions/{quote(name, safe='')}", body).status == 201
    assert api.get(path).json["event"]["productions"][0]["name"] == name
    assert api.get(f"{path}/analyses").json["analyses"][0]["name"] == name
    assert api.put(path, {"meta": {"a": 1}}).status == 200
    assert api.get(production).json["production"]["name"] == name
    assert api.put(production, {"comment": "c"}).status == 200
    assert api.delete(production).status == 204
    assert api.delete(path).status == 204
    assert api.get(EVENTS).json == {"events": []}


def test_names_differ_in_case_and_in_form(api: Any) -> None:
    for name in ("gw", "GW", "e\u0301", "\u00e9"):
        assert api.post(EVENTS, {"name": name}).status == 201


@pytest.mark.parametrize("name", BAD)
def test_name_that_could_not_stand_in_an_address_is_refused(api: Any, aws: Any, name: str) -> None:
    for path, body in ((EVENTS, {"name": name}), ("/api/v1/productions/GW", {"name": name, "pipeline": "bilby"})):
        answer = api.post(path, body)
        assert (answer.status, answer.json["error"]) == (400, "Validation error")
        (detail,) = answer.json["details"]
        assert (detail["loc"], detail["type"]) == (["name"], "value_error")
    assert aws.items("sidereal-ledger") == []


@pytest.mark.parametrize("segment", ABSENT)
def test_odd_name_in_an_address_is_not_found(api: Any, segment: str) -> None:
    api.post(EVENTS, {"name": "GW150914"})
    production = f"/api/v1/productions/GW150914/{segment}"
    for path, text in ((EVENTS + segment, "Event not found"), (production, "Production not found")):
        for method, body in (("GET", None), ("PUT", {"meta": {"a": 1}}), ("PUT", {}), ("DELETE", None)):
            answer = api.request(method, path, body)
            assert (answer.status, answer.json) == (404, {"error": text})
    body = {"name": "Prod_A", "pipeline": "bilby"}
    for more in ({}, {"dependencies": ["Prod_B"]}):
        answer = api.post(f"/api/v1/productions/{segment}", body | more)
        assert (answer.status, answer.json) == (404, {"error": "Event not found"})


def test_no_key_that_is_asked_for_is_longer_than_dynamodb_takes(api: Any) -> None:
    from chalicelib.storage import clients

    asked: list[str] = []
    clients.dynamodb().meta.events.register("before-call", lambda params, **_: asked.append(params["body"].decode()))
    for segment in ("n" * 5000, quote("😀" * 500)):
        for method, body in (("GET", None), ("PUT", {"meta": {"a": 1}}), ("DELETE", None)):
            api.request(method, EVENTS + segment, body)
            api.request(method, f"/api/v1/productions/{segment}/{segment}", body)
        api.post(f"/api/v1/productions/{segment}", {"name": "a", "pipeline": "bilby", "dependencies": ["b"]})
    assert asked
    keys = [found for text in asked for found in re.findall(r'"(?:EVENT|PRODUCTION)#[^"]*"', text)]
    assert max(len(json.loads(key)) for key in keys) < 220


def test_unexpected_error_is_a_fixed_text_with_the_request_id(api: Any, aws: Any) -> None:
    aws.dynamodb.delete_table(TableName="sidereal-ledger")
    for method, path, body in (
        ("GET", EVENTS, None),
        ("GET", EVENTS + "GW150914", None),
        ("POST", EVENTS, {"name": "GW150914"}),
        ("DELETE", "/api/v1/productions/GW150914/Prod_A", None),
    ):
        answer = api.request(method, path, body)
        assert answer.status == 500
        request_id = answer.headers["x-request-id"]
        assert answer.json == {"error": "Internal server error", "request_id": request_id}
        assert request_id


def test_an_error_that_cannot_be_told_is_the_same_fixed_text(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> str:
        raise UnauthenticatedError("half a pair: \ud800")

    monkeypatch.setattr(auth, "require_user", refuse)
    answer = api.post(EVENTS, {"name": "GW150914"})
    assert (answer.status, answer.json["error"]) == (500, "Internal server error")
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("query", ["x=1", "limit=1&limit=2", "next=", "=", "&&", "limit=5&unknown=%ff", "next=%00"])
def test_odd_query_is_no_server_error(api: Any, query: str) -> None:
    assert api.get(f"{EVENTS}?{query}").status in (200, 400)
