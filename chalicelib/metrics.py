"""What is counted and measured. It goes to CloudWatch as lines of the log, in the embedded metric format (Powertools).

docs/operations.md says of each when it is written; the dashboard shows them.
"""

import threading
from enum import StrEnum

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

NAMESPACE = "Sidereal"


class Metric(StrEnum):
    """Every metric; those that end in `Seconds` are times, the others are counts."""

    COLD_STARTS = "ColdStarts"

    REQUESTS = "Requests"
    REQUEST_SECONDS = "RequestSeconds"
    ERRORS = "Errors"
    CLIENT_ERRORS = "ClientErrors"
    THROTTLES = "Throttles"

    JOB_SECONDS = "JobSeconds"
    JOB_ERRORS = "JobErrors"
    QUEUE_SECONDS = "QueueSeconds"
    MESSAGES_GIVEN_UP = "MessagesGivenUp"

    PROCESSES_SUBMITTED = "ProcessesSubmitted"
    PROCESSES_CREATED = "ProcessesCreated"
    PROCESSES_FAILED = "ProcessesFailed"
    PROCESSES_RESENT = "ProcessesResent"
    FRAMES = "Frames"

    PORTAL_SECONDS = "PortalSeconds"
    PORTAL_ERRORS = "PortalErrors"
    CIRCUITS_OPENED = "CircuitsOpened"

    OBSERVATIONS = "Observations"
    UNSETTLED_SUBMISSIONS = "UnsettledSubmissions"
    SETTLE_ERRORS = "SettleErrors"

    ALERT_SECONDS = "AlertSeconds"
    ALERTS_PROCESSED = "AlertsProcessed"
    ALERTS_CLOSED = "AlertsClosed"
    ALERT_ERRORS = "AlertErrors"
    FRAMES_FETCHED = "FramesFetched"
    FRAME_ERRORS = "FrameErrors"
    TIMELAPSES_STARTED = "TimelapsesStarted"
    TIMELAPSE_ERRORS = "TimelapseErrors"
    MAILS_SENT = "MailsSent"
    MAIL_ERRORS = "MailErrors"
    FACILITY_ERRORS = "FacilityErrors"

    @property
    def unit(self) -> MetricUnit:
        """The unit, as CloudWatch calls it."""
        return MetricUnit.Seconds if self.endswith("Seconds") else MetricUnit.Count

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What CloudWatch tells its values apart by; each combination of values is a metric that is paid for."""
        return ("service", "function") if self in _BY_FUNCTION else ("service",)


_BY_FUNCTION = (Metric.JOB_SECONDS, Metric.JOB_ERRORS, Metric.QUEUE_SECONDS)
"""A thumbnail and a timelapse have nothing in common: together their times would say nothing."""


class Metrics(threading.local):
    """The metrics of the invocation that a thread is at work on, so that a server with threads mixes nothing up.

    Parameters
    ----------
    service : str
        The dimension of all: which deployment it is.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._sets: dict[tuple[str, ...], EphemeralMetrics] = {}
        self.function = ""
        self.route = ""

    def begin(self, function: str, route: str = "") -> None:
        """Begin anew, for an invocation of this function, which answers a request of this route."""
        self._sets.clear()
        self.function, self.route = function, route

    def add(self, metric: Metric, value: float = 1) -> None:
        """Note a value; a count of nothing is not worth its line."""
        if metric.unit == MetricUnit.Count and not value:
            return
        if metric.dimensions not in self._sets:
            self._sets[metric.dimensions] = EphemeralMetrics(namespace=NAMESPACE, service=self._service)
        self._sets[metric.dimensions].add_metric(metric.value, metric.unit, value)

    def flush(self) -> None:
        """Write what was noted: one line for each set of dimensions."""
        for dimensions, written in self._sets.items():
            if "function" in dimensions:
                written.add_dimension("function", self.function or "none")
            elif self.function:
                written.add_metadata("function", self.function)
            if self.route:
                written.add_metadata("route", self.route)
            written.flush_metrics()
        self._sets.clear()
