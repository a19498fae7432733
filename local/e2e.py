"""The end-to-end run: what `make package` made is deployed to an emulator and used from outside, over HTTP only.

Usage: `python -m local.e2e build/package`. Everything listens on the loopback interface, lies in one temporary folder, and
is gone afterwards. The emulator is MiniStack: it makes the stack from the template, runs the functions from the bundle and
the layers, and lets each only do what its policy allows.
"""

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.client import Client
from local.emulator import HOST, answers, emulator_python
from local.environment import REGION, without_aws
from local.frames import make_frames, plan_field

STACK = "sidereal-e2e"
TOTAL_S = 230.0
START_S = 30.0

FRAME_COUNT = 8
FRAME_SIZE_PX = 256
SEED = 7

LONGEST_HANDOVER_S = "900"
"""As `JOB_HANDOVER_S`: time is short from the start, so each invocation does one step."""


class E2EError(Exception):
    """Raised when something is not as it should be; says what."""


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
        self._url = url
        session = boto3.Session("test", "test", region_name=REGION)
        make = session.client
        self.s3 = make("s3", endpoint_url=url)
        self.cloudformation: Any = make("cloudformation", endpoint_url=url)
        self.functions: Any = make("lambda", endpoint_url=url)
        self.token = secrets.token_hex(16)

    def create(self, clock: Clock) -> str:
        """Create the stack and return the address of its API."""
        template = json.loads((self._package / "sam.json").read_text())
        bucket = f"{STACK}-packages"
        self.s3.create_bucket(Bucket=bucket)
        for resource in template["Resources"].values():
            properties = resource.get("Properties", {})
            for key in ("CodeUri", "ContentUri"):
                if isinstance(properties.get(key), str):
                    name = Path(properties[key]).name
                    self.s3.upload_file(str(self._package / name), bucket, name)
                    properties[key] = f"s3://{bucket}/{name}"
            if resource["Type"] == "AWS::Serverless::Api":
                # The emulator reads them here only, AWS in the definition as well.
                types = properties["DefinitionBody"].get("x-amazon-apigateway-binary-media-types", [])
                properties["BinaryMediaTypes"] = types
        self.s3.put_object(Bucket=bucket, Key="template.json", Body=json.dumps(template).encode())
        self.cloudformation.create_stack(
            StackName=STACK,
            TemplateURL=f"{self._url}/{bucket}/template.json",
            Parameters=[{"ParameterKey": "AsimovApiKey", "ParameterValue": f"{self.token}:e2e"}],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        outputs = clock.wait("the stack", self._outputs)
        stage = outputs["EndpointURL"].rstrip("/").rsplit("/", 1)[1]
        return f"{self._url}/restapis/{outputs['RestAPIId']}/{stage}/_user_request_"

    def _outputs(self) -> dict[str, str] | None:
        (stack,) = self.cloudformation.describe_stacks(StackName=STACK)["Stacks"]
        if stack["StackStatus"] == "CREATE_IN_PROGRESS":
            return None
        if stack["StackStatus"] != "CREATE_COMPLETE":
            raise E2EError(f"the stack is {stack['StackStatus']}: {stack.get('StackStatusReason')}")
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def set_variable(self, resource: str, name: str, value: str) -> None:
        """Set an environment variable of one function."""
        about = self.cloudformation.describe_stack_resource(StackName=STACK, LogicalResourceId=resource)
        function = about["StackResourceDetail"]["PhysicalResourceId"]
        variables = self.functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        environment = {"Variables": {**variables, name: value}}
        self.functions.update_function_configuration(FunctionName=function, Environment=environment)

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


class Usage:
    """What somebody does with the deployed API."""

    def __init__(self, client: Client, clock: Clock, folder: Path) -> None:
        self._client = client
        self._clock = clock
        self._folder = folder
        self.target = 0
        self.products: list[int] = []

    def upload_frames(self) -> None:
        """Create a target and upload frames of it."""
        # the first request starts the function, and may meet a stack that is not quite there
        self._clock.wait("the API", lambda: answers(f"{self._client.base_url}/api/v1/health") or None)
        body = {"name": "e2e field", "type": "SIDEREAL", "ra": 31.042863, "dec": 46.687847}
        self.target = int(self._client.call("POST", "/api/targets/", json=body)["id"])
        frames = make_frames(self._folder / "frames", FRAME_COUNT, FRAME_SIZE_PX, SEED)
        self.products = [self._client.upload_frame(frame, self.target) for frame in frames]

    def has_pipeline(self, name: str) -> bool:
        """Say whether the deployed API offers a pipeline."""
        listed: Any = self._client.call("GET", "/api/pipelines/")
        return name in [each["name"] for each in listed]

    def run(self, pipeline: str, **how: Any) -> tuple[dict[str, Any], str]:
        """Run a pipeline on all frames; return its process and its log.

        Raises
        ------
        E2EError
            If it fails.
        """
        body = {"target": self.target, "pipeline": pipeline, "products": self.products, **how}
        process = int(self._client.call("POST", "/api/pipeline/", json=body)["id"])

        def ended() -> dict[str, Any] | None:
            shown = self._client.call("GET", f"/api/pipeline/{process}/")
            return shown if shown["terminal_timestamp"] is not None else None

        shown = self._clock.wait(f"the pipeline {pipeline}", ended)
        log = str(self._client.call("GET", f"/api/pipeline/logs/{process}/")["logs"])
        if shown["status"] != "created":
            raise E2EError(f"{pipeline} failed: {shown['failure_message']}\n{log}")
        return shown, log

    def outputs(self, process: dict[str, Any]) -> dict[str, bytes]:
        """Download what a process has made: file name -> content."""
        group = str(process["group_url"]).strip("/").rpartition("/")[2]
        found = {}
        for product in self._client.call("GET", f"/api/dataproductgroups/{group}/")["products"]:
            about = self._client.call("GET", f"/api/dataproducts/{product}/")
            path = self._folder / about["name"]
            self._client.download(about["url"], path)
            found[path.name.removeprefix(f"{process['identifier']}_")] = path.read_bytes()
        return found

    def timelapses(self) -> list[dict[str, Any]]:
        """Return the timelapses that the target shows, newest first."""
        found: list[dict[str, Any]] = self._client.call("GET", f"/api/target/{self.target}/")["timelapses"]
        return found


def use(deployment: Deployment, usage: Usage, say: Callable[[str], None]) -> None:
    """Do what users do, and look at what they get."""
    usage.upload_frames()
    say(f"uploaded {FRAME_COUNT} frames through the API")
    process, _ = usage.run("Timelapse", options={"format": "mp4"})
    film = _film(usage, process)
    say(f"Timelapse: {len(film)} bytes of mp4, {FRAME_COUNT} frames, in one run")
    if usage.has_pipeline("Photometry"):
        star = plan_field(FRAME_COUNT, FRAME_SIZE_PX, SEED)
        variable = star.stars[star.variable]
        process, _ = usage.run("Photometry", options={"x": variable.x_px, "y": variable.y_px})
        names = sorted(usage.outputs(process))
        if not any(name.endswith(".csv") for name in names):
            raise E2EError(f"Photometry made no table: {names}")
        say(f"Photometry: {', '.join(names)}")
    else:
        say("Photometry is not among the pipelines of this deployment: left out")
    deployment.set_variable("RunTimelapse", "JOB_HANDOVER_S", LONGEST_HANDOVER_S)
    process, log = usage.run("Timelapse", options={"format": "mp4"})
    _film(usage, process)
    runs = 1 + log.count("going on with what attempt")
    if runs < FRAME_COUNT:
        raise E2EError(f"the run that had to hand over took {runs} invocations:\n{log}")
    if [line for line in log.splitlines() if line.startswith(f"Processing frame {FRAME_COUNT}/")][1:]:
        raise E2EError(f"a frame was processed twice:\n{log}")
    say(f"Timelapse: the same film by {runs} invocations, each handing over to the next")


def _film(usage: Usage, process: dict[str, Any]) -> bytes:
    (content,) = usage.outputs(process).values()
    newest = usage.timelapses()[0]
    if content[4:8] != b"ftyp" or (newest["format"], newest["frames"]) != ("mp4", FRAME_COUNT):
        raise E2EError(f"not the film that was asked for: {content[:12]!r}, {newest}")
    return content


def run(package: Path, say: Callable[[str], None]) -> None:
    """Deploy, use, remove.

    Raises
    ------
    E2EError
        If something is not as it should be.
    """
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="sidereal-e2e-") as name:
        folder = Path(name)
        with emulator(folder) as url:
            say(f"emulator on {url}")
            deployment = Deployment(package, url)
            api = deployment.create(clock)
            say(f"deployed {api}")
            try:
                use(deployment, Usage(Client(api, deployment.token), clock, folder), say)
            except Exception:
                print((folder / "emulator.log").read_text()[-4000:], file=sys.stderr)
                raise
            deployment.delete(clock)
            say("deleted the stack")


def main() -> int:
    """Run it on the package named on the command line, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local.e2e", description="Deploy a package to an emulator and use it."
    )
    parser.add_argument("package", type=Path, help="folder that `make package` has filled")
    package = parser.parse_args().package
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

    try:
        run(package, say)
    except E2EError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
