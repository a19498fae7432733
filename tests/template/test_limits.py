"""The template stays within what CloudFormation takes, and asks for what it uses."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.settings import Settings
from chalicelib.storage import schema
from deployment import parameters, template
from deployment.logical_names import PLACES, TABLES

Packaged = Callable[[str], dict[str, Any]]

TEMPLATE_BYTES = 1_000_000
ENVIRONMENT_BYTES = 4_096
LONGEST_NAME = 150
"""Of what CloudFormation names, and of an address of a queue."""

LONGEST_LIST = 800
"""Nothing bounds a list: more origins than this have are nobody's."""


def each_mention(part: Any, word: str) -> Iterator[Any]:
    """Yield what stands under a key, wherever that is."""
    if isinstance(part, list):
        for each in part:
            yield from each_mention(each, word)
    elif isinstance(part, dict):
        if word in part:
            yield part[word]
        for each in part.values():
            yield from each_mention(each, word)


def referred(made: dict[str, Any]) -> set[str]:
    """Return every name that a part of a template refers to."""
    names = {name for name in each_mention(made, "Ref") if isinstance(name, str)}
    texts = [text if isinstance(text, str) else text[0] for text in each_mention(made, "Fn::Sub")]
    return names | {name.partition(".")[0] for text in texts for name in re.findall(r"\$\{([^}]+)\}", text)}


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_template_is_small_enough_as_it_is_written(packaged: Packaged, stage: str) -> None:
    made = packaged(stage)
    assert len(json.dumps(made, indent=2)) < TEMPLATE_BYTES
    assert len(made["Resources"]) < 400  # of 500; SAM adds about ten
    assert len(made["Parameters"]) <= 200
    assert len(made["Outputs"]) <= 200


def test_every_parameter_is_used_and_explained() -> None:
    made = template.resources()
    used = referred({key: value for key, value in made.items() if key != "Parameters"})
    used |= referred({"policies": [template.policy(function) for function in template.FUNCTIONS]})
    assert set(made["Parameters"]) <= used
    for name, about in made["Parameters"].items():
        assert 10 < len(about["Description"]) <= 4000, name


def test_every_condition_is_used_and_every_one_that_is_used_is_there() -> None:
    made = template.resources()
    policies = [template.policy(function) for function in template.FUNCTIONS]
    used = {branches[0] for branches in each_mention([made["Resources"], made["Outputs"], policies], "Fn::If")}
    used |= {name for name in each_mention(made["Resources"], "Condition") if isinstance(name, str)}
    assert used == set(made["Conditions"])


def test_a_stack_can_be_made_with_a_key_and_nothing_else() -> None:
    for name, about in parameters.PARAMETERS.items():
        default = str(about["Default"])
        assert re.fullmatch(about.get("AllowedPattern", ".*"), default), name
        assert "AllowedValues" not in about or about["Default"] in about["AllowedValues"], name


@pytest.mark.parametrize(
    ("origins", "is_taken"),
    [
        ("", True),
        ("*", True),
        ("https://a.example", True),
        ("http://localhost:3000", True),
        ("https://a.example/", False),
        ("a.example", False),
    ],
)
def test_an_origin_is_taken_that_is_what_browsers_send(origins: str, is_taken: bool) -> None:
    pattern = parameters.PARAMETERS["CorsOrigins"]["AllowedPattern"]
    assert (re.fullmatch(pattern, origins) is not None) == is_taken


@pytest.mark.parametrize(
    ("parameter", "value", "is_taken"),
    [
        ("AlertRate", "rate(1 minute)", True),
        ("AlertRate", "rate(10 minutes)", True),
        ("AlertRate", "cron(0/5 * * * ? *)", True),
        ("AlertRate", "rate(0 minutes)", False),
        ("AlertRate", "rate(1 minutes)", False),
        ("AlertRate", "rate(5 minute)", False),
        ("DomainName", "api.example.org", True),
        ("DomainName", "-a.b", False),
        ("DomainName", "a.b-", False),
        ("ApiKeysParameter", "/sidereal/prod/api-keys", True),
        ("ApiKeysParameter", "/aws/x", False),
        ("PortalTokenParameter", "/SSM/x", False),
        ("PublicUrl", "https://a.example/", False),
    ],
)
def test_what_aws_would_refuse_during_a_deployment_is_refused_before_it(
    parameter: str, value: str, is_taken: bool
) -> None:
    assert (re.fullmatch(parameters.PARAMETERS[parameter]["AllowedPattern"], value) is not None) == is_taken


def test_the_jobs_of_three_queues_can_leave_room_for_the_api_in_a_new_account() -> None:
    made = template.resources()["Resources"]
    bound = [
        event["Properties"]["ScalingConfig"]["MaximumConcurrency"]
        for function in template.LAYER_OF
        for event in made[template.FUNCTIONS[function]]["Properties"]["Events"].values()
    ]
    assert bound == [{"Ref": "JobConcurrency"}] * 3
    assert 3 * parameters.PARAMETERS["JobConcurrency"]["MinValue"] < 10


def test_stacks_share_neither_layers_nor_dashboards() -> None:
    made = template.resources()["Resources"]
    names = [made[layer]["Properties"]["LayerName"]["Fn::Sub"] for layer in template.LAYERS.values()]
    assert names == ["${AWS::StackName}-timelapse", "${AWS::StackName}-pipeline"]
    dashboard = made["Dashboard"]["Properties"]["DashboardName"]["Fn::Sub"]
    assert dashboard == "${AWS::StackName}-${AWS::Region}"  # an account has one list of them for all regions


def test_the_origins_of_the_api_are_those_of_the_bucket() -> None:
    made = template.resources()["Resources"]
    given = made["APIHandler"]["Properties"]["Environment"]["Variables"]["CORS_ORIGINS"]
    nothing = {"Ref": "AWS::NoValue"}
    assert given == {"Fn::If": ["HasCorsOrigins", {"Fn::Join": [",", {"Ref": "CorsOrigins"}]}, nothing]}
    rules = {"CorsRules": schema.cors_rules({"Ref": "CorsOrigins"})}
    assert made["Artefacts"]["Properties"]["CorsConfiguration"] == {"Fn::If": ["HasCorsOrigins", rules, nothing]}
    two = Settings.model_validate({"cors_origins": "https://a.example,https://b.example"})
    assert two.cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize("function", template.FUNCTIONS)
def test_the_variables_of_a_function_fit_however_long_their_values_may_be(packaged: Packaged, function: str) -> None:
    made = packaged("prod")["Resources"][template.FUNCTIONS[function]]["Properties"]["Environment"]["Variables"]
    total = 0
    for name, value in made.items():
        given = referred({"value": value}) & set(parameters.PARAMETERS)
        lengths = [_longest(parameters.PARAMETERS[each]) for each in given]
        total += len(name) + max([len(value) if isinstance(value, str) else LONGEST_NAME, *lengths])
    assert total < ENVIRONMENT_BYTES


def _longest(parameter: dict[str, Any]) -> int:
    is_list = parameter["Type"] == "CommaDelimitedList"
    return LONGEST_LIST if is_list else int(parameter["MaxLength"])


def test_a_stack_without_any_api_key_is_refused() -> None:
    (assertion,) = template.resources()["Rules"]["ApiKeys"]["Assertions"]
    asked = {each["Fn::Not"][0]["Fn::Equals"][0]["Ref"] for each in assertion["Assert"]["Fn::Or"]}
    assert asked == {"AsimovApiKey", "ApiKeysParameter"}


def test_no_output_tells_a_secret_and_each_place_has_one() -> None:
    outputs = template.outputs()
    secret = {name for name, about in parameters.PARAMETERS.items() if about.get("NoEcho")}
    assert secret == {"AsimovApiKey"}
    assert not secret & referred(outputs)
    found = {each["Value"].get("Ref") for each in outputs.values()}
    assert set(PLACES.values()) <= found
    assert outputs["LedgerTable"]["Value"] == {"Ref": "LedgerTable"}
    assert outputs["Bucket"]["Value"] == {"Ref": "Artefacts"}


def test_tables_can_be_restored_are_encrypted_and_outlive_the_stack() -> None:
    made = template.resources()["Resources"]
    for table, logical in zip(schema.tables(), TABLES.values(), strict=True):
        resource = made[logical]
        properties = resource["Properties"]
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")
        assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert properties["SSESpecification"] == {"SSEEnabled": True}
        assert properties["DeletionProtectionEnabled"] == {"Fn::If": ["HasProtectedTables", True, False]}
        assert properties.get("TimeToLiveSpecification", {}).get("AttributeName") == table.ttl_attribute
        indexes = [each["IndexName"] for each in properties.get("GlobalSecondaryIndexes", [])]
        assert indexes == ([schema.LIST_INDEX] if table.has_lists else [])


def test_the_bucket_is_private_encrypted_and_spoken_to_in_tls_only() -> None:
    made = template.resources()["Resources"]
    properties = made["Artefacts"]["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (statement,) = made["ArtefactsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    whole = {"Fn::GetAtt": ["Artefacts", "Arn"]}
    assert statement["Resource"] == [whole, {"Fn::Sub": "${Artefacts.Arn}/*"}]


def test_queues_are_encrypted_keep_messages_for_long_and_only_one_takes_dead_letters() -> None:
    made = template.resources()["Resources"]
    for queue, logical in zip(schema.queues(), template.QUEUES.values(), strict=True):
        properties = made[logical]["Properties"]
        assert properties["SqsManagedSseEnabled"] is True
        assert properties["MessageRetentionPeriod"] == 14 * 86_400
        target = properties.get("RedrivePolicy", {}).get("deadLetterTargetArn")
        assert target == ({"Fn::GetAtt": ["DeadLetterQueue", "Arn"]} if queue.has_dead_letters else None)
        is_closed = properties.get("RedriveAllowPolicy") == {"redrivePermission": "denyAll"}
        assert is_closed == (logical != "DeadLetterQueue")
        assert ("DeletionPolicy" in made[logical]) == (logical == "GivenUpQueue")  # what waits there is for people
