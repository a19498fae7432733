"""The emulator of the end-to-end run, and the stack on it."""

import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.e2e.asking import E2EError
from local.emulator import answers, emulator_python
from local.environment import REGION, without_aws
from local.ports import HOST

STACK = "sidereal-e2e"
TOTAL_S = 230.0
START_S = 30.0


@dataclass
class Clock:
    """The time that is left for all of it."""

    end: float = field(default_factory=lambda: time.monotonic() + TOTAL_S)

    def wait(self, what: str, until: Callable[[], Any], pause_s: float = 0.3) -> Any:
        """Ask again and again until the answer is not None, and return it.

        Raises
        ------
        E2EError
            If the time is over before.
        """
        while time.monotonic() < self.end:
            found = until()
            if found is not None:
                return found
            time.sleep(pause_s)
        raise E2EError(f"{what}: not within {TOTAL_S:.0f} s of the start")


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
    """The stack on the emulator.

    Parameters
    ----------
    package : Path
        Folder with template, bundle and layers.
    url : str
        Address of the emulator.
    """

    def __init__(self, package: Path, url: str) -> None:
        import boto3

        self._package = package
        self.url = url
        session = boto3.Session("test", "test", region_name=REGION)
        make = session.client
        self.s3 = make("s3", endpoint_url=url)
        self.cloudformation: Any = make("cloudformation", endpoint_url=url)
        self.functions: Any = make("lambda", endpoint_url=url)
        self.parameters: Any = make("ssm", endpoint_url=url)
        self.mail: Any = make("sesv2", endpoint_url=url)
        self.logs: Any = make("logs", endpoint_url=url)
        self.token = secrets.token_hex(16)

    def create(self, clock: Clock, **parameters: str) -> str:
        """Create the stack with these parameters, and return the address of its API."""
        template = _as_the_emulator_reads_it(json.loads((self._package / "sam.json").read_text()))
        bucket = f"{STACK}-packages"
        self.s3.create_bucket(Bucket=bucket)
        for resource in template["Resources"].values():
            properties = resource.get("Properties", {})
            for key in ("CodeUri", "ContentUri"):
                if isinstance(properties.get(key), str):
                    name = Path(properties[key]).name
                    self.s3.upload_file(str(self._package / name), bucket, name)
                    properties[key] = f"s3://{bucket}/{name}"
        self.s3.put_object(Bucket=bucket, Key="template.json", Body=json.dumps(template).encode())
        self.cloudformation.create_stack(
            StackName=STACK,
            TemplateURL=f"{self.url}/{bucket}/template.json",
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in {"AsimovApiKey": f"{self.token}:e2e", **parameters}.items()
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        outputs = clock.wait("the stack", self._outputs)
        stage = outputs["EndpointURL"].rstrip("/").rsplit("/", 1)[1]
        return f"{self.url}/restapis/{outputs['RestAPIId']}/{stage}/_user_request_"

    def _outputs(self) -> dict[str, str] | None:
        (stack,) = self.cloudformation.describe_stacks(StackName=STACK)["Stacks"]
        if stack["StackStatus"] == "CREATE_IN_PROGRESS":
            return None
        if stack["StackStatus"] != "CREATE_COMPLETE":
            raise E2EError(f"the stack is {stack['StackStatus']}: {stack.get('StackStatusReason')}")
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def set_variable(self, resource: str, name: str, value: str) -> None:
        """Set an environment variable of one function."""
        function = self._name_of(resource)
        variables = self.functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        environment = {"Variables": {**variables, name: value}}
        self.functions.update_function_configuration(FunctionName=function, Environment=environment)

    def invoke(self, resource: str, event: dict[str, Any]) -> Any:
        """Call one function, and return what it returns.

        Raises
        ------
        E2EError
            If it fails.
        """
        answer = self.functions.invoke(FunctionName=self._name_of(resource), Payload=json.dumps(event).encode())
        said = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise E2EError(f"{resource} fails: {said}")
        return said

    def _name_of(self, resource: str) -> str:
        about = self.cloudformation.describe_stack_resource(StackName=STACK, LogicalResourceId=resource)
        return str(about["StackResourceDetail"]["PhysicalResourceId"])

    def delete(self, clock: Clock) -> None:
        """Delete the stack; its tables and bucket stay, as the template says, until the emulator ends."""
        self.cloudformation.delete_stack(StackName=STACK)
        clock.wait("deleting the stack", self._is_deleted)
        left = self.functions.list_functions()["Functions"]
        if left:
            raise E2EError(f"functions are left: {[each['FunctionName'] for each in left]}")

    def _is_deleted(self) -> bool | None:
        from botocore.exceptions import ClientError

        try:
            (stack,) = self.cloudformation.describe_stacks(StackName=STACK)["Stacks"]
        except ClientError:
            return True
        return True if stack["StackStatus"] == "DELETE_COMPLETE" else None


def _as_the_emulator_reads_it(template: dict[str, Any]) -> dict[str, Any]:
    """Return a template that means to the emulator what ours means to AWS."""
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Api":
            # It reads them here only, AWS in the definition as well.
            types = properties["DefinitionBody"].get("x-amazon-apigateway-binary-media-types", [])
            properties["BinaryMediaTypes"] = types
        for policy in properties.get("Policies", []) if resource["Type"] == "AWS::IAM::Role" else []:
            for statement in policy["PolicyDocument"]["Statement"]:
                mail = statement.get("Fn::If", [None, {}])[1]
                if "ses:SendEmail" in mail.get("Action", []):
                    # It knows neither the identity nor the sender of a mail: what AWS is told is tested in the template.
                    mail.pop("Condition")
                    mail["Resource"] = "*"
    return template
