"""Which permissions an AWS request needs: the actions that IAM looks up, and the resources on which it does.

From the service authorization reference of each service. An operation that is not here fails the test that makes it.
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

REGION = "us-east-1"
ACCOUNT = "123456789012"

Parameters = dict[str, Any]
Need = tuple[str, str]
"""An action and the ARN of what it is done to."""


class UnknownOperationError(Exception):
    """Raised for a request of which this module does not say what it needs."""


def table_arn(name: str) -> str:
    """Return the ARN of a table."""
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"


def queue_arn(name: str) -> str:
    """Return the ARN of a queue, by its name or its URL."""
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name.rpartition('/')[2]}"


def bucket_arn(name: str) -> str:
    """Return the ARN of a bucket."""
    return f"arn:aws:s3:::{name}"


def needs(service: str, operation: str, parameters: Parameters) -> list[Need]:
    """Return what a request needs.

    Parameters
    ----------
    service, operation : str
        As botocore names them: `("dynamodb", "GetItem")`.
    parameters : dict
        Those of the client's method.

    Raises
    ------
    UnknownOperationError
        If nothing is known of the operation.
    """
    try:
        describe = _NEEDS[service, operation]
    except KeyError:
        raise UnknownOperationError(
            f"what {service}'s {operation} needs is not known: tests/permissions/actions.py has to say it"
        ) from None
    return list(describe(parameters))


def _on_table(action: str) -> Callable[[Parameters], Iterator[Need]]:
    def describe(parameters: Parameters) -> Iterator[Need]:
        arn = table_arn(parameters["TableName"])
        index = parameters.get("IndexName")
        yield f"dynamodb:{action}", f"{arn}/index/{index}" if index else arn

    return describe


def _batch(parameters: Parameters) -> Iterator[Need]:
    for table in parameters["RequestItems"]:
        yield "dynamodb:BatchGetItem", table_arn(table)


_ACTION_OF = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


def _transaction(parameters: Parameters) -> Iterator[Need]:
    # a transaction has no action of its own: each write needs what it would need alone
    for item in parameters["TransactItems"]:
        for kind, write in item.items():
            yield f"dynamodb:{_ACTION_OF[kind]}", table_arn(write["TableName"])


def _on_object(action: str) -> Callable[[Parameters], Iterator[Need]]:
    def describe(parameters: Parameters) -> Iterator[Need]:
        yield f"s3:{action}", f"{bucket_arn(parameters['Bucket'])}/{parameters['Key']}"

    return describe


def _on_bucket(parameters: Parameters) -> Iterator[Need]:
    yield "s3:ListBucket", bucket_arn(parameters["Bucket"])


def _delete_objects(parameters: Parameters) -> Iterator[Need]:
    for entry in parameters["Delete"]["Objects"]:
        yield "s3:DeleteObject", f"{bucket_arn(parameters['Bucket'])}/{entry['Key']}"


def _copy(parameters: Parameters) -> Iterator[Need]:
    source = parameters["CopySource"]
    if isinstance(source, str):
        bucket, _, key = unquote(source).lstrip("/").partition("/")
    else:
        bucket, key = source["Bucket"], source["Key"]
    yield "s3:GetObject", f"{bucket_arn(bucket)}/{key}"
    yield "s3:PutObject", f"{bucket_arn(parameters['Bucket'])}/{parameters['Key']}"


def _on_queue(action: str) -> Callable[[Parameters], Iterator[Need]]:
    def describe(parameters: Parameters) -> Iterator[Need]:
        yield f"sqs:{action}", queue_arn(parameters.get("QueueName") or parameters["QueueUrl"])

    return describe


def _parameter(parameters: Parameters) -> Iterator[Need]:
    yield "ssm:GetParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{parameters['Name'].lstrip('/')}"


def _secret(parameters: Parameters) -> Iterator[Need]:
    # Secrets Manager adds a hyphen and six characters to the name
    yield (
        "secretsmanager:GetSecretValue",
        (f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{parameters['SecretId']}-a1B2c3"),
    )


def _mail(parameters: Parameters) -> Iterator[Need]:
    yield "ses:SendEmail", f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/{parameters['FromEmailAddress']}"


_NEEDS: dict[tuple[str, str], Callable[[Parameters], Iterator[Need]]] = {
    **{
        ("dynamodb", action): _on_table(action)
        for action in ("GetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "DescribeTable")
    },
    ("dynamodb", "BatchGetItem"): _batch,
    ("dynamodb", "TransactWriteItems"): _transaction,
    ("s3", "GetObject"): _on_object("GetObject"),
    ("s3", "HeadObject"): _on_object("GetObject"),
    ("s3", "PutObject"): _on_object("PutObject"),
    ("s3", "CreateMultipartUpload"): _on_object("PutObject"),
    ("s3", "UploadPart"): _on_object("PutObject"),
    ("s3", "CompleteMultipartUpload"): _on_object("PutObject"),
    ("s3", "AbortMultipartUpload"): _on_object("AbortMultipartUpload"),
    ("s3", "DeleteObject"): _on_object("DeleteObject"),
    ("s3", "DeleteObjects"): _delete_objects,
    ("s3", "CopyObject"): _copy,
    ("s3", "ListObjectsV2"): _on_bucket,
    ("s3", "HeadBucket"): _on_bucket,
    **{
        ("sqs", action): _on_queue(action)
        for action in (
            "GetQueueUrl",
            "GetQueueAttributes",
            "SendMessage",
            "ReceiveMessage",
            "DeleteMessage",
            "ChangeMessageVisibility",
        )
    },
    ("ssm", "GetParameter"): _parameter,
    ("secrets-manager", "GetSecretValue"): _secret,
    ("sesv2", "SendEmail"): _mail,
}
