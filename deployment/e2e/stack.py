"""The emulator of the end-to-end run, and the stack on it."""

import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from deployment.account import Account, DeployError
from deployment.deploy import base_url, deploy
from deployment.e2e.asking import E2EError
from deployment.emulator_template import for_emulator
from deployment.logical_names import BUCKET, PLACES
from deployment.stack import Resource
from deployment.undeploy import undeploy
from local.emulator import answers, emulator_python
from local.environment import REGION, aws_variables, without_aws
from local.ports import HOST

STACK = "sidereal-e2e"
KEYS_PARAMETER = "/e2e/api-keys"
TOTAL_S = 400.0
WAIT_S = 180.0
LEAST_CONCURRENCY = 2
"""As AWS has it."""

START_S = 30.0


@dataclass
class Clock:
    """The time that is left for all of it."""

    end: float = field(default_factory=lambda: time.monotonic() + TOTAL_S)

    @property
    def left_s(self) -> float:
        """Seconds until all must be over."""
        return max(0.0, self.end - time.monotonic())

    def wait(self, what: str, until: Callable[[], Any], pause_s: float = 0.3) -> Any:
        """Ask again and again until the answer is not None, and return it.

        Raises
        ------
        E2EError
            If the time is over before.
        """
        longest_s = min(WAIT_S, self.left_s)
        end = time.monotonic() + longest_s
        while time.monotonic() < end:
            found = until()
            if found is not None:
                return found
            time.sleep(pause_s)
        raise E2EError(f"{what}: not within {longest_s:.0f} s")


@contextmanager
def emulator(folder: Path) -> Iterator[str]:
    """Run the emulator in a folder of its own, and yield its address."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    temporary = folder / "tmp"
    temporary.mkdir()
    # Functions inherit this environment: nothing of the project, and nothing of the user's cloud, belongs there.
    environment = without_aws({name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}) | {
        "HOME": str(folder),
        "TMPDIR": str(temporary),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "AUTH": "true",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
    }
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(
            [str(emulator_python()), "-m", "ministack"],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url = f"http://{HOST}:{port}"
    try:
        end = time.monotonic() + START_S
        while not answers(f"{url}/_ministack/health"):
            if process.poll() is not None or time.monotonic() > end:
                raise E2EError("the emulator does not start:\n" + (folder / "emulator.log").read_text()[-2000:])
            time.sleep(0.1)
        yield url
    finally:
        # its functions are processes of its session
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


class Deployment:
    """The stack on the emulator, made and changed by what `make deploy` runs.

    Parameters
    ----------
    url : str
        Address of the emulator.
    clock : Clock
        The time that is left.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        import boto3

        self.url = url
        self.account = Account(boto3.Session("test", "test", region_name=REGION), url)
        self.token = secrets.token_hex(16)
        self.rotated_token = secrets.token_hex(16)
        self.api = ""
        self.outputs: dict[str, str] = {}
        self.told: list[str] = []
        self._clock = clock
        self.client = cache(self.account.client)

    @property
    def stage(self) -> str:
        """What stands before each path on API Gateway's own host: `/dev`."""
        return "/" + self.outputs["EndpointURL"].rstrip("/").rpartition("/")[2]

    def deploy(self, package: Path, **parameters: str) -> None:
        """Create the stack, or update it, with these parameters.

        Raises
        ------
        E2EError
            If that fails.
        """
        try:
            self.outputs = deploy(
                package,
                STACK,
                parameters,
                self.account,
                adapt=_with_few_workers,
                say=self.told.append,
                pause_s=0.2,
                limit_s=self._clock.left_s,
            )
        except DeployError as error:
            raise E2EError("\n".join([*self.told[-20:], str(error)])) from None
        self.api = base_url(self.outputs, self.url)

    def create(self, package: Path, **parameters: str) -> None:
        """Create the stack, with one API key in a parameter of it, and another one in the Parameter Store."""
        keys = json.dumps({"api_keys": {self.rotated_token: "e2e-rotated"}})  # JSON is YAML
        self.client("ssm").put_parameter(Name=KEYS_PARAMETER, Type="SecureString", Value=keys)
        self.deploy(package, AsimovApiKey=f"{self.token}:e2e", ApiKeysParameter=KEYS_PARAMETER, **parameters)

    def remove(self) -> list[Resource]:
        """Delete the stack, and return what it has left.

        Raises
        ------
        E2EError
            If that fails.
        """
        try:
            return undeploy(STACK, self.account, say=self.told.append, pause_s=0.2, limit_s=self._clock.left_s)
        except DeployError as error:
            raise E2EError("\n".join([*self.told[-20:], str(error)])) from None

    def name_of(self, resource: str) -> str:
        """Return what a resource of the template is called in the stack; of a queue, its address."""
        about = self.client("cloudformation").describe_stack_resource(StackName=STACK, LogicalResourceId=resource)
        return str(about["StackResourceDetail"]["PhysicalResourceId"])

    def resources(self) -> dict[str, str]:
        """Return the names of all resources of the stack: in the template -> in the stack."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
        return {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for page in pages
            for each in page["StackResourceSummaries"]
        }

    def variables(self) -> dict[str, str]:
        """Return the environment of a user's script: AWS, the API, and the names that are outputs of the stack."""
        outputs = {**self.outputs, BUCKET: self.outputs["Bucket"]}
        return {
            **aws_variables(self.url),
            "SIDEREAL_URL": self.api,
            "SIDEREAL_TOKEN": self.token,
            **{variable: outputs[resource] for variable, resource in PLACES.items()},
        }

    def set_variables(self, resource: str, variables: Mapping[str, str]) -> None:
        """Set environment variables of one function, which keeps them until the stack is updated."""
        function, client = self.name_of(resource), self.client("lambda")
        its = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        client.update_function_configuration(FunctionName=function, Environment={"Variables": {**its, **variables}})

    def set_listening(self, resource: str, *, is_on: bool) -> None:
        """Let a function take messages from its queue, or leave them there."""
        client = self.client("lambda")
        found = client.list_event_source_mappings(FunctionName=self.name_of(resource))
        (mapping,) = found["EventSourceMappings"]
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=is_on)
        self._clock.wait(f"the queue of {resource}", lambda: self._listens(mapping["UUID"], is_on))

    def wait_for_message(self, queue: str) -> None:
        """Wait until nobody works on what a queue has, and something waits there."""
        url = self.name_of(queue)
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

        def waits() -> bool | None:
            found = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            waiting, taken = (int(found[name]) for name in names)
            return True if waiting and not taken else None

        self._clock.wait(f"a message in the {queue}", waits)

    def _listens(self, mapping: str, is_on: bool) -> bool | None:
        state = self.client("lambda").get_event_source_mapping(UUID=mapping)["State"]
        return True if state == ("Enabled" if is_on else "Disabled") else None

    def invoke(self, resource: str, event: dict[str, Any]) -> Any:
        """Call one function, and return what it returns.

        Raises
        ------
        E2EError
            If it fails.
        """
        answer = self.client("lambda").invoke(FunctionName=self.name_of(resource), Payload=json.dumps(event).encode())
        said = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise E2EError(f"{resource} fails: {said}")
        return said

    def logs(self) -> Iterator[tuple[str, str]]:
        """Yield every line that the functions have logged, with the log group that has it."""
        client = self.client("logs")
        for page in client.get_paginator("describe_log_groups").paginate():
            for group in page["logGroups"]:
                for lines in client.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                    for event in lines["events"]:
                        yield group["logGroupName"], event["message"]


def _with_few_workers(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template for the emulator, which unpacks bundle and layers anew for each run at the same time."""
    adapted = for_emulator(template)
    for resource in adapted["Resources"].values():
        for event in resource.get("Properties", {}).get("Events", {}).values():
            if "ScalingConfig" in event["Properties"]:
                event["Properties"]["ScalingConfig"] = {"MaximumConcurrency": LEAST_CONCURRENCY}
    return adapted
