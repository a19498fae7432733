"""Messages that are lost, that nobody can read, and that fail three times; and what becomes of each."""

import json
from typing import Any

from deployment.e2e.asking import E2EError
from deployment.e2e.films import Films
from deployment.e2e.scripts import run_example

FAILED = "failed three times"
FOREIGN = "no message of this project"
UNREADABLE = ("this is no JSON", '{"version": 2, "process_id": 1}', '["a", "list"]')
UNEXPECTED = "An unexpected error occurred"
ELSEWHERE = "sidereal-e2e-elsewhere"
"""A bucket that is there, and that no function may use."""


class Letters:
    """Somebody who makes trouble for the functions behind the queues.

    Parameters
    ----------
    films : Films
        Whose frames they work on.
    """

    def __init__(self, films: Films) -> None:
        self._films = films
        self._deployment = films.deployment
        self._clock = films.clock
        self._sqs = films.deployment.client("sqs")
        self.broken = 0
        self.lost = 0

    def send_unreadable(self) -> None:
        """Send what no function can read, to each of the queues with work."""
        for queue, body in zip(("TimelapseQueue", "PipelineQueue", "RenditionQueue"), UNREADABLE, strict=True):
            self._sqs.send_message(QueueUrl=self._deployment.name_of(queue), MessageBody=body)

    def break_photometry(self) -> None:
        """Start a process whose function is sent to files that its role keeps it from, as often as it tries."""
        self._deployment.client("s3").create_bucket(Bucket=ELSEWHERE)
        self._deployment.set_variables("RunPipeline", {"BUCKET": ELSEWHERE, "JOB_RETRY_DELAY_S": "0"})
        self.broken = self._films.start_photometry()

    def lose_message(self) -> None:
        """Start a process whose message is lost before its function sees it."""
        self._deployment.set_listening("RunTimelapse", is_on=False)
        self.lost = self._films.start("Timelapse", options={"format": "mp4"})
        queue = self._deployment.name_of("TimelapseQueue")
        waiting = self._sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        lost = [each for each in waiting if json.loads(each["Body"]).get("process_id") == self.lost]
        if len(lost) != 1:
            raise E2EError(f"the message of process {self.lost} is not on its queue: {waiting}")
        self._sqs.purge_queue(QueueUrl=queue)
        self._deployment.client("dynamodb").update_item(  # or it would be waited for, a quarter of an hour
            TableName=self._deployment.name_of("TelescopeTable"),
            Key={"pk": {"S": f"PROCESS#{self.lost}"}, "sk": {"S": "PROCESS"}},
            UpdateExpression="SET enqueued_at = :long_ago",
            ConditionExpression="enqueued_at > :long_ago",
            ExpressionAttributeValues={":long_ago": {"N": "1"}},
        )
        self._deployment.set_listening("RunTimelapse", is_on=True)

    def check_resent(self) -> None:
        """Wait until the schedule's function has sent the lost message again, and the film is made."""
        shown, _ = self._films.wait_for(self.lost)
        self._films.film_of(shown)

    def check_given_up(self) -> str:
        """Wait until all that can be done about the messages is done; they lie where people find them.

        Raises
        ------
        E2EError
            If one is missing, or one is too many.
        """
        shown, log = self._films.wait_for(self.broken, "failed")
        if shown["failure_message"] != UNEXPECTED:
            raise E2EError(f"the process {self.broken} failed: {shown['failure_message']}\n{log}")
        expected = {
            **dict.fromkeys(UNREADABLE, FOREIGN),
            json.dumps({"version": 1, "process_id": self.broken}, separators=(",", ":")): FAILED,
        }
        found = self._clock.wait(
            "the messages given up", lambda: kept if len(kept := self.given_up()) >= len(expected) else None
        )
        if found != expected:
            raise E2EError(f"given up are {found}, not {expected}")
        return f"{len(UNREADABLE)} that no function could read, and one of a process that failed three times"

    def given_up(self) -> dict[str, str]:
        """Return the messages that were given up, and why; they stay where they are."""
        queue = self._deployment.name_of("GivenUpQueue")
        take: Any = {"MaxNumberOfMessages": 10, "VisibilityTimeout": 0, "MessageAttributeNames": ["All"]}
        waiting = self._sqs.receive_message(QueueUrl=queue, **take).get("Messages", [])
        return {each["Body"]: each["MessageAttributes"]["reason"]["StringValue"] for each in waiting}

    def replay(self) -> str:
        """Have what was given up done after all, with the example for it, and throw away what nobody can read."""
        said = run_example(self._deployment, "replay_dead_letters.py", "--discard")
        left = self.given_up()
        if left:
            raise E2EError(f"still given up: {left}\n{said}")
        return self._films.check_photometry(self.broken)
