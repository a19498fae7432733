"""The watch over the policies sees what it is there for."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import Api, Aws
from tests.permissions.acting import acting_as, function_running
from tests.permissions.actions import UnknownOperationError, bucket_arn, needs, queue_arn, table_arn
from tests.permissions.plugin import Permissions, leave_unwatched, unused
from tests.permissions.policies import Grant, Policies, Stack, grants, polled, read

RESOURCES = {
    "Parameters": {"Secret": {"Default": ""}},
    "Resources": {
        "Sky": {"Type": "AWS::DynamoDB::Table"},
        "Files": {"Type": "AWS::S3::Bucket"},
        "Worker": {
            "Properties": {
                "Environment": {
                    "Variables": {
                        "SKY_TABLE": {"Ref": "Sky"},
                        "BUCKET": {"Ref": "Files"},
                        "SECRET": {"Fn::If": ["HasSecret", {"Ref": "Secret"}, {"Ref": "AWS::NoValue"}]},
                    }
                }
            }
        },
    },
}
STACK = Stack(RESOURCES, {"SKY_TABLE": "sky", "BUCKET": "files", "SECRET": "token"})
TABLE = {"Fn::GetAtt": ["Sky", "Arn"]}
INDEX = {"Fn::Sub": "${Sky.Arn}/index/by_list"}
FOLDER = {"Fn::Sub": "${Files.Arn}/frames/*"}


def statement(actions: list[str], *on: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": list(on), **more}


def policies(*statements: Any) -> Policies:
    return Policies(tuple(read("worker", {"Statement": list(statements)})), STACK)


@pytest.mark.parametrize(
    ("action", "resource", "is_allowed"),
    [
        ("dynamodb:Query", table_arn("sky"), True),
        ("dynamodb:Query", table_arn("sky") + "/index/by_list", False),
        ("dynamodb:Query", table_arn("sky2"), False),
        ("dynamodb:PutItem", table_arn("sky"), False),
        ("s3:GetObject", bucket_arn("files") + "/frames/1/a b.fits", True),
        ("s3:GetObject", bucket_arn("files") + "/films/1/a.gif", False),
        ("s3:GetObject", bucket_arn("files2") + "/frames/1", False),
    ],
)
def test_a_grant_holds_for_its_action_on_its_resource_alone(action: str, resource: str, is_allowed: bool) -> None:
    allowed = policies(statement(["dynamodb:Query"], TABLE), statement(["s3:GetObject"], FOLDER))
    assert (allowed.find("worker", action, resource) is not None) is is_allowed
    assert allowed.find("another", action, resource) is None


def test_of_a_statement_that_depends_on_a_parameter_both_branches_count() -> None:
    secret = {
        "Fn::Sub": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${Secret}-??????"
    }
    either = {"Fn::If": ["HasSecret", statement(["secretsmanager:GetSecretValue"], secret), {"Ref": "AWS::NoValue"}]}
    ((action, arn),) = needs("secrets-manager", "GetSecretValue", {"SecretId": "token"})
    assert policies(either).find("worker", action, arn)
    ((action, arn),) = needs("secrets-manager", "GetSecretValue", {"SecretId": "token-of-others"})
    assert not policies(either).find("worker", action, arn)


def test_of_a_resource_that_depends_on_a_parameter_both_branches_count() -> None:
    either = {"Fn::If": ["HasFolder", FOLDER, {"Fn::Sub": "${Files.Arn}/${AWS::StackName}/*"}]}
    allowed = policies(statement(["s3:GetObject"], either))
    for folder, is_allowed in {"frames": True, "sidereal": True, "films": False}.items():
        assert (allowed.find("worker", "s3:GetObject", f"{bucket_arn('files')}/{folder}/1") is not None) is is_allowed


def test_a_condition_is_not_evaluated_but_named() -> None:
    under = {"StringEquals": {"ses:FromAddress": "me@example.org"}}
    (grant,) = read("worker", {"Statement": [statement(["ses:SendEmail"], "*", Condition=under)]})
    assert "under the condition" in str(grant)
    assert "me@example.org" in str(grant)


def test_a_policy_that_denies_is_not_read_as_one_that_allows() -> None:
    with pytest.raises(ValueError, match="denies"):
        list(read("worker", {"Statement": [{**statement(["s3:GetObject"], "*"), "Effect": "Deny"}]}))


def test_of_two_grants_that_hold_the_second_is_not_used() -> None:
    twice = policies(statement(["dynamodb:Query"], INDEX), statement(["dynamodb:Query"], {"Fn::Sub": "${Sky.Arn}/*"}))
    found = twice.find("worker", "dynamodb:Query", table_arn("sky") + "/index/by_list")
    assert found is not None
    assert json.loads(found.resource) == INDEX


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "needed"),
    [
        (
            "dynamodb",
            "TransactWriteItems",
            {
                "TransactItems": [
                    {kind: {"TableName": kind.lower()}} for kind in ("Put", "Update", "Delete", "ConditionCheck")
                ]
            },
            [
                ("dynamodb:PutItem", table_arn("put")),
                ("dynamodb:UpdateItem", table_arn("update")),
                ("dynamodb:DeleteItem", table_arn("delete")),
                ("dynamodb:ConditionCheckItem", table_arn("conditioncheck")),
            ],
        ),
        (
            "dynamodb",
            "Query",
            {"TableName": "sky", "IndexName": "by_list"},
            [("dynamodb:Query", table_arn("sky") + "/index/by_list")],
        ),
        (
            "dynamodb",
            "BatchGetItem",
            {"RequestItems": {"sky": {}, "sea": {}}},
            [("dynamodb:BatchGetItem", table_arn("sky")), ("dynamodb:BatchGetItem", table_arn("sea"))],
        ),
        (
            "s3",
            "CopyObject",
            {"Bucket": "files", "Key": "to", "CopySource": {"Bucket": "files", "Key": "from"}},
            [("s3:GetObject", bucket_arn("files") + "/from"), ("s3:PutObject", bucket_arn("files") + "/to")],
        ),
        (
            "s3",
            "DeleteObjects",
            {"Bucket": "files", "Delete": {"Objects": [{"Key": "a"}, {"Key": "b"}]}},
            [("s3:DeleteObject", bucket_arn("files") + "/a"), ("s3:DeleteObject", bucket_arn("files") + "/b")],
        ),
        (
            "sqs",
            "SendMessage",
            {"QueueUrl": "https://queue.amazonaws.com/123456789012/jobs"},
            [("sqs:SendMessage", queue_arn("jobs"))],
        ),
    ],
)
def test_a_request_needs_an_action_on_everything_it_touches(
    service: str, operation: str, parameters: dict[str, Any], needed: list[tuple[str, str]]
) -> None:
    assert needs(service, operation, parameters) == needed


def test_what_a_new_operation_needs_has_to_be_said() -> None:
    with pytest.raises(UnknownOperationError, match="dynamodb's Scan"):
        needs("dynamodb", "Scan", {"TableName": "sky"})


def test_a_thread_acts_as_the_function_that_started_it_and_a_pool_as_the_one_that_hands_it_work() -> None:
    seen: list[str | None] = []
    with ThreadPoolExecutor(1) as pool:
        with acting_as("sweep"):
            thread = threading.Thread(target=lambda: seen.append(function_running()))
            thread.start()
            thread.join()
            seen.append(pool.submit(function_running).result())
            with acting_as("api"):
                seen.append(pool.submit(function_running).result())
        seen.append(pool.submit(function_running).result())
    assert seen == ["sweep", "sweep", "api", None]
    assert function_running() is None


@pytest.fixture
def permissions(request: pytest.FixtureRequest) -> Permissions:
    """The watch over this run."""
    found = request.config.pluginmanager.get_plugin("permissions")
    if found is None:  # with --aws-endpoint nobody watches, so there is nothing to test
        pytest.skip("an emulator is asked, which looks at the policies itself")
    assert isinstance(found, Permissions)
    return found


def refuse_everything(permissions: Permissions, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(permissions, "_policies", lambda: Policies((), STACK))


def test_every_request_of_a_function_without_a_grant_is_refused_in_words(
    api: Api, aws: Aws, permissions: Permissions, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = api.target()
    refuse_everything(permissions, monkeypatch)
    api.get(f"/api/targets/{target}/")
    refused = permissions.take_refused()
    assert f"api may not dynamodb:GetItem on {table_arn('sidereal-telescope')}: its policy does not grant it" in refused
    aws.items()
    assert permissions.take_refused() == []


def test_a_link_and_a_form_need_what_whoever_uses_them_does(
    api: Api, permissions: Permissions, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib.storage import artefacts

    refuse_everything(permissions, monkeypatch)
    with acting_as("api"):
        artefacts.download_link("products/1/1/a.fits", "a.fits")
        artefacts.upload_form("uploads/1/1/b.fits", 2880, 60)
        assert artefacts.size("products/1/1/none.fits") is None
    bucket = bucket_arn("sidereal-artefacts")
    assert [sentence.split(": its")[0].removeprefix("api may not ") for sentence in permissions.take_refused()] == [
        f"s3:GetObject on {bucket}/products/1/1/a.fits",
        f"s3:PutObject on {bucket}/uploads/1/1/b.fits",
        f"s3:GetObject on {bucket}/products/1/1/none.fits",
        f"s3:ListBucket on {bucket}",
    ]


def test_what_was_refused_fails_the_test(permissions: Permissions, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_everything(permissions, monkeypatch)
    steps = permissions.pytest_runtest_call()
    next(steps)
    permissions.look("sweep", ("dynamodb:DeleteItem", table_arn("sidereal-telescope")))
    with pytest.raises(pytest.fail.Exception, match="sweep may not dynamodb:DeleteItem"):
        next(steps)


def test_what_no_call_needed_is_granted_in_vain_but_for_what_lambda_does_itself() -> None:
    vain = {grant.action for grant in unused(set())}
    assert {"dynamodb:Query", "sqs:SendMessage"} <= vain
    assert not vain & {"logs:PutLogEvents", "sqs:ReceiveMessage"}
    assert unused(set(grants())) == []
    (queue,) = polled("run_timelapse")
    assert Grant("run_timelapse", "sqs:DeleteMessage", queue) in grants()


def test_what_one_of_two_functions_that_run_processes_needed_so_does_the_other() -> None:
    run = {grant for grant in grants() if grant.function == "run_pipeline"}
    vain = {(grant.action, grant.resource) for grant in unused(run) if grant.function == "run_timelapse"}
    (queue,) = polled("run_timelapse")
    assert vain == {("sqs:ChangeMessageVisibility", queue)}


def test_a_client_that_is_left_alone_needs_no_grant(
    aws: Aws, permissions: Permissions, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib.storage import clients

    refuse_everything(permissions, monkeypatch)
    leave_unwatched(clients.dynamodb())
    with acting_as("api"):
        clients.dynamodb().get_item(TableName="sidereal-ledger", Key={"pk": {"S": "a"}, "sk": {"S": "b"}})
    assert permissions.take_refused() == []
