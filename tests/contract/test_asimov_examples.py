"""The examples of the asimov REST API document, word for word."""

from typing import Any


def test_health_answers_the_documented_example(api: Any) -> None:
    answer = api.get("/api/v1/health")
    assert (answer.status, answer.json) == (200, {"status": "ok", "version": "v1"})


def test_create_event_answers_the_documented_example(api: Any) -> None:
    body = {
        "name": "GW150914",
        "working_directory": "/path/to/working/GW150914",
        "meta": {"gps_time": 1126259462.4, "far": 1e-7},
    }
    answer = api.post("/api/v1/events/", body)
    assert answer.status == 201
    assert answer.json == {
        "event": {
            "name": "GW150914",
            "working directory": "/path/to/working/GW150914",
            "productions": [],
            "meta": {"gps_time": 1126259462.4, "far": 1e-7},
        }
    }
    assert list(answer.json["event"]) == ["name", "working directory", "productions", "meta"]
