"""The AWS clients, made on first use: importing boto3 costs a cold start a third of a second."""

import os
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sesv2 import SESV2Client
    from mypy_boto3_sqs import SQSClient

# With the time-outs below, a service that hangs is given up within the 29 seconds of a request: the caller is told.
_RETRIES: Any = {"mode": "standard", "max_attempts": 3}


@cache
def dynamodb() -> "DynamoDBClient":
    """Return the DynamoDB client; requests are small, so a slow answer is given up early and asked for again."""
    import boto3
    from botocore.config import Config

    return boto3.client("dynamodb", config=Config(connect_timeout=1, read_timeout=5, retries=_RETRIES))


@cache
def s3() -> "S3Client":
    """Return the S3 client; it signs links with version 4, which every region takes."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=1,
        read_timeout=7,
        retries=_RETRIES,
        signature_version="s3v4",
        # Links to a bucket's own address name its region; an endpoint of one's own has no address for each bucket.
        s3={"addressing_style": "path" if "AWS_ENDPOINT_URL" in os.environ else "virtual"},
    )
    return boto3.client("s3", config=config)


@cache
def sqs() -> "SQSClient":
    """Return the SQS client."""
    import boto3
    from botocore.config import Config

    return boto3.client("sqs", config=Config(connect_timeout=1, read_timeout=5, retries=_RETRIES))


@cache
def ses() -> "SESV2Client":
    """Return the client for e-mail; it never tries again by itself, for a mail must not be sent twice."""
    import boto3
    from botocore.config import Config

    once: Any = {"mode": "standard", "total_max_attempts": 1}
    return boto3.client("sesv2", config=Config(connect_timeout=2, read_timeout=10, retries=once))


def forget() -> None:
    """Drop the clients, so that the next use makes new ones; for tests and forked workers."""
    for maker in (dynamodb, s3, sqs, ses):
        maker.cache_clear()
