"""How services are asked: bounded in time and size, left alone when they keep failing, and nothing secret in the log."""

import logging
import time
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from chalicelib.errors import NotFoundError, UnavailableError, UpstreamError
from chalicelib.facilities import http
from chalicelib.facilities.base import Frame, FrameUnavailableError
from chalicelib.facilities.budget import time_budget, time_left
from chalicelib.facilities.lco import LcoFacility
from chalicelib.models.targets import Target
from chalicelib.observability import logger
from chalicelib.storage import circuits
from tests.conftest import Aws, forget
from tests.facilities.scripted import TOKEN, ScriptedServer, Told

REQUEST = "/api/requests/12/"
PENDING = Told(200, {"state": "PENDING"})


@pytest.fixture
def guarded(aws: Aws, portal_settings: None, server: ScriptedServer) -> LcoFacility:
    """The facility with its circuit breaker, in front of a portal that fails."""
    server.on("GET", REQUEST, Told(503))
    server.on("GET", f"{REQUEST}observations/", Told(200, []))
    return LcoFacility()


def fail(facility: LcoFacility, times: int = circuits.MAX_FAILURES) -> None:
    for _ in range(times):
        with pytest.raises(UnavailableError):
            facility.state("12")


def let_time_pass(aws: Aws) -> None:
    """Let the circuit have been opened long ago, and this process not know it."""
    forget()
    aws.dynamodb.update_item(
        TableName=aws.name("sidereal-operations"),
        Key={"pk": {"S": "CIRCUIT"}, "sk": {"S": "telescope portal"}},
        UpdateExpression="SET opened_at = :then",
        ExpressionAttributeValues={":then": {"N": str(int(time.time()) - 2 * circuits.OPEN_S)}},
    )


def test_a_portal_that_keeps_failing_is_left_alone(guarded: LcoFacility, server: ScriptedServer) -> None:
    fail(guarded)
    asked = len(server.asked)
    with pytest.raises(UnavailableError) as caught:
        guarded.state("12")
    assert len(server.asked) == asked
    assert 0 < caught.value.retry_after_s <= circuits.OPEN_S


def test_other_processes_leave_it_alone_too_but_not_its_archive(guarded: LcoFacility, server: ScriptedServer) -> None:
    server.on("GET", "/frames/", Told(200, {"results": [], "next": None}))
    fail(guarded)
    forget()
    asked = len(server.asked)
    with pytest.raises(UnavailableError):
        LcoFacility().state("12")
    assert len(server.asked) == asked
    assert list(LcoFacility().frames("12")) == []


def test_after_a_while_one_call_is_let_through_and_ends_it(
    guarded: LcoFacility, server: ScriptedServer, aws: Aws
) -> None:
    fail(guarded)
    let_time_pass(aws)
    server.on("GET", REQUEST, PENDING)
    assert guarded.state("12").status == "PENDING"
    assert guarded.state("12").status == "PENDING"


def test_after_a_while_one_failure_keeps_it_shut(guarded: LcoFacility, server: ScriptedServer, aws: Aws) -> None:
    fail(guarded)
    let_time_pass(aws)
    fail(guarded, 1)
    asked = len(server.asked)
    fail(guarded, 1)
    assert len(server.asked) == asked


def test_who_comes_while_another_tries_is_not_told_to_come_back_before_it_can_help(
    guarded: LcoFacility, aws: Aws
) -> None:
    fail(guarded)
    let_time_pass(aws)
    aws.dynamodb.update_item(
        TableName=aws.name("sidereal-operations"),
        Key={"pk": {"S": "CIRCUIT"}, "sk": {"S": "telescope portal"}},
        UpdateExpression="SET #state = :half, half_open_owner = :other, probe_lease_expiry = :soon",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={
            ":half": {"S": "HALF_OPEN"},
            ":other": {"S": "another process"},
            ":soon": {"N": str(int(time.time()) + circuits.OPEN_S)},
        },
    )
    with pytest.raises(UnavailableError) as caught:
        guarded.state("12")
    assert caught.value.retry_after_s == circuits.KNOWN_S


@pytest.mark.parametrize("answer", [Told(404, {}), Told(400, {}), Told(403, {}), Told(429, {}), Told(200, b"<html>")])
def test_an_answer_that_is_no_outage_does_not_count(guarded: LcoFacility, server: ScriptedServer, answer: Told) -> None:
    server.on("GET", REQUEST, answer)
    for _ in range(2 * circuits.MAX_FAILURES):
        with pytest.raises(Exception):  # noqa: B017, PT011 - which one is another test's business
            guarded.state("12")
    server.on("GET", REQUEST, PENDING)
    assert guarded.state("12").status == "PENDING"


def test_a_portal_that_is_well_costs_one_read_of_its_circuit(
    guarded: LcoFacility, server: ScriptedServer, calls: list[str]
) -> None:
    server.on("GET", REQUEST, PENDING)
    for _ in range(3):
        guarded.state("12")
    assert calls == ["GetItem"]


def test_without_the_table_the_portal_is_asked_all_the_same(
    guarded: LcoFacility, server: ScriptedServer, aws: Aws
) -> None:
    server.on("GET", REQUEST, PENDING)
    aws.dynamodb.delete_table(TableName=aws.name("sidereal-operations"))
    assert guarded.state("12").status == "PENDING"
    aws.dynamodb.create_table(
        TableName=aws.name("sidereal-operations"),
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )


def test_a_token_that_was_changed_is_read_anew_once_it_is_refused(
    guarded: LcoFacility, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssm = boto3.client("ssm")
    ssm.put_parameter(Name="/sidereal/portal-token", Value="old", Type="SecureString")
    monkeypatch.delenv("PORTAL_TOKEN")
    monkeypatch.setenv("PORTAL_TOKEN_PARAMETER", "/sidereal/portal-token")
    forget()
    facility = LcoFacility()

    def answer(asked: Any) -> Told:
        is_known = asked.headers["Authorization"] == f"Token {good}"
        return PENDING if is_known else Told(403, {"detail": "Invalid token."})

    good = "old"
    server.on("GET", REQUEST, answer)
    assert facility.state("12").status == "PENDING"
    good = "new"
    with pytest.raises(UpstreamError):
        facility.state("12")
    ssm.put_parameter(Name="/sidereal/portal-token", Value="new", Type="SecureString", Overwrite=True)
    assert facility.state("12").status == "PENDING"


def _import_all(lco: LcoFacility) -> None:
    """Ask once for what is not there: what that imports and opens takes nothing of a budget afterwards."""
    with pytest.raises(NotFoundError):
        lco.state("13")


def test_a_call_ends_with_its_budget(lco: LcoFacility, server: ScriptedServer) -> None:
    _import_all(lco)
    server.on("GET", REQUEST, Told(200, {}, wait_s=30))
    with time_budget(0.3), pytest.raises(UnavailableError):
        lco.state("12")
    assert server.paths().count(REQUEST) == 1


def test_without_time_nothing_is_asked(lco: LcoFacility, server: ScriptedServer) -> None:
    with time_budget(0), pytest.raises(UnavailableError):
        lco.state("12")
    assert server.asked == []


def test_an_answer_that_drips_ends_with_the_budget(lco: LcoFacility, server: ScriptedServer) -> None:
    _import_all(lco)
    server.on("GET", REQUEST, Told(200, b" " * 1000, drip_s=0.02))
    with time_budget(0.3), pytest.raises(UnavailableError):
        lco.state("12")


def test_headers_that_drip_end_with_the_budget(
    lco: LcoFacility, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _import_all(lco)
    monkeypatch.setattr(http, "_read", lambda _: pytest.fail("waited for the end of the headers"))
    server.on("GET", REQUEST, Told(200, {}, drip_s=0.05, drips_early=True))
    with time_budget(0.5), pytest.raises(http.OutageError, match="in time") as caught:
        lco.state("12")
    assert caught.value.may_still_arrive


def test_a_budget_within_another_cannot_widen_it() -> None:
    with time_budget(1), time_budget(100):
        assert time_left() <= 1
    assert time_left() == pytest.approx(10)


def test_an_answer_without_an_end_is_not_read_to_it(
    lco: LcoFacility, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 100_000)
    server.on("GET", REQUEST, Told(200, b"[" + b" " * 200_000 + b"]"))
    with pytest.raises(UpstreamError, match="too long"):
        lco.state("12")


def test_neither_the_token_nor_a_query_nor_a_signed_link_is_logged(
    lco: LcoFacility,
    server: ScriptedServer,
    form: dict[str, Any],
    target: Target,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(logger._logger, "propagate", True)
    monkeypatch.setattr(logger._logger, "level", logging.DEBUG)
    server.on("GET", "/api/requestgroups/", Told(503), Told(200, {"results": [], "next": None}))
    lco.submit(form, target)
    lco.find("a-name-to-look-for", datetime(2026, 1, 1, tzinfo=UTC))
    for link in (f"{server.address}/f?X-Amz-Signature=secret", "http://127.0.0.1:9/f?X-Amz-Signature=secret"):
        with pytest.raises(FrameUnavailableError), lco.open_frame(Frame("7", "x-e91.fits", link)) as pieces:
            list(pieces)
    told = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "/api/requestgroups/validate/" in told
    assert not [secret for secret in (TOKEN, "secret", "a-name-to-look-for", "HAT-P-32") if secret in told]
