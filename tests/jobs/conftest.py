"""A process in the hands of a test: submitted, delivered, looked at."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from chalicelib.storage import alerts
from local.portal.stand_in import StandIn
from tests.conftest import Answer, Api, Aws, Clock, forget, sqs_event
from tests.jobs import pipelines_for_tests
from tests.jobs.sky import SENDER, QuickTimelapse, Sky

FITS = b"SIMPLE  =                    T" + b" " * 2850


@dataclass
class Jobs:
    """Starts processes of the pipelines for tests on one target with one file, and runs them."""

    api: Api
    aws: Aws
    target: int
    product: int
    statuses: list[str] = field(default_factory=list)

    def submit(self, pipeline: str = "Scripted", **fields: Any) -> int:
        """Start a process and return its id."""
        answer = self.start(pipeline, **fields)
        assert answer.status == 202, answer.text
        return int(answer.json["id"])

    def start(self, pipeline: str = "Scripted", **fields: Any) -> Answer:
        """Ask for a process."""
        body = {"target": self.target, "pipeline": pipeline, "products": [self.product], **fields}
        if "group" in body:
            del body["products"]
        return self.api.post("/api/pipeline/", body)

    def event(self, process: int, deliveries: int = 1) -> dict[str, Any]:
        """Return the event with which Lambda delivers the message of a process."""
        queue = self.aws.name("sidereal-pipeline")
        return sqs_event({"version": 1, "process_id": process}, queue=queue, deliveries=deliveries)

    def run(self, process: int, deliveries: int = 1) -> dict[str, Any]:
        """Deliver the message of a process, and return what the function answers."""
        return self.api.invoke("run_pipeline", self.event(process, deliveries))

    def get(self, process: int) -> dict[str, Any]:
        """Return the process as its address shows it."""
        return self.api.get(f"/api/pipeline/{process}/").json

    def log(self, process: int) -> str:
        """Return the log."""
        return self.api.get(f"/api/pipeline/logs/{process}/").json["logs"]

    def outputs(self) -> list[dict[str, Any]]:
        """Return the target's data products beside the first."""
        listed = self.api.get(f"/api/dataproducts/?target={self.target}").json["results"]
        return [each for each in listed if each["id"] != self.product]

    def work(self, work: pipelines_for_tests.Work) -> None:
        """Say what the pipeline `Scripted` does."""
        pipelines_for_tests.Scripted.work = staticmethod(work)  # type: ignore[assignment]

    @property
    def runs(self) -> int:
        """How often the pipeline `Scripted` was run."""
        return pipelines_for_tests.Scripted.runs


@pytest.fixture
def pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the pipelines for tests beside the project's own."""
    from chalicelib.pipelines.registry import all_pipelines
    from chalicelib.settings import DEFAULT_PIPELINES, get_settings

    monkeypatch.setenv("PIPELINES", json.dumps({**DEFAULT_PIPELINES, **pipelines_for_tests.ALL}))
    get_settings.cache_clear()
    all_pipelines.cache_clear()
    monkeypatch.setattr(pipelines_for_tests.Scripted, "runs", 0)
    monkeypatch.setattr(
        pipelines_for_tests.Scripted, "work", staticmethod(lambda pipeline, folder, flags: ()), raising=False
    )


@pytest.fixture
def jobs(pipelines: None, api: Api, aws: Aws, clock: Callable[[], Any]) -> Jobs:
    """A target with one FITS file, and pipelines to run on it; the clock stands still."""
    target = api.target("M 13")
    answer = api.upload(target, "frame.fits", FITS)
    assert answer.status == 201, answer.text
    return Jobs(api, aws, target, answer.json["id"])


@pytest.fixture
def sky(api: Api, aws: Aws, clock: Clock, portal: StandIn, monkeypatch: pytest.MonkeyPatch) -> Sky:
    """A target under the telescope, and SES that sends; timelapses take no time."""
    import boto3

    monkeypatch.setenv("FROM_EMAIL_ADDRESS", SENDER)
    monkeypatch.setenv("PUBLIC_URL", "https://sky.example.org/dev/")
    monkeypatch.setenv("PIPELINES", json.dumps({"Timelapse": "tests.jobs.sky.QuickTimelapse"}))
    forget()
    boto3.client("sesv2").create_email_identity(EmailIdentity=SENDER)
    monkeypatch.setattr(QuickTimelapse, "fails", False)
    monkeypatch.setattr(alerts, "OPEN_SHARDS", 2)  # moto is slow, and eight show no more than two
    return Sky(api, aws, portal, clock, api.target("HAT-P-32", ra=31.04275, dec=46.68785))
