"""What every test stands on: fake credentials, AWS in memory, both APIs behind a client, a clock that tests move."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_DEFAULT_REGION="us-east-1",
    POWERTOOLS_LOG_LEVEL="CRITICAL",
    POWERTOOLS_METRICS_DISABLED="true",
)
for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN", "ASIMOV_API_KEYS_FILE"):
    os.environ.pop(name, None)

PROJECT = Path(__file__).resolve().parents[1]
TOKEN = "a-token-for-tests"
USER = "tester"


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Every test starts as a new process would: nothing read, nothing cached, an empty working folder."""
    monkeypatch.setenv("ASIMOV_API_KEY", f"{TOKEN}:{USER}")
    monkeypatch.chdir(tmp_path)
    forget()
    yield
    forget()


def forget() -> None:
    """Empty every cache of the process."""
    from chalicelib import settings
    from chalicelib.handlers import auth
    from chalicelib.pipelines import registry
    from chalicelib.storage import clients, lists, queues

    settings.get_settings.cache_clear()
    auth.require_configured.cache_clear()
    auth.allowed_origins.cache_clear()
    registry.all_pipelines.cache_clear()
    queues.queue_url.cache_clear()
    clients.forget()
    lists.forget()


@dataclass
class Aws:
    """AWS in memory, with clients for looking behind the API's back."""

    dynamodb: Any
    s3: Any
    sqs: Any

    def items(self, table: str = "sidereal-telescope") -> list[dict[str, Any]]:
        """Return all items of a table."""
        return self.dynamodb.scan(TableName=table)["Items"]

    def keys(self, prefix: str = "") -> list[str]:
        """Return all keys of the bucket."""
        listed = self.s3.list_objects_v2(Bucket="sidereal-artefacts", Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def messages(self, queue: str = "sidereal-timelapse") -> list[dict[str, Any]]:
        """Receive what is visible on a queue."""
        url = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        answer = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])
        return answer.get("Messages", [])


@pytest.fixture
def aws() -> Iterator[Aws]:
    """Tables, bucket and queues as the schema describes them, on moto."""
    import boto3
    from moto import mock_aws

    from chalicelib.settings import get_settings
    from chalicelib.storage import schema

    with mock_aws():
        made = Aws(boto3.client("dynamodb"), boto3.client("s3"), boto3.client("sqs"))
        for table in schema.tables():
            made.dynamodb.create_table(**table.creation())
        made.s3.create_bucket(Bucket=get_settings().bucket)
        dead = None
        for queue in schema.queues():
            attributes = {
                key: json.dumps(value) if isinstance(value, dict) else str(value)
                for key, value in queue.attributes(dead).items()
            }
            url = made.sqs.create_queue(QueueName=queue.name, Attributes=attributes)["QueueUrl"]
            arn = made.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            dead = dead or arn
        yield made


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
        """Send one request; a body given as an object goes as JSON, `token=None` sends no token."""
        sent = {"Content-Type": "application/json"} if json_body is not None else {}
        if token is not None and method not in ("GET", "HEAD", "OPTIONS"):
            sent["Authorization"] = f"Bearer {token}"
        sent |= headers or {}
        raw = json.dumps(json_body).encode() if json_body is not None else body or b""
        raw = raw.encode() if isinstance(raw, str) else raw
        answer = getattr(self._client.http, method.lower())(path, headers=sent, body=raw)
        return Answer(
            answer.status_code, {key.lower(): value for key, value in answer.headers.items()}, answer.body.decode()
        )

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
        return self._client.lambda_.invoke(function, event).payload


@pytest.fixture
def api(aws: Aws) -> Iterator[Api]:
    """The app in front of AWS in memory."""
    from chalice.test import Client

    from app import app

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
        url = aws.sqs.get_queue_url(QueueName=f"sidereal-{queue}")["QueueUrl"]
        for message in aws.messages(f"sidereal-{queue}"):
            event = sqs_event(
                message["Body"],
                queue=f"sidereal-{queue}",
                receipt=message["ReceiptHandle"],
                deliveries=int(message["Attributes"]["ApproximateReceiveCount"]),
            )
            function = "run_dead_letters" if queue == "dead-letters" else f"run_{queue}"
            answer = api.invoke(function, event)
            answers.append(answer)
            if not answer["batchItemFailures"]:
                aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return answers

    return run
