"""Whose requests are counted together: a user's, else those of an address; nobody chooses it by a header."""

from collections.abc import Callable
from typing import Any

import pytest
from chalice import Blueprint, Chalice
from chalice.test import Client
from werkzeug.test import Client as HttpClient

from chalicelib.handlers.callers import throttle_key
from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import operation
from chalicelib.handlers.replies import TELESCOPE, Reply
from chalicelib.handlers.request import Request
from local.context import LambdaContext
from local.wsgi import Gateway
from tests.conftest import TOKEN

Ask = Callable[..., str]

FORGED = {
    "X-Forwarded-For": "198.51.100.7",
    "X-Real-IP": "198.51.100.7",
    "Forwarded": "for=198.51.100.7",
    "X-Client-IP": "198.51.100.7",
    "True-Client-IP": "198.51.100.7",
    "Remote-Addr": "198.51.100.7",
}


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Chalice:
    """An app that tells whom it takes its caller for."""

    @operation({200: dict[str, str]})
    def who(request: Request) -> Reply:
        return Reply({"key": throttle_key(request)})

    monkeypatch.setattr("chalicelib.handlers.http.ROUTES", [])
    made = Chalice("who", configure_logs=False)
    blueprint = Blueprint("who")
    router = Router(blueprint, TELESCOPE)
    router.add("/who", open_methods=lambda: ("POST",), POST=who)
    made.register_blueprint(blueprint)
    return made


@pytest.fixture
def gateway(app: Chalice) -> Ask:
    """API Gateway's own event, from an address."""

    def ask(address: Any, headers: dict[str, str] | None = None) -> str:
        event = {
            "requestContext": {
                "httpMethod": "POST",
                "resourcePath": "/who",
                "path": "/who",
                "identity": {"sourceIp": address},
            },
            "headers": {key.lower(): value for key, value in (headers or {}).items()},
            "multiValueQueryStringParameters": None,
            "pathParameters": None,
            "stageVariables": None,
            "body": "",
            "isBase64Encoded": False,
        }
        return key_in(app(event, LambdaContext("api_handler"))["body"])

    return ask


def key_in(body: str) -> str:
    """Return the key that the app answered."""
    import json

    return str(json.loads(body)["key"])


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.17", "address:192.0.2.17"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:3::6", "address:2001:db8:1:3::/64"),
        ("fe80::1%eth0", "address:fe80::/64"),
        ("::ffff:192.0.2.17", "address:192.0.2.17"),
        ("test-invoke-source-ip", "address:unknown"),
        ("", "address:unknown"),
        (None, "address:unknown"),
    ],
)
def test_the_address_is_what_api_gateway_saw_an_ipv6_one_by_its_network(gateway: Ask, address: Any, key: str) -> None:
    assert gateway(address) == key


@pytest.mark.parametrize(("name", "value"), FORGED.items())
def test_no_header_changes_the_address(gateway: Ask, name: str, value: str) -> None:
    assert gateway("192.0.2.17", {name: value}) == "address:192.0.2.17"


def test_a_valid_token_counts_for_its_user_from_wherever_it_comes(gateway: Ask) -> None:
    for address in ("192.0.2.17", "192.0.2.18"):
        assert gateway(address, {"Authorization": f"Bearer {TOKEN}"}) == "user:tester"


@pytest.mark.parametrize(
    "header", ["Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer ", "Bearer \ud800", "Bearer x" * 99]
)
def test_a_wrong_token_gives_nobody_a_throttle_of_his_own(gateway: Ask, header: str) -> None:
    assert gateway("192.0.2.17", {"Authorization": header}) == "address:192.0.2.17"


def test_a_token_counts_for_nothing_where_no_key_is_configured(gateway: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASIMOV_API_KEY")
    assert gateway("192.0.2.17", {"Authorization": "Bearer wrong"}) == "address:192.0.2.17"


def test_a_user_named_as_an_address_is_not_that_address(gateway: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASIMOV_API_KEY", "t:192.0.2.17")
    assert gateway("192.0.2.17", {"Authorization": "Bearer t"}) != gateway("192.0.2.17")


@pytest.mark.parametrize("headers", [{}, FORGED])
def test_behind_wsgi_the_address_is_that_of_the_connection(app: Chalice, headers: dict[str, str]) -> None:
    client = HttpClient(Gateway(app, app.routes))
    answer = client.post("/who", headers=headers, environ_base={"REMOTE_ADDR": "192.0.2.17"})
    assert key_in(answer.text) == "address:192.0.2.17"


@pytest.mark.parametrize("headers", [{}, FORGED])
def test_under_chalice_local_everybody_is_this_machine(app: Chalice, headers: dict[str, str]) -> None:
    with Client(app) as client:
        assert key_in(client.http.post("/who", headers=headers).body.decode()) == "address:127.0.0.1"
