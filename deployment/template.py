"""Writes what the deployment template is made from: `.chalice/resources.json` and the policy of each function.

Tables, bucket and queues come from `chalicelib.storage.schema`, as those of tests and laptops do. `python -m
deployment.template` writes the files; a test fails when they are not what this module would write.
"""

import json
import re
from pathlib import Path
from typing import Any

from chalicelib.settings import get_settings
from chalicelib.storage import schema
from deployment import alarms, dashboard, gateway, parameters, policies
from deployment.logical_names import (
    API,
    BUCKET,
    FUNCTIONS,
    LAYER_OF,
    LAYERS,
    PLACES,
    QUEUE_OF,
    QUEUES,
    TABLES,
    arn,
    layer_file,
    log_group,
    ref,
)
from deployment.policies import policy

__all__ = ["FUNCTIONS", "LAYERS", "LAYER_OF", "QUEUES", "QUEUE_OF", "TABLES", "layer_file", "policy"]

FOLDER = Path(__file__).resolve().parents[1] / ".chalice"

_KEPT = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}


def resources() -> dict[str, Any]:
    """Return what `chalice package --merge-template` adds to the template that Chalice makes."""
    made: dict[str, Any] = {}
    for table, logical in zip(schema.tables(), TABLES.values(), strict=True):
        made[logical] = _table(table)
    for queue, logical in zip(schema.queues(), QUEUES.values(), strict=True):
        made[logical] = _queue(queue)
    made[BUCKET] = _bucket()
    made["ArtefactsPolicy"] = _bucket_policy()
    for layer, logical in LAYERS.items():
        made[logical] = _layer(layer)
    for function, logical in FUNCTIONS.items():
        made[logical] = _function(function)
        made[log_group(function)] = _log_group(function)
    made[API] = gateway.api()
    made |= gateway.resources()
    made |= alarms.resources(timeouts_s())
    made[dashboard.DASHBOARD] = dashboard.resource()
    return {
        "Parameters": parameters.PARAMETERS,
        "Rules": parameters.RULES,
        "Conditions": parameters.CONDITIONS,
        "Resources": made,
        "Outputs": outputs(),
    }


def outputs() -> dict[str, Any]:
    """Return what a stack says of itself: the names that scripts need, called as the settings are. Nothing is secret."""
    console = "https://${AWS::Region}.console.aws.amazon.com/cloudwatch/home?region=${AWS::Region}"
    made: dict[str, Any] = {
        "ApiUrl": (parameters.public_url(), "Address of the API, for SIDEREAL_URL"),
        "DeadLetterQueue": (ref(QUEUES["dead-letters"]), "Queue of the messages that failed three times"),
        "DashboardUrl": ({"Fn::Sub": f"{console}#dashboards:name=${{{dashboard.DASHBOARD}}}"}, "The dashboard"),
        "LogGroups": ({"Fn::Sub": "/sidereal/${AWS::StackName}/"}, "What the names of all log groups begin with"),
        "AlarmTopic": (ref(alarms.TOPIC), "Topic of the alarms"),
    }
    for setting, logical in PLACES.items():
        made[_camel(setting)] = (ref(logical), setting)
    return {name: {"Value": value, "Description": text} for name, (value, text) in made.items()}


def timeouts_s() -> dict[str, int]:
    """Return the time-out of each function, seconds, as `.chalice/config.json` has it."""
    config = json.loads((FOLDER / "config.json").read_text("utf-8"))
    own = config["lambda_functions"]
    return {
        function: own["api_handler" if function == "api" else function].get("lambda_timeout", config["lambda_timeout"])
        for function in FUNCTIONS
    }


def files() -> dict[Path, str]:
    """Return the text of every generated file."""
    contents = {FOLDER / "resources.json": resources()}
    contents |= {FOLDER / f"policy-{function}.json": made for function, made in policies.all_policies().items()}
    return {path: json.dumps(content, indent=1) + "\n" for path, content in contents.items()}


def main() -> None:
    """Write the generated files."""
    for path, text in files().items():
        path.write_text(text, "utf-8")


def _camel(setting: str) -> str:
    return "".join(word.capitalize() for word in setting.split("_"))


def _table(table: schema.Table) -> dict[str, Any]:
    # Names are left to CloudFormation, so that stages live side by side.
    properties = {key: value for key, value in table.creation().items() if key != "TableName"}
    properties["PointInTimeRecoverySpecification"] = {"PointInTimeRecoveryEnabled": True}
    properties["SSESpecification"] = {"SSEEnabled": True}
    properties["DeletionProtectionEnabled"] = {"Fn::If": ["HasProtectedTables", True, False]}
    if table.ttl_attribute:
        properties["TimeToLiveSpecification"] = {"AttributeName": table.ttl_attribute, "Enabled": True}
    return {"Type": "AWS::DynamoDB::Table", **_KEPT, "Properties": properties}


def _queue(queue: schema.Queue) -> dict[str, Any]:
    properties: dict[str, Any] = queue.attributes()
    if queue.has_dead_letters:
        target = arn(QUEUES["dead-letters"])
        properties["RedrivePolicy"] = {"deadLetterTargetArn": target, "maxReceiveCount": schema.MAX_DELIVERIES}
    if queue.name != schema.DEAD_LETTER_QUEUE:
        # That one cannot say whose dead letters it takes: those queues name it already.
        properties["RedriveAllowPolicy"] = {"redrivePermission": "denyAll"}
    made = {"Type": "AWS::SQS::Queue", "Properties": {**properties, "SqsManagedSseEnabled": True}}
    # What waits for people outlives a stack, and a version of it that did not have this queue yet.
    return made | _KEPT if queue.name == get_settings().given_up_queue else made


def _bucket() -> dict[str, Any]:
    closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    uncompleted = {"Id": "uncompleted-uploads", "Status": "Enabled", "Prefix": "uploads/", "ExpirationInDays": 2}
    abort = {"Id": "abandoned-parts", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}
    encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    return {
        "Type": "AWS::S3::Bucket",
        **_KEPT,
        "Properties": {
            "PublicAccessBlockConfiguration": dict.fromkeys(closed, True),
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
            "CorsConfiguration": parameters.bucket_cors(),
            "LifecycleConfiguration": {
                "Rules": [abort, uncompleted, *(_expiry(*kept) for kept in schema.KEPT_DAYS.items())]
            },
        },
    }


def _bucket_policy() -> dict[str, Any]:
    unencrypted = {
        "Sid": "EncryptedConnectionsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn(BUCKET), {"Fn::Sub": f"${{{BUCKET}.Arn}}/*"}],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    properties = {"Bucket": ref(BUCKET), "PolicyDocument": {"Version": "2012-10-17", "Statement": [unencrypted]}}
    # It stays with its bucket.
    return {"Type": "AWS::S3::BucketPolicy", **_KEPT, "Properties": properties}


def _expiry(folder: str, days: int) -> dict[str, Any]:
    # a day later than the records that lead there
    return {"Id": f"old-{folder}", "Status": "Enabled", "Prefix": f"{folder}/", "ExpirationInDays": days + 1}


def _layer(layer: str) -> dict[str, Any]:
    properties = {
        # SAM would call it by its logical name, so that all stacks of an account had one list of versions.
        "LayerName": {"Fn::Sub": f"${{AWS::StackName}}-{layer}"},
        "ContentUri": f"./{layer_file(layer)}",
        "Description": f"requirements-{layer}.txt",
    }
    return {"Type": "AWS::Serverless::LayerVersion", "Properties": properties}


def _function(function: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "Environment": {"Variables": _places(function) | parameters.settings_of(function)},
        "LoggingConfig": {"LogGroup": ref(log_group(function))},
        "Tracing": ref("Tracing"),
    }
    if function in LAYER_OF:
        properties["Layers"] = [ref(LAYERS[LAYER_OF[function]])]
        properties["EphemeralStorage"] = {"Size": 10_240}
    if function in QUEUE_OF:
        source: dict[str, Any] = {
            # Chalice wrote an Fn::Sub of its own here, which this one replaces.
            "Queue": {"Fn::Sub": f"${{{QUEUES[QUEUE_OF[function]]}.Arn}}"},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        }
        if function in LAYER_OF:
            source["ScalingConfig"] = {"MaximumConcurrency": ref("JobConcurrency")}
        properties["Events"] = {f"{FUNCTIONS[function]}SqsEventSource": {"Properties": source}}
    if function == "process_alerts":
        properties["Events"] = {"ProcessAlertsEvent": {"Properties": {"Schedule": ref("AlertRate")}}}
    return {"Properties": properties}


def _places(function: str) -> dict[str, Any]:
    """Return the settings that tell a function where things are: of those that its policy lets it use."""
    used = set(re.findall(r"\w+", json.dumps(policy(function))))
    return {setting: ref(logical) for setting, logical in PLACES.items() if logical in used}


def _log_group(function: str) -> dict[str, Any]:
    properties = {
        "LogGroupName": {"Fn::Sub": f"/sidereal/${{AWS::StackName}}/{function}"},
        "RetentionInDays": ref("LogRetentionDays"),
    }
    return {"Type": "AWS::Logs::LogGroup", "Properties": properties}


if __name__ == "__main__":
    main()
