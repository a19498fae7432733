"""What each request costs: how often AWS is asked, and for what."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.storage import lists

GW = "/api/v1/events/GW150914"
PROD = "/api/v1/productions/GW150914/Prod_A"
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


@pytest.fixture
def cost(api: Any, calls: list[str]) -> Any:
    """Send one request and return what AWS was asked for."""

    def run(method: str, path: str, body: Any = None, *, status: int, token: str | None = "a-token-for-tests") -> Any:
        calls.clear()
        answer = api.request(method, path, body, token=token)
        assert answer.status == status, answer.text
        return list(calls)

    return run


def test_event_is_created_read_changed_with_one_request_each(cost: Any) -> None:
    assert cost("POST", "/api/v1/events/", {"name": "GW150914"}, status=201) == ["TransactWriteItems"]
    assert cost("POST", "/api/v1/events/", {"name": "GW150914"}, status=409) == ["TransactWriteItems"]
    assert cost("GET", GW, status=200) == ["Query"]
    assert cost("PUT", GW, {"meta": {"a": 1}}, status=200) == ["UpdateItem"]
    assert cost("PUT", GW, {}, status=200) == ["GetItem"]
    assert cost("DELETE", GW, status=204) == ["TransactWriteItems"]


def test_production_is_created_read_changed_deleted_with_one_request_each(api: Any, cost: Any) -> None:
    api.post("/api/v1/events/", {"name": "GW150914"})
    body = {"name": "Prod_A", "pipeline": "bilby"}
    assert cost("POST", "/api/v1/productions/GW150914", body, status=201) == ["TransactWriteItems"]
    assert cost("POST", "/api/v1/productions/GW150914", body, status=409) == ["TransactWriteItems"]
    assert cost("POST", "/api/v1/productions/Nope", body, status=404) == ["TransactWriteItems"]
    assert cost("GET", PROD, status=200) == ["GetItem"]
    assert cost("PUT", PROD, {"status": "running", "meta": {"a": 1}}, status=200) == ["UpdateItem"]
    assert cost("GET", GW + "/productions", status=200) == ["Query"]
    assert cost("DELETE", PROD, status=204) == ["TransactWriteItems"]


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
    ],
)
def test_request_that_is_refused_at_the_door_asks_aws_for_nothing(
    cost: Any, method: str, path: str, token: str | None, status: int
) -> None:
    assert cost(method, path, status=status, token=token) == []
