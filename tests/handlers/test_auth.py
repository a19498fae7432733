"""Who may write: the header, and the three ways of configuring keys."""

from pathlib import Path
from typing import Any

import pytest

from chalicelib import settings
from chalicelib.errors import NotConfiguredError, UnauthenticatedError
from chalicelib.handlers import auth


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASIMOV_API_KEY", "secret:alice")


def keys_file(path: Path, text: str) -> Path:
    """Write a keys file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def configuration(text: str) -> None:
    """Write `.asimov/asimov.conf` in the working folder."""
    keys_file(Path(".asimov/asimov.conf"), text)


def refusal(header: str | None) -> str:
    """Return the words with which a header is refused."""
    with pytest.raises(UnauthenticatedError) as caught:
        auth.require_user(header)
    return str(caught.value)


@pytest.mark.parametrize(
    "header", ["Bearer secret", "bearer secret", "BEARER secret", "Bearer   secret ", "bEaReR secret"]
)
def test_right_token_is_let_in_whatever_the_case_of_the_scheme(header: str) -> None:
    assert auth.require_user(header) == "alice"


@pytest.mark.parametrize("header", [None, ""])
def test_missing_header_is_named(header: str | None) -> None:
    assert refusal(header) == "Authorization header missing"


@pytest.mark.parametrize("header", ["secret", "Bearer", "Bearersecret", "Bearer\tsecret"])
def test_header_without_a_space_is_named(header: str) -> None:
    assert refusal(header) == "Invalid authorization header"


@pytest.mark.parametrize("header", ["Basic c2VjcmV0", "Token secret", " secret", "Bearer: secret", "Digest a b"])
def test_other_scheme_is_named(header: str) -> None:
    assert refusal(header) == "Invalid authorization scheme"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer ",
        "Bearer wrong",
        "Bearer SECRET",
        "Bearer secret:alice",
        "Bearer secre",
        "Bearer secrets",
        "Bearer secret secret",
        "Bearer tökén",
        "Bearer \ud800",
        "Bearer \x00",
        "Bearer " + "x" * 100_000,
    ],
)
def test_wrong_token_is_named(header: str) -> None:
    assert refusal(header) == "Invalid token"


@pytest.mark.parametrize(
    ("header", "text"), [("secret", "Invalid authorization header"), ("Bearer \ud800", "Invalid token")]
)
def test_refusal_over_http_is_401_in_the_documented_shape(api: Any, header: str, text: str) -> None:
    answer = api.post("/api/v1/events/", {"name": "GW150914"}, token=None, headers={"Authorization": header})
    assert (answer.status, answer.json) == (401, {"error": text})


def test_key_without_a_colon_gives_the_default_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASIMOV_API_KEY", "only-a-token")
    assert auth.require_user("Bearer only-a-token") == "api-user"


def test_keys_file_of_the_environment_maps_tokens_to_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ASIMOV_API_KEY")
    file = keys_file(tmp_path / "keys.yaml", "api_keys:\n  one: bob\n  two: carol\n")
    monkeypatch.setenv("ASIMOV_API_KEYS_FILE", str(file))
    assert [auth.require_user(f"Bearer {token}") for token in ("one", "two")] == ["bob", "carol"]
    assert refusal("Bearer secret") == "Invalid token"


def test_keys_file_of_the_documented_configuration_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASIMOV_API_KEY")
    keys_file(Path(".asimov/api_keys.yaml"), "api_keys:\n  your-secret-token-here: your-username\n")
    configuration("[api]\nsecret_key = your-secret-key-change-in-production\napi_keys_file = .asimov/api_keys.yaml\n")
    assert auth.require_user("Bearer your-secret-token-here") == "your-username"


def test_all_three_ways_work_together_and_the_environment_is_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = keys_file(tmp_path / "keys.yaml", "api_keys: {secret: bob, one: bob}\n")
    monkeypatch.setenv("ASIMOV_API_KEYS_FILE", str(file))
    keys_file(Path("more.yaml"), "api_keys: {secret: carol, one: carol, two: carol}\n")
    configuration("[api]\napi_keys_file = more.yaml\n")
    assert [auth.require_user(f"Bearer {token}") for token in ("secret", "one", "two")] == ["alice", "bob", "carol"]


@pytest.mark.parametrize(
    ("written", "token"),
    [("12345", "12345"), ("0123", "0123"), ("1_000", "1_000"), ("1.50", "1.50"), ("true", "true"), ("null", "null"),
     ("2026-01-01", "2026-01-01"), ("0x1F", "0x1F"), ("tökén", "tökén")],
)  # fmt: skip
def test_token_in_a_keys_file_is_what_is_written_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str, token: str
) -> None:
    monkeypatch.setenv("ASIMOV_API_KEYS_FILE", str(keys_file(tmp_path / "keys.yaml", f"api_keys:\n  {written}: bob\n")))
    assert auth.require_user(f"Bearer {token}") == "bob"


def test_token_without_a_user_in_a_keys_file_gives_the_default_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASIMOV_API_KEYS_FILE", str(keys_file(tmp_path / "keys.yaml", "api_keys:\n  one:\n")))
    assert auth.require_user("Bearer one") == "api-user"


@pytest.mark.parametrize("key", ["", ":user", "  :user", " "])
def test_empty_token_is_no_key_and_without_keys_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("ASIMOV_API_KEY", key)
    with pytest.raises(NotConfiguredError, match="No API key is configured"):
        auth.require_user("Bearer ")


@pytest.mark.parametrize(
    "text",
    ["", "api_keys:", "api_keys: []", "- a", "keys: {a: b}", "api_keys: {a: b", "\x00", "!!python/object:os.x {}"],
)
def test_keys_file_of_another_form_refuses_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.delenv("ASIMOV_API_KEY")
    monkeypatch.setenv("ASIMOV_API_KEYS_FILE", str(keys_file(tmp_path / "keys.yaml", text)))
    with pytest.raises(NotConfiguredError):
        auth.require_configured()


def test_keys_file_that_is_not_there_refuses_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASIMOV_API_KEYS_FILE", "nowhere.yaml")
    with pytest.raises(NotConfiguredError, match=r"nowhere\.yaml"):
        auth.require_configured()


@pytest.mark.parametrize("text", ["api_keys_file = x\n", "[api\n", "[api]\n[api]\n"])
def test_broken_configuration_file_refuses_to_start(text: str) -> None:
    configuration(text)
    with pytest.raises(NotConfiguredError, match="cannot be read"):
        auth.require_configured()


def test_write_without_any_key_configured_is_refused_over_http(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASIMOV_API_KEY")
    settings.get_settings.cache_clear()
    auth.require_configured.cache_clear()
    answer = api.post("/api/v1/events/", {"name": "GW150914"})
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert list(answer.json) == ["error"]
    assert api.get("/api/v1/events/").json == {"events": []}
