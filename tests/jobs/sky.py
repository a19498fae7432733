"""The sky over a test of alerts: a telescope that answers over HTTP, observations with alerts, e-mail, crashes."""

import copy
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, ClassVar

from chalicelib import clock as time_of
from chalicelib.facilities.registry import find_facility
from chalicelib.models.observations import Observation
from chalicelib.pipelines.base import AsyncError, DataProduct, Output, PipelineOutput, PipelineProcess
from chalicelib.services.runs import run_process
from chalicelib.settings import get_settings
from chalicelib.storage import alerts, clients, lists, observations, requests, targets
from local.portal.stand_in import StandIn
from tests.conftest import Api, Aws, Clock

FITS = b"SIMPLE  =                    T" + b" " * 2850
SENDER = "observatory@example.org"

FORM = {
    "proposal": "DEMO-2026-001",
    "ipp_value": 1.05,
    "start": "2026-01-10T03:00:00",
    "end": "2026-01-20T03:00:00",
    "instrument_type": "0M4-SCICAM-QHY600",
    "max_airmass": 1.6,
    "observation_mode": "NORMAL",
    "rp_exposure_time": 30.0,
}


class QuickTimelapse(PipelineProcess):
    """A timelapse that takes no time: the names of its frames."""

    short_name = "tl"
    runs_on = "timelapse"
    fails: ClassVar[bool] = False

    def do_pipeline(self, tmpdir: Path, **_: bool) -> Iterable[Output]:
        """Write the names of the frames into a file."""
        if self.fails:
            raise AsyncError("No film today")
        names = [file.name for file in self.input_files]
        film = tmpdir / "t.gif"
        film.write_text("\n".join(names))
        yield PipelineOutput(film, DataProduct, "timelapse", {"frames": len(names)})


READS = ("Query", "GetItem", "BatchGetItem", "GetQueueUrl", "ListObjectsV2")


class Killed(BaseException):
    """Raised where a function dies; nothing that it still does has any effect."""


@dataclass
class Sky:
    """A target under the telescope, and hands for everything that happens to it."""

    api: Api
    aws: Aws
    portal: StandIn
    clock: Clock
    target: int

    def observe(self, exposures: int = 2, email: str = "someone@example.org", target: int | None = None) -> Observation:
        """Ask for an observation, with an alert; return its record."""
        observation_id = observations.next_id()
        target = target or self.target
        parameters = {**FORM, "name": f"demo-{observation_id}", "rp_exposure_count": exposures}
        submitted = find_facility("LCO").submit(parameters, targets.get(target))
        now = time_of.to_text(time_of.now())
        observation = Observation(
            id=observation_id,
            target_id=target,
            facility="LCO",
            observation_id=submitted.observation_id,
            group_id=submitted.group_id,
            parameters=parameters,
            created=now,
            modified=now,
        )
        observations.create(observation, [alerts.opening(observation, email)])
        return observation

    def put(self, observation: Observation, *names: str, content: bytes | None = FITS) -> None:
        """Put frames into the archive."""
        for name in names:
            self.portal.add_frame(observation.observation_id, name, content)

    def finish(self, observation: Observation, *names: str, state: str = "COMPLETED") -> None:
        """End an observation, with frames."""
        self.portal.set_state(observation.observation_id, state)
        self.put(observation, *names)

    def look(self, minutes: float = 5) -> dict[str, int]:
        """Let the scheduled function run once, some time later; return what it says."""
        self.clock.advance(minutes * 60)
        result: dict[str, int] = self.api.invoke("process_alerts", EVENT)
        return result

    def make_timelapses(self) -> int:
        """Run what waits on the queue; return how many messages there were."""
        messages = self.aws.messages("sidereal-timelapse")
        url = self.aws.sqs.get_queue_url(QueueName=self.aws.name("sidereal-timelapse"))["QueueUrl"]
        for message in messages:
            run_process(json.loads(message["Body"])["process_id"])
            self.aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(messages)

    def settle(self, rounds: int = 2, minutes: float = 5) -> None:
        """Let functions and queue do what there is to be done."""
        for _ in range(rounds):
            self.look(minutes)
            self.make_timelapses()

    def settle_late(self) -> None:
        """Let them fetch frames that are late, wait for more, and do the rest."""
        self.settle(rounds=3, minutes=16)

    @property
    def mails(self) -> list[Any]:
        """What SES has sent."""
        return list(self._sent)

    @property
    def _sent(self) -> list[Any]:
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.ses.models import ses_backends

        sent: list[Any] = ses_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sent_messages
        return sent

    @property
    def recipients(self) -> list[str]:
        """To whom SES has sent."""
        return [mail.destinations["ToAddresses"][0] for mail in self.mails]

    def letters(self) -> list[Any]:
        """Read the files of the mail folder."""
        return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(Path("mail").iterdir())]

    def products(self, target: int | None = None) -> list[dict[str, Any]]:
        """Return the frames of a target."""
        listed = self.api.get(f"/api/dataproducts/?target={target or self.target}&limit=500").json["results"]
        return [each for each in listed if each["data_product_type"] != "timelapse"]

    def names(self, target: int | None = None) -> list[str]:
        """Return the names of the frames of a target."""
        return sorted(each["name"] for each in self.products(target))

    def timelapses(self, target: int | None = None) -> list[dict[str, Any]]:
        """Return the timelapses of a target, as its address shows them."""
        shown: list[dict[str, Any]] = self.api.get(f"/api/target/{target or self.target}/").json["timelapses"]
        return shown

    def item(self, observation: Observation) -> dict[str, Any]:
        """Return the record of an alert."""
        return requests.get(get_settings().telescope_table, alerts.key(observation.id)) or {}

    def is_open(self, observation: Observation) -> bool:
        """Say whether an alert is still open."""
        return "list_pk" in self.item(observation)

    def orphans(self, items: list[dict[str, Any]] | None = None) -> list[str]:
        """Return the files of the bucket that no data product names.

        Parts of a file that nobody completes any more are not seen here; a rule of the bucket removes them after a day.
        """
        named = {item["key"]["S"] for item in items or self.aws.items() if item["sk"]["S"] == "DATAPRODUCT"}
        return sorted({*self.aws.keys("pro")} - named)  # products/ and processes/

    def remember(self) -> tuple[list[Any], Any]:
        """Return what records, files and messages there are, and the time."""
        return [copy.deepcopy(dict(shelf)) for shelf in self._shelves()], self.clock.moment

    def go_back(self, moment: tuple[list[Any], Any]) -> None:
        """Let everything be as it was then; mails are forgotten."""
        then, self.clock.moment = moment
        for shelf, things in zip(self._shelves(), then, strict=True):
            shelf.update(copy.deepcopy(things))
        del self._sent[:]
        lists.forget()

    def _shelves(self) -> list[dict[str, Any]]:
        from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
        from moto.dynamodb.models import dynamodb_backends
        from moto.s3.models import s3_backends
        from moto.sqs.models import sqs_backends

        region = "us-east-1"
        tables, queues = dynamodb_backends[ACCOUNT][region].tables, sqs_backends[ACCOUNT][region].queues
        return [tables, queues, s3_backends[ACCOUNT]["aws"].buckets]


EVENT = {
    "version": "0",
    "account": "123456789012",
    "region": "us-east-1",
    "detail": {},
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "time": "2026-01-10T03:00:00Z",
    "id": "1",
    "resources": [],
}


class Crash:
    """Lets the scheduled function fail at its n-th write to AWS, counted over all its runs inside `with`.

    What fails at a read leaves behind what fails at the write before it, or after it.

    Parameters
    ----------
    number : int
        Which request.
    is_fatal : bool
        Whether the function dies before the request is sent, and does nothing any more; else the answer is lost, but what
        was asked for is done, and the function sees an error.
    """

    def __init__(self, number: int, *, is_fatal: bool) -> None:
        self._number = number
        self._is_fatal = is_fatal
        self._is_dead = False
        self.made: list[str] = []
        self.struck = ""

    def _before(self, model: Any, **_: Any) -> None:
        if self._is_dead:
            raise Killed
        if model.name in READS:
            return
        self.made.append(model.name)
        if self._is_fatal and not self.struck and len(self.made) == self._number:
            self.struck, self._is_dead = model.name, True
            raise Killed

    def _after(self, model: Any, **_: Any) -> None:
        if model.name not in READS and not self._is_fatal and not self.struck and len(self.made) == self._number:
            from botocore.exceptions import ReadTimeoutError

            self.struck = model.name
            raise ReadTimeoutError(endpoint_url="https://aws.example.org")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count, and strike when it is time."""
        every = [client.meta.events for client in (clients.dynamodb(), clients.s3(), clients.sqs(), clients.ses())]
        for events in every:
            events.register("before-call", self._before, unique_id="crash-before")
            events.register("after-call", self._after, unique_id="crash-after")
        try:
            yield
        except Killed:
            self._is_dead = False
        finally:
            for events in every:
                events.unregister("before-call", unique_id="crash-before")
                events.unregister("after-call", unique_id="crash-after")
