"""The token of the telescope portal."""

import boto3
import pytest

from chalicelib.errors import UnavailableError
from chalicelib.storage.secrets import portal_token
from tests.conftest import Aws, forget

NAME = "/sidereal/portal-token"


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch, aws: Aws) -> pytest.MonkeyPatch:
    return monkeypatch


def configure(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    forget()


def test_there_is_none_unless_one_is_configured() -> None:
    assert portal_token() is None


def test_on_a_laptop_it_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, PORTAL_TOKEN=" abc ", PORTAL_TOKEN_PARAMETER="/is/not/asked")
    assert portal_token() == "abc"


def test_it_comes_from_the_parameter_store_and_is_kept_for_a_while(set_up: pytest.MonkeyPatch) -> None:
    ssm = boto3.client("ssm")
    ssm.put_parameter(Name=NAME, Value="one\n", Type="SecureString")
    configure(set_up, PORTAL_TOKEN_PARAMETER=NAME)
    assert portal_token() == "one"
    ssm.put_parameter(Name=NAME, Value="two", Type="SecureString", Overwrite=True)
    assert portal_token() == "one"
    assert portal_token(refresh=True) == "two"
    assert portal_token() == "two"


def test_it_comes_from_the_secrets_manager(set_up: pytest.MonkeyPatch) -> None:
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name="portal", SecretString="one")
    configure(set_up, PORTAL_TOKEN_SECRET="portal")
    assert portal_token() == "one"
    secrets.put_secret_value(SecretId="portal", SecretString="two")
    assert portal_token(refresh=True) == "two"


@pytest.mark.parametrize("setting", ["PORTAL_TOKEN_PARAMETER", "PORTAL_TOKEN_SECRET"])
def test_one_that_cannot_be_read_is_told_without_reasons(set_up: pytest.MonkeyPatch, setting: str) -> None:
    configure(set_up, **{setting: "absent"})
    with pytest.raises(UnavailableError, match=r"^The token of the telescope portal cannot be read at the moment\.$"):
        portal_token()


@pytest.mark.parametrize("kept", ["two words", "line\nbreak", "schlüssel", "x" * 1001])
def test_what_would_break_a_header_is_no_token_and_is_not_told(monkeypatch: pytest.MonkeyPatch, kept: str) -> None:
    configure(monkeypatch, PORTAL_TOKEN=kept)
    with pytest.raises(UnavailableError) as caught:
        portal_token()
    assert kept not in str(caught.value)
