"""AWS in memory answers processes that have no moto."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from local.environment import aws_variables, without_aws
from local.memory_aws import memory_aws
from local.provision import provision

SCRIPT = """
import boto3, io, json
dynamodb, s3, ssm = (boto3.client(name) for name in ("dynamodb", "s3", "ssm"))
item = {"pk": {"S": "a"}, "sk": {"S": "b"}}
dynamodb.put_item(TableName="sidereal-telescope", Item=item)
try:
    dynamodb.put_item(TableName="sidereal-telescope", Item=item, ConditionExpression="attribute_not_exists(pk)")
    second = "kept"
except dynamodb.exceptions.ConditionalCheckFailedException:
    second = "refused"
s3.put_object(Bucket="sidereal-artefacts", Key="a b", Body=b"abc")
size = s3.head_object(Bucket="sidereal-artefacts", Key="a b")["ContentLength"]
content = s3.get_object(Bucket="sidereal-artefacts", Key="a b")["Body"].read().decode()
token = ssm.get_parameter(Name="/token", WithDecryption=True)["Parameter"]["Value"]
print(json.dumps([second, size, content, token]))
"""


def test_another_process_finds_what_this_one_has_made() -> None:
    import boto3

    with memory_aws() as url:
        provision()
        boto3.client("ssm").put_parameter(Name="/token", Type="SecureString", Value="secret")
        environment = without_aws(os.environ) | aws_variables(url)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["refused", 3, "abc", "secret"]


def test_a_request_that_is_not_signed_is_refused() -> None:
    with memory_aws() as url, pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=5)
    assert refused.value.code == 403
