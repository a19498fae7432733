"""What every test stands on: fake credentials, AWS in memory, both APIs behind a client, a clock that tests move."""

import gc
import json
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.documented import Sent, documented
from tests.permissions.plugin import Permissions, leave_unwatched
from tests.quick_moto import furnish, hasten

if TYPE_CHECKING:
    from local.portal.stand_in import StandIn

os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_DEFAULT_REGION="us-east-1",
    POWERTOOLS_LOG_LEVEL="CRITICAL",
    POWERTOOLS_METRICS_DISABLED="true",
    RENDITION_WAIT_S="0",
    # nobody listens there: no test reaches a service of somebody else's
    PORTAL_URL="http://127.0.0.1:9",
    ARCHIVE_URL="http://127.0.0.1:9",
)
for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN", "ASIMOV_API_KEYS_FILE", "PORTAL_TOKEN"):
    os.environ.pop(name, None)

PROJECT = Path(__file__).resolve().parents[1]
TOKEN = "a-token-for-tests"
USER = "tester"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--aws-endpoint",
        help="address of an AWS emulator on which to run instead of moto; tables and queues get names of their own",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--aws-endpoint") is None:
        config.pluginmanager.register(Permissions(config), "permissions")
    documented.watch(config)


def pytest_collection_finish() -> None:
    """Leave what is loaded by now out of the search for garbage: it stays to the end, and to go through it takes long."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def _empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(autouse=True)
def _fresh_process(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _empty_folder: Path
) -> Iterator[None]:
    """Every test starts as a new process would: nothing read, nothing cached, an empty working folder."""
    monkeypatch.setenv("ASIMOV_API_KEY", f"{TOKEN}:{USER}")
    own = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else _empty_folder
    monkeypatch.chdir(own)
    forget()
    yield
    forget()
    if any(_empty_folder.iterdir()):
        shutil.rmtree(_empty_folder)
        _empty_folder.mkdir()


def forget() -> None:
    """Empty every cache of the process."""
    from chalicelib import observability, settings
    from chalicelib.facilities import registry as facilities
    from chalicelib.handlers import auth, health
    from chalicelib.pipelines import registry
    from chalicelib.storage import circuits, clients, lists, queues, secrets

    settings.get_settings.cache_clear()
    auth.require_configured.cache_clear()
    auth.parameter_keys.cache_clear()
    auth.allowed_origins.cache_clear()
    registry.all_pipelines.cache_clear()
    queues.queue_url.cache_clear()
    facilities.forget()
    circuits.forget()
    secrets.forget()
    health.forget()
    clients.forget()
    lists.forget()
    observability.logger.thread_safe_clear_keys()


@dataclass
class Aws:
    """AWS in memory, or an emulator, with clients for looking behind the API's back."""

    dynamodb: Any
    s3: Any
    sqs: Any
    prefix: str = "sidereal-"

    def name(self, name: str) -> str:
        """Return what a table, bucket or queue is called in this run: `sidereal-telescope`, where it runs on moto."""
        shared = "sidereal-dead-letters"
        return name if name == shared else name.replace("sidereal-", self.prefix, 1)

    def items(self, table: str = "sidereal-telescope") -> list[dict[str, Any]]:
        """Return all items of a table."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.name(table))
        return [item for page in pages for item in page["Items"]]

    def keys(self, prefix: str = "") -> list[str]:
        """Return all keys of the bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name("sidereal-artefacts"), Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def messages(self, queue: str = "sidereal-timelapse") -> list[dict[str, Any]]:
        """Receive what is visible on a queue."""
        url = self.sqs.get_queue_url(QueueName=self.name(queue))["QueueUrl"]
        answer = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        )
        return answer.get("Messages", [])

    def create(self) -> None:
        """Make tables, bucket and queues as the schema describes them."""
        from chalicelib.settings import get_settings
        from chalicelib.storage import schema

        for table in schema.tables():
            self.dynamodb.create_table(**table.creation())
        self.s3.create_bucket(Bucket=get_settings().bucket)
        dead = None
        for queue in schema.queues():
            attributes = {
                key: json.dumps(value) if isinstance(value, dict) else str(value)
                for key, value in queue.attributes(dead).items()
            }
            url = self.sqs.create_queue(QueueName=queue.name, Attributes=attributes)["QueueUrl"]
            arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            dead = dead or arn

    def remove(self) -> None:
        """Remove what `create` made."""
        for table in ("ledger", "telescope", "operations", "idempotency"):
            self.dynamodb.delete_table(TableName=self.name(f"sidereal-{table}"))
        bucket = self.name("sidereal-artefacts")
        for key in self.keys():
            self.s3.delete_object(Bucket=bucket, Key=key)
        self.s3.delete_bucket(Bucket=bucket)
        for queue in ("dead-letters", "given-up", "timelapse", "pipeline", "renditions"):
            url = self.sqs.get_queue_url(QueueName=self.name(f"sidereal-{queue}"))["QueueUrl"]
            self.sqs.delete_queue(QueueUrl=url)


@cache
def _session() -> Any:
    import boto3

    return boto3.Session()


@cache
def _client(service: str) -> Any:
    client = _session().client(service)
    leave_unwatched(client)
    return client


@pytest.fixture
def aws(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """Tables, bucket and queues as the schema describes them: on moto, or on the emulator at `--aws-endpoint`."""
    import boto3
    from moto import mock_aws

    from chalicelib.settings import get_settings
    from chalicelib.storage import schema

    endpoint = request.config.getoption("--aws-endpoint")
    if endpoint is None:
        hasten(monkeypatch)
        with mock_aws():
            # moto drops it for each test; one session has read the descriptions of AWS's services, and may serve all
            boto3.DEFAULT_SESSION = _session()
            made = Aws(_client("dynamodb"), _client("s3"), _client("sqs"))
            furnish(made.create, repr((schema.tables(), schema.queues(), get_settings().bucket)))
            yield made
        return
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    for name in ("LEDGER_TABLE", "TELESCOPE_TABLE", "OPERATIONS_TABLE", "IDEMPOTENCY_TABLE"):
        monkeypatch.setenv(name, prefix + name.partition("_")[0].lower())
    for name, queue in (("TIMELAPSE", "timelapse"), ("PIPELINE", "pipeline"), ("RENDITION", "renditions")):
        monkeypatch.setenv(f"{name}_QUEUE", prefix + queue)
    monkeypatch.setenv("GIVEN_UP_QUEUE", f"{prefix}given-up")
    monkeypatch.setenv("BUCKET", f"{prefix}artefacts")
    forget()
    made = Aws(boto3.client("dynamodb"), boto3.client("s3"), boto3.client("sqs"), prefix)
    made.create()
    yield made
    made.remove()


@dataclass
class Answer:
    """What came back over HTTP."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.text)


class Api:
    """Both APIs, driven through API Gateway's events: `api.post("/api/v1/events/", {"name": "GW150914"})`."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def request(
        self,
        method: str,
        path: str,
        json_body: Any = None,
        *,
        body: bytes | str | None = None,
        headers: dict[str, str] | None = None,
        token: str | None = TOKEN,
    ) -> Answer:
        """Send one request; a body given as an object goes as JSON, `token=None` sends no token.

        What is answered must be what the API says of itself.
        """
        sent = {"Content-Type": "application/json"} if json_body is not None else {}
        if token is not None and method not in ("GET", "HEAD", "OPTIONS"):
            sent["Authorization"] = f"Bearer {token}"
        sent |= headers or {}
        raw = json.dumps(json_body).encode() if json_body is not None else body or b""
        raw = raw.encode() if isinstance(raw, str) else raw
        answer = getattr(self._client.http, method.lower())(path, headers=sent, body=raw)
        received = {key.lower(): value for key, value in answer.headers.items()}
        text = answer.body.decode()
        documented.look(Sent(method, path, sent, raw, answer.status_code, received, text))
        return Answer(answer.status_code, received, text)

    def get(self, path: str, **extra: Any) -> Answer:
        """GET."""
        return self.request("GET", path, **extra)

    def post(self, path: str, json_body: Any = None, **extra: Any) -> Answer:
        """POST."""
        return self.request("POST", path, json_body, **extra)

    def put(self, path: str, json_body: Any = None, **extra: Any) -> Answer:
        """PUT."""
        return self.request("PUT", path, json_body, **extra)

    def patch(self, path: str, json_body: Any = None, **extra: Any) -> Answer:
        """PATCH."""
        return self.request("PATCH", path, json_body, **extra)

    def delete(self, path: str, **extra: Any) -> Answer:
        """DELETE."""
        return self.request("DELETE", path, **extra)

    def upload(self, target: int, name: str, content: bytes, **fields: Any) -> Answer:
        """Upload a file as a multipart form; `group=[1, 2]` repeats the field."""
        parts = [
            ("target", target),
            *((k, v) for k, vs in fields.items() for v in (vs if isinstance(vs, list) else [vs])),
        ]
        boundary = uuid.uuid4().hex
        lines = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in parts
        )
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        body = lines + head + content + f"\r\n--{boundary}--\r\n".encode()
        return self.post(
            "/api/dataproducts/", body=body, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"}
        )

    def target(self, name: str = "M 13", **fields: Any) -> int:
        """Create a target and return its id."""
        answer = self.post("/api/targets/", {"name": name, "ra": 250.42, "dec": 36.46, **fields})
        assert answer.status == 201, answer.text
        return int(answer.json["id"])

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Call a function of the bundle with an event, as Lambda would."""
        from chalicelib.handlers import jobs
        from local.context import LambdaContext

        return getattr(jobs, function)(event, LambdaContext(function))


@pytest.fixture
def api(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The app in front of AWS in memory."""
    from chalice.test import BaseClient, Client

    from app import app

    # It puts another `os.environ` in place for each request: of requests in parallel one would stay there for good.
    monkeypatch.setattr(BaseClient, "_patched_env_vars", lambda *_: nullcontext())
    with Client(app, project_dir=str(PROJECT)) as client:
        yield Api(client)


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 10, 3, 4, 5, 678901, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.moment

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stop the clock of the project."""
    stopped = Clock()
    monkeypatch.setattr("chalicelib.clock.now", stopped)
    return stopped


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Iterator["StandIn"]:
    """A telescope portal with its archive on the loopback interface; its clock is the project's, stopped or not."""
    from chalicelib import clock as project_clock
    from local.portal.stand_in import StandIn

    stand_in = StandIn(clock=lambda: project_clock.now())
    stand_in.start()
    monkeypatch.setenv("PORTAL_URL", stand_in.portal_url)
    monkeypatch.setenv("ARCHIVE_URL", stand_in.archive_url)
    monkeypatch.setenv("PORTAL_TOKEN", stand_in.token)
    forget()
    yield stand_in
    stand_in.stop()


def sqs_event(
    body: dict[str, Any] | str, *, queue: str = "sidereal-timelapse", receipt: str = "receipt", deliveries: int = 1
) -> dict[str, Any]:
    """Return the event with which Lambda delivers one message."""
    return {
        "Records": [
            {
                "messageId": str(uuid.uuid4()),
                "receiptHandle": receipt,
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"ApproximateReceiveCount": str(deliveries)},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{queue}",
                "awsRegion": "us-east-1",
            }
        ]
    }


@pytest.fixture
def deliver(api: Api, aws: Aws) -> Callable[..., Any]:
    """Deliver what waits on a job queue to its function, as Lambda does, and delete what it took."""

    def run(queue: str = "timelapse") -> list[Any]:
        answers = []
        name = aws.name(f"sidereal-{queue}")
        url = aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        for message in aws.messages(f"sidereal-{queue}"):
            event = sqs_event(
                message["Body"],
                queue=name,
                receipt=message["ReceiptHandle"],
                deliveries=int(message["Attributes"]["ApproximateReceiveCount"]),
            )
            names = {"dead-letters": "run_dead_letters", "renditions": "make_rendition"}
            function = names.get(queue, f"run_{queue}")
            answer = api.invoke(function, event)
            answers.append(answer)
            if not answer["batchItemFailures"]:
                aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return answers

    return run


@pytest.fixture
def calls(aws: Aws) -> list[str]:
    """Collect the names of the AWS operations that the project asks for, one for each request."""
    from chalicelib.storage import clients

    made: list[str] = []
    for client in (clients.dynamodb(), clients.s3(), clients.sqs()):
        client.meta.events.register("before-call", lambda model, **_: made.append(model.name))
    return made


@pytest.fixture
def at_once(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Call a function with each of the arguments, all at the same time, and return what they return or raise.

    AWS answers each single request as a whole; moto does only if no two are inside it at once.
    """
    from moto.core.botocore_stubber import BotocoreStubber

    from chalicelib.storage import clients

    clients.dynamodb()
    one_request = threading.Lock()
    answer = BotocoreStubber.__call__

    def answer_alone(*args: Any, **kwargs: Any) -> Any:
        with one_request:
            return answer(*args, **kwargs)

    monkeypatch.setattr(BotocoreStubber, "__call__", answer_alone)

    def run(function: Callable[[Any], Any], arguments: Iterable[Any]) -> list[Any]:
        waiting = list(arguments)
        start = threading.Barrier(len(waiting))

        def one(argument: Any) -> Any:
            start.wait()
            try:
                return function(argument)
            except Exception as error:  # noqa: BLE001 - what went wrong is for the test to judge
                return error

        with ThreadPoolExecutor(len(waiting)) as pool:
            return list(pool.map(one, waiting))

    return run
