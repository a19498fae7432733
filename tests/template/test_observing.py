"""What the deployment template says about observing: the portal, its token, the schedule, the mail."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.settings import Settings
from deployment import parameters, template

Packaged = Callable[[str], dict[str, Any]]

ABOUT_THE_PORTAL = {"PORTAL_URL", "ARCHIVE_URL", "PORTAL_TOKEN_PARAMETER", "PORTAL_TOKEN_SECRET"}


def variables(made: dict[str, Any], function: str) -> dict[str, Any]:
    """Return the environment of a function."""
    found: dict[str, Any] = made["Resources"][template.FUNCTIONS[function]]["Properties"]["Environment"]["Variables"]
    return found


def actions(function: str) -> dict[str, list[Any]]:
    """Return the resources of each action that a policy allows, of all its branches."""
    found: dict[str, list[Any]] = {}
    for statement in template.policy(function)["Statement"]:
        for branch in statement.get("Fn::If", ["", statement])[1:]:
            for action in branch.get("Action", ()):
                found.setdefault(action, []).extend(branch["Resource"])
    return found


@pytest.mark.parametrize("function", template.FUNCTIONS)
def test_the_functions_that_speak_to_the_portal_and_no_others_know_where_it_is(function: str) -> None:
    given = set(variables(template.resources(), function)) & ABOUT_THE_PORTAL
    assert given == (ABOUT_THE_PORTAL if function in ("api", "process_alerts") else set())


@pytest.mark.parametrize("function", template.FUNCTIONS)
def test_only_the_functions_that_speak_to_the_portal_may_read_its_token(function: str) -> None:
    allowed = actions(function)
    read = {action for action in allowed if action.startswith(("ssm:", "secretsmanager:", "kms:"))}
    if function in ("api", "process_alerts"):
        assert read == {"ssm:GetParameter", "secretsmanager:GetSecretValue"}
        place = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:%s"
        token, own, keys = (
            {"Fn::Sub": place % ("ssm", f"parameter{name}")}
            for name in ("${PortalTokenParameter}", "/${AWS::StackName}/portal-token", "${ApiKeysParameter}")
        )
        expected = [{"Fn::If": ["HasPortalTokenParameter", token, own]}, *([keys] if function == "api" else [])]
        assert allowed["ssm:GetParameter"] == expected
        secret = place % ("secretsmanager", "secret:${PortalTokenSecret}-??????")
        assert allowed["secretsmanager:GetSecretValue"] == [{"Fn::Sub": secret}]
    else:
        assert read == set()


def test_a_secret_takes_the_place_of_the_parameter() -> None:
    made = variables(template.resources(), "api")
    nothing = {"Ref": "AWS::NoValue"}
    # by default each stack has a token of its own, so that a stage for trying things out books no telescope with another's
    own = {"Fn::Sub": "/${AWS::StackName}/portal-token"}
    parameter = {"Fn::If": ["HasPortalTokenParameter", {"Ref": "PortalTokenParameter"}, own]}
    assert made["PORTAL_TOKEN_PARAMETER"] == {"Fn::If": ["HasPortalTokenSecret", nothing, parameter]}
    assert made["PORTAL_TOKEN_SECRET"] == {"Fn::If": ["HasPortalTokenSecret", {"Ref": "PortalTokenSecret"}, nothing]}


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_token_itself_is_no_parameter_and_no_variable(packaged: Packaged, stage: str) -> None:
    made = packaged(stage)
    assert "PortalToken" not in made["Parameters"]
    assert all("PORTAL_TOKEN" not in variables(made, function) for function in template.FUNCTIONS)


@pytest.mark.parametrize("function", template.FUNCTIONS)
def test_only_the_alerts_function_sends_mail_and_from_the_one_address(function: str) -> None:
    sending = [each for each in template.policy(function)["Statement"] if "ses:" in str(each)]
    if function != "process_alerts":
        assert sending == []
        return
    (statement,) = sending
    condition, allowed, otherwise = statement["Fn::If"]
    assert (condition, otherwise) == ("HasFromEmailAddress", {"Ref": "AWS::NoValue"})
    assert allowed["Action"] == ["ses:SendEmail"]
    assert allowed["Condition"] == {"StringEquals": {"ses:FromAddress": {"Ref": "FromEmailAddress"}}}
    assert all(
        each["Fn::Sub"].startswith("arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:")
        for each in allowed["Resource"]
    )


def test_the_alerts_function_writes_frames_deletes_timelapses_and_asks_for_new_ones() -> None:
    allowed = actions("process_alerts")
    assert {action for action in allowed if action.startswith("s3:")} == {
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
    }
    assert allowed["s3:PutObject"] == [{"Fn::Sub": "${Artefacts.Arn}/products/*"}]
    deleted = {each["Fn::Sub"] for each in allowed["s3:DeleteObject"]}
    assert deleted == {f"${{Artefacts.Arn}}/{folder}/*" for folder in ("products", "processes", "thumbnails")}
    assert allowed["sqs:SendMessage"] == [{"Fn::GetAtt": ["TimelapseQueue", "Arn"]}]
    assert not {action for action in allowed if action.startswith("sqs:Receive")}


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_rate_of_the_alerts_function_is_a_parameter(packaged: Packaged, stage: str) -> None:
    made = packaged(stage)
    (event,) = made["Resources"]["ProcessAlerts"]["Properties"]["Events"].values()
    assert event == {"Type": "Schedule", "Properties": {"Schedule": {"Ref": "AlertRate"}}}
    assert made["Parameters"]["AlertRate"]["Default"] == "rate(5 minutes)"


def test_the_stage_prod_closes_observe_and_dev_leaves_it_open(packaged: Packaged) -> None:
    assert Settings.model_fields["observe_requires_token"].default is False
    assert "OBSERVE_REQUIRES_TOKEN" not in variables(packaged("dev"), "api")
    closed = variables(packaged("prod"), "api")["OBSERVE_REQUIRES_TOKEN"]
    assert Settings.model_validate({"observe_requires_token": closed}).observe_requires_token is True


@pytest.mark.parametrize(
    ("name", "setting"),
    [("PortalUrl", "portal_url"), ("ArchiveUrl", "archive_url"), ("ThrottleObserve", "throttle_observe")],
)
def test_a_parameter_is_by_default_what_the_setting_is(name: str, setting: str) -> None:
    given = Settings.model_validate({setting: parameters.PARAMETERS[name]["Default"]})
    assert getattr(given, setting) == getattr(Settings(), setting)


@pytest.mark.parametrize(
    "rate",
    ["1/second", "6/minute", "999/hour", "1000/day", "0/minute", "01/minute", "1001/minute", "9999/day", "6/week"],
)
def test_the_template_takes_no_rate_with_which_the_functions_could_not_start(rate: str) -> None:
    is_taken = re.fullmatch(parameters.PARAMETERS["ThrottleObserve"]["AllowedPattern"], rate) is not None
    try:
        Settings.model_validate({"throttle_observe": rate})
    except ValueError:
        assert not is_taken
    else:
        assert is_taken or rate.startswith("0")


def test_the_alerts_function_counts_and_keeps_circuits_and_deletes_neither() -> None:
    on_operations = {
        action
        for statement in template.policy("process_alerts")["Statement"]
        if {"Fn::GetAtt": ["OperationsTable", "Arn"]} in statement.get("Resource", ())
        for action in statement["Action"]
    }
    assert on_operations == {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"}


def test_links_in_mail_begin_with_the_address_of_the_stage_unless_another_is_given() -> None:
    made = variables(template.resources(), "process_alerts")["PUBLIC_URL"]
    stage = {"Fn::Sub": "https://${RestAPI}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${RestAPI.Stage}"}
    own = {"Fn::If": ["HasDomainName", {"Fn::Sub": "https://${DomainName}"}, stage]}
    assert made == {"Fn::If": ["HasPublicUrl", {"Ref": "PublicUrl"}, own]}
