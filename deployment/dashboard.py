"""The dashboard of the deployment template: how the API, the jobs, the queues and the tables are."""

import json
from collections.abc import Sequence
from typing import Any

from chalicelib.metrics import NAMESPACE, Metric
from chalicelib.storage import schema
from deployment.logical_names import API, FUNCTIONS, QUEUE_OF, QUEUES, TABLES

DASHBOARD = "Dashboard"

PERIOD_S = 300
_HEIGHT = 6
_COLUMNS = 24

# One line of a graph: namespace, metric, dimensions and their values, how it is drawn.
Line = list[Any]


def resource() -> dict[str, Any]:
    """Return the dashboard; its text names resources as `Fn::Sub` does."""
    body = json.dumps({"widgets": _placed(_rows())}, indent=1)
    # An account has one list of them for all regions.
    name = {"Fn::Sub": "${AWS::StackName}-${AWS::Region}"}
    properties = {"DashboardName": name, "DashboardBody": {"Fn::Sub": body}}
    return {"Type": "AWS::CloudWatch::Dashboard", "Properties": properties}


def _rows() -> list[list[dict[str, Any]]]:
    percentiles = ("p50", "p95", "p99")
    jobs = [function for function in QUEUE_OF if function != "run_dead_letters"]
    return [
        [
            _graph(
                "Requests", [_gateway("Count", "requests"), _gateway("4XXError", "4xx"), _gateway("5XXError", "5xx")]
            ),
            _graph(
                "Requests as the function counts them",
                [_own(metric) for metric in (Metric.REQUESTS, Metric.ERRORS, Metric.CLIENT_ERRORS, Metric.THROTTLES)],
            ),
            _graph("Latency, ms", [_gateway("Latency", statistic, stat=statistic) for statistic in percentiles]),
        ],
        [
            _graph(
                "Time of a job, s",
                [_own(Metric.JOB_SECONDS, each, stat=stat) for each in jobs for stat in ("p50", "Maximum")],
            ),
            _graph("Jobs that failed", [_own(Metric.JOB_ERRORS, function) for function in jobs]),
            _graph(
                "Processes and frames",
                [
                    *map(_own, (Metric.PROCESSES_SUBMITTED, Metric.PROCESSES_CREATED, Metric.PROCESSES_FAILED)),
                    _own(Metric.PROCESSES_RESENT),
                    _own(Metric.FRAMES, yAxis="right"),
                ],
            ),
        ],
        [
            _graph("Messages that wait", [_of_queue(each, "ApproximateNumberOfMessagesVisible") for each in QUEUES]),
            _graph(
                "Age of the oldest message, s", [_of_queue(each, "ApproximateAgeOfOldestMessage") for each in QUEUES]
            ),
            _graph(
                "Given up",
                [
                    _of_queue("given-up", "ApproximateNumberOfMessagesVisible", "messages to look at"),
                    _own(Metric.MESSAGES_GIVEN_UP),
                ],
            ),
        ],
        [
            _graph("Functions that broke off", [_of_function(each, "Errors") for each in FUNCTIONS]),
            _graph("Calls that Lambda refused", [_of_function(each, "Throttles") for each in FUNCTIONS]),
            _graph("Calls at once", [_of_function(each, "ConcurrentExecutions", "Maximum") for each in FUNCTIONS]),
        ],
        [
            _graph("Capacity read, units", _of_tables("ConsumedReadCapacityUnits")),
            _graph("Capacity written, units", _of_tables("ConsumedWriteCapacityUnits")),
            _graph(
                "Requests that DynamoDB refused", _of_tables("ReadThrottleEvents") + _of_tables("WriteThrottleEvents")
            ),
        ],
        [
            _graph(
                "Observations",
                [_own(each) for each in (Metric.OBSERVATIONS, Metric.ALERTS_PROCESSED, Metric.ALERTS_CLOSED)]
                + [_own(each) for each in (Metric.FRAMES_FETCHED, Metric.TIMELAPSES_STARTED, Metric.MAILS_SENT)],
            ),
            _graph(
                "What went wrong with them",
                [_own(each) for each in (Metric.ALERT_ERRORS, Metric.SETTLE_ERRORS, Metric.UNSETTLED_SUBMISSIONS)]
                + [_own(each) for each in (Metric.FRAME_ERRORS, Metric.TIMELAPSE_ERRORS, Metric.MAIL_ERRORS)],
            ),
            _graph(
                "Telescope portal",
                [
                    _own(Metric.PORTAL_SECONDS, stat="p95"),
                    _own(Metric.PORTAL_ERRORS, yAxis="right"),
                    _own(Metric.CIRCUITS_OPENED, yAxis="right"),
                ],
            ),
        ],
    ]


def _placed(rows: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    widgets = []
    for number, row in enumerate(rows):
        width = _COLUMNS // len(row)
        for column, properties in enumerate(row):
            place = {"x": column * width, "y": number * _HEIGHT, "width": width, "height": _HEIGHT}
            widgets.append({"type": "metric", **place, "properties": properties})
    return widgets


def _graph(title: str, lines: list[Line]) -> dict[str, Any]:
    about = {"title": title, "view": "timeSeries", "region": "${AWS::Region}", "period": PERIOD_S}
    return {**about, "stat": "Sum", "metrics": lines}


def _line(namespace: str, metric: str, of: dict[str, str], **drawn: Any) -> Line:
    return [namespace, metric, *(word for pair in of.items() for word in pair), drawn]


def _own(metric: Metric, function: str | None = None, **drawn: Any) -> Line:
    of = {"service": "${AWS::StackName}"}
    label = metric.value
    if function is not None:
        of["function"] = f"${{{FUNCTIONS[function]}}}"
        label = function
    if "stat" in drawn:
        label += f" {drawn['stat']}"
    elif metric.value.endswith("Seconds"):
        raise ValueError(f"{metric} needs a statistic: the sum of times says nothing")
    return _line(NAMESPACE, metric.value, of, label=label, **drawn)


def _gateway(metric: str, label: str, **drawn: Any) -> Line:
    of = {"ApiName": "${AWS::StackName}", "Stage": f"${{{API}.Stage}}"}
    return _line("AWS/ApiGateway", metric, of, label=label, **drawn)


def _of_queue(queue: str, metric: str, label: str = "") -> Line:
    of = {"QueueName": f"${{{QUEUES[queue]}.QueueName}}"}
    return _line("AWS/SQS", metric, of, label=label or queue, stat="Maximum")


def _of_function(function: str, metric: str, stat: str = "Sum") -> Line:
    return _line("AWS/Lambda", metric, {"FunctionName": f"${{{FUNCTIONS[function]}}}"}, label=function, stat=stat)


def _of_tables(metric: str) -> list[Line]:
    made = []
    for table, (name, logical) in zip(schema.tables(), TABLES.items(), strict=True):
        of = {"TableName": f"${{{logical}}}"}
        made.append(_line("AWS/DynamoDB", metric, of, label=name))
        if table.has_lists:
            of |= {"GlobalSecondaryIndexName": schema.LIST_INDEX}
            made.append(_line("AWS/DynamoDB", metric, of, label=f"{name} lists"))
    return made
