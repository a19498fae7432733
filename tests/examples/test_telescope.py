"""Frames in, a film and a light curve out: `upload_frames.py`, `start_timelapse.py`, `light_curve.py`."""

import csv
import email
import importlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from chalicelib.models.processes import MAX_INPUTS
from chalicelib.storage import lists
from tests.conftest import Api, Aws, forget, sqs_event
from tests.examples.conftest import Ended
from tests.factories_frames import star_pixels, write_frame, write_night
from tests.jobs import pipelines_for_tests

Script = Callable[..., Ended]


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A folder of two frames, with what lies beside frames."""
    return write_night(tmp_path / "night")


@pytest.fixture
def uploads(script: Script, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the script; moto takes a form as a whole only, a test below sends it as a stream."""
    module = importlib.import_module("upload_frames")
    post = module.requests.post

    def post_whole(url: str, data: Any, **more: Any) -> Any:
        whole = b"".join(data)
        assert len(whole) == len(data)
        return post(url, data=whole, **more)

    monkeypatch.setattr(module.requests, "post", post_whole)
    return module


@contextmanager
def worker(aws: Aws) -> Iterator[None]:
    """Run what comes to the timelapse queue, as long as the block lasts."""
    from local.workers import QueueWorker, load_function

    done = threading.Event()
    at_work = QueueWorker(aws.name("sidereal-timelapse"), "run_timelapse", load_function("run_timelapse"))

    def work() -> None:
        while not done.is_set():
            at_work.poll(wait_s=0) or done.wait(0.03)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    done.set()
    thread.join()


def content(aws: Aws, key: str) -> bytes:
    return bytes(aws.s3.get_object(Bucket=aws.name("sidereal-artefacts"), Key=key)["Body"].read())


def products(api: Api, target: int) -> list[tuple[str, str, int]]:
    listed = api.get(f"/api/dataproducts/?target={target}").json["results"]
    return sorted((each["name"], each["data_product_type"], each["size"]) for each in listed)


def test_frames_are_uploaded_past_the_api_once_and_the_target_is_made(
    api: Api, aws: Aws, online: str, script: Script, uploads: Any, night: Path
) -> None:
    ended = script("upload_frames", night, "--target", "C/2020 F3", "--ra", 250.42, "--dec", -36.46)
    assert (ended.code, ended.out) == (0, "target 1: 2 uploaded, 0 were there\n")
    [target] = api.get("/api/targets/").json["results"]
    assert (target["name"], target["ra"], target["dec"]) == ("C/2020 F3", 250.42, -36.46)
    sizes = {name: (night / name).stat().st_size for name in ("1.fits", "2.fits")}
    assert products(api, 1) == [(name, "fits_file", size) for name, size in sizes.items()]
    assert sorted(content(aws, key) for key in aws.keys("products/")) == sorted((night / n).read_bytes() for n in sizes)
    write_frame(night / "3.fits.fz", star_pixels(x=3))
    again = script("upload_frames", night, "--target", "1")
    assert (again.code, again.out) == (0, "target 1: 1 uploaded, 2 were there\n")


def test_refused_frames_are_named_with_the_reason_and_their_names_stay_free(
    api: Api, online: str, script: Script, uploads: Any, night: Path
) -> None:
    (night / "bad.fits").write_bytes(b"no frame at all")
    (night / "empty.fits").touch()
    (night / "gone.fits").symlink_to("nowhere")
    target = api.target("M 13")
    ended = script("upload_frames", night, "--target", "M 13")
    assert (ended.code, ended.out) == (1, f"target {target}: 2 uploaded, 0 were there\n")
    bad, empty, gone = [line for line in ended.err.splitlines() if line.startswith("refused: ")]
    assert bad.startswith("refused: bad.fits: 400 ")
    assert "not a FITS file" in bad
    assert empty.startswith("refused: empty.fits: 400 ")
    assert gone.startswith("refused: gone.fits: [Errno 2] No such file")
    (night / "gone.fits").unlink()
    write_frame(night / "bad.fits", star_pixels())
    assert script("upload_frames", night, "--target", "M 13").out.endswith(": 1 uploaded, 2 were there\n")


def test_an_upload_that_was_interrupted_goes_on_in_the_place_that_it_had(
    api: Api, online: str, script: Script, uploads: Any, night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = api.target("M 13")

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    def lost(url: str, **_: Any) -> Any:
        raise uploads.requests.ConnectionError(request=uploads.requests.Request("POST", f"{url}?signed"))

    with monkeypatch.context() as patch:
        patch.setattr(uploads.requests, "post", interrupted)
        ended = script("upload_frames", night, "--target", target, "--jobs", 1)
        assert (ended.code, ended.err.splitlines()[-1]) == (130, "interrupted")
        patch.setattr(uploads.requests, "post", lost)
        ended = script("upload_frames", night, "--target", target)
    told = [line.partition("http")[::2] for line in ended.err.splitlines()[-2:]]
    assert [before for before, _ in told] == [f"refused: {number}.fits: no answer from " for number in (1, 2)]
    assert {after.endswith(" (ConnectionError)") and "signed" not in after for _, after in told} == {True}
    assert products(api, target) == []
    assert script("upload_frames", night, "--target", target).code == 0
    assert [name for name, _, _ in products(api, target)] == ["1.fits", "2.fits"]


def test_a_message_starts_a_timelapse_of_all_frames_and_the_film_is_fetched(
    api: Api, aws: Aws, online: str, script: Script, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "BUCKET_SIZE", 2)
    target = api.target("M 13")
    for path in sorted(night.glob("*.fits")):
        assert api.upload(target, path.name, path.read_bytes()).status == 201
    api.upload(target, "notes.txt", b"clear sky", data_product_type="")
    film = tmp_path / "film.gif"
    with worker(aws):
        ended = script("start_timelapse", "M 13", "--flag", "crop", "--option", "fps=12.5", "--output", film)
    assert ended.code == 0, ended.err
    [timelapse] = api.get(f"/api/target/{target}/").json["timelapses"]
    assert ended.out == f"{online}{timelapse['url']}\n"
    assert timelapse["frames"] == 2
    [key] = aws.keys("processes/")
    assert film.read_bytes() == content(aws, key)
    process = api.get("/api/pipeline/1/").json
    assert (process["flags"], process["options"]) == ({"crop": True}, {"fps": 12.5})


def test_a_timelapse_that_cannot_be_is_told_in_one_line(api: Api, aws: Aws, script: Script, night: Path) -> None:
    api.upload(api.target("M 13"), "1.fits", (night / "1.fits").read_bytes())
    attempts: list[tuple[list[Any], str]] = [
        (["M 13", "--products", 1], "error: process 1 has failed: "),
        (["1", "--group", 7], 'error: refused: group: Invalid pk "7" - object does not exist.\n'),
        (["M 31", "--group", 7], "error: there is no target 'M 31'\n"),
        (["M 13", "--products", 1, "--timeout", 0], "error: no end within 0 s; request "),
        (["M 13", "--products", *range(MAX_INPUTS + 1)], "error: 2001 frames, and a process takes 2000: "),
    ]
    with worker(aws):
        for arguments, told in attempts:
            ended = script("start_timelapse", *arguments)
            assert ended.code == 1
            assert ended.err.startswith(told)
            assert len(ended.err.splitlines()) == 1


def measure(api: Api, target: int, frame: int, points: list[Any], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a process that measures these points, and return its id."""
    from chalicelib.pipelines.base import PipelineOutput, ReducedDatum

    def work(*_: Any) -> list[Any]:
        return [PipelineOutput(None, ReducedDatum, "photometry", point) for point in points]

    monkeypatch.setattr(pipelines_for_tests.Scripted, "work", staticmethod(work), raising=False)
    process = api.post("/api/pipeline/", {"target": target, "pipeline": "Scripted", "products": [frame]}).json["id"]
    assert api.invoke("run_pipeline", sqs_event({"process_id": process}))["batchItemFailures"] == []
    return int(process)


def test_a_light_curve_has_the_points_of_all_runs_in_the_order_of_time(
    api: Api, script: Script, night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINES", json.dumps({"Scripted": "tests.jobs.pipelines_for_tests.Scripted"}))
    forget()
    target = api.target("HAT-P-32")
    frame = api.upload(target, "1.fits", (night / "1.fits").read_bytes()).json["id"]
    late = [(61050.1 + number / 1000, 14 + number / 1e4, 0.012, "1.fits") for number in range(150)]
    early = [
        (61050.0505, 13.9, 0.02, "1.fits", {"airmass": 1.25, "note": "clouds, thin"}),
        (61050.2001, 14.2, 0.02, "x"),
    ]
    first, second = (measure(api, target, frame, points, monkeypatch) for points in (late, early))
    ended = script("light_curve", "HAT-P-32")
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert ended.code == 0
    assert list(rows[0]) == ["time", "mjd", "magnitude", "error", "process", "product", "airmass", "note"]
    expected = sorted([*((point, first) for point in late), *((point, second) for point in early)])
    told = [(float(row["mjd"]), float(row["magnitude"]), float(row["error"]), int(row["process"])) for row in rows]
    assert told == [(*point[:3], process) for point, process in expected]
    assert [(row["product"], row["airmass"], row["note"]) for row in rows[:2]] == [
        (str(frame), "1.25", "clouds, thin"),
        (str(frame), "", ""),
    ]
    table = api.get(f"/targets/{target}/data/download/").text.splitlines()
    assert [row["time"] for row in rows] == sorted(line.split(",")[0] for line in table)
    of_one = script("light_curve", target, "--process", second).out.splitlines()
    assert len(of_one) == 3
    assert script("light_curve", target, "--process", 99).out == "time,mjd,magnitude,error,process,product\n"


def test_a_form_goes_out_with_its_length_while_the_file_is_read(script: Script, tmp_path: Path) -> None:
    import requests

    got: list[Any] = []

    class Bucket(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    content = bytes(range(256)) * 9000  # more than one piece
    (tmp_path / "frame.fits").write_bytes(content)
    form = importlib.import_module("uploading").Form({"key": "products/1", "policy": "ä"}, tmp_path / "frame.fits")
    with HTTPServer(("127.0.0.1", 0), Bucket) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        requests.post(
            f"http://127.0.0.1:{server.server_port}", data=form, headers={"Content-Type": form.kind}, timeout=9
        )
        thread.join()
    ((headers, body),) = got
    assert "Transfer-Encoding" not in headers  # S3 takes no chunks here
    message = email.message_from_bytes(f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + body, policy=HTTP)
    parts = {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
        for part in message.iter_parts()
    }
    assert parts == {"key": b"products/1", "policy": "ä".encode(), "file": content}
