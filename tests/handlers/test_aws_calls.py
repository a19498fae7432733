"""What each request costs: how often AWS is asked, and for what."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.pipelines.base import ReducedDatum
from chalicelib.storage import circuits, clients, lists
from chalicelib.storage.processes import OPEN_SHARDS
from tests.asking import asked, prepare
from tests.conftest import Aws, Clock
from tests.event_source import events_of
from tests.jobs.conftest import Jobs

GW = "/api/v1/events/GW150914"
PROD = "/api/v1/productions/GW150914/Prod_A"
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


@pytest.fixture
def cost(api: Any, calls: list[str]) -> Any:
    """Send one request and return what AWS was asked for."""

    def run(
        method: str, path: str, body: Any = None, *, status: int, token: str | None = "a-token-for-tests", **more: Any
    ) -> Any:
        calls.clear()
        answer = api.request(method, path, body, token=token, **more)
        assert answer.status == status, answer.text
        return list(calls)

    return run


def test_event_is_created_and_read_with_one_request_each_and_changed_with_two(cost: Any) -> None:
    assert cost("POST", "/api/v1/events/", {"name": "GW150914"}, status=201) == ["TransactWriteItems"]
    assert cost("POST", "/api/v1/events/", {"name": "GW150914"}, status=409) == ["TransactWriteItems"]
    assert cost("GET", GW, status=200) == ["Query"]
    assert cost("PUT", GW, {"meta": {"a": 1}}, status=200) == ["TransactWriteItems", "GetItem"]
    assert cost("PUT", GW, {}, status=200) == ["GetItem"]
    assert cost("DELETE", GW, status=204) == ["TransactWriteItems"]


def test_production_is_created_read_deleted_with_one_request_each_and_changed_with_two(api: Any, cost: Any) -> None:
    api.post("/api/v1/events/", {"name": "GW150914"})
    body = {"name": "Prod_A", "pipeline": "bilby"}
    assert cost("POST", "/api/v1/productions/GW150914", body, status=201) == ["TransactWriteItems"]
    assert cost("POST", "/api/v1/productions/GW150914", body, status=409) == ["TransactWriteItems"]
    assert cost("POST", "/api/v1/productions/Nope", body, status=404) == ["TransactWriteItems"]
    assert cost("GET", PROD, status=200) == ["GetItem"]
    assert cost("PUT", PROD, {"status": "running", "meta": {"a": 1}}, status=200) == ["TransactWriteItems", "GetItem"]
    assert cost("GET", GW + "/productions", status=200) == ["Query"]
    assert cost("DELETE", PROD, status=204) == ["TransactWriteItems"]


def test_pages_of_events_cost_few_requests(api: Any, cost: Any) -> None:
    assert cost("GET", "/events", status=200) == ["GetItem"]
    for event in ("GW1", "GW2"):
        api.post("/api/v1/events/", {"name": event})
        api.post(f"/api/v1/productions/{event}", {"name": "Prod_A", "pipeline": "bilby"})
        api.post(f"/api/v1/productions/{event}", {"name": "Prod_B", "pipeline": "bilby", "dependencies": ["Prod_A"]})
    assert sorted(cost("GET", "/events", status=200)) == ["BatchGetItem", "GetItem", "Query"]
    assert cost("GET", "/events/GW1", status=200) == ["Query"]
    assert cost("GET", "/events/none", status=404) == ["Query"]


def test_streams_cost_one_request_each_time(api: Any, cost: Any, clock: Clock) -> None:
    clock.advance(240)
    api.post("/api/v1/events/", {"name": "GW150914"})
    assert cost("GET", "/api/v1/stream", status=200) == ["Query"]
    position = events_of(api.get("/api/v1/stream").text)[-1].id
    assert cost("GET", "/api/v1/stream", headers={"Last-Event-ID": position}, status=200) == ["Query"]
    clock.advance(3600)  # each ten minutes are a partition
    assert cost("GET", "/api/v1/stream", headers={"Last-Event-ID": position}, status=200) == ["Query"] * 7
    api.target()
    api.upload(1, "a.gif", GIF)
    api.post("/api/pipeline/", {"target": 1, "pipeline": "Timelapse", "products": [1]})
    assert cost("GET", "/api/pipeline/1/stream", status=200) == ["Query"]
    position = events_of(api.get("/api/pipeline/1/stream").text)[-1].id
    assert cost("GET", "/api/pipeline/1/stream", headers={"Last-Event-ID": position}, status=200) == ["Query"]
    assert cost("GET", "/api/pipeline/1/stream", headers={"Last-Event-ID": "nonsense"}, status=400) == []
    assert cost("GET", "/api/v1/stream", headers={"Last-Event-ID": "nonsense"}, status=400) == []


def test_production_with_dependencies_costs_one_request_more(api: Any, cost: Any) -> None:
    api.post("/api/v1/events/", {"name": "GW150914"})
    body = {"name": "Prod_A", "pipeline": "bilby", "dependencies": ["Prod_B"]}
    assert cost("POST", "/api/v1/productions/GW150914", body, status=201) == ["Query", "TransactWriteItems"]


def test_page_of_events_costs_one_request_and_one_more_at_a_border(
    api: Any, cost: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "BUCKET_SIZE", 4)
    assert cost("GET", "/api/v1/events/", status=200) == ["Query"]
    for number in range(6):
        api.post("/api/v1/events/", {"name": f"GW{number}"})
    assert cost("GET", "/api/v1/events/?limit=2", status=200) == ["Query"]
    assert cost("GET", "/api/v1/events/?limit=5", status=200) == ["Query", "Query"]


def test_page_of_events_with_productions_costs_one_request_more(api: Any, cost: Any) -> None:
    for event in ("GW1", "GW2"):
        api.post("/api/v1/events/", {"name": event})
        api.post(f"/api/v1/productions/{event}", {"name": "Prod_A", "pipeline": "bilby"})
    assert cost("GET", "/api/v1/events/", status=200) == ["Query", "BatchGetItem"]


def test_event_with_productions_is_deleted_with_one_request_more(api: Any, cost: Any) -> None:
    api.post("/api/v1/events/", {"name": "GW150914"})
    api.post("/api/v1/productions/GW150914", {"name": "Prod_A", "pipeline": "bilby"})
    assert cost("DELETE", GW, status=204) == ["TransactWriteItems", "TransactWriteItems"]


def test_target_and_group_are_created_with_two_requests(cost: Any) -> None:
    target = {"name": "M 13", "ra": 250.42, "dec": 36.46}
    assert cost("POST", "/api/targets/", target, status=201) == ["UpdateItem", "TransactWriteItems"]
    group = {"name": "Good quality data"}
    assert cost("POST", "/api/dataproductgroups/", group, status=201) == ["UpdateItem", "TransactWriteItems"]


def test_a_template_costs_no_more_than_a_target(api: Any, portal: Any, cost: Any) -> None:
    target, templates = api.target(), "/api/observationtemplates/"
    template = {"name": "transit", "target": target, "facility": "LCO", "fields": {"ipp_value": 1.05}}
    first = template | {"name": "first"}  # for which the portal is asked for its form, if its circuit allows
    assert cost("POST", templates, first, status=201) == ["GetItem", "UpdateItem", "TransactWriteItems"]
    assert cost("POST", templates, template, status=201) == ["UpdateItem", "TransactWriteItems"]
    assert cost("POST", templates, template | {"fields": {"ipp_value": 3}}, status=400) == []
    assert cost("POST", templates, template | {"facility": "SOAR"}, status=400) == []
    assert cost("GET", f"{templates}1/", status=200) == ["GetItem"]
    assert cost("GET", templates, status=200) == ["Query", "GetItem"]
    assert cost("GET", f"{templates}?target={target}", status=200) == ["Query"]
    assert cost("PATCH", f"{templates}1/", {"name": "eclipse"}, status=200) == ["GetItem", "TransactWriteItems"]
    assert cost("PATCH", f"{templates}1/", {"fields": {}}, status=200) == ["GetItem", "TransactWriteItems"]
    assert cost("DELETE", f"{templates}1/", status=204) == ["GetItem", "TransactWriteItems"]


def test_an_observation_is_asked_for_with_eight_requests(api: Any, portal: Any, clock: Clock, cost: Any) -> None:
    target = prepare(api)
    throttle, read = ["GetItem", "PutItem"], ["BatchGetItem", "Query"]  # target and template, earlier submissions
    written, circuit = ["TransactWriteItems"], ["GetItem"]
    kept = ["UpdateItem", "TransactWriteItems"]  # id, observation with its alert

    def ask(status: int, **more: Any) -> Any:
        clock.advance(1)
        circuits.forget()  # the portal's is read by a new process, and then every few seconds
        return cost("POST", "/api/observe/", {**asked(target), **more}, status=status)

    assert ask(201) == [*throttle, *read, *written, *circuit, *kept]
    assert ask(201) == [*throttle, *read, *written, *circuit, *kept]
    assert ask(404, template_name="none") == [*throttle, "BatchGetItem"]
    assert ask(400, overrides={"ipp_value": 3}) == [*throttle, "BatchGetItem"]
    dropped = ["TransactWriteItems"]
    assert ask(400, overrides={"proposal": "NOPE"}) == [*throttle, *read, *written, *circuit, *dropped]
    assert ask(400, email="a@b") == throttle
    assert ask(429) == ["GetItem"]


def test_an_observation_is_shown_listed_and_cancelled_with_few_requests(
    api: Any, portal: Any, clock: Clock, cost: Any
) -> None:
    target = prepare(api)
    api.post("/api/observe/", asked(target))
    assert cost("GET", "/api/observations/1/", status=200) == ["GetItem"]
    assert cost("GET", f"/api/observations/?target={target}", status=200) == ["GetItem", "Query"]
    cancel, circuit = "/api/observations/1/cancel/", ["GetItem"]
    circuits.forget()
    assert cost("PATCH", cancel, status=200) == ["GetItem", *circuit, "UpdateItem"]
    circuits.forget()
    assert cost("PATCH", cancel, status=200) == ["GetItem", *circuit]


def test_a_key_costs_one_request_and_where_nothing_is_created_one_more(api: Any, cost: Any) -> None:
    api.upload(api.target(), "a.gif", GIF)
    process = {"target": 1, "pipeline": "Timelapse", "products": [1]}
    api.post("/api/pipeline/", process)
    key = {"Idempotency-Key": "a"}
    event, group = {"name": "GW150914"}, {"name": "Good"}
    assert cost("POST", "/api/v1/events/", event, headers=key, status=201) == ["PutItem", "TransactWriteItems"]
    assert cost("POST", "/api/v1/events/", event, headers=key, status=201) == ["PutItem"]
    assert cost("POST", "/api/v1/events/", group, headers=key, status=422) == ["PutItem"]
    created = ["PutItem", "UpdateItem", "TransactWriteItems"]
    assert cost("POST", "/api/dataproductgroups/", group, headers=key, status=201) == created
    cancelled = cost("POST", "/api/pipeline/1/cancel/", status=200)
    api.post("/api/pipeline/1/retry/")
    assert cost("POST", "/api/pipeline/1/cancel/", headers=key, status=200) == ["PutItem", *cancelled, "UpdateItem"]
    assert cost("POST", "/api/pipeline/1/cancel/", headers=key, status=200) == ["PutItem"]
    refused = ["PutItem", "TransactWriteItems", "DeleteItem"]
    assert cost("POST", "/api/v1/events/", event, headers={"Idempotency-Key": "b"}, status=409) == refused
    assert cost("POST", "/api/v1/events/", event, headers=key, status=401, token=None) == []


def test_what_runs_is_asked_of_each_partition_of_the_index_once(api: Any, cost: Any) -> None:
    assert cost("GET", "/api/async/status/", status=200) == ["Query"] * OPEN_SHARDS


def test_a_thumbnail_that_is_made_costs_one_request_and_an_archive_two(
    api: Any, cost: Any, deliver: Callable[..., Any]
) -> None:
    group = api.post("/api/dataproductgroups/", {"name": "all"}).json["id"]
    api.upload(api.target(), "a.gif", GIF, group=[group])
    thumbnail, archive = "/api/dataproducts/1/thumbnail/", f"/api/dataproductgroups/{group}/zip/"
    # the address of the queue is asked for once in the life of a process
    assert cost("GET", thumbnail, status=202) == ["Query", "PutItem", "GetQueueUrl", "SendMessage"]
    assert cost("GET", archive, status=202) == ["Query", "BatchGetItem", "PutItem", "SendMessage"]
    assert cost("GET", archive, status=202) == ["Query", "BatchGetItem"]
    deliver("renditions")
    deliver("renditions")
    assert cost("GET", thumbnail, status=302) == ["Query"]
    assert cost("GET", archive, status=302) == ["Query", "BatchGetItem"]


def test_a_thumbnail_adds_no_request_to_the_deletion_of_its_file(api: Any, cost: Any) -> None:
    api.upload(api.target(), "a.gif", GIF)
    deletion = cost("DELETE", "/api/dataproducts/1/", status=204)
    assert deletion == ["GetItem", "DeleteObjects", "TransactWriteItems"]


def measured(jobs: Jobs, clock: Clock, *counts: int) -> None:
    """Let one run after the other measure as many points."""
    for count in counts:
        clock.advance(1)
        points = [(58_000.0 + number, 14.0, 0.02, None) for number in range(count)]
        jobs.work(lambda pipeline, folder, flags, points=points: [(None, ReducedDatum, "photometry", points)])  # type: ignore[misc]
        jobs.run(jobs.submit())


def test_reduced_data_are_read_with_as_many_requests_however_many_there_are(
    jobs: Jobs, clock: Clock, cost: Any
) -> None:
    page = f"/api/reduceddatums/?target={jobs.target}"
    assert cost("GET", page, status=200) == ["Query", "BatchGetItem"]
    measured(jobs, clock, 1, 1, 250)
    for limit in (1, 3, 100):
        assert cost("GET", f"{page}&limit={limit}", status=200) == ["Query", "BatchGetItem"]
    behind = jobs.api.get(f"{page}&limit=100").json["next"].partition("?")[2]
    assert cost("GET", f"/api/reduceddatums/?{behind}", status=200) == ["Query", "BatchGetItem"]
    photometry = f"/api/target/{jobs.target}/photometry/"
    assert cost("GET", photometry, status=200) == ["BatchGetItem", "Query"]
    table = f"/targets/{jobs.target}/data/download/"
    assert cost("GET", table, status=200) == ["GetItem", "Query", *["BatchGetItem"] * 3]
    assert cost("GET", "/targets/99/data/download/", status=404) == ["GetItem"]
    assert cost("GET", "/api/target/99/photometry/", status=404) == ["BatchGetItem"]


def test_a_page_of_reduced_data_reads_no_more_items_when_there_is_more_to_read(
    jobs: Jobs, clock: Clock, aws: Aws
) -> None:
    measured(jobs, clock, *[3] * 3, 1000)
    read: list[int] = []

    def count(parsed: dict[str, Any], **_: Any) -> None:
        read.append(len(parsed.get("Items", [])) + sum(map(len, parsed.get("Responses", {}).values())))

    clients.dynamodb().meta.events.register("after-call", count)
    jobs.api.get(f"/api/reduceddatums/?target={jobs.target}&limit=2")
    assert read == [4, 2]  # cards; the count and one block


def test_points_are_kept_with_few_requests(jobs: Jobs, calls: list[str]) -> None:
    jobs.work(
        lambda pipeline, folder, flags: [(None, ReducedDatum, "photometry", [(58_000.0, 14.0, 0.02, None)] * 2000)]
    )
    process = jobs.submit()
    calls.clear()
    jobs.run(process)
    # claim, target and inputs; log and lease; inputs by name, ids; two transactions of points, and the end
    assert calls[-5:] == ["BatchGetItem", "UpdateItem", *["TransactWriteItems"] * 3]


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", "/api/v1/health", None, 200),
        ("PATCH", "/api/v1/events/", None, 405),
        ("POST", "/api/v1/events/", None, 401),
        ("POST", "/api/v1/events/", "wrong", 401),
        ("POST", "/api/v1/events/", "a-token-for-tests", 400),
        ("OPTIONS", "/api/v1/events/", None, 204),
        ("GET", "/api/v1/events/?limit=0", None, 400),
        ("GET", "/api/v1/events/?next=nonsense", None, 400),
        ("GET", "/api/async/status/abc/", None, 404),
        ("GET", "/api/reduceddatums/", None, 400),
        ("GET", "/api/reduceddatums/?target=1&next=nonsense", None, 400),
        ("GET", "/api/target/abc/photometry/", None, 404),
        ("GET", "/api/pipelines/", None, 200),
        ("GET", "/api/observe/", None, 405),
        ("GET", "/api/observations/", None, 400),
        ("PATCH", "/api/observations/abc/cancel/", "a-token-for-tests", 404),
    ],
)
def test_request_that_is_refused_at_the_door_asks_aws_for_nothing(
    cost: Any, method: str, path: str, token: str | None, status: int
) -> None:
    assert cost(method, path, status=status, token=token) == []
