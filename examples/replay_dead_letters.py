"""Show the messages that were given up, and have their work done after all: when what stood in the way is gone.

    python examples/replay_dead_letters.py [--dry-run] [--discard] [--limit 100]

A process is retried through the API, other messages go back to their queues: a thumbnail or archive an hour later, for
until then nobody would make it. Deleted is what was replayed, or needs it no more, and with --discard what is no message.
Variables: GIVEN_UP_QUEUE, SIDEREAL_URL, SIDEREAL_TOKEN, RENDITION_QUEUE, TIMELAPSE_QUEUE. Rights: sqs:GetQueueUrl,
sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ChangeMessageVisibility on that queue, sqs:SendMessage on the others.
"""

import json
import time
from itertools import islice
from typing import Any

from http_api import Api, reason
from shared import count, need, parser_of, run
from tables import queue_url, receive, sqs
from tqdm import tqdm

RETRIED_AFTER_S = 3600
HIDDEN_S = 600  # for how long a message is this run's alone: longer than asking for one process again and again


def attribute(message: Any, name: str) -> str:
    """Return what was written on a message when it was given up."""
    return str(message.get("MessageAttributes", {}).get(name, {}).get("StringValue", ""))


def job_of(message: Any) -> dict[str, Any]:
    """Return what a message asks for, {} if it is none of the project's."""
    try:
        job = json.loads(message["Body"])
        is_job = job["kind"] in ("process", "thumbnail", "archive") if "kind" in job else type(job["process_id"]) is int
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return job if is_job and attribute(message, "reason") != "no message of this project" else {}


def replay(message: Any, job: dict[str, Any], api: Api) -> tuple[bool, str]:
    """Have the work of a message done; say whether the message is settled, and what came of it."""
    if "kind" not in job:
        # the same key whoever replays it: of two at once one retries the process
        answer = api.ask("POST", f"/api/pipeline/{job['process_id']}/retry/", key=message["MessageId"])
        return answer.ok or answer.status_code in (404, 409), "retried" if answer.ok else reason(answer)
    if job["kind"] != "process" and time.time() - int(message["Attributes"]["SentTimestamp"]) / 1000 < RETRIED_AFTER_S:
        return False, "given up less than an hour ago: try later"
    name = attribute(message, "queue") or need("TIMELAPSE_QUEUE" if job["kind"] == "process" else "RENDITION_QUEUE")
    sqs().send_message(QueueUrl=queue_url(sqs(), name), MessageBody=message["Body"])
    return True, f"sent to {name}"


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--dry-run", action="store_true", help="only show what is there")
    parser.add_argument("--discard", action="store_true", help="delete what is no message of the project")
    parser.add_argument("--limit", type=count, default=1000, help="messages at most (default: %(default)s)")
    given = parser.parse_args()
    client, api, kept, failed = sqs(), None if given.dry_run else Api(), list[str](), 0
    url = queue_url(client, need("GIVEN_UP_QUEUE"))
    try:
        for message in tqdm(islice(receive(client, url, HIDDEN_S), given.limit), unit="message", disable=None):
            kept.append(message["ReceiptHandle"])
            job = job_of(message)
            is_settled, outcome = given.discard and api is not None, "is no message of the project"
            if job:
                is_settled, outcome = replay(message, job, api) if api else (False, "waits")
                failed += api is not None and not is_settled
            tqdm.write(f"{message['Body'][:200]!r} {attribute(message, 'reason')}: {outcome}")
            if is_settled:
                client.delete_message(QueueUrl=url, ReceiptHandle=kept.pop())
    finally:
        for receipt in kept:  # what stays may be seen again at once
            client.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)
    return 1 if failed else 0


if __name__ == "__main__":
    run(main)
