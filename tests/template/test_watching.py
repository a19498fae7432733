"""Alarms and dashboard look at what there is: functions, queues, tables, and metrics that the code writes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.metrics import NAMESPACE, Metric
from chalicelib.storage import schema
from deployment import alarms, template
from deployment.logical_names import FUNCTIONS, QUEUES, TABLES

PROJECT = Path(__file__).resolve().parents[2]
GUIDE = (PROJECT / "docs" / "operations.md").read_text("utf-8")

# Metric -> its dimensions, as AWS documents them; those of a table exist for its index as well.
_OF_A_FUNCTION, _OF_A_QUEUE, _OF_AN_API = [{"FunctionName"}], [{"QueueName"}], [{"ApiName", "Stage"}]
_OF_A_TABLE = [{"TableName"}, {"TableName", "GlobalSecondaryIndexName"}]
KNOWN: dict[str, dict[str, list[set[str]]]] = {
    "AWS/Lambda": dict.fromkeys(
        ("Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"), _OF_A_FUNCTION
    ),
    "AWS/SQS": dict.fromkeys(("ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"), _OF_A_QUEUE),
    "AWS/ApiGateway": dict.fromkeys(("Count", "4XXError", "5XXError", "Latency"), _OF_AN_API),
    "AWS/DynamoDB": {
        **dict.fromkeys(
            ("ReadThrottleEvents", "WriteThrottleEvents", "ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"),
            _OF_A_TABLE,
        ),
        "SystemErrors": [{"TableName", "Operation"}],
    },
    NAMESPACE: {metric.value: [set(metric.dimensions)] for metric in Metric},
}
# What stands for a dimension's value -> what the resource there must be.
REFERRED = {
    "FunctionName": {f"${{{logical}}}" for logical in FUNCTIONS.values()},
    "function": {f"${{{logical}}}" for logical in FUNCTIONS.values()},
    "QueueName": {f"${{{logical}.QueueName}}" for logical in QUEUES.values()},
    "TableName": {f"${{{logical}}}" for logical in TABLES.values()},
    "GlobalSecondaryIndexName": {schema.LIST_INDEX},
    "ApiName": {"${AWS::StackName}"},
    "service": {"${AWS::StackName}"},
    "Stage": {"${RestAPI.Stage}"},
}

Measured = tuple[str, str, dict[str, str]]


def as_text(value: Any) -> str:
    """Return a reference as `Fn::Sub` has it."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return f"${{{value['Ref']}}}"
    return f"${{{'.'.join(value['Fn::GetAtt'])}}}"


def measured_by_alarms() -> Iterator[tuple[str, Measured]]:
    """Yield the name of each alarm with each metric that it looks at."""
    for name, alarm in each_alarm().items():
        metrics = [alarm] if "MetricName" in alarm else []
        metrics += [part["MetricStat"]["Metric"] for part in alarm.get("Metrics", ()) if "MetricStat" in part]
        for metric in metrics:
            of = {each["Name"]: as_text(each["Value"]) for each in metric["Dimensions"]}
            yield name, (metric["Namespace"], metric["MetricName"], of)


def each_alarm() -> dict[str, dict[str, Any]]:
    """Return the properties of the alarms, by what follows the name of the stack in theirs."""
    made = template.resources()["Resources"].values()
    found = [each["Properties"] for each in made if each.get("Type") == "AWS::CloudWatch::Alarm"]
    return {each["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-"): each for each in found}


def measured_by_the_dashboard() -> Iterator[tuple[str, Measured]]:
    """Yield the title of each graph with each metric in it."""
    body = json.loads(template.resources()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    for widget in body["widgets"]:
        for namespace, metric, *rest in widget["properties"]["metrics"]:
            words = rest[:-1]
            yield widget["properties"]["title"], (namespace, metric, dict(zip(words[::2], words[1::2], strict=True)))


@pytest.mark.parametrize("look", [measured_by_alarms, measured_by_the_dashboard])
def test_only_metrics_and_resources_that_there_are_are_looked_at(look: Any) -> None:
    looked_at = list(look())
    assert looked_at
    for where, (namespace, metric, of) in looked_at:
        assert set(of) in KNOWN[namespace].get(metric, []), (where, metric)
        for dimension, value in of.items():
            assert value in REFERRED.get(dimension, {value}), (where, dimension, value)


def test_each_of_our_metrics_on_the_dashboard_is_one_that_the_code_writes() -> None:
    sources = (path.read_text("utf-8") for path in (PROJECT / "chalicelib").rglob("*.py") if path.name != "metrics.py")
    written = set(re.findall(r"\bMetric\.([A-Z_]+)", " ".join(sources)))
    shown = {metric for _, (namespace, metric, _) in measured_by_the_dashboard() if namespace == NAMESPACE}
    assert {Metric(metric).name for metric in shown} <= written


def test_every_function_queue_and_table_is_on_the_dashboard_and_has_an_alarm() -> None:
    everything = {f"${{{logical}}}" for logical in (*FUNCTIONS.values(), *TABLES.values())}
    everything |= {f"${{{logical}.QueueName}}" for logical in QUEUES.values()}
    for look in (measured_by_alarms, measured_by_the_dashboard):
        assert everything <= {value for _, (_, _, of) in look() for value in of.values()}


def test_each_function_has_alarms_of_its_own_on_errors_and_throttles() -> None:
    found = each_alarm()
    for function, logical in FUNCTIONS.items():
        for kind in ("Errors", "Throttles"):
            alarm = found[f"{function}-{kind.lower()}"]
            assert (alarm["MetricName"], alarm["Dimensions"][0]["Value"]) == (kind, {"Ref": logical})


def test_an_alarm_on_a_duration_rings_before_the_function_is_stopped() -> None:
    timeouts = template.timeouts_s()
    for name, alarm in each_alarm().items():
        if alarm.get("MetricName") == "Duration":
            limit_ms = timeouts[name.removesuffix("-duration")] * 1000
            assert limit_ms / 2 < alarm["Threshold"] < limit_ms


def test_a_queue_is_old_only_after_longer_than_a_run_of_its_function_takes() -> None:
    timeouts = template.timeouts_s()
    for function, queue in template.QUEUE_OF.items():
        assert each_alarm()[f"{queue}-age"]["Threshold"] > timeouts[function]


@pytest.mark.parametrize("name", each_alarm())
def test_an_alarm_tells_people_what_to_do_and_is_silent_where_nothing_happens(name: str) -> None:
    alarm = each_alarm()[name]
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": alarms.TOPIC}]
    assert alarm["TreatMissingData"] == ("breaching" if name == "sweep-gone" else "notBreaching")
    text = alarm["AlarmDescription"]
    assert len(text) <= 1024
    (section,) = re.findall(r"\(docs/operations\.md, (.+)\)\.$", text)
    assert f"\n## {section}\n" in GUIDE


def test_the_operations_page_says_of_each_alarm_what_to_do() -> None:
    (section,) = re.findall(r"\n## Alarms and dashboard\n(.*?)\n## ", GUIDE, re.DOTALL)
    told = set(re.findall(r"`([^`]+)`", " ".join(re.findall(r"^\| (.*?) \|", section, re.MULTILINE))))
    for word, stands_for in {"<function>": FUNCTIONS, "<table>": TABLES, "<queue>": QUEUES}.items():
        told |= {name.replace(word, each) for name in told for each in stands_for}
    # the queue of messages given up has an alarm on how many there are
    assert set(each_alarm()) == {name for name in told if "<" not in name} - {"given-up-age"}


def test_what_adds_metrics_up_stays_below_what_an_alarm_takes() -> None:
    for name, alarm in each_alarm().items():
        parts = alarm.get("Metrics", [])
        assert len([part for part in parts if "MetricStat" in part]) <= 10, name
        assert [part["Id"] for part in parts if part["ReturnData"]] == (["total"] if parts else [])


def test_the_mail_address_of_the_alarms_may_be_left_out() -> None:
    made = template.resources()
    assert made["Parameters"]["AlarmEmail"]["Default"] == ""
    assert made["Resources"]["AlarmSubscription"]["Condition"] == "HasAlarmEmail"


def test_graphs_do_not_lie_upon_each_other() -> None:
    body = json.loads(template.resources()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    taken: set[tuple[int, int]] = set()
    for widget in body["widgets"]:
        own = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not own & taken
        assert max(x for x, _ in own) < 24
        taken |= own
