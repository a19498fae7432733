"""API keys in the SSM Parameter Store: they change while the functions run."""

import logging
from functools import cache
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.parameters import SSMProvider
from botocore.exceptions import ClientError

from chalicelib.errors import UnauthenticatedError, UnavailableError
from chalicelib.handlers import auth
from chalicelib.handlers.api_keys import ASK_AGAIN_S, KEPT_S, MAX_AGE_S
from chalicelib.storage import secrets
from tests.conftest import Aws, Clock, forget

NAME = "/sidereal/api-keys"


class Store:
    """Stands in for the client of SSM: one parameter, and how often it was read."""

    def __init__(self) -> None:
        self.reads = 0
        self.text: str | None = "api_keys: {old: alice}"

    def get_parameter(self, **asked: Any) -> dict[str, Any]:
        assert asked == {"Name": NAME, "WithDecryption": True}
        self.reads += 1
        if self.text is None:
            raise ClientError({"Error": {"Code": "ParameterNotFound"}}, "GetParameter")
        return {"Parameter": {"Value": self.text}}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store()
    monkeypatch.setenv("ASIMOV_API_KEY", "")
    monkeypatch.setenv("ASIMOV_API_KEYS_PARAMETER", NAME)
    monkeypatch.setattr(secrets, "_parameters", cache(lambda: SSMProvider(boto3_client=made)))
    return made


def user(token: str) -> str:
    return auth.require_user(f"Bearer {token}")


def is_refused(token: str) -> bool:
    with pytest.raises(UnauthenticatedError, match=r"^Invalid token$"):
        user(token)
    return True


def is_put_off(token: str) -> bool:
    with pytest.raises(UnavailableError, match=r"^The API keys cannot be read at the moment\.$"):
        user(token)
    return True


def test_a_named_parameter_counts_as_configured_and_is_not_read_before_a_token_comes(store: Store) -> None:
    assert auth.require_configured() == ()
    assert store.reads == 0
    assert user("old") == "alice"
    assert store.reads == 1


def test_keys_that_were_read_are_used_for_a_while(store: Store, clock: Clock) -> None:
    for _ in range(3):
        assert user("old") == "alice"
        clock.advance(MAX_AGE_S / 4)
    assert store.reads == 1
    clock.advance(MAX_AGE_S)
    assert user("old") == "alice"
    assert store.reads == 2


def test_keys_are_changed_without_a_moment_in_which_nobody_can_write(store: Store, clock: Clock) -> None:
    assert user("old") == "alice"
    store.text = "api_keys: {old: alice, new: alice}"
    clock.advance(ASK_AGAIN_S)
    assert user("new") == "alice"  # at once: a token that is not known is looked for
    assert user("old") == "alice"
    store.text = "api_keys: {new: alice}"
    assert user("old") == "alice"
    clock.advance(MAX_AGE_S)
    assert user("new") == "alice"
    assert is_refused("old")


def test_a_flood_of_wrong_tokens_does_not_reach_the_store(store: Store, clock: Clock) -> None:
    for number in range(50):
        assert is_refused(f"wrong{number}")
        clock.advance(ASK_AGAIN_S / 100)
    assert store.reads == 1
    clock.advance(ASK_AGAIN_S)
    assert is_refused("wrong")
    assert store.reads == 2


@pytest.mark.parametrize("fault", [None, "keys: {a: b}", "api_keys: {a: b", "no keys here: [", "-"])
def test_last_known_keys_count_for_a_while_when_the_parameter_is_of_no_use(
    store: Store, clock: Clock, fault: str | None
) -> None:
    assert user("old") == "alice"
    store.text = fault
    clock.advance(MAX_AGE_S)
    assert user("old") == "alice"
    assert is_put_off("unknown")
    reads = store.reads
    assert is_put_off("unknown")
    assert store.reads == reads
    clock.advance(KEPT_S)
    assert is_put_off("old")
    store.text = "api_keys: {old: alice}"
    clock.advance(ASK_AGAIN_S)
    assert user("old") == "alice"


def test_keys_of_the_environment_need_no_parameter_and_are_not_looked_for_in_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASIMOV_API_KEY", "first:bob")
    auth.get_settings.cache_clear()
    store.text = None
    assert user("first") == "bob"
    assert store.reads == 0
    assert auth.user_or_none("Bearer other") is None


def test_a_parameter_without_keys_lets_nobody_in(store: Store) -> None:
    store.text = "api_keys: {}"
    assert is_refused("old")


def test_what_the_parameter_holds_is_in_no_error_and_no_log(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "sidereal")
    store.text = "api_keys: {hunter2: ["
    with pytest.raises(UnavailableError) as caught:
        user("wrong")
    (record,) = caplog.records
    assert record.message == "the parameter with the API keys is of no use"
    assert "hunter2" not in f"{vars(record)}{caught.value!r}{vars(auth.parameter_keys())}"


def test_a_key_in_the_parameter_store_may_write(aws: Aws, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3.client("ssm").put_parameter(Name=NAME, Value="api_keys: {new: alice}", Type="SecureString")
    monkeypatch.setenv("ASIMOV_API_KEYS_PARAMETER", NAME)
    forget()
    assert api.post("/api/v1/events/", {"name": "GW150914"}, token="new").status == 201
    assert api.post("/api/v1/events/", {"name": "GW150914"}, token="old").status == 401


def test_while_keys_cannot_be_read_writes_are_put_off_and_reads_go_on(
    store: Store, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.text = None
    refused = api.post("/api/v1/events/", {"name": "GW150914"}, token="old")
    assert (refused.status, refused.json) == (503, {"error": "The API keys cannot be read at the moment."})
    assert refused.headers["retry-after"] == "5"
    assert api.get("/api/v1/events/").status == 200
