"""What holds for every address of the asimov REST API: health, methods, error shapes, CORS, the examples of clients."""

from typing import Any

import pytest

ADDRESSES = {
    "/api/v1/health": "GET, HEAD, OPTIONS",
    "/api/v1/events": "GET, HEAD, POST, OPTIONS",
    "/api/v1/events/GW150914": "GET, HEAD, PUT, DELETE, OPTIONS",
    "/api/v1/events/GW150914/productions": "GET, HEAD, OPTIONS",
    "/api/v1/events/GW150914/analyses": "GET, HEAD, OPTIONS",
    "/api/v1/productions/GW150914": "POST, OPTIONS",
    "/api/v1/analyses/GW150914": "POST, OPTIONS",
    "/api/v1/productions/GW150914/Prod_A": "GET, HEAD, PUT, DELETE, OPTIONS",
    "/api/v1/analyses/GW150914/Prod_A": "GET, HEAD, PUT, DELETE, OPTIONS",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ORIGIN = {"Origin": "https://example.org"}


@pytest.fixture
def _stored(api: Any) -> None:
    api.post("/api/v1/events", {"name": "GW150914"})
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})


@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/health/"])
def test_health_answers_in_the_documented_order(api: Any, path: str) -> None:
    answer = api.get(path)
    assert (answer.status, answer.text) == (200, '{"status": "ok", "version": "v1"}')
    assert answer.headers["content-type"] == "application/json"


def test_method_that_an_address_does_not_know_is_405_with_allow(api: Any) -> None:
    for path, allowed in ADDRESSES.items():
        for method in METHODS:
            if method not in allowed.split(", "):
                answer = api.request(method, path, token=None)
                assert (answer.status, answer.headers["allow"]) == (405, allowed), (method, path)
                if method != "HEAD":
                    assert answer.json == {"error": f'Method "{method}" not allowed.'}
                    assert answer.headers["content-type"] == "application/json"


def test_options_answers_204_with_allow_and_needs_no_token(api: Any) -> None:
    for path, allowed in ADDRESSES.items():
        answer = api.request("OPTIONS", path)
        assert (answer.status, answer.text, answer.headers["allow"]) == (204, "", allowed)


@pytest.mark.usefixtures("_stored")
def test_head_answers_as_get_does_without_the_body(api: Any) -> None:
    for path, allowed in ADDRESSES.items():
        if "GET" in allowed:
            head, get = api.request("HEAD", path), api.get(path)
            assert (head.status, head.text) == (200, "")
            assert head.headers.keys() == get.headers.keys()


def test_head_of_an_absent_record_is_404_without_a_body(api: Any) -> None:
    answer = api.request("HEAD", "/api/v1/events/Nope")
    assert (answer.status, answer.text) == (404, "")


@pytest.mark.usefixtures("_stored")
def test_reading_needs_no_token_and_takes_a_wrong_one(api: Any) -> None:
    for path, allowed in ADDRESSES.items():
        if "GET" in allowed:
            assert api.get(path).status == 200
            assert api.get(path, headers={"Authorization": "Bearer nonsense"}).status == 200


@pytest.mark.usefixtures("_stored")
def test_every_write_needs_a_token_and_changes_nothing_without(api: Any, aws: Any) -> None:
    before = aws.items("sidereal-ledger")
    for path, allowed in ADDRESSES.items():
        for method in {"POST", "PUT", "DELETE"} & set(allowed.split(", ")):
            answer = api.request(method, path, {"name": "New", "pipeline": "bilby"}, token=None)
            assert (answer.status, answer.json) == (401, {"error": "Authorization header missing"})
            assert answer.headers["www-authenticate"] == "Bearer"
    assert aws.items("sidereal-ledger") == before


def test_every_answer_carries_the_request_id(api: Any) -> None:
    for method, path in (("GET", "/api/v1/health"), ("GET", "/api/v1/events/Nope"), ("PATCH", "/api/v1/events")):
        assert api.request(method, path).headers["x-request-id"]


def test_answers_are_utf_8_json_with_readable_text(api: Any) -> None:
    answer = api.post("/api/v1/events", {"name": "GW150914", "meta": {"é": "星 ✓ 😀"}})
    assert '{"é": "星 ✓ 😀"}' in answer.text


def test_no_origin_is_let_in_unless_it_is_configured(api: Any) -> None:
    answer = api.get("/api/v1/health", headers=ORIGIN)
    assert answer.status == 200
    assert not any(key.startswith("access-control") for key in answer.headers)
    assert answer.headers["vary"] == "Origin"


def test_configured_origin_is_let_in_and_others_are_not(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://example.org")
    refresh()
    answer = api.get("/api/v1/health", headers=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == "https://example.org"
    assert answer.headers["vary"] == "Origin"
    other = api.get("/api/v1/health", headers={"Origin": "https://example.org.evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_origins_may_stand_in_the_configuration_file(api: Any, tmp_path: Any) -> None:
    (tmp_path / ".asimov").mkdir()
    (tmp_path / ".asimov" / "asimov.conf").write_text("[api]\ncors_origins = https://example.org,https://b.example\n")
    refresh()
    assert api.get("/api/v1/health", headers=ORIGIN).headers["access-control-allow-origin"] == "https://example.org"


def test_broken_configuration_file_lets_no_origin_in_and_stops_no_reading(api: Any, tmp_path: Any) -> None:
    (tmp_path / ".asimov").mkdir()
    (tmp_path / ".asimov" / "asimov.conf").write_text("[api\ncors_origins = *\n")
    refresh()
    answer = api.get("/api/v1/health", headers=ORIGIN)
    assert (answer.status, answer.json["status"]) == (200, "ok")
    assert "access-control-allow-origin" not in answer.headers
    refused = api.post("/api/v1/events", {"name": "GW150914"}, headers=ORIGIN)
    assert (refused.status, list(refused.json)) == (503, ["error"])


def test_star_lets_every_origin_in(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "*")
    refresh()
    assert api.get("/api/v1/health", headers=ORIGIN).headers["access-control-allow-origin"] == "*"


def test_preflight_tells_what_a_page_may_send(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://example.org")
    refresh()
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,content-type"}
    answer = api.request("OPTIONS", "/api/v1/events/GW150914", headers=ORIGIN | asked)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "https://example.org"
    assert "PUT" in answer.headers["access-control-allow-methods"].split(", ")
    assert {"Authorization", "Content-Type"} <= set(answer.headers["access-control-allow-headers"].split(", "))


def test_errors_carry_cors_headers_so_that_pages_can_read_them(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "*")
    refresh()
    for method, path in (("GET", "/api/v1/events/Nope"), ("PATCH", "/api/v1/events"), ("POST", "/api/v1/events")):
        answer = api.request(method, path, token=None, headers=ORIGIN)
        assert answer.status in (401, 404, 405)
        assert answer.headers["access-control-allow-origin"] == "*"


def refresh() -> None:
    """Read the configuration again."""
    from chalicelib import settings
    from chalicelib.handlers import auth

    settings.get_settings.cache_clear()
    auth.require_configured.cache_clear()
    auth.allowed_origins.cache_clear()
