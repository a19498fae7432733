"""A CloudFormation stack: changed through change sets, followed by its events."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from deployment.account import Account, DeployError

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
FAILED_CREATIONS = ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
"""States in which a stack has never worked, and can neither be updated nor created."""

_GOOD = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE")
_CHANGEABLE = (
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
)
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
_KEPT = ("Retain", "RetainExceptOnCreate")


class Resource(NamedTuple):
    """A resource of a stack: its type, its name in the template, its own name."""

    type: str
    logical: str
    physical: str


class Stack:
    """One stack, there or not.

    Parameters
    ----------
    account : Account
        Where it is.
    name : str
        Its name.
    say : callable
        Takes lines about the progress.
    pause_s, limit_s : float
        Seconds between two looks at what goes on; seconds after which it is no longer waited for.
    """

    def __init__(
        self, account: Account, name: str, say: Callable[[str], None], pause_s: float = 3.0, limit_s: float = 3600.0
    ) -> None:
        self.name = name
        self._account = account
        self._client = account.client("cloudformation")
        self._say = say
        self._pause_s = pause_s
        self._limit_s = limit_s

    def find(self) -> dict[str, Any] | None:
        """Return what CloudFormation says about the stack; None if there is none."""
        from botocore.exceptions import ClientError

        try:
            (found,) = self._client.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if "does not exist" in error.response["Error"].get("Message", ""):
                return None
            raise
        return found if found["StackStatus"] != "DELETE_COMPLETE" else None

    def prepare(self) -> dict[str, Any] | None:
        """Return the stack that can be updated; None where it is to be created. What is left of a failed creation goes.

        Raises
        ------
        DeployError
            If it is in a state in which it cannot be changed.
        """
        found = self.find()
        if found is None:
            return None
        status = str(found["StackStatus"])
        if status in FAILED_CREATIONS:
            self._say(f"{self.name} is {status}: its creation has failed or was given up; deleting what is left of it")
            left = self.kept_resources() if status == "ROLLBACK_FAILED" else []
            self.delete(found)
            self._delete_empty(left)
            return None
        if status.endswith("_IN_PROGRESS"):
            raise DeployError(f"{self.name} is {status}: somebody changes it just now; try again when that is over")
        if status not in _CHANGEABLE:
            raise DeployError(
                f"{self.name} is {status} and cannot be changed like this; docs/operations.md, Roll back, says what to do"
            )
        return found

    def change(self, template_url: str, parameters: list[dict[str, Any]], *, create: bool) -> bool:
        """Create or update the stack; return False if nothing is to be changed.

        Raises
        ------
        DeployError
            If it fails; names what failed, and why.
        """
        name = f"deploy-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
        made = self._client.create_change_set(
            StackName=self.name,
            ChangeSetName=name,
            ChangeSetType="CREATE" if create else "UPDATE",
            TemplateURL=template_url,
            Parameters=parameters,
            Capabilities=CAPABILITIES,
            Tags=[{"Key": "project", "Value": "sidereal"}],
        )
        if not self._is_ready(made["Id"]):
            self._client.delete_change_set(ChangeSetName=made["Id"])
            return False
        last = self._last_event(made["StackId"])
        # If the creation fails, nothing is in tables and bucket yet: they go with the rest, and do not pile up.
        self._client.execute_change_set(ChangeSetName=made["Id"], RetainExceptOnCreate=True)
        self._follow(made["StackId"], last)
        return True

    def delete(self, found: dict[str, Any]) -> None:
        """Delete the stack.

        Raises
        ------
        DeployError
            If it fails; names what failed, and why.
        """
        stack_id = str(found["StackId"])
        last = self._last_event(stack_id)
        self._client.delete_stack(StackName=stack_id)
        self._follow(stack_id, last)

    def outputs(self) -> dict[str, str]:
        """Return the outputs of the stack."""
        (found,) = self._client.describe_stacks(StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}

    def kept_resources(self) -> list[Resource]:
        """Return what the deletion of the stack leaves."""
        template = self._client.get_template(StackName=self.name, TemplateStage="Processed")["TemplateBody"]
        kept = {name for name, about in template["Resources"].items() if about.get("DeletionPolicy") in _KEPT}
        pages = self._client.get_paginator("list_stack_resources").paginate(StackName=self.name)
        return [
            Resource(each["ResourceType"], each["LogicalResourceId"], each["PhysicalResourceId"])
            for page in pages
            for each in page["StackResourceSummaries"]
            if each["LogicalResourceId"] in kept and each.get("PhysicalResourceId")
            if each.get("ResourceStatus") != "DELETE_COMPLETE"
        ]

    def _delete_empty(self, left: list[Resource]) -> None:
        """Delete the tables that could not be taken back because they are protected; one with a record in it stays."""
        for table in [each.physical for each in left if each.type == "AWS::DynamoDB::Table"]:
            dynamodb = self._account.client("dynamodb")
            if dynamodb.scan(TableName=table, Limit=1, ConsistentRead=True)["Count"]:
                self._say(f"left behind: the table {table}, which is not empty")
            else:
                delete_table(dynamodb, table)
                self._say(f"deleted the empty table {table}")

    def _is_ready(self, change_set: str) -> bool:
        end = time.monotonic() + self._limit_s
        while time.monotonic() < end:
            found = self._client.describe_change_set(ChangeSetName=change_set)
            if found["Status"] == "CREATE_COMPLETE":
                return True
            if found["Status"] == "FAILED":
                reason = str(found.get("StatusReason", ""))
                if any(text in reason for text in _NO_CHANGES):
                    return False
                raise DeployError(f"CloudFormation cannot make the change set: {reason}")
            time.sleep(self._pause_s)
        raise DeployError("CloudFormation does not finish the change set")

    def _follow(self, stack_id: str, after: str | None) -> None:
        """Tell what happens until the stack is at rest again."""
        started = time.monotonic()
        failures: list[str] = []
        while time.monotonic() - started < self._limit_s:
            for event in self._events(stack_id, after):
                after = event["EventId"]
                status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
                is_stack = event.get("PhysicalResourceId") == stack_id
                if is_stack or not status.endswith("_IN_PROGRESS"):
                    self._say(f"{time.monotonic() - started:6.1f} s  {status:<27} {event['LogicalResourceId']}")
                # what was still being made when something else failed has not failed by itself
                if status.endswith("_FAILED") and not is_stack and "cancelled" not in reason:
                    failures.append(f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}")
                if is_stack and not status.endswith("_IN_PROGRESS"):
                    if status in _GOOD:
                        for failure in failures:  # of what is no longer needed: the stack is as it should be
                            self._say(f"left behind: {failure}")
                        return
                    raise DeployError("\n  ".join([f"{self.name} is {status}: {reason}".rstrip(": "), *failures]))
            time.sleep(self._pause_s)
        raise DeployError(
            f"{self.name} is still being changed after {self._limit_s:.0f} s; CloudFormation goes on with it"
        )

    def _last_event(self, stack_id: str) -> str | None:
        events = self._client.describe_stack_events(StackName=stack_id)["StackEvents"]
        return str(events[0]["EventId"]) if events else None

    def _events(self, stack_id: str, after: str | None) -> list[dict[str, Any]]:
        """Return the events of the stack since one of them, oldest first."""
        events: list[dict[str, Any]] = []
        for page in self._client.get_paginator("describe_stack_events").paginate(StackName=stack_id):
            for event in page["StackEvents"]:
                if event["EventId"] == after:
                    return events[::-1]
                events.append(event)
        return events[::-1]


def delete_table(dynamodb: Any, table: str) -> None:
    """Delete a table, also a protected one."""
    if dynamodb.describe_table(TableName=table)["Table"].get("DeletionProtectionEnabled"):
        dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
        dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 2})
    dynamodb.delete_table(TableName=table)
