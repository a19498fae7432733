"""What each function may do: the calls that its code makes, on the tables, folders and queues that it makes them on."""

from typing import Any

from chalicelib.storage import schema
from deployment import parameters
from deployment.logical_names import (
    BUCKET,
    FUNCTIONS,
    NOTHING,
    QUEUE_OF,
    QUEUES,
    TABLES,
    arn,
    index_arn,
    log_group,
    objects_arn,
)

MADE_ON_REQUEST = tuple(schema.KEPT_DAYS)
FOLDERS = ("products", "processes", "uploads", *MADE_ON_REQUEST)
"""All folders of the bucket."""

_READ = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"]
_WRITE = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
_CHECK = ["dynamodb:ConditionCheckItem"]
_ONE_BY_ONE = ["dynamodb:GetItem", *_WRITE]
_PUT = ["s3:PutObject", "s3:AbortMultipartUpload"]
# what Lambda does under the role of a function behind a queue; the function itself only says when a message comes again
_POLL = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
_DELAY = ["sqs:ChangeMessageVisibility", "sqs:GetQueueUrl"]


def policy(function: str) -> dict[str, Any]:
    """Return the policy of one function."""
    statements = [
        # CloudFormation's attribute ends in ":*", which stands for the streams of this one group
        _allow(["logs:CreateLogStream", "logs:PutLogEvents"], arn(log_group(function))),
        # X-Ray has no resources to name
        parameters.if_traced(_allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*"), NOTHING),
        *_STATEMENTS[function](),
    ]
    if function in QUEUE_OF:
        delays = [] if function == "run_dead_letters" else _DELAY
        statements.append(_allow([*_POLL, *delays], arn(QUEUES[QUEUE_OF[function]])))
    return {"Version": "2012-10-17", "Statement": statements}


def all_policies() -> dict[str, dict[str, Any]]:
    """Return the policies of all functions."""
    return {function: policy(function) for function in FUNCTIONS}


def _api() -> list[dict[str, Any]]:
    return [
        _allow([*_READ, *_WRITE, *_CHECK], _table("telescope")),
        _allow([*_READ, *_WRITE], _table("ledger")),
        _allow(["dynamodb:Query"], index_arn("telescope"), index_arn("ledger")),
        _allow(_ONE_BY_ONE, _table("operations"), _table("idempotency")),
        _allow(["dynamodb:Query"], _table("operations")),
        # also what the links and forms that it signs are good for
        _allow(["s3:GetObject", "s3:DeleteObject"], *map(objects_arn, FOLDERS)),
        _allow(["s3:PutObject"], objects_arn("products"), objects_arn("uploads")),
        _list_files(),
        _send("timelapse", "pipeline", "renditions"),
        parameters.token_statement(),
        parameters.keys_statement(),
    ]


def _run_processes() -> list[dict[str, Any]]:
    return [
        _allow([*_READ, *_WRITE, *_CHECK], _table("telescope")),
        _allow(["dynamodb:UpdateItem"], _table("operations")),
        _allow(["s3:GetObject"], objects_arn("products"), objects_arn("processes")),
        _allow(_PUT, objects_arn("processes")),
        _allow(["s3:DeleteObject"], objects_arn("processes"), objects_arn("thumbnails")),
        _list_files(),
        # a run that hands over asks for the next one, and a message may ask for a process of either queue
        _send("timelapse", "pipeline"),
    ]


def _make_rendition() -> list[dict[str, Any]]:
    return [
        _allow(["dynamodb:BatchGetItem", "dynamodb:Query"], _table("telescope")),
        _allow(["dynamodb:PutItem", "dynamodb:UpdateItem", *_CHECK], _table("telescope")),
        _allow(["s3:GetObject"], objects_arn("products"), objects_arn("processes")),
        _allow(["s3:PutObject", "s3:DeleteObject"], *map(objects_arn, MADE_ON_REQUEST)),
        # an archive is written part by part
        _allow(["s3:AbortMultipartUpload"], objects_arn("archives")),
        _list_files(),
    ]


def _run_dead_letters() -> list[dict[str, Any]]:
    return [
        _allow([*_READ, *_WRITE], _table("telescope")),
        _allow(["dynamodb:UpdateItem"], _table("operations")),
        _allow(["s3:DeleteObject"], objects_arn("processes"), objects_arn("thumbnails")),
        _list_files(),
        _send("given-up"),
    ]


def _sweep() -> list[dict[str, Any]]:
    return [
        _allow(["dynamodb:Query"], index_arn("telescope")),
        _allow(["dynamodb:UpdateItem"], _table("telescope")),
        _send("timelapse", "pipeline"),
    ]


def _process_alerts() -> list[dict[str, Any]]:
    return [
        _allow([*_READ, *_WRITE, *_CHECK], _table("telescope")),
        _allow(["dynamodb:Query"], index_arn("telescope")),
        _allow(["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], _table("operations")),
        _allow(_PUT, objects_arn("products")),
        _allow(["s3:DeleteObject"], *map(objects_arn, ("products", "processes", "thumbnails"))),
        _send("timelapse"),
        parameters.token_statement(),
        parameters.mail_statement(),
    ]


_STATEMENTS = {
    "api": _api,
    "run_timelapse": _run_processes,
    "run_pipeline": _run_processes,
    "make_rendition": _make_rendition,
    "run_dead_letters": _run_dead_letters,
    "sweep": _sweep,
    "process_alerts": _process_alerts,
}


def _allow(actions: list[str], *on: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": list(on)}


def _table(name: str) -> dict[str, Any]:
    return arn(TABLES[name])


def _send(*queues: str) -> dict[str, Any]:
    # a queue may be given by its name
    return _allow(["sqs:SendMessage", "sqs:GetQueueUrl"], *(arn(QUEUES[queue]) for queue in queues))


def _list_files() -> dict[str, Any]:
    # without it S3 answers 403 for a file that is gone
    return _allow(["s3:ListBucket"], arn(BUCKET))
