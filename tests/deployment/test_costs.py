"""The costs in docs/operations.md follow from what the requests ask AWS for."""

from typing import Any

import pytest

from chalicelib.metrics import Metric
from chalicelib.storage import clients
from deployment import costs
from tests.conftest import PROJECT, Api

DYNAMODB_READS, DYNAMODB_WRITES = ("GetItem", "Query"), ("PutItem", "UpdateItem")


@pytest.fixture
def units(api: Api) -> Any:
    """Send one request; return its AWS calls, and the units of DynamoDB that they take at least, as `costs` counts them."""
    asked: list[tuple[str, float, float]] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        name = model.name
        reads = (1.0 if params.get("ConsistentRead") else 0.5) if name in DYNAMODB_READS else 0.0
        actions = params.get("TransactItems", [])
        indexed = sum("list_pk" in action.get("Put", {}).get("Item", {}) for action in actions)
        writes = 1.0 if name in DYNAMODB_WRITES else 2.0 * len(actions) + indexed
        asked.append((name, reads, writes))

    for client in (clients.dynamodb(), clients.s3()):
        client.meta.events.register("before-parameter-build.*.*", note)

    def run(method: str, path: str, body: Any = None) -> tuple[tuple[str, ...], float, float]:
        asked.clear()
        answer = api.request(method, path, body)
        assert answer.status < 400, answer.text
        return tuple(name for name, _, _ in asked), sum(each[1] for each in asked), sum(each[2] for each in asked)

    run.asked = asked  # type: ignore[attr-defined]
    return run


def test_requests_ask_for_what_they_are_paid_for(api: Api, units: Any) -> None:
    event, production = {"name": "GW150914"}, {"name": "Prod_A", "pipeline": "bilby"}
    target = {"name": "M 13", "ra": 250.42, "dec": 36.46}
    found = {
        "health": units("GET", "/api/v1/health"),
        "create event": units("POST", "/api/v1/events/", event),
        "change event": units("PUT", "/api/v1/events/GW150914", {"meta": {"a": 1}}),
        "create production": units("POST", "/api/v1/productions/GW150914", production),
        "create target": units("POST", "/api/targets/", target),
        "event": units("GET", "/api/v1/events/GW150914"),
        "status": units("GET", "/api/async/status/1/"),
    }
    units.asked.clear()
    api.upload(1, "a.fits", b"SIMPLE  =                    T" + b" " * 2850)
    names, reads, writes = zip(*units.asked, strict=True)
    found["upload"] = (names, sum(reads), sum(writes))
    api.post("/api/pipeline/", {"target": 1, "pipeline": "Timelapse", "products": [1]})
    found["follow"] = units("GET", "/api/pipeline/1/stream")
    assert {name: (each.calls, each.reads, each.writes) for name, each in costs.REQUESTS.items() if name in found} == {
        # a changed event is changed in its index, too, which the call does not say
        name: (calls, reads, writes + (name == "change event"))
        for name, (calls, reads, writes) in found.items()
    }


def test_the_tables_of_the_document_are_those_of_the_program() -> None:
    assert costs.text() in (PROJECT / "docs/operations.md").read_text("utf-8"), (
        "`python -m deployment.costs` prints others"
    )


def test_a_request_costs_the_sum_of_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        costs, "PRICES", dict.fromkeys(costs.PRICES, 0.0) | {"DynamoDB, write unit": 2.0, "S3, put": 3.0}
    )
    assert costs.Request("", (), reads=5, writes=2, puts=1).dollars == 7
    monkeypatch.setitem(costs.PRICES, "X-Ray, trace", 4.0)
    assert costs.Request("", (), puts=1).dollars == 7
    assert costs.timelapse_dollars() == 2 * 4 + 110 * 2 + 3
    monkeypatch.setattr(
        costs, "PRICES", dict.fromkeys(costs.PRICES, 0.0) | {"Lambda, request": 1.0, "Lambda, GB-second": 2.0}
    )
    assert costs.run_dollars(3, 0.5) == 4


def test_a_metric_is_paid_for_once_for_each_function_that_it_tells_apart() -> None:
    by_function = [metric for metric in Metric if "function" in metric.dimensions]
    assert costs.metric_count() == len(Metric) + 3 * len(by_function) > len(Metric)
