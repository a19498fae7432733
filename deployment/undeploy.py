"""Removes a deployed stack. Its tables and its bucket stay, unless they are asked to go as well.

Usage: `python -m deployment.undeploy --stage dev`; the environment may name STACK, PACKAGE_BUCKET, CONFIRM and CONFIRM_DATA.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from deployment.account import Account, DeployError, one_line_errors
from deployment.packages import Packages
from deployment.stack import Resource, Stack, delete_table
from deployment.stages import stack_name

DATA_STAGES = ("dev",)
"""Stages whose data may be deleted with the stack."""

_DELETE_S3 = 1000
"""Objects in one request, at most."""


def undeploy(
    stack: str,
    account: Account,
    *,
    bucket: str | None = None,
    say: Callable[[str], None] = print,
    pause_s: float = 3.0,
    limit_s: float = 3600.0,
) -> list[Resource]:
    """Delete a stack and its packages; return what is left of it.

    Parameters
    ----------
    stack : str
        Name of the stack.
    account : Account
        Where it is.
    bucket : str or None
        The bucket of the packages, as `deploy` was told.
    say : callable
        Takes lines about the progress.
    pause_s, limit_s : float
        Seconds between two looks at the stack; seconds for which it is waited for.

    Raises
    ------
    DeployError
        If there is no such stack, or it cannot be deleted.
    """
    with one_line_errors():
        target = Stack(account, stack, say, pause_s, limit_s)
        found = target.find()
        if found is None:
            raise DeployError(f"there is no stack {stack} in {account.region}, account {account.number}")
        kept = [] if found["StackStatus"] == "REVIEW_IN_PROGRESS" else target.kept_resources()
        target.delete(found)
        Packages(account, stack, bucket, say).forget_all()
        return kept


def delete_data(kept: Sequence[Resource], account: Account, say: Callable[[str], None] = print) -> None:
    """Delete the tables, buckets and queues among what a stack has left, and everything in them. Nothing brings that back.

    Raises
    ------
    DeployError
        If it cannot be done.
    """
    with one_line_errors():
        for resource in kept:
            if resource.type == "AWS::DynamoDB::Table":
                delete_table(account.client("dynamodb"), resource.physical)
            elif resource.type == "AWS::S3::Bucket":
                _delete_bucket(account.client("s3"), resource.physical)
            elif resource.type == "AWS::SQS::Queue":
                account.client("sqs").delete_queue(QueueUrl=resource.physical)
            else:
                continue
            say(f"deleted {resource.physical}")


def how_to_delete(kept: Sequence[Resource]) -> list[str]:
    """Return the commands that delete what a stack has left."""
    commands = {
        "AWS::DynamoDB::Table": "aws dynamodb update-table --no-deletion-protection-enabled --table-name {0}"
        " && aws dynamodb wait table-exists --table-name {0} && aws dynamodb delete-table --table-name {0}",
        "AWS::S3::Bucket": "aws s3 rb --force s3://{}",
        "AWS::SQS::Queue": "aws sqs delete-queue --queue-url {}",
    }
    layer = (
        "for v in $(aws lambda list-layer-versions --layer-name {0} --query 'LayerVersions[].Version' --output text); "
        "do aws lambda delete-layer-version --layer-name {0} --version-number $v; done"
    )
    layers = [each.physical.rpartition(":")[0] for each in kept if each.type == "AWS::Lambda::LayerVersion"]
    return [
        *(commands[each.type].format(each.physical) for each in kept if each.type in commands),
        *(layer.format(name) for name in layers),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Remove the stack of a stage, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deployment.undeploy", description="Remove a deployed stack.")
    parser.add_argument("--stage", required=True, help="a stage of .chalice/config.json")
    parser.add_argument("--data", choices=("keep", "delete"), default="keep", help="what becomes of tables and bucket")
    options = parser.parse_args(arguments)
    try:
        _undeploy(options.stage, with_data=options.data == "delete")
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print("error: interrupted; CloudFormation goes on with what it has begun", file=sys.stderr)
        return 130
    return 0


def _undeploy(stage: str, *, with_data: bool) -> None:
    name = stack_name(stage)
    if with_data and stage not in DATA_STAGES:
        raise DeployError(f"DATA=delete is for {', '.join(DATA_STAGES)}: data of {stage} are deleted by hand")
    account = Account.of_environment()
    print(f"{name} in {account.region}, account {account.number}: its functions, queues and addresses will be deleted")
    confirm(name, "CONFIRM", "delete the stack")
    if with_data:
        print("tables and bucket will be deleted, with everything in them; nothing brings that back")
        confirm(name, "CONFIRM_DATA", "delete all its data, too")
    kept = undeploy(
        name,
        account,
        bucket=os.environ.get("PACKAGE_BUCKET") or None,
        say=lambda text: print(text, flush=True),
        pause_s=0.5 if account.endpoint_url else 3.0,
    )
    if with_data:
        delete_data(kept, account)
        return
    print(f"{name} is deleted. Its data are kept; these commands would delete them:")
    for command in how_to_delete(kept):
        print(f"  {command}")


def confirm(name: str, variable: str, what: str) -> None:
    """Go on only if the stack's name is said once more: in a variable, else on the terminal.

    Raises
    ------
    DeployError
        If it is not.
    """
    said = os.environ.get(variable, "")
    if not said:
        if not sys.stdin.isatty():
            raise DeployError(f"to {what}, say its name: {variable}={name}")
        said = input(f"to {what}, type its name ({name}): ").strip()
    if said != name:
        raise DeployError(f"{said!r} is not {name!r}: nothing is done")


def _delete_bucket(s3: Any, bucket: str) -> None:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        for start in range(0, len(found), _DELETE_S3):
            versions = [
                {"Key": each["Key"], "VersionId": each["VersionId"]} for each in found[start : start + _DELETE_S3]
            ]
            s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
    s3.delete_bucket(Bucket=bucket)


if __name__ == "__main__":
    sys.exit(main())
