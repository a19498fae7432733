"""Writes what the deployment template is made from: `.chalice/resources.json` and the policy of each function.

Tables, bucket and queues come from `chalicelib.storage.schema`, as those of tests and laptops do. `python -m local.template`
writes the files; a test fails when they are not what this module would write.
"""

import json
from pathlib import Path
from typing import Any

from chalicelib.storage import schema
from local import parameters

FOLDER = Path(__file__).resolve().parents[1] / ".chalice"

TABLES = {
    "ledger": "LedgerTable",
    "telescope": "TelescopeTable",
    "operations": "OperationsTable",
    "idempotency": "IdempotencyTable",
}
QUEUES = {
    "dead-letters": "DeadLetterQueue",
    "given-up": "GivenUpQueue",
    "timelapse": "TimelapseQueue",
    "pipeline": "PipelineQueue",
    "renditions": "RenditionQueue",
}
FUNCTIONS = {
    "api": "APIHandler",
    "run_timelapse": "RunTimelapse",
    "run_pipeline": "RunPipeline",
    "make_rendition": "MakeRendition",
    "run_dead_letters": "RunDeadLetters",
    "sweep": "Sweep",
    "process_alerts": "ProcessAlerts",
}
QUEUE_OF = {
    "run_timelapse": "timelapse",
    "run_pipeline": "pipeline",
    "make_rendition": "renditions",
    "run_dead_letters": "dead-letters",
}
LAYERS = {"timelapse": "TimelapseLayer", "pipeline": "PipelineLayer"}
LAYER_OF = {"run_timelapse": "timelapse", "make_rendition": "timelapse", "run_pipeline": "pipeline"}
"""Which of them a function carries: all the libraries together would be larger than Lambda takes."""

_READ = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"]
_WRITE = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem"]
_COUNT = ["dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
_OPERATE = [*_COUNT, "dynamodb:PutItem"]
_CIRCUIT = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
_FILES = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
_CONSUME = [
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueUrl",
]
_SEND = ["sqs:SendMessage", "sqs:GetQueueUrl"]


def resources() -> dict[str, Any]:
    """Return what `chalice package --merge-template` adds to the template that Chalice makes."""
    made: dict[str, Any] = {}
    for table, logical in zip(schema.tables(), TABLES.values(), strict=True):
        made[logical] = _table(table)
    for queue, logical in zip(schema.queues(), QUEUES.values(), strict=True):
        made[logical] = _queue(queue)
    made["Artefacts"] = _bucket()
    for layer, logical in LAYERS.items():
        about = {"ContentUri": f"./{layer_file(layer)}", "Description": f"requirements-{layer}.txt"}
        made[logical] = {"Type": "AWS::Serverless::LayerVersion", "Properties": about}
    for function, logical in FUNCTIONS.items():
        made[logical] = _function(function)
        made[log_group(function)] = _log_group(function)
    made |= _gateway_responses()
    return {"Parameters": parameters.PARAMETERS, "Conditions": parameters.CONDITIONS, "Resources": made}


def log_group(function: str) -> str:
    """Return the logical name of a function's log group."""
    return f"{FUNCTIONS[function]}Logs"


def layer_file(layer: str) -> str:
    """Return the name of a layer's zip file beside the template."""
    return f"{layer}-layer.zip"


def policy(function: str) -> dict[str, Any]:
    """Return the policy of one function: what it calls, on the resources it calls."""
    statements = [
        # CloudFormation's attribute ends in ":*", which stands for the streams of this one group
        _allow(["logs:CreateLogStream", "logs:PutLogEvents"], _arn(log_group(function))),
        # X-Ray has no resources to name
        _allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*"),
    ]
    if function == "sweep":
        statements += [
            _allow(["dynamodb:Query"], *_arns("telescope")),
            _allow(["dynamodb:UpdateItem"], _arn("TelescopeTable")),
            _allow(_SEND, _arn("TimelapseQueue"), _arn("PipelineQueue")),
        ]
        return {"Version": "2012-10-17", "Statement": statements}
    if function == "process_alerts":
        frames, timelapses, thumbnails = (
            {"Fn::Sub": f"${{Artefacts.Arn}}/{folder}/*"} for folder in ("products", "processes", "thumbnails")
        )
        statements += [
            _allow([*_READ, *_WRITE], *_arns("telescope")),
            _allow(_CIRCUIT, _arn("OperationsTable")),
            _allow(["s3:PutObject", "s3:AbortMultipartUpload"], frames),
            _allow(["s3:DeleteObject"], frames, timelapses, thumbnails),
            _allow(_SEND, _arn("TimelapseQueue")),
            parameters.token_statement(),
            parameters.mail_statement(),
        ]
        return {"Version": "2012-10-17", "Statement": statements}
    if function == "make_rendition":
        own = [{"Fn::Sub": f"${{Artefacts.Arn}}/{folder}/*"} for folder in schema.KEPT_DAYS]
        statements += [
            _allow([*_READ, *_WRITE], _arn("TelescopeTable")),
            _allow(["s3:GetObject"], {"Fn::Sub": "${Artefacts.Arn}/*"}),
            _allow(["s3:PutObject", "s3:AbortMultipartUpload", "s3:DeleteObject"], *own),
            # without it S3 answers 403 for a file that is gone
            _allow(["s3:ListBucket"], _arn("Artefacts")),
            _allow(_CONSUME, _arn("RenditionQueue")),
        ]
        return {"Version": "2012-10-17", "Statement": statements}
    statements += [
        _allow([*_READ, *_WRITE], *_arns("telescope")),
        _allow(_OPERATE if function == "api" else _COUNT, _arn("OperationsTable")),
        _allow(_FILES, {"Fn::Sub": "${Artefacts.Arn}/*"}),
        _allow(["s3:ListBucket"], _arn("Artefacts")),
    ]
    if function == "api":
        statements.append(_allow([*_READ, *_WRITE], *_arns("ledger")))
        statements.append(_allow(_OPERATE, _arn("IdempotencyTable")))
        statements.append(_allow(_SEND, _arn("TimelapseQueue"), _arn("PipelineQueue"), _arn("RenditionQueue")))
        statements.append(parameters.token_statement())
    else:
        if function == "run_dead_letters":
            statements.append(_allow(_SEND, _arn("GivenUpQueue")))
        statements.append(_allow(_CONSUME, _arn(QUEUES[QUEUE_OF[function]])))
    if function in ("run_timelapse", "run_pipeline"):  # a run that hands over asks for the next one
        statements.append(_allow(_SEND, _arn("TimelapseQueue"), _arn("PipelineQueue")))
    return {"Version": "2012-10-17", "Statement": statements}


def files() -> dict[Path, str]:
    """Return the text of every generated file."""
    contents = {FOLDER / "resources.json": resources()}
    contents |= {FOLDER / f"policy-{function}.json": policy(function) for function in FUNCTIONS}
    return {path: json.dumps(content, indent=1) + "\n" for path, content in contents.items()}


def main() -> None:
    """Write the generated files."""
    for path, text in files().items():
        path.write_text(text, "utf-8")


def _table(table: schema.Table) -> dict[str, Any]:
    # Names are left to CloudFormation, so that stages live side by side.
    properties = {key: value for key, value in table.creation().items() if key != "TableName"}
    properties["PointInTimeRecoverySpecification"] = {"PointInTimeRecoveryEnabled": True}
    properties["SSESpecification"] = {"SSEEnabled": True}
    if table.ttl_attribute:
        properties["TimeToLiveSpecification"] = {"AttributeName": table.ttl_attribute, "Enabled": True}
    kept = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    return {"Type": "AWS::DynamoDB::Table", **kept, "Properties": properties}


def _queue(queue: schema.Queue) -> dict[str, Any]:
    properties: dict[str, Any] = queue.attributes()
    if queue.has_dead_letters:
        arn = {"Fn::GetAtt": [QUEUES["dead-letters"], "Arn"]}
        properties["RedrivePolicy"] = {"deadLetterTargetArn": arn, "maxReceiveCount": schema.MAX_DELIVERIES}
    return {"Type": "AWS::SQS::Queue", "Properties": {**properties, "SqsManagedSseEnabled": True}}


def _bucket() -> dict[str, Any]:
    closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    uncompleted = {"Id": "uncompleted-uploads", "Status": "Enabled", "Prefix": "uploads/", "ExpirationInDays": 2}
    abort = {"Id": "abandoned-parts", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}
    encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    return {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "PublicAccessBlockConfiguration": dict.fromkeys(closed, True),
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
            **_bucket_cors(),
            "LifecycleConfiguration": {
                "Rules": [abort, uncompleted, *(_expiry(*kept) for kept in schema.KEPT_DAYS.items())]
            },
        },
    }


def _expiry(folder: str, days: int) -> dict[str, Any]:
    # a day later than the records that lead there
    return {"Id": f"old-{folder}", "Status": "Enabled", "Prefix": f"{folder}/", "ExpirationInDays": days + 1}


def _bucket_cors() -> dict[str, Any]:
    rules = (schema.bucket_cors() or {}).get("CORSRules")
    return {"CorsConfiguration": {"CorsRules": rules}} if rules else {}


def _function(function: str) -> dict[str, Any]:
    variables: dict[str, Any] = {
        "LEDGER_TABLE": {"Ref": "LedgerTable"},
        "TELESCOPE_TABLE": {"Ref": "TelescopeTable"},
        "OPERATIONS_TABLE": {"Ref": "OperationsTable"},
        "BUCKET": {"Ref": "Artefacts"},
        "TIMELAPSE_QUEUE": {"Ref": "TimelapseQueue"},
        "PIPELINE_QUEUE": {"Ref": "PipelineQueue"},
        "RENDITION_QUEUE": {"Ref": "RenditionQueue"},
        "GIVEN_UP_QUEUE": {"Ref": "GivenUpQueue"},
        "IDEMPOTENCY_TABLE": {"Ref": "IdempotencyTable"},
    }
    properties: dict[str, Any] = {
        "Environment": {"Variables": variables},
        "LoggingConfig": {"LogGroup": {"Ref": log_group(function)}},
    }
    variables |= parameters.settings_of(function)
    if function in LAYER_OF:
        properties["Layers"] = [{"Ref": LAYERS[LAYER_OF[function]]}]
        properties["EphemeralStorage"] = {"Size": 10_240}
    if function in QUEUE_OF:
        source: dict[str, Any] = {
            # Chalice wrote an Fn::Sub of its own here, which this one replaces.
            "Queue": {"Fn::Sub": f"${{{QUEUES[QUEUE_OF[function]]}.Arn}}"},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        }
        if function in LAYER_OF:
            source["ScalingConfig"] = {"MaximumConcurrency": 50}
        properties["Events"] = {f"{FUNCTIONS[function]}SqsEventSource": {"Properties": source}}
    if function == "process_alerts":
        properties["Events"] = {"ProcessAlertsEvent": {"Properties": {"Schedule": {"Ref": "AlertRate"}}}}
    return {"Properties": properties}


def _log_group(function: str) -> dict[str, Any]:
    properties = {
        "LogGroupName": {"Fn::Sub": f"/sidereal/${{AWS::StackName}}/{function}"},
        "RetentionInDays": {"Ref": "LogRetentionDays"},
    }
    return {"Type": "AWS::Logs::LogGroup", "Properties": properties}


def _gateway_responses() -> dict[str, Any]:
    """Return what API Gateway answers by itself; it cannot tell the two APIs apart, so both families' keys are there."""
    answers = {
        "NotFound": ("MISSING_AUTHENTICATION_TOKEN", 404, "Resource not found", "Not found."),
        "TooLarge": ("REQUEST_TOO_LARGE", 413, "Request body too large", "Request body too large."),
        "Throttled": ("THROTTLED", 429, "Too many requests", "Request was throttled."),
        "Quota": ("QUOTA_EXCEEDED", 429, "Too many requests", "Request was throttled."),
        "Denied": ("UNAUTHORIZED", 401, "Unauthorized", "Unauthorized."),
        "ClientFault": ("DEFAULT_4XX", None, "Bad request", "Bad request."),
        "ServerFault": ("DEFAULT_5XX", None, "Internal server error", "Internal server error."),
    }
    made = {}
    for name, (kind, status, error, detail) in answers.items():
        properties: dict[str, Any] = {
            "RestApiId": {"Ref": "RestAPI"},
            "ResponseType": kind,
            "ResponseTemplates": {"application/json": json.dumps({"error": error, "detail": detail})},
        }
        if status is not None:
            properties["StatusCode"] = str(status)
        if status == 429:
            properties["ResponseParameters"] = {"gatewayresponse.header.Retry-After": "'1'"}
        made[f"Gateway{name}"] = {"Type": "AWS::ApiGateway::GatewayResponse", "Properties": properties}
    return made


def _allow(actions: list[str], *on: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": list(on)}


def _arn(logical: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [logical, "Arn"]}


def _arns(table: str) -> list[Any]:
    logical = TABLES[table]
    return [_arn(logical), {"Fn::Sub": f"${{{logical}.Arn}}/index/{schema.LIST_INDEX}"}]


if __name__ == "__main__":
    main()
