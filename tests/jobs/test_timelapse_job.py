"""A timelapse as a job: from uploaded frames to a film at its address, in one run and in two."""

from pathlib import Path
from typing import Any

import pytest

from chalicelib.imaging.rendering import FrameRenderer
from chalicelib.services.runs import run_process
from local.frames import make_frames
from tests.conftest import Api, Aws
from tests.factories_frames import read_film

COUNT = 5
FLAGS = {"align": True, "normalise_background": True, "annotate": True}


@pytest.fixture
def wish(api: Api, tmp_path: Path) -> dict[str, Any]:
    """Upload frames; return the request for their timelapse."""
    target = api.target("M 42")
    frames = make_frames(tmp_path / "frames", COUNT, 128, 4, star_count=60)
    products = [api.upload(target, path.name, path.read_bytes()).json["id"] for path in frames]
    return {"target": target, "pipeline": "Timelapse", "products": products, "flags": FLAGS}


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_a_timelapse_that_is_handed_over_is_the_one_that_is_not(
    api: Api, aws: Aws, wish: dict[str, Any], kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wish["options"] = {"format": kind, "fps": 12.5, "size": 100}
    rendered = 0
    render = FrameRenderer.render

    def counting(self: FrameRenderer, *arguments: Any) -> Any:
        nonlocal rendered
        rendered += 1
        return render(self, *arguments)

    monkeypatch.setattr(FrameRenderer, "render", counting)
    films = []
    for short_after in (COUNT, 2):
        process = api.post("/api/pipeline/", wish).json["id"]
        rendered = 0
        run_process(process, lambda: 59.0 if rendered == short_after else 600.0)  # noqa: B023 - called before it changes
        if short_after < COUNT:
            assert api.get(f"/api/pipeline/{process}/").json["progress"] == {"done": 2, "total": COUNT}
            assert rendered == 2
            rendered = 100
            run_process(process, lambda: 600.0)
            assert rendered == 100 + COUNT - 2
        shown = api.get(f"/api/pipeline/{process}/").json
        assert shown["status"] == "created", shown
        (key,) = [name for name in aws.keys(f"processes/{process}/") if name.endswith(f".{kind}")]
        films.append(aws.s3.get_object(Bucket=aws.name("sidereal-artefacts"), Key=key)["Body"].read())
    assert films[0] == films[1]
    (tmp_path / f"film.{kind}").write_bytes(films[0])
    assert len(read_film(tmp_path / f"film.{kind}")) == COUNT
    timelapses = api.get(f"/api/target/{wish['target']}/").json["timelapses"]
    assert [(each["format"], each["frames"]) for each in timelapses] == [(kind, COUNT)] * 2
