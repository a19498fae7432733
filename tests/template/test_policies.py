"""No function may do more than its work needs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from chalicelib.models.renditions import RenditionKind
from chalicelib.storage import artefacts, renditions, schema
from deployment import policies, template
from deployment.logical_names import BUCKET, FUNCTIONS, QUEUE_OF, QUEUES, TABLES, log_group

NOWHERE = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
"""Actions that have no resource."""

ON_AN_INDEX = {"dynamodb:Query"}


def each_statement(function: str) -> list[dict[str, Any]]:
    """Return the statements of a policy, with every branch of the conditional ones."""
    found = []
    for statement in template.policy(function)["Statement"]:
        found += [each for each in statement.get("Fn::If", ["", statement])[1:] if each != {"Ref": "AWS::NoValue"}]
    return found


def granted(function: str) -> set[tuple[str, str]]:
    """Return every pair of an action and a resource that a policy has, the resource as text."""
    return {
        (action, json.dumps(resource))
        for statement in each_statement(function)
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_policy_names_every_action_and_every_resource_that_has_a_name(function: str) -> None:
    for action, resource in granted(function):
        assert re.fullmatch(r"[a-z0-9]+:[A-Za-z]+", action), action
        assert (resource == '"*"') == (action in NOWHERE), (action, resource)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_traces_are_sent_only_where_the_template_asks_for_them(function: str) -> None:
    (conditional,) = [each for each in template.policy(function)["Statement"] if "xray" in json.dumps(each)]
    condition, _, otherwise = conditional["Fn::If"]
    assert (condition, otherwise) == ("IsTraced", {"Ref": "AWS::NoValue"})


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_index_is_read_and_never_written(function: str) -> None:
    assert {
        action for action, resource in granted(function) if f"/index/{schema.LIST_INDEX}" in resource
    } <= ON_AN_INDEX


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_reaches_files_only_by_the_folder_that_they_lie_in(function: str) -> None:
    for action, resource in granted(function):
        if not action.startswith("s3:"):
            continue
        if action == "s3:ListBucket":
            assert resource == json.dumps({"Fn::GetAtt": [BUCKET, "Arn"]})
        else:
            folder = json.loads(resource)["Fn::Sub"].removeprefix(f"${{{BUCKET}.Arn}}/").removesuffix("/*")
            assert folder in policies.FOLDERS


def test_the_folders_are_those_that_keys_begin_with() -> None:
    keys = [
        artefacts.product_key(1, 2, "a.fits"),
        artefacts.upload_key(1, 2, "a.fits"),
        artefacts.output_key(1, 2, "a.gif"),
        *(f"{folder}/1" for folder in renditions._FOLDERS.values()),
    ]
    assert {key.partition("/")[0] for key in keys} == set(policies.FOLDERS)
    assert set(renditions._FOLDERS) == set(RenditionKind)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_takes_messages_from_its_own_queue_and_from_no_other(function: str) -> None:
    taken = {resource for action, resource in granted(function) if action == "sqs:ReceiveMessage"}
    own = [QUEUES[QUEUE_OF[function]]] if function in QUEUE_OF else []
    assert taken == {json.dumps({"Fn::GetAtt": [logical, "Arn"]}) for logical in own}


def test_only_the_api_reads_and_writes_the_ledger_and_the_kept_replies() -> None:
    for function in set(FUNCTIONS) - {"api"}:
        text = json.dumps(template.policy(function))
        assert TABLES["ledger"] not in text
        assert TABLES["idempotency"] not in text


@pytest.mark.parametrize("function", ["run_timelapse", "run_pipeline"])
def test_a_function_whose_runs_hand_over_may_send_the_message_of_the_next_run(function: str) -> None:
    allowed = [each["Resource"] for each in each_statement(function) if "sqs:SendMessage" in each["Action"]]
    assert allowed == [[{"Fn::GetAtt": ["TimelapseQueue", "Arn"]}, {"Fn::GetAtt": ["PipelineQueue", "Arn"]}]]


def test_only_the_function_of_the_dead_letters_gives_messages_up() -> None:
    sent = {
        function
        for function in FUNCTIONS
        for action, resource in granted(function)
        if action == "sqs:SendMessage" and QUEUES["given-up"] in resource
    }
    assert sent == {"run_dead_letters"}


def test_nobody_makes_or_deletes_tables_queues_buckets_or_groups_of_logs() -> None:
    verbs = re.compile(
        r":(Create(?!LogStream)|Delete(?!Item|Object|Message)|Purge|Set|Tag|Pass|Put(?!Item|Object|Log|Tr|Te))"
    )
    assert [action for function in FUNCTIONS for action, _ in granted(function) if verbs.search(action)] == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_writes_to_its_own_log_group_and_no_other(function: str) -> None:
    made = template.resources()["Resources"]
    group = log_group(function)
    assert made[group]["Properties"]["LogGroupName"] == {"Fn::Sub": f"/sidereal/${{AWS::StackName}}/{function}"}
    assert made[FUNCTIONS[function]]["Properties"]["LoggingConfig"] == {"LogGroup": {"Ref": group}}
    logged = {(action, resource) for action, resource in granted(function) if action.startswith("logs:")}
    place = json.dumps({"Fn::GetAtt": [group, "Arn"]})
    assert logged == {("logs:CreateLogStream", place), ("logs:PutLogEvents", place)}


def test_each_policy_file_belongs_to_a_function() -> None:
    folder = Path(template.FOLDER)
    assert {path.name for path in folder.glob("policy-*.json")} == {f"policy-{each}.json" for each in FUNCTIONS}
