"""`GET /api/async/status/`: what runs, of all targets."""

from tests.conftest import Api, Clock

GIF = b"GIF89a"


def test_processes_that_have_not_ended_are_listed_newest_first(api: Api, clock: Clock) -> None:
    for name in ("M 13", "M 31"):
        target = api.target(name)
        product = api.upload(target, "a.gif", GIF).json["id"]
        for _ in range(2):
            clock.advance(1)
            body = {"target": target, "pipeline": "Timelapse", "products": [product]}
            assert api.post("/api/pipeline/", body).status == 202
    api.post("/api/pipeline/3/cancel/")

    answer = api.get("/api/async/status/").json

    assert (answer["count"], answer["is_all"], answer["timestamp"]) == (3, True, clock().timestamp())
    assert [(each["id"], each["target"]) for each in answer["processes"]] == [(4, 2), (2, 1), (1, 1)]
    assert answer["processes"][0] == {
        "id": 4,
        "identifier": api.get("/api/pipeline/4/").json["identifier"],
        "target": 2,
        "process_type": "TimelapsePipeline",
        "created": clock().timestamp(),
        "status": "pending",
        "progress": {"done": 0, "total": 0},
        "view_url": "/pipeline/4",
    }
    newest = api.get("/api/async/status/?limit=1").json
    assert [each["id"] for each in newest["processes"]] == [4]
    assert api.get("/api/async/status/?limit=0").status == 400
