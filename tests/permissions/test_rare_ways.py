"""What functions do seldom: the rest of the suite does it outside them, and their policies must allow it all the same."""

import io
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from PIL import Image

from chalicelib.pipelines.base import DataProduct
from chalicelib.services.runs import run_process
from chalicelib.services.thumbnails import make_thumbnail
from chalicelib.storage import circuits, process_moves, secrets
from tests.conftest import Api, Aws, forget, sqs_event
from tests.jobs.conftest import Jobs
from tests.permissions.acting import acting_as

NAME = "/sidereal/portal-token"


@pytest.mark.parametrize("function", ["api", "process_alerts"])
@pytest.mark.parametrize("setting", ["PORTAL_TOKEN_PARAMETER", "PORTAL_TOKEN_SECRET"])
def test_functions_that_speak_to_the_portal_may_read_its_token(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, function: str, setting: str
) -> None:
    if setting == "PORTAL_TOKEN_PARAMETER":
        boto3.client("ssm").put_parameter(Name=NAME, Value="token", Type="SecureString")
    else:
        boto3.client("secretsmanager").create_secret(Name=NAME, SecretString="token")
    monkeypatch.setenv(setting, NAME)
    forget()
    with acting_as(function):
        assert secrets.portal_token() == "token"


def let_it_have_been_long_ago(aws: Aws) -> None:
    """Let the circuit have been opened long ago, and this process not know it."""
    forget()
    aws.dynamodb.update_item(
        TableName=aws.name("sidereal-operations"),
        Key={"pk": {"S": "CIRCUIT"}, "sk": {"S": "portal"}},
        UpdateExpression="SET opened_at = :then",
        ExpressionAttributeValues={":then": {"N": "1"}},
    )


@pytest.mark.parametrize("function", ["api", "process_alerts"])
def test_functions_that_speak_to_the_portal_may_leave_it_alone_and_try_it_again(aws: Aws, function: str) -> None:

    def fail() -> None:
        raise ConnectionError

    with acting_as(function):
        for _ in range(circuits.MAX_FAILURES):
            with pytest.raises(ConnectionError):
                circuits.call_guarded("portal", fail, ConnectionError)
        assert [item["state"]["S"] for item in aws.items("sidereal-operations")] == ["OPEN"]
        let_it_have_been_long_ago(aws)
        assert circuits.call_guarded("portal", lambda: "well", ConnectionError) == "well"
    assert [item["state"]["S"] for item in aws.items("sidereal-operations")] == ["CLOSED"]


def picture(pipeline: Any, folder: Path, flags: Any) -> Any:
    Image.new("L", (60, 30), 200).save(folder / "film.png")
    return [(folder / "film.png", DataProduct)]


def test_what_a_process_made_has_a_thumbnail(jobs: Jobs, aws: Aws) -> None:
    jobs.work(picture)
    jobs.run(jobs.submit())
    (product,) = jobs.outputs()
    assert jobs.api.get(f"/api/dataproducts/{product['id']}/thumbnail/").status == 202
    make_thumbnail(product["id"])
    (key,) = aws.keys("thumbnails/")
    body = aws.s3.get_object(Bucket=aws.name("sidereal-artefacts"), Key=key)["Body"].read()
    assert Image.open(io.BytesIO(body)).size[0] > 0


def test_a_dead_letter_removes_what_the_dead_worker_had_made(
    jobs: Jobs, api: Api, aws: Aws, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.work(picture)
    process = jobs.submit()

    def die(*_: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(process_moves, "succeed", die)
    with pytest.raises(SystemExit):
        run_process(process)
    assert aws.keys("processes/") != []
    clock.advance(10_000)
    event = sqs_event(json.dumps({"version": 1, "process_id": process}), queue="sidereal-dead-letters")
    assert api.invoke("run_dead_letters", event) == {"batchItemFailures": []}
    assert (aws.keys("processes/"), jobs.outputs(), jobs.get(process)["status"]) == ([], [], "failed")
