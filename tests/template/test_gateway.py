"""What API Gateway does by itself: its answers, its log, its limits, a host name of one's own."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from deployment import gateway, template

Packaged = Callable[[str], dict[str, Any]]

KINDS = {
    "ACCESS_DENIED": 403,
    "API_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_FAILURE": 500,
    "BAD_REQUEST_PARAMETERS": 400,
    "BAD_REQUEST_BODY": 400,
    "DEFAULT_4XX": None,
    "DEFAULT_5XX": None,
    "EXPIRED_TOKEN": 403,
    "INTEGRATION_FAILURE": 504,
    "INTEGRATION_TIMEOUT": 504,
    "INVALID_API_KEY": 403,
    "INVALID_SIGNATURE": 403,
    "MISSING_AUTHENTICATION_TOKEN": 403,
    "QUOTA_EXCEEDED": 429,
    "REQUEST_TOO_LARGE": 413,
    "RESOURCE_NOT_FOUND": 404,
    "THROTTLED": 429,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "WAF_FILTERED": 403,
}
"""Every kind of answer that AWS's list has, with its status."""

UNKNOWN_ROUTE = ("MISSING_AUTHENTICATION_TOKEN", "INVALID_SIGNATURE", "EXPIRED_TOKEN")


def answers(made: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of the answers in a template."""
    found: dict[str, Any] = made["Resources"]["RestAPI"]["Properties"]["DefinitionBody"][
        "x-amazon-apigateway-gateway-responses"
    ]
    return found


@pytest.mark.parametrize("kind", answers(template.resources()))
def test_an_answer_of_the_gateway_has_the_keys_of_both_families(kind: str) -> None:
    answer = answers(template.resources())[kind]
    assert kind in KINDS
    body = json.loads(answer["responseTemplates"]["application/json"])
    assert {"error", "detail"} <= set(body) <= {"error", "detail", "request_id"}
    assert all(isinstance(text, str) and text for text in body.values())


def test_the_status_of_an_answer_is_that_of_aws_except_where_there_is_no_such_route() -> None:
    for kind, answer in answers(template.resources()).items():
        expected = 404 if kind in UNKNOWN_ROUTE else KINDS[kind]
        assert answer.get("statusCode") == (None if expected is None else str(expected)), kind


def test_every_kind_of_answer_is_worded_by_itself_or_by_the_default_of_its_hundred() -> None:
    worded = answers(template.resources())
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= set(worded)
    assert {status for kind, status in KINDS.items() if kind not in worded} <= {400, 403, 500}


def test_a_throttled_request_is_told_when_to_come_again() -> None:
    for kind, answer in answers(template.resources()).items():
        waits = answer["responseParameters"].get("gatewayresponse.header.Retry-After")
        assert waits == ("'1'" if KINDS[kind] == 429 else None), kind


def test_pages_of_other_origins_may_read_the_answers() -> None:
    for answer in answers(template.resources()).values():
        assert answer["responseParameters"]["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'"


def test_no_parameter_decides_on_the_description_of_the_api_or_its_change_would_not_be_deployed(
    packaged: Packaged,
) -> None:
    description = json.dumps(packaged("prod")["Resources"]["RestAPI"]["Properties"]["DefinitionBody"])
    assert "Fn::If" not in description
    assert [name for name in template.resources()["Parameters"] if f'{name}"' in description] == []


def test_a_fault_tells_the_id_under_which_the_log_has_more() -> None:
    for kind, answer in answers(template.resources()).items():
        body = json.loads(answer["responseTemplates"]["application/json"])
        assert ("request_id" in body) == (kind == "DEFAULT_5XX" or KINDS[kind] in (500, 504)), kind


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_stage_has_the_answers_in_what_is_deployed_and_no_stage_of_sam_beside_it(
    packaged: Packaged, stage: str
) -> None:
    made = packaged(stage)
    assert answers(made) == answers(template.resources())
    api = made["Resources"]["RestAPI"]["Properties"]
    assert (api["OpenApiVersion"], api["DefinitionBody"]["swagger"]) == ("2.0", "2.0")
    assert api["StageName"] == stage


def test_stacks_of_one_account_do_not_share_the_metrics_of_their_apis() -> None:
    api = template.resources()["Resources"]["RestAPI"]["Properties"]
    assert api["Name"] == api["DefinitionBody"]["info"]["title"] == {"Ref": "AWS::StackName"}


def test_the_log_of_requests_holds_no_header_no_query_and_no_path() -> None:
    line = json.loads(gateway.api()["Properties"]["AccessLogSetting"]["Fn::If"][1]["Format"])
    named = " ".join(line.values())
    assert re.findall(r"authoriz|header|context\.path|query|body|apiKey|cognito", named, re.IGNORECASE) == []
    assert "$context.resourcePath" in line.values()
    (settings,) = gateway.api()["Properties"]["MethodSettings"]
    assert settings["DataTraceEnabled"] is False
    assert "LoggingLevel" not in settings


def test_the_log_of_requests_is_made_only_where_it_is_asked_for() -> None:
    setting = gateway.api()["Properties"]["AccessLogSetting"]["Fn::If"]
    assert (setting[0], setting[2]) == ("HasAccessLogs", {"Ref": "AWS::NoValue"})
    assert gateway.resources()[gateway.ACCESS_LOG]["Condition"] == "HasAccessLogs"
    assert template.resources()["Parameters"]["AccessLogs"]["Default"] == "false"


def test_how_many_requests_the_api_takes_is_a_parameter() -> None:
    (settings,) = gateway.api()["Properties"]["MethodSettings"]
    assert (settings["ResourcePath"], settings["HttpMethod"]) == ("/*", "*")
    assert settings["ThrottlingRateLimit"] == {"Ref": "RequestsPerSecond"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "RequestBurst"}


def test_a_host_name_of_ones_own_speaks_tls_1_2_and_leads_to_the_stage() -> None:
    made = gateway.resources()
    name = made["Domain"]["Properties"]
    assert (name["SecurityPolicy"], name["EndpointConfiguration"]) == ("TLS_1_2", {"Types": ["REGIONAL"]})
    assert made["DomainMapping"]["Properties"] == {
        "DomainName": {"Ref": "Domain"},
        "RestApiId": {"Ref": "RestAPI"},
        "Stage": {"Ref": "RestAPI.Stage"},
    }
    assert made["DomainRecord"]["Properties"]["AliasTarget"]["DNSName"] == {
        "Fn::GetAtt": ["Domain", "RegionalDomainName"]
    }


def test_nothing_of_a_host_name_is_made_where_none_is_given() -> None:
    made, conditions = gateway.resources(), template.resources()["Conditions"]
    assert [made[each]["Condition"] for each in ("Domain", "DomainMapping")] == ["HasDomainName"] * 2
    assert made["DomainRecord"]["Condition"] == "HasHostedZone"
    assert conditions["HasDomainName"] in conditions["HasHostedZone"]["Fn::And"]
    assert template.resources()["Parameters"]["DomainName"]["Default"] == ""
