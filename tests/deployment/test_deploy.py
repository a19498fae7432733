"""Deploying and removing the stack: what is uploaded, which parameters are sent, what is told."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from deployment import deploy as deploying
from deployment import packages as packaging
from deployment import stack_parameters, stages
from deployment import undeploy as removing
from deployment.account import Account, DeployError, one_line_errors
from deployment.packages import Packages, digest
from deployment.stack import Resource
from deployment.stack_parameters import choose, first_key, given_parameters

STACK = "sidereal-dev"
STACK_ID = f"arn:aws:cloudformation:us-east-1:123456789012:stack/{STACK}/1"
NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."


def archive(path: Path, *, year: int = 2026, mode: int = 0o644, **files: str) -> Path:
    """Write a zip file."""
    with zipfile.ZipFile(path, "w") as target:
        for name, text in files.items():
            entry = zipfile.ZipInfo(f"{name}.py", (year, 1, 1, 0, 0, 0))
            entry.external_attr = mode << 16
            target.writestr(entry, text)
    return path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder as `make package` fills it."""
    folder = tmp_path / "package"
    folder.mkdir()
    archive(folder / "deployment.zip", app="one")
    archive(folder / "timelapse-layer.zip", numpy="two")
    resources = {
        "RestAPI": {"Type": "AWS::Serverless::Api", "Properties": {"StageName": "dev"}},
        "Layer": {
            "Type": "AWS::Serverless::LayerVersion",
            "Properties": {"ContentUri": "./timelapse-layer.zip"},
        },
        **{
            name: {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": "./deployment.zip"}}
            for name in ("APIHandler", "Sweep")
        },
    }
    parameters = {
        "AsimovApiKey": {"Type": "String", "NoEcho": True, "Default": ""},
        "ApiKeysParameter": {"Type": "String", "Default": ""},
        "PortalUrl": {"Type": "String", "Default": "https://observe.lco.global"},
    }
    (folder / "sam.json").write_text(json.dumps({"Parameters": parameters, "Resources": resources}))
    return folder


# What is uploaded


def test_an_archive_has_the_name_of_its_content_whenever_it_was_made(tmp_path: Path) -> None:
    def name(**how: Any) -> str:
        return digest(archive(tmp_path / "a.zip", **how))

    assert name(app="one", year=2026) == name(app="one", year=2025)
    different = [name(app="one"), name(app="two"), name(main="one"), name(app="one", mode=0o755), name(app="on", e="e")]
    assert len(set(different)) == len(different)


@pytest.fixture(scope="module")
def moto_account() -> Iterator[Account]:
    with mock_aws():
        yield Account(boto3.Session("test", "test", region_name="eu-west-1"))


def test_packages_are_uploaded_once_to_a_closed_bucket_and_the_old_ones_go(
    moto_account: Account, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    s3 = moto_account.client("s3")

    def upload() -> dict[str, Any]:
        packages = Packages(moto_account, STACK, None, said.append)
        address = packages.upload(package, json.loads((package / "sam.json").read_text()))
        bucket, key = re.fullmatch(r"https://s3\.eu-west-1\.amazonaws\.com/([^/]+)/(.+)", address).groups()
        assert bucket == "sidereal-packages-123456789012-eu-west-1"
        template: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        packages.forget_old()
        return template["Resources"]

    first = upload()
    assert [line.partition(",")[0] for line in said] == [
        "made the bucket sidereal-packages-123456789012-eu-west-1",
        "uploading timelapse-layer.zip",
        "uploading deployment.zip",
    ]
    said.clear()
    assert upload() == first
    assert said == ["timelapse-layer.zip is there already", "deployment.zip is there already"]
    code, layer = first["Sweep"]["Properties"]["CodeUri"], first["Layer"]["Properties"]["ContentUri"]
    assert first["APIHandler"]["Properties"]["CodeUri"] == code
    bucket = "sidereal-packages-123456789012-eu-west-1"
    assert layer == f"s3://{bucket}/{STACK}/{digest(package / 'timelapse-layer.zip')}.zip"

    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=bucket)
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert "Expiration" not in rule  # a layer in use may be old

    archive(package / "deployment.zip", app="changed")
    monkeypatch.setattr(packaging, "KEPT_DAYS", -1)
    second = upload()
    left = {each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert (
        f"s3://{bucket}/" + f"{STACK}/{digest(package / 'deployment.zip')}.zip"
        == second["Sweep"]["Properties"]["CodeUri"]
    )
    assert {code.removeprefix(f"s3://{bucket}/")} & left == set()
    assert {layer.removeprefix(f"s3://{bucket}/")} & left
    assert len(left) == 3
    packages = Packages(moto_account, STACK, None, said.append)
    packages.forget_all()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_bucket_that_is_named_is_not_made(moto_account: Account, package: Path) -> None:
    with pytest.raises(DeployError, match=r"there is no bucket my-own in this account \(PACKAGE_BUCKET\)"):
        Packages(moto_account, STACK, "my-own", print).upload(package, {"Resources": {}})


# Which parameters are sent


@pytest.fixture
def chalice_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stack_parameters, "CHALICE", tmp_path)
    return tmp_path


def test_parameters_come_from_the_file_of_the_stage_and_from_the_environment(chalice_folder: Path) -> None:
    (chalice_folder / "parameters-dev.json").write_text('{"PortalUrl": "https://a", "LogDays": 30}')
    (chalice_folder / "parameters-prod.json").write_text('{"PortalUrl": "https://prod"}')
    of_file, named = given_parameters("dev", "PortalUrl=https://b?c=d AlertRate='rate(7 minutes)' PublicUrl=")
    assert of_file == {"PortalUrl": "https://a", "LogDays": "30"}
    assert named == {"PortalUrl": "https://b?c=d", "AlertRate": "rate(7 minutes)", "PublicUrl": ""}


@pytest.mark.parametrize(
    ("text", "file"),
    [("hunter2", "{}"), ("=hunter2", "{}"), ("A='hunter2", "{}"), ("", '{"A": "hunter2"'), ("", '["hunter2"]'),
     ("", '{"A": ["hunter2"]}')],
)  # fmt: skip
def test_parameters_that_cannot_be_read_are_refused_and_not_told(chalice_folder: Path, text: str, file: str) -> None:
    (chalice_folder / "parameters-dev.json").write_text(file)
    with pytest.raises(DeployError) as caught:
        given_parameters("dev", text)
    assert "hunter2" not in str(caught.value)


def test_what_is_not_given_keeps_its_value_or_has_its_default() -> None:
    declared = {"Given": {"Default": "a"}, "Kept": {}, "KeptOfOld": {"Default": "b"}, "New": {"Default": "c"}}
    assert choose(declared, {"Given": "x"}, ["Given", "Kept", "KeptOfOld", "Gone"]) == [
        {"ParameterKey": "Given", "ParameterValue": "x"},
        {"ParameterKey": "Kept", "UsePreviousValue": True},
        {"ParameterKey": "KeptOfOld", "UsePreviousValue": True},
    ]


def test_a_parameter_that_is_unknown_or_missing_is_named() -> None:
    with pytest.raises(DeployError, match="there is no parameter PortalUlr; there are PortalUrl"):
        choose({"PortalUrl": {"Default": ""}}, {"PortalUlr": "x"}, [])
    with pytest.raises(DeployError, match="the parameter Owner is needed"):
        choose({"Owner": {}}, {}, [])


def test_a_key_is_made_only_where_none_is_given() -> None:
    made = [first_key({})["AsimovApiKey"] for _ in range(2)]
    assert made[0] != made[1]
    assert all(re.fullmatch(r"[\w-]{43}:api-user", key) for key in made)
    assert first_key({"AsimovApiKey": "mine:me"}) == first_key({"ApiKeysParameter": "/my/keys"}) == {}


# What becomes of the stack


class CloudFormation:
    """Stands in for the service: the states of one stack, and the events that lead there."""

    def __init__(self) -> None:
        self.status: str | None = None
        self.will: list[tuple[str, str, str]] = []
        self.reason = ""
        self.sent: list[dict[str, Any]] = []
        self.done: list[str] = []
        self._events: list[dict[str, Any]] = []

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        if self.status is None:
            raise ClientError(
                {"Error": {"Code": "ValidationError", "Message": f"Stack with id {STACK} does not exist"}},
                "DescribeStacks",
            )
        outputs = [{"OutputKey": "EndpointURL", "OutputValue": "https://x.execute-api.us-east-1.amazonaws.com/dev/"}]
        parameters = [{"ParameterKey": "AsimovApiKey", "ParameterValue": "****"}]
        stack = {"StackId": STACK_ID, "StackStatus": self.status, "Outputs": outputs, "Parameters": parameters}
        return {"Stacks": [stack]}

    def create_change_set(self, **asked: Any) -> dict[str, Any]:
        self.sent.append(asked)
        return {"Id": "change-set", "StackId": STACK_ID}

    def describe_change_set(self, **_: Any) -> dict[str, Any]:
        return {"Status": "FAILED", "StatusReason": self.reason} if self.reason else {"Status": "CREATE_COMPLETE"}

    def delete_change_set(self, **_: Any) -> None:
        self.done.append("change set deleted")

    def execute_change_set(self, **how: Any) -> None:
        assert how["RetainExceptOnCreate"]
        self.done.append("change set executed")
        for status, resource, reason in self.will or [("CREATE_COMPLETE", STACK, "")]:
            self._happen(status, resource, reason)

    def delete_stack(self, **_: Any) -> None:
        self.done.append("stack deleted")
        self._happen("DELETE_COMPLETE", STACK, "")
        self.status = None

    def describe_stack_events(self, **_: Any) -> dict[str, Any]:
        return {"StackEvents": self._events[::-1]}

    def get_template(self, **_: Any) -> dict[str, Any]:
        resources = {
            "LedgerTable": {"DeletionPolicy": "Retain"},
            "Artefacts": {"DeletionPolicy": "Retain"},
            "GivenUpQueue": {"DeletionPolicy": "Retain"},
            "TimelapseLayer1": {"DeletionPolicy": "Retain"},
            "Sweep": {},
        }
        return {"TemplateBody": {"Resources": resources}}

    def get_paginator(self, operation: str) -> Any:
        answer = getattr(self, operation)

        class Pages:
            def paginate(self, **asked: Any) -> list[Any]:
                return [answer(**asked)]

        return Pages()

    def list_stack_resources(self, **_: Any) -> dict[str, Any]:
        kinds = {
            "LedgerTable": "AWS::DynamoDB::Table",
            "Artefacts": "AWS::S3::Bucket",
            "GivenUpQueue": "AWS::SQS::Queue",
            "TimelapseLayer1": "AWS::Lambda::LayerVersion",
            "Sweep": "AWS::Lambda::Function",
        }
        return {
            "StackResourceSummaries": [
                {
                    "ResourceType": kind,
                    "LogicalResourceId": name,
                    "PhysicalResourceId": "arn:dev-timelapse:7" if "Layer" in kind else f"dev-{name}",
                    "ResourceStatus": "CREATE_COMPLETE",
                }
                for name, kind in kinds.items()
            ]
        }

    def _happen(self, status: str, resource: str, reason: str) -> None:
        is_stack = resource == STACK
        self._events.append(
            {
                "EventId": str(len(self._events)),
                "LogicalResourceId": resource,
                "PhysicalResourceId": STACK_ID if is_stack else f"dev-{resource}",
                "ResourceType": "AWS::CloudFormation::Stack" if is_stack else "AWS::Lambda::Function",
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            }
        )
        self.status = status if is_stack else self.status


class Bucket:
    """Stands in for S3: everything is there already."""

    class meta:  # noqa: N801 - boto3's name
        endpoint_url = "https://s3.amazonaws.com"

    def __getattr__(self, name: str) -> Any:
        return lambda **_: {}

    def get_paginator(self, _: str) -> Any:
        class Pages:
            def paginate(self, **asked: Any) -> list[Any]:
                return []

        return Pages()


class Session:
    """Stands in for boto3's, with these services."""

    region_name = "us-east-1"

    def __init__(self, **services: Any) -> None:
        self._services = services

    def client(self, service: str, **_: Any) -> Any:
        return self._services[service]

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": "123456789012"}


class Tables:
    """Stands in for DynamoDB: protected tables with so many records."""

    def __init__(self) -> None:
        self.records: dict[str, int] = {}
        self.done: list[str] = []

    def scan(self, TableName: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's name
        return {"Count": self.records[TableName]}

    def describe_table(self, **_: Any) -> dict[str, Any]:
        return {"Table": {"DeletionProtectionEnabled": True}}

    def update_table(self, TableName: str, *, DeletionProtectionEnabled: bool) -> None:  # noqa: N803
        assert not DeletionProtectionEnabled
        self.done.append(f"{TableName} is unprotected")

    def get_waiter(self, _: str) -> Any:
        class Waiter:
            def wait(self, **_: Any) -> None: ...

        return Waiter()

    def delete_table(self, TableName: str) -> None:  # noqa: N803
        self.done.append(f"{TableName} is deleted")


@pytest.fixture
def tables() -> Tables:
    return Tables()


@pytest.fixture
def formation() -> CloudFormation:
    return CloudFormation()


@pytest.fixture
def cloud(formation: CloudFormation, tables: Tables) -> Account:
    session = Session(cloudformation=formation, s3=Bucket(), dynamodb=tables)
    session._services["sts"] = session
    return Account(session)  # type: ignore[arg-type]


def deploy(package: Path, cloud: Account, **parameters: str) -> list[str]:
    """Deploy, and return what is told."""
    said: list[str] = []
    outputs = deploying.deploy(package, STACK, parameters, cloud, say=said.append, pause_s=0)
    assert list(outputs) == ["EndpointURL"]
    return said


def test_the_first_key_is_told_once_and_kept_at_updates(
    package: Path, cloud: Account, formation: CloudFormation
) -> None:
    said = deploy(package, cloud)
    created, *_ = formation.sent
    assert created["ChangeSetType"] == "CREATE"
    (sent,) = created["Parameters"]
    token, _, user = sent["ParameterValue"].partition(":")
    assert [line for line in said if token in line] == [
        f"API key, shown this once: {token} (of the user {user}); keep it in a password manager"
    ]
    said = deploy(package, cloud, PortalUrl="https://b")
    assert formation.sent[1]["ChangeSetType"] == "UPDATE"
    assert formation.sent[1]["Parameters"] == [
        {"ParameterKey": "AsimovApiKey", "UsePreviousValue": True},
        {"ParameterKey": "PortalUrl", "ParameterValue": "https://b"},
    ]
    assert not [line for line in said if "key" in line]


def test_without_changes_nothing_is_done_and_that_is_no_failure(
    package: Path, cloud: Account, formation: CloudFormation
) -> None:
    formation.status, formation.reason = "UPDATE_COMPLETE", NO_CHANGES
    assert deploy(package, cloud)[-1] == f"nothing to change in {STACK}"
    assert formation.done == ["change set deleted"]


def test_a_failure_tells_what_failed_and_not_what_was_cancelled_because_of_it(
    package: Path, cloud: Account, formation: CloudFormation
) -> None:
    formation.will = [
        ("CREATE_FAILED", "RunTimelapse", "The runtime is unknown"),
        ("CREATE_FAILED", "Sweep", "Resource creation cancelled"),
        ("ROLLBACK_IN_PROGRESS", STACK, "The following resource(s) failed to create: [RunTimelapse, Sweep]."),
        ("DELETE_COMPLETE", "APIHandler", ""),
        ("ROLLBACK_COMPLETE", STACK, ""),
    ]
    with pytest.raises(DeployError) as caught:
        deploy(package, cloud)
    assert str(caught.value).splitlines() == [
        "sidereal-dev is ROLLBACK_COMPLETE",
        "  RunTimelapse (AWS::Lambda::Function): The runtime is unknown",
    ]
    formation.will = []
    said = deploy(package, cloud)
    assert (
        said[0] == f"{STACK} is ROLLBACK_COMPLETE: its creation has failed or was given up; deleting what is left of it"
    )
    assert formation.done[-2:] == ["stack deleted", "change set executed"]
    assert formation.sent[-1]["ChangeSetType"] == "CREATE"


def test_a_failed_creation_whose_tables_were_protected_is_cleared_away_but_for_what_holds_records(
    package: Path, cloud: Account, formation: CloudFormation, tables: Tables
) -> None:
    formation.status = "ROLLBACK_FAILED"
    tables.records = {"dev-LedgerTable": 0}
    said = deploy(package, cloud)
    assert "deleted the empty table dev-LedgerTable" in said
    assert tables.done == ["dev-LedgerTable is unprotected", "dev-LedgerTable is deleted"]
    assert formation.done == ["stack deleted", "change set executed"]
    assert formation.sent[-1]["ChangeSetType"] == "CREATE"
    formation.status, tables.records, tables.done = "ROLLBACK_FAILED", {"dev-LedgerTable": 1}, []
    assert "left behind: the table dev-LedgerTable, which is not empty" in deploy(package, cloud)
    assert tables.done == []


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"])
def test_a_stack_that_cannot_be_changed_now_is_left_alone(
    package: Path, cloud: Account, formation: CloudFormation, status: str
) -> None:
    formation.status = status
    with pytest.raises(DeployError, match=f"{STACK} is {status}"):
        deploy(package, cloud)
    assert formation.sent == formation.done == []


def test_a_template_that_is_refused_tells_why(package: Path, cloud: Account, formation: CloudFormation) -> None:
    formation.status, formation.reason = "UPDATE_COMPLETE", "Transform AWS::Serverless-2016-10-31 failed with: x"
    with pytest.raises(DeployError, match=r"cannot make the change set: Transform .* failed with: x"):
        deploy(package, cloud)


def test_what_aws_says_is_one_line_without_the_secrets() -> None:
    error = ClientError({"Error": {"Code": "ValidationError", "Message": "'hunter2:me'\n is short"}}, "CreateChangeSet")
    with pytest.raises(DeployError) as caught, one_line_errors("hunter2:me"):
        raise error
    assert str(caught.value).endswith("'***' is short")


# On the command line


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Whoever has neither credentials nor region."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "STACK",
        "PARAMETERS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def told(capsys: pytest.CaptureFixture[str], command: Any, *arguments: str) -> str:
    """Run a command that fails, and return the one line that it tells."""
    assert command.main(list(arguments)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_without_region_or_credentials_one_line_says_so(
    nobody: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, deploying, "--stage", "dev", "--check").startswith(
        "error: no region is set: export AWS_DEFAULT"
    )
    nobody.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert told(capsys, deploying, "--stage", "dev", "--check").startswith("error: no AWS credentials are found: ")
    nobody.setenv("AWS_PROFILE", "mine")
    assert told(capsys, deploying, "--stage", "dev") == "error: AWS: The config profile (mine) could not be found"


@pytest.mark.parametrize("command", [deploying, removing])
def test_only_stages_of_the_configuration_are_taken(
    nobody: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: Any
) -> None:
    assert told(capsys, command, "--stage", "test") == "error: there is no stage 'test': STAGE=dev or prod"
    nobody.setenv("STACK", "no name")
    assert told(capsys, command, "--stage", "dev").startswith("error: 'no name' is no name of a stack")


def test_a_package_of_another_stage_is_not_deployed(
    package: Path, cloud: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Account, "of_environment", lambda: cloud)
    line = told(capsys, deploying, "--stage", "prod", str(package))
    assert line.endswith("was made for the stage dev: run `make package STAGE=prod`")


def test_an_older_version_leaves_out_what_only_the_parameters_file_names(
    package: Path,
    cloud: Account,
    chalice_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (chalice_folder / "parameters-dev.json").write_text('{"PortalUrl": "https://a", "FromTomorrow": "x"}')
    monkeypatch.setattr(Account, "of_environment", lambda: cloud)
    sent: list[dict[str, str]] = []
    monkeypatch.setattr(deploying, "deploy", lambda _package, _stack, given, *_, **__: sent.append(given))
    monkeypatch.setattr(deploying, "tell", lambda *_: None)
    monkeypatch.setattr(deploying, "base_url", lambda *_: "")
    monkeypatch.setenv("PARAMETERS", "PublicUrl=https://b")
    assert deploying.main(["--stage", "dev", str(package)]) == 0
    assert sent == [{"PortalUrl": "https://a", "PublicUrl": "https://b"}]
    assert "no such parameter: FromTomorrow" in capsys.readouterr().out


def test_the_address_is_that_of_the_gateway_or_of_the_emulator() -> None:
    outputs = {"EndpointURL": "https://x.execute-api.eu-west-1.amazonaws.com/dev/", "RestAPIId": "x"}
    assert deploying.base_url(outputs, None) == "https://x.execute-api.eu-west-1.amazonaws.com/dev"
    assert deploying.base_url(outputs, "http://127.0.0.1:1/") == "http://127.0.0.1:1/restapis/x/dev/_user_request_"


# Removing it


def test_the_stack_goes_and_what_is_kept_is_named(cloud: Account, formation: CloudFormation) -> None:
    formation.status = "CREATE_COMPLETE"
    kept = removing.undeploy(STACK, cloud, say=lambda _: None, pause_s=0)
    assert formation.done == ["stack deleted"]
    assert removing.how_to_delete(kept) == [
        "aws dynamodb update-table --no-deletion-protection-enabled --table-name dev-LedgerTable"
        " && aws dynamodb wait table-exists --table-name dev-LedgerTable"
        " && aws dynamodb delete-table --table-name dev-LedgerTable",
        "aws s3 rb --force s3://dev-Artefacts",
        "aws sqs delete-queue --queue-url dev-GivenUpQueue",
        "for v in $(aws lambda list-layer-versions --layer-name arn:dev-timelapse --query 'LayerVersions[].Version' "
        "--output text); do aws lambda delete-layer-version --layer-name arn:dev-timelapse --version-number $v; done",
    ]
    with pytest.raises(DeployError, match="there is no stack sidereal-dev"):
        removing.undeploy(STACK, cloud, say=lambda _: None, pause_s=0)


def test_nothing_is_removed_unless_the_name_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{STACK}\n"))  # no terminal
    with pytest.raises(DeployError, match="say its name: CONFIRM=sidereal-dev"):
        removing.confirm(STACK, "CONFIRM", "delete the stack")
    monkeypatch.setenv("CONFIRM", "sidereal-prod")
    with pytest.raises(DeployError, match="nothing is done"):
        removing.confirm(STACK, "CONFIRM", "delete the stack")
    monkeypatch.setenv("CONFIRM", STACK)
    removing.confirm(STACK, "CONFIRM", "delete the stack")


def test_data_are_deleted_with_all_versions_and_though_they_are_protected(moto_account: Account) -> None:
    dynamodb, s3 = moto_account.client("dynamodb"), moto_account.client("s3")
    dynamodb.create_table(
        TableName="kept",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        DeletionProtectionEnabled=True,
    )
    s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        s3.put_object(Bucket="kept", Key="a", Body=b"")
    s3.delete_object(Bucket="kept", Key="a")
    queue = moto_account.client("sqs").create_queue(QueueName="kept")["QueueUrl"]
    kept = [
        *(
            Resource(f"AWS::{kind}", "Kept", "kept")
            for kind in ("DynamoDB::Table", "S3::Bucket", "Lambda::LayerVersion")
        ),
        Resource("AWS::SQS::Queue", "Kept", queue),
    ]
    said: list[str] = []
    removing.delete_data(kept, moto_account, said.append)
    assert said == ["deleted kept", "deleted kept", f"deleted {queue}"]
    assert "QueueUrls" not in moto_account.client("sqs").list_queues()
    assert dynamodb.list_tables()["TableNames"] == []
    assert "kept" not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_a_stage_does_not_take_the_stack_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACK", "sidereal-prod")
    assert stages.stack_name("prod") == "sidereal-prod"
    with pytest.raises(DeployError, match="STACK=sidereal-prod is the stack of prod, not of dev"):
        stages.stack_name("dev")


def test_data_of_other_stages_than_dev_are_not_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    assert stages.stack_name("prod") == "sidereal-prod"
    line = told(capsys, removing, "--stage", "prod", "--data", "delete")
    assert line == "error: DATA=delete is for dev: data of prod are deleted by hand"
