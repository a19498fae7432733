"""What the stack costs, from the AWS calls that it makes and AWS's list prices. Prints the tables of docs/operations.md.

Usage: `python -m deployment.costs`. A test makes the requests, and holds what they ask AWS for against `REQUESTS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.metrics import Metric
from deployment import template
from deployment.logical_names import QUEUE_OF

REGION = "us-east-1"
AS_OF = "2026"

PRICES = {
    "API Gateway, request": 3.50 / 1e6,
    "Lambda, request": 0.20 / 1e6,
    "Lambda, GB-second": 0.0000166667,
    "DynamoDB, read unit": 0.125 / 1e6,
    "DynamoDB, write unit": 0.625 / 1e6,
    "S3, put": 0.005 / 1e3,
    "S3, get": 0.0004 / 1e3,
    "SQS, request": 0.40 / 1e6,
    "X-Ray, trace": 5.00 / 1e6,
    "logs taken in, GB": 0.50,
    "alarm, month": 0.10,
    "dashboard, month": 3.00,
    "own metric, month": 0.30,
    "DynamoDB, GB-month": 0.25,
    "DynamoDB backups, GB-month": 0.20,
    "S3, GB-month": 0.023,
}
"""US dollars, without free allowances and volume discounts."""

READ_AT_AWS = ("API Gateway, request", "Lambda, request", "Lambda, GB-second", "X-Ray, trace", "DynamoDB, GB-month")
"""Those that were found in pages and papers of AWS; the others were found in what others write about it."""

REQUEST_S, API_GB, REQUEST_LOG_GB = 0.06, 1.0, 1.0e-6
"""A warm request, without the portal: 25 to 55 ms were measured against the emulator. About 1 kB of log and metrics each."""

FRAMES, FILM_S, JOB_GB = 50, 6.0, 2.0
"""2.4 s of CPU, by the benchmark `job`, which has 1.6 s for frames of 1 megapixel; the rest is S3's time and a start."""

HOURS = 730
SWEEPS, SWEEP_S, SWEEP_GB = HOURS * 60, 0.15, 0.25
LOOKS, LOOK_S, LOOK_GB = HOURS * 12, 0.2, 0.5
POLLERS, POLL_S = 5, 20
"""Lambda asks each queue that has a function with five long polls at a time."""
IDLE_METRICS = (Metric.COLD_STARTS, Metric.ALERT_SECONDS)
"""What the schedules write though there is nothing to do."""


@dataclass(frozen=True)
class Request:
    """What one kind of request asks AWS for.

    Parameters
    ----------
    name : str
        What it is.
    calls : tuple of str
        The AWS calls, in order.
    reads, writes : float
        Units of DynamoDB, for records below 1 kB: a consistent read has 1 for each 4 kB, an action of a transaction 2,
        another write 1, and an entry of the index that is written with it 1 more.
    puts, gets, messages : int
        Requests to S3 and SQS.
    """

    name: str
    calls: tuple[str, ...]
    reads: float = 0
    writes: float = 0
    puts: int = 0
    gets: int = 0
    messages: int = 0

    @property
    def dollars(self) -> float:
        """What one costs; at less than one a second each has its trace, of more X-Ray takes 5 %."""
        gateway = PRICES["API Gateway, request"] + PRICES["logs taken in, GB"] * REQUEST_LOG_GB
        return PRICES["X-Ray, trace"] + gateway + run_dollars(REQUEST_S, API_GB) + self.storage_dollars

    @property
    def storage_dollars(self) -> float:
        """What one costs beside API and function."""
        return (
            self.reads * PRICES["DynamoDB, read unit"]
            + self.writes * PRICES["DynamoDB, write unit"]
            + self.puts * PRICES["S3, put"]
            + self.gets * PRICES["S3, get"]
            + self.messages * PRICES["SQS, request"]
        )


TRANSACT = "TransactWriteItems"
REQUESTS = {
    "health": Request("`GET /api/v1/health`", ()),
    "event": Request("read an event", ("Query",), reads=1),
    "events": Request("a page of 20 events", ("Query",), reads=1.5),
    "create event": Request("create an event", (TRANSACT,), writes=9),
    "change event": Request("change an event", (TRANSACT, "GetItem"), reads=1, writes=5),
    "create production": Request("create a production", (TRANSACT,), writes=6),
    "create target": Request("create a target", ("UpdateItem", TRANSACT), writes=10),
    "status": Request("ask how the processes of a target stand", ("Query",), reads=1),
    "follow": Request("look into a stream, as who follows does each second", ("Query",), reads=1),
    "upload": Request("upload a file", ("GetItem", "UpdateItem", "PutObject", TRANSACT), reads=1, writes=10, puts=1),
    "download": Request("download a file", ("GetItem",), reads=1, gets=1),
}

TIMELAPSE = Request("", (), reads=FRAMES * 2 + 40, writes=110, puts=1, gets=FRAMES, messages=3)
"""Its start and its run: frames are looked up twice, and the claim at every second one; a line of the log goes out with the
lease, every half second. 17 calls are counted for three frames."""


def run_dollars(seconds: float, memory_gb: float) -> float:
    """Return what one run of a function costs."""
    return PRICES["Lambda, request"] + seconds * memory_gb * PRICES["Lambda, GB-second"]


def timelapse_dollars() -> float:
    """Return what a timelapse costs, the request that starts it included."""
    start = Request("", ()).dollars
    return start + PRICES["X-Ray, trace"] + run_dollars(FILM_S, JOB_GB) + TIMELAPSE.storage_dollars


def metric_count() -> int:
    """Return how many metrics of our own there may be: one for each name with each value of its dimensions."""
    return sum(len(QUEUE_OF) if "function" in metric.dimensions else 1 for metric in Metric)


def idle_month() -> dict[str, float]:
    """Return what a stack costs in a month in which nobody uses it, by cause."""
    resources = template.resources()["Resources"].values()
    dashboards = [each for each in resources if each.get("Type") == "AWS::CloudWatch::Dashboard"]
    alarms = [each["Properties"] for each in resources if each.get("Type") == "AWS::CloudWatch::Alarm"]
    # one that does sums is paid for by the metrics that it adds up
    watched = sum(sum("MetricStat" in metric for metric in each.get("Metrics", [])) or 1 for each in alarms)
    polls = len(QUEUE_OF) * POLLERS * HOURS * 3600 / POLL_S
    return {
        f"{len(alarms)} alarms on {watched} metrics": watched * PRICES["alarm, month"],
        "the dashboard": len(dashboards) * PRICES["dashboard, month"],
        f"{len(IDLE_METRICS)} of our own metrics": len(IDLE_METRICS) * PRICES["own metric, month"],
        f"Lambda's polling of {len(QUEUE_OF)} queues": polls * PRICES["SQS, request"],
        "the sweeper, every minute": SWEEPS * (run_dollars(SWEEP_S, SWEEP_GB) + 4 * PRICES["DynamoDB, read unit"]),
        "the look after alerts, every 5 minutes": LOOKS
        * (run_dollars(LOOK_S, LOOK_GB) + 6 * PRICES["DynamoDB, read unit"]),
        "the traces of both": (SWEEPS + LOOKS) * PRICES["X-Ray, trace"],
    }


def text() -> str:
    """Return the tables."""
    idle = idle_month()
    others = metric_count() - len(IDLE_METRICS)
    requests = [(each.name, f"{each.dollars * 1e3:.4f}") for each in REQUESTS.values()]
    return "\n\n".join(
        (
            _table(("1,000 times", "$"), requests),
            _table(
                (f"a timelapse of {FRAMES} frames of 2 megapixels", "$"),
                [
                    ("its function", f"{run_dollars(FILM_S, JOB_GB):.6f}"),
                    ("its trace", f"{PRICES['X-Ray, trace']:.6f}"),
                    ("tables, files, queue", f"{TIMELAPSE.storage_dollars:.6f}"),
                    ("together, with the request that starts it", f"{timelapse_dollars():.6f}"),
                ],
            ),
            _table(
                ("a month without any use", "$"),
                [
                    *((name, f"{dollars:.2f}") for name, dollars in idle.items()),
                    ("together", f"{sum(idle.values()):.2f}"),
                    (
                        f"in use: up to {others} more metrics of our own",
                        f"up to {others * PRICES['own metric, month']:.2f}",
                    ),
                ],
            ),
            _table(
                ("list price", "$", "read at"),
                [(name, _price(price), "AWS" if name in READ_AT_AWS else "others") for name, price in PRICES.items()],
            ),
        )
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def _price(dollars: float) -> str:
    return f"{dollars:.2f}" if dollars >= 0.05 else f"{dollars:.10f}".rstrip("0")


if __name__ == "__main__":
    print(text())
