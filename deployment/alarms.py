"""The alarms of the deployment template, and the topic that tells people of them.

What to do about each is written in docs/operations.md, to whose section its description points.
"""

from collections.abc import Mapping
from typing import Any

from chalicelib.storage import schema
from deployment.logical_names import API, FUNCTIONS, QUEUES, TABLES

TOPIC = "AlarmTopic"
GUIDE = "docs/operations.md"
ALARMS, DEAD_LETTERS = "Alarms and dashboard", "Dead letters"
"""Its sections."""

PERIOD_S = 300

_OLDEST_S = {"timelapse": 3600, "pipeline": 3600, "renditions": 1800, "dead-letters": 900}
"""Ages of a message after which something is wrong: a run may take a quarter of an hour, and others may be before it."""

_NEAR_TIMEOUT = {"api": "p99", "sweep": "Maximum", "run_dead_letters": "Maximum"}
"""Functions that should never come near their time-out, and what is looked at; the others are made to use all of it."""

_WATCHED = ("GetItem", "Query", "PutItem", "UpdateItem", "TransactWriteItems")
"""Operations whose failures DynamoDB counts apart."""

_SWEEP_GONE_S = 900

Metric = dict[str, Any]


def resources(timeouts_s: Mapping[str, int]) -> dict[str, Any]:
    """Return the topic, its subscription and all alarms.

    Parameters
    ----------
    timeouts_s : mapping
        Function -> the time that Lambda gives it, seconds.
    """
    subscription = {"TopicArn": {"Ref": TOPIC}, "Protocol": "email", "Endpoint": {"Ref": "AlarmEmail"}}
    return {
        TOPIC: {"Type": "AWS::SNS::Topic"},
        "AlarmSubscription": {
            "Type": "AWS::SNS::Subscription",
            "Condition": "HasAlarmEmail",
            "Properties": subscription,
        },
        **_of_queues(),
        **_of_functions(timeouts_s),
        **_of_the_api(),
        **_of_tables(),
    }


def _of_queues() -> dict[str, Any]:
    given_up = _metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", _of_queue("given-up"))
    made = {
        "GivenUpAlarm": _alarm(
            "given-up",
            "Messages were given up after three tries, or are none of this project. Look at them and replay them",
            DEAD_LETTERS,
            [given_up],
            1,
        )
    }
    for queue, age_s in _OLDEST_S.items():
        oldest = _metric("AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", _of_queue(queue))
        what = "Its function does not keep up, or fails"
        section = DEAD_LETTERS if queue == "dead-letters" else ALARMS
        made[f"{QUEUES[queue]}AgeAlarm"] = _alarm(
            f"{queue}-age",
            f"A message of the queue {queue} waits for more than {age_s // 60} minutes. {what}: look at its errors and log",
            section,
            [oldest],
            age_s,
        )
    return made


def _of_functions(timeouts_s: Mapping[str, int]) -> dict[str, Any]:
    made = {}
    for function, logical in FUNCTIONS.items():
        of_it = {"FunctionName": {"Ref": logical}}
        made[f"{logical}ErrorsAlarm"] = _alarm(
            f"{function}-errors",
            f"The function {function} broke off: time-out, memory, or an error that nobody caught. Read its log",
            ALARMS,
            [_metric("AWS/Lambda", "Errors", "Sum", of_it)],
            1,
        )
        made[f"{logical}ThrottlesAlarm"] = _alarm(
            f"{function}-throttles",
            f"Lambda refused calls of the function {function}: the account runs as many at once as it may. Ask for more",
            ALARMS,
            [_metric("AWS/Lambda", "Throttles", "Sum", of_it)],
            1,
        )
        if function in _NEAR_TIMEOUT:
            limit_ms = timeouts_s[function] * 800
            made[f"{logical}DurationAlarm"] = _alarm(
                f"{function}-duration",
                f"The function {function} takes more than 80 % of its {timeouts_s[function]} s. Look for what is slow",
                ALARMS,
                [_metric("AWS/Lambda", "Duration", _NEAR_TIMEOUT[function], of_it)],
                limit_ms,
                periods=3,
            )
    runs = _metric("AWS/Lambda", "Invocations", "Sum", {"FunctionName": {"Ref": FUNCTIONS["sweep"]}}, _SWEEP_GONE_S)
    made["SweepGoneAlarm"] = _alarm(
        "sweep-gone",
        "The function sweep has not run for a quarter of an hour: processes whose worker died stay where they are. "
        "Look whether its schedule is enabled; a new stack may say this once",
        ALARMS,
        [runs],
        1,
        comparison="LessThanThreshold",
        missing="breaching",
    )
    return made


def _of_the_api() -> dict[str, Any]:
    of_it = {"ApiName": {"Ref": "AWS::StackName"}, "Stage": {"Ref": f"{API}.Stage"}}
    return {
        "ApiFaultsAlarm": _alarm(
            "api-5xx",
            "The API answered at least five requests within five minutes with a status above 499. Look at its log",
            ALARMS,
            [_metric("AWS/ApiGateway", "5XXError", "Sum", of_it)],
            5,
        )
    }


def _of_tables() -> dict[str, Any]:
    made = {}
    for table, logical in TABLES.items():
        of_it: dict[str, Any] = {"TableName": {"Ref": logical}}
        places = [of_it]
        if schema.tables()[list(TABLES).index(table)].has_lists:
            places.append({**of_it, "GlobalSecondaryIndexName": schema.LIST_INDEX})
        made[f"{logical}ThrottlesAlarm"] = _alarm(
            f"{table}-table-throttles",
            f"DynamoDB refused requests to the {table} table or its index: too many at once for one of their partitions. "
            "Find out who sends them",
            ALARMS,
            [
                _metric("AWS/DynamoDB", name, "Sum", place)
                for name in ("ReadThrottleEvents", "WriteThrottleEvents")
                for place in places
            ],
            1,
        )
    made["TablesUnwellAlarm"] = _alarm(
        "tables-unwell",
        "DynamoDB failed at requests to the ledger or telescope table. Look at AWS's health page; functions try again",
        ALARMS,
        [
            _metric(
                "AWS/DynamoDB", "SystemErrors", "Sum", {"TableName": {"Ref": TABLES[table]}, "Operation": operation}
            )
            for table in ("ledger", "telescope")
            for operation in _WATCHED
        ],
        5,
    )
    return made


def _metric(namespace: str, name: str, statistic: str, of: dict[str, Any], period_s: int = PERIOD_S) -> Metric:
    dimensions = [{"Name": dimension, "Value": value} for dimension, value in of.items()]
    measured = {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}
    return {"Metric": measured, "Period": period_s, "Stat": statistic}


def _of_queue(queue: str) -> dict[str, Any]:
    return {"QueueName": {"Fn::GetAtt": [QUEUES[queue], "QueueName"]}}


def _alarm(
    name: str,
    text: str,
    section: str,
    metrics: list[Metric],
    threshold: float,
    *,
    periods: int = 1,
    comparison: str = "GreaterThanOrEqualToThreshold",
    missing: str = "notBreaching",
) -> dict[str, Any]:
    """Return an alarm on the sum of metrics; where AWS says nothing, by default all is well."""
    properties: dict[str, Any] = {
        "AlarmName": {"Fn::Sub": f"${{AWS::StackName}}-{name}"},
        "AlarmDescription": f"{text} ({GUIDE}, {section}).",
        "ComparisonOperator": comparison,
        "Threshold": threshold,
        "EvaluationPeriods": periods,
        "TreatMissingData": missing,
        "AlarmActions": [{"Ref": TOPIC}],
        "OKActions": [{"Ref": TOPIC}],
    }
    if len(metrics) == 1:
        measured = metrics[0]
        statistic = "ExtendedStatistic" if measured["Stat"].startswith("p") else "Statistic"
        properties |= {**measured["Metric"], "Period": measured["Period"], statistic: measured["Stat"]}
    else:
        names = [f"m{number}" for number in range(1, len(metrics) + 1)]
        total = " + ".join(f"FILL({each}, 0)" for each in names)
        properties["Metrics"] = [
            {"Id": "total", "Expression": total, "Label": name, "ReturnData": True},
            *(
                {"Id": each, "MetricStat": measured, "ReturnData": False}
                for each, measured in zip(names, metrics, strict=True)
            ),
        ]
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}
