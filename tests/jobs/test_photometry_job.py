"""Photometry from uploaded frames to the light curve over HTTP."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local.frames import make_frames
from tests.conftest import Api, Clock

FRAMES = {"count": 12, "size_px": 192, "seed": 40, "star_count": 70, "cadence_s": 300, "light_curve": "sinusoid"}
RA, DEC = 31.0454163, 46.6869284  # where the variable star is by the coordinates of the frames


def test_frames_become_a_light_curve_over_http(
    api: Api, deliver: Callable[..., Any], tmp_path: Path, clock: Clock
) -> None:
    target = api.target("V1", ra=RA, dec=DEC)
    frames = make_frames(tmp_path / "frames", **FRAMES)  # type: ignore[arg-type]
    products = {path.name: api.upload(target, path.name, path.read_bytes()).json["id"] for path in frames}
    options = {"comparisons": 4, "sky_inner": 12.5, "sky_outer": 20}
    started = api.post(
        "/api/pipeline/",
        {"target": target, "pipeline": "Photometry", "products": list(products.values()), "options": options},
    )
    assert (started.status, started.json["options"]) == (202, options)
    assert deliver("pipeline") == [{"batchItemFailures": []}]
    ended = api.get(started.headers["location"]).json
    assert ended["status"] == "created", ended

    listed = api.get(f"/api/reduceddatums/?target={target}").json
    assert (listed["count"], listed["next"]) == (12, None)
    assert [each["data_product"] for each in listed["results"]] == list(products.values())
    assert {each["process"] for each in listed["results"]} == {ended["id"]}
    magnitudes = [each["value"]["magnitude"] for each in listed["results"]]
    assert max(magnitudes) - min(magnitudes) > 0.05

    photometry = api.get(f"/api/target/{target}/photometry/").json
    table = api.get(urlsplit(photometry["csv"]).path).text.splitlines()
    assert [line.split(",")[1:] for line in table] == [
        [repr(each["value"]["magnitude"]), repr(each["value"]["error"])] for each in listed["results"]
    ]
    assert photometry["plot"].endswith(f"/{ended['identifier']}_light_curve.png")
    assert api.get(urlsplit(photometry["plot"]).path).status == 302


def test_a_position_without_its_other_half_is_refused_when_it_is_submitted(api: Api) -> None:
    target = api.target("V1", ra=RA, dec=DEC)
    product = api.upload(target, "a.fits", b"SIMPLE  =                    T" + b" " * 2850).json["id"]
    body = {"target": target, "pipeline": "Photometry", "products": [product], "options": {"x": 100.5}}
    answer = api.post("/api/pipeline/", body)
    assert answer.status == 400
    assert list(answer.json["options"]) == ["y"]
