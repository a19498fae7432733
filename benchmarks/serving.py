"""`make serve` for the time of a benchmark, with a state folder and a port of its own; its AWS can be looked into."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.events import KEY, free_port, start, stop, wait

TOKEN = KEY["ASIMOV_API_KEY"].partition(":")[0]


@dataclass(frozen=True)
class Served:
    """A running server.

    Parameters
    ----------
    address : str
        Host and port.
    pid : int
        Of the process that started everything else.
    state : Path
        Its state folder.
    environment : dict
        The variables with which its AWS is reached.
    """

    address: str
    pid: int
    state: Path
    environment: dict[str, str]

    def client(self, service: str) -> Any:
        """Return a boto3 client of its AWS."""
        import boto3

        return boto3.Session(
            self.environment["AWS_ACCESS_KEY_ID"],
            self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=self.environment["AWS_DEFAULT_REGION"],
        ).client(service, endpoint_url=self.environment["AWS_ENDPOINT_URL"])

    def items(self, table: str) -> list[dict[str, Any]]:
        """Return every item of a table of DynamoDB."""
        from chalicelib.storage.convert import from_item

        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=f"sidereal-{table}")
        return [from_item(item) for page in pages for item in page["Items"]]

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of the bucket's files that begin so."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket="sidereal-artefacts", Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def message_count(self, queue: str) -> int:
        """Return how many messages a queue holds, visible or not."""
        sqs = self.client("sqs")
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = sqs.get_queue_url(QueueName=f"sidereal-{queue}")["QueueUrl"]
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)


@contextmanager
def serving(**settings: str) -> Iterator[Served]:
    """Run what `make serve` runs, with these variables."""
    with tempfile.TemporaryDirectory(prefix="sidereal-bench-") as folder:
        port = free_port()
        address = f"127.0.0.1:{port}"
        environment = {**os.environ, **KEY, "LOCAL_STATE": folder, "POWERTOOLS_LOG_LEVEL": "WARNING", **settings}
        server = start(["-m", "local", "serve", "--port", str(port)], environment)
        try:
            wait(address, server)
            running = json.loads(Path(folder, "running.json").read_text())
            yield Served(address, server.pid, Path(folder), running["environment"])
        finally:
            stop(server)
