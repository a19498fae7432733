"""The command line against the app behind real HTTP, and AWS in memory."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from local import uploads
from local.__main__ import main
from local.client import Client
from local.forms import Form
from tests.conftest import TOKEN, Api, Aws
from tests.examples.test_telescope import content, worker
from tests.factories_frames import write_night

WAYS = pytest.mark.parametrize("way", [None, "past_the_api"])
"""How a file is sent."""


class Ended(NamedTuple):
    """How a command has ended, and what it has written."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it has written, as JSON."""
        return json.loads(self.out)


@pytest.fixture
def sidereal(address: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[..., Ended]:
    """Run a command as its user does; nobody waits longer than a moment."""
    monkeypatch.setenv("SIDEREAL_URL", address)
    pause = time.sleep
    monkeypatch.setattr("time.sleep", lambda seconds: pause(min(seconds, 0.02)))

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        code = main([str(each) for each in arguments])
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture(autouse=True)
def _whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send forms whole: moto reads what is sent to anybody before it is on its way."""
    send = requests.Session.request

    def send_whole(session: requests.Session, method: str, url: str, data: Any = None, **more: Any) -> Any:
        if isinstance(data, Form):
            size, data = len(data), b"".join(iter(data.read, b""))
            assert len(data) == size
        return send(session, method, url, data=data, **more)

    monkeypatch.setattr(requests.Session, "request", send_whole)


@pytest.fixture
def past_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send every file past the API."""
    monkeypatch.setattr(uploads, "DIRECT_BYTES", 0)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A folder of two frames, with what lies beside frames."""
    return write_night(tmp_path / "night")


def test_the_ledger_is_kept_from_the_command_line(api: Api, sidereal: Callable[..., Ended]) -> None:
    event = sidereal("events", "create", "GW 150914", "--meta", "far=1e-7", "--meta", "note=a: b", "--json")
    assert (event.code, event.json["event"]["meta"]) == (0, {"far": 1e-7, "note": "a: b"})
    assert sidereal("productions", "create", "GW 150914", "Prod0", "--pipeline", "Bilby").code == 0
    sidereal("productions", "create", "GW 150914", "Prod1", "--pipeline", "rift", "--needs", "Prod0", "--comment", "x")
    changed = sidereal("productions", "set", "GW 150914", "Prod0", "--status", "running", "--json")
    assert changed.json == api.get("/api/v1/productions/GW%20150914/Prod0").json
    assert changed.json["production"]["status"] == "running"
    api.post("/api/v1/events/", {"name": "GW170817"})

    assert sidereal("events").out.splitlines() == [
        "event      productions  states",
        "GW 150914            2  1 running, 1 ready",
        "GW170817             0",
    ]
    assert [each["name"] for each in sidereal("events", "--status", "running", "--json").json["events"]] == [
        "GW 150914"
    ]
    assert [each["name"] for each in sidereal("events", "--limit", 1, "--json").json["events"]] == ["GW 150914"]
    assert sidereal("events", "show", "GW 150914", "--json").json == api.get("/api/v1/events/GW%20150914").json
    assert "Prod1       rift      ready    x" in sidereal("events", "show", "GW 150914").out
    assert sidereal("productions", "--status", "ready").out.splitlines()[1:] == [
        "GW 150914  Prod1       rift      ready   x"
    ]
    assert "needs     Prod0" in sidereal("productions", "show", "GW 150914", "Prod1").out

    refused = sidereal("events", "delete", "GW 150914")
    assert (refused.code, refused.out) == (2, "")
    assert sidereal("productions", "delete", "GW 150914", "Prod1", "--yes").code == 0
    assert sidereal("events", "delete", "GW 150914", "--yes").code == 0
    assert [each["name"] for each in api.get("/api/v1/events/").json["events"]] == ["GW170817"]


def test_refusals_are_one_line_that_names_the_field(
    sidereal: Callable[..., Ended], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, told in (
        (("events", "create", "a/b"), "error: name: must not contain / (400)\n"),
        (("events", "show", "GW"), "error: Event not found (404)\n"),
        (("targets", "create", "M 13", "--ra", 1), "error: dec: This field is required. (400)\n"),
        (("targets", "show", "M 13"), "error: there is no target 'M 13'\n"),
        (("timelapse", "--follow", 7), "error: there is no process 7\n"),
    ):
        assert sidereal(*arguments) == (1, "", told)
    monkeypatch.setenv("SIDEREAL_URL", f"{address}/wrong")
    for arguments in (("timelapse", "--follow", 7), ("events",), ("targets", "show", 1), ("status",)):
        assert sidereal(*arguments).err.endswith(
            "/wrong answers, but is no Sidereal (status 404): does SIDEREAL_URL end in its stage?\n"
        )
    monkeypatch.setenv("SIDEREAL_URL", address)
    monkeypatch.setenv("ASIMOV_API_KEY", "another:me")
    answer = sidereal("events", "create", "GW150914")
    assert answer.err.startswith("error: the API key was not accepted (")


def test_targets_are_found_by_name_and_by_id(api: Api, sidereal: Callable[..., Ended]) -> None:
    assert sidereal("targets", "create", "2", "--ra", 250.4, "--dec", -36.5).out == "created target 1: 2\n"
    assert sidereal("targets", "create", "C/2020 F3 [red]", "--moving").code == 0

    assert sidereal("targets", "show", "2", "--json").json == {**api.get("/api/targets/1/").json, "timelapses": []}
    assert "C/2020 F3 [red]" in sidereal("targets", "show", "C/2020 F3 [red]").out
    near = sidereal("targets", "list", "--cone", "250.4,-36.5,0.1", "--json").json
    assert [each["id"] for each in near["results"]] == [1]
    assert [line.split()[0] for line in sidereal("targets").out.splitlines()] == ["id", "1", "2"]


@WAYS
def test_files_are_uploaded_once_and_refused_ones_named(
    api: Api, aws: Aws, sidereal: Callable[..., Ended], night: Path, way: str | None, request: pytest.FixtureRequest
) -> None:
    if way:
        request.getfixturevalue(way)
    (night / "bad.fits").write_bytes(b"no frame at all")
    assert sidereal("upload", night, "--target", "M 13").err == (
        "error: there is no target 'M 13'; --ra and --dec create it\n"
    )

    first = sidereal("upload", night, "--target", "M 13", "--ra", 250.4, "--dec", 36.5)
    again = sidereal("upload", night, night / "1.fits", "--target", 1, "--json")

    assert (first.code, first.out) == (1, "M 13: 2 uploaded, 0 were there, 1 refused\n")
    assert first.err.startswith(f"refused: {night}/bad.fits: file: This is not a FITS file")
    assert (again.code, again.json["uploaded"], len(again.json["skipped"])) == (1, [], 3)
    listed = api.get("/api/dataproducts/?target=1").json["results"]
    found = {(each["name"], each["data_product_type"]) for each in listed}
    assert (found, len(listed)) == ({("1.fits", "fits_file"), ("2.fits", "fits_file")}, 2)
    contents = [content(aws, key) for key in aws.keys("products/")]
    assert sorted(contents) == sorted((night / f"{number}.fits").read_bytes() for number in (1, 2))


def test_an_upload_whose_answer_was_lost_is_not_doubled_and_one_deleted_since_is_made_again(
    api: Api, address: str, night: Path, past_the_api: None
) -> None:
    client, target, file = Client(address, TOKEN), api.target(), night / "1.fits"
    one = uploads.upload_file(client, file, target, key="same")
    assert uploads.upload_file(client, file, target, key="same") == one
    assert api.delete(f"/api/dataproducts/{one}/").status == 204

    another = uploads.upload_file(client, file, target, key="same")

    assert another != one
    assert [each["id"] for each in api.get(f"/api/dataproducts/?target={target}").json["results"]] == [another]


def test_an_interrupted_upload_leaves_nothing_half(
    api: Api, aws: Aws, address: str, night: Path, past_the_api: None
) -> None:
    def interrupt(size: int) -> None:
        if size:
            raise KeyboardInterrupt

    target = api.target()
    work = uploads.Uploads(Client(address, TOKEN), target, heed=interrupt)

    with pytest.raises(KeyboardInterrupt):
        work.send(work.find_missing([night / "1.fits", night / "2.fits"]), at_once=1)

    assert aws.keys() == []
    assert [item for item in aws.items() if "DATAPRODUCT" in item["pk"]["S"]] == []


def test_a_timelapse_is_watched_to_its_end_and_fetched(
    api: Api, aws: Aws, sidereal: Callable[..., Ended], night: Path, tmp_path: Path
) -> None:
    assert sidereal("upload", night, "--target", "M 13", "--ra", 250.4, "--dec", 36.5).code == 0
    film = tmp_path / "film.gif"
    with worker(aws):
        ended = sidereal("timelapse", "M 13", "--flag", "crop", "--option", "fps=12.5", "--output", film)

    assert ended.code == 0, ended.err
    [timelapse] = api.get("/api/target/1/").json["timelapses"]
    assert ended.out.endswith(f"{timelapse['url']}\n")
    process = api.get("/api/pipeline/1/").json
    assert (process["flags"], process["options"]) == ({"crop": True}, {"fps": 12.5, "format": "gif"})
    assert film.read_bytes().startswith(b"GIF89a")
    assert ended.err.splitlines()[:-1] == api.get("/api/pipeline/logs/1/").json["logs"].splitlines()

    messages = [json.loads(line) for line in sidereal("timelapse", "--follow", 1, "--json").out.splitlines()]
    assert [messages[0]["event"], messages[-2]["event"], messages[-1]["event"]] == ["process", "end", "output"]
    assert messages[-1]["data"]["url"] == timelapse["url"]


def test_a_timelapse_that_fails_says_why(api: Api, aws: Aws, sidereal: Callable[..., Ended], night: Path) -> None:
    api.upload(api.target(), "1.fits", (night / "1.fits").read_bytes())
    with worker(aws):
        ended = sidereal("timelapse", "M 13", "--watch")

    reason = api.get("/api/pipeline/1/").json["failure_message"]
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines()[-1] == f"error: process 1 failed: {reason}"
    assert "1  TimelapsePipeline  failed" in sidereal("status", "--target", "M 13").out


def test_who_stops_watching_is_told_how_to_go_on(
    api: Api, sidereal: Callable[..., Ended], night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.upload(api.target(), "1.fits", (night / "1.fits").read_bytes())

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    ended = sidereal("timelapse", "M 13", "--watch")

    assert (ended.code, ended.out) == (130, "")
    assert ended.err.endswith("process 1 goes on without you; watch it again with `timelapse --follow 1`\n")
    assert api.get("/api/pipeline/1/").json["status"] == "pending"


def test_the_state_tells_what_is_there_and_what_runs(
    api: Api, aws: Aws, sidereal: Callable[..., Ended], night: Path
) -> None:
    api.upload(api.target(), "1.fits", (night / "1.fits").read_bytes())
    api.post("/api/v1/events/", {"name": "GW150914"})
    assert sidereal("timelapse", "M 13", "--json").json == api.get("/api/pipeline/1/").json

    told = sidereal("status")

    assert told.code == 0
    assert told.out.startswith("http://127.0.0.1:")
    assert "targets 1, events 1, running processes 1" in told.out
    assert told.out.splitlines()[-1].split()[:5] == ["1", "M", "13", "TimelapsePipeline", "pending"]
    assert sidereal("status", "--json").json["running"]["processes"][0]["id"] == 1


def test_a_deployment_that_is_not_ready_ends_with_1(api: Api, aws: Aws, sidereal: Callable[..., Ended]) -> None:
    aws.dynamodb.delete_table(TableName=aws.name("sidereal-ledger"))

    told = sidereal("status")
    assert (told.code, "is NOT READY" in told.out, "ledger_table       unavailable" in told.out) == (1, True, True)
    assert sidereal("status", "--json").json["ready"]["status"] == "unavailable"
