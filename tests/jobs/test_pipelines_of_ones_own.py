"""Pipelines of other authors: the worked example of docs/pipelines.md, and a class as tom_education's authors write them."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.pipelines.base import Target
from chalicelib.pipelines.registry import all_pipelines
from chalicelib.settings import get_settings
from local.frames import make_frames
from tests.conftest import PROJECT, Api, Aws

PAGE = (PROJECT / "docs" / "pipelines.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
FRAMES = 4

FROM_TOM_EDUCATION = '''
"""A pipeline with the shape of those that tom_education's page teaches; only the imports are new."""
import os
from pathlib import Path

from chalicelib.pipelines.base import AsyncError, DataProduct, PipelineOutput, PipelineProcess, ReducedDatum


class FileLister(PipelineProcess):
    short_name = 'lister'
    allowed_suffixes = ['.fits', '.fz']
    flags = {
        'sizes': {'default': True, 'long_name': 'Write the sizes, too'},
        'fail': {'default': False, 'long_name': 'Give up'},
    }

    class Meta:
        proxy = True
        app_label = 'myapp'

    def do_pipeline(self, tmpdir, **flags):
        sizes = flags.pop('sizes')
        if flags.pop('fail'):
            raise AsyncError('Something went terribly wrong')
        assert self.input_files.exists() and self.input_files.count() == len(self.input_files.all())
        suffix = Path(self.input_files.first().data.name).suffix[1:]
        rows = []
        with self.update_status('Looking at the files'):
            for product in self.input_files.all():
                path = product.data.path
                assert path.endswith(suffix) and os.path.isfile(path) and os.path.basename(product.data.name)
                copy = tmpdir / os.path.basename(product.data.file.name)
                copy.write_bytes(product.data.read())
                with product.data.open() as file:
                    assert file.read(6) == b'SIMPLE'
                rows.append('{} {}'.format(product.get_file_name(), os.path.getsize(path) if sizes else ''))
                self.log('.', end='')
        self.log(' {} at {:.1f} {:.1f}'.format(self.target.name, self.target.ra, self.target.dec))
        self.status = 'Writing'
        self.save()
        table = tmpdir / 'table.csv'
        table.write_text('\\n'.join(rows))
        picture = os.path.join(str(tmpdir), 'picture.png')
        with open(picture, 'wb') as file:
            file.write(b'PNG data')
        yield PipelineOutput(path=table, output_type=ReducedDatum)
        yield (Path(picture), DataProduct)
'''


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str, str, str], None]]:
    """Register the pipeline of a module that is written as it would lie in somebody's project."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def one(name: str, source: str, class_name: str) -> None:
        module = f"of_ones_own_{len(made)}"
        (tmp_path / f"{module}.py").write_text(source, "utf-8")
        made.append(module)
        monkeypatch.setenv("PIPELINES", json.dumps({name: f"{module}.{class_name}"}))
        get_settings.cache_clear()
        all_pipelines.cache_clear()

    yield one
    for module in made:
        sys.modules.pop(module, None)


@pytest.fixture
def inputs(api: Api, tmp_path: Path) -> dict[str, Any]:
    """A target with some frames."""
    target = api.target("M 13")
    frames = make_frames(tmp_path / "frames", count=FRAMES, size_px=128, seed=3, star_count=20)
    return {"target": target, "products": [api.upload(target, f.name, f.read_bytes()).json["id"] for f in frames]}


def run(api: Api, deliver: Callable[..., Any], **body: Any) -> dict[str, Any]:
    answer = api.post("/api/pipeline/", body)
    assert answer.status == 202, answer.text
    while deliver("pipeline"):
        pass
    shown: dict[str, Any] = api.get(f"/api/pipeline/{answer.json['id']}/").json
    return shown | {"log": api.get(answer.json["logs_url"]).json["logs"]}


def outputs(api: Api, aws: Aws, process: dict[str, Any]) -> dict[str, bytes]:
    """Return what a process has made: file name -> content."""
    keys = aws.keys(f"processes/{process['id']}/")
    bucket = aws.name("sidereal-artefacts")
    bodies = {key: aws.s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
    return {key.rpartition("/")[2].removeprefix(f"{process['identifier']}_"): body for key, body in bodies.items()}


def test_the_worked_example_of_the_page_runs_as_a_job(
    api: Api, aws: Aws, deliver: Callable[..., Any], register: Callable[..., None], inputs: dict[str, Any]
) -> None:
    register("Brightest star", BLOCKS[0], "BrightestStar")
    process = run(api, deliver, pipeline="Brightest star", flags={"plot": True}, options={"radius": 8}, **inputs)
    assert (process["status"], process["failure_message"]) == ("created", None), process["log"]
    assert process["progress"] == {"done": FRAMES, "total": FRAMES}
    assert process["log"].splitlines()[-1] == f"Measured {FRAMES} of {FRAMES} frames"
    made = outputs(api, aws, process)
    assert set(made) == {"brightness.csv", "brightness.png"}
    assert made["brightness.png"].startswith(b"\x89PNG")
    rows = made["brightness.csv"].decode().split()
    assert rows[0] == "mjd,magnitude,error,frame"
    times = [float(row.split(",")[0]) for row in rows[1:]]
    assert times == sorted(times)
    assert int(times[0]) == 61_050  # the night of 2026-01-10
    points = api.get(f"/api/reduceddatums/?target={inputs['target']}").json["results"]
    assert [point["data_type"] for point in points] == ["photometry"] * FRAMES


def test_the_worked_example_hands_over_and_leaves_out_what_is_no_frame(
    api: Api,
    aws: Aws,
    deliver: Callable[..., Any],
    register: Callable[..., None],
    inputs: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JOB_HANDOVER_S", "901")  # each run does one step
    register("Brightest star", BLOCKS[0], "BrightestStar")
    bad = api.upload(inputs["target"], "bad.fits", b"SIMPLE  =                    T" + b" " * 2850).json["id"]
    products = [inputs["products"][0], bad, inputs["products"][1]]
    process = run(api, deliver, pipeline="Brightest star", target=inputs["target"], products=products)
    assert process["status"] == "created", process["log"]
    assert process["log"].count("going on with what attempt") == len(products) - 1
    assert process["log"].count("Left out 'bad.fits'") == 1
    made = outputs(api, aws, process)
    assert (set(made), len(made["brightness.csv"].split())) == ({"brightness.csv"}, 3)


def test_flags_and_options_of_the_worked_example_are_listed_and_checked(
    api: Api, register: Callable[..., None], inputs: dict[str, Any]
) -> None:
    register("Brightest star", BLOCKS[0], "BrightestStar")
    (listed,) = api.get("/api/pipelines/").json
    assert listed["flags"] == {"plot": {"default": True, "long_name": "Draw the brightness over time"}}
    assert (listed["options"]["radius"]["default"], listed["allowed_suffixes"]) == (6, [".fits", ".fz"])
    answer = api.post("/api/pipeline/", {"pipeline": "Brightest star", "options": {"radius": 0}, **inputs})
    assert answer.status == 400
    assert "radius" in answer.text


def test_the_page_s_way_of_testing_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "brightest_star.py").write_text(BLOCKS[0], "utf-8")
    source = BLOCKS[1].replace("chalicelib.brightest_star", "brightest_star")
    assert source != BLOCKS[1]
    try:
        exec(compile(source, "pipelines.md", "exec"), {"__name__": "page"})
    finally:
        sys.modules.pop("brightest_star", None)
    said = capsys.readouterr().out
    assert "3/3\nMeasured 3 of 3 frames\n" in said
    assert {path.name for path in tmp_path.iterdir()} >= {"brightness.csv", "brightness.png"}


def test_a_class_of_tom_education_runs_after_changing_its_imports(
    api: Api, aws: Aws, deliver: Callable[..., Any], register: Callable[..., None], inputs: dict[str, Any]
) -> None:
    register("Lister", FROM_TOM_EDUCATION, "FileLister")
    process = run(api, deliver, pipeline="Lister", flags={"sizes": True}, **inputs)
    assert (process["status"], process["failure_message"]) == ("created", None), process["log"]
    assert process["log"] == "." * FRAMES + " M 13 at 250.4 36.5\n"
    assert outputs(api, aws, process) == {"picture.png": b"PNG data"}
    (datum,) = api.get(f"/api/reduceddatums/?target={inputs['target']}").json["results"]
    assert str(datum["value"]).count("-e91.fits.fz ") == FRAMES


def test_an_error_of_such_a_class_is_the_failure_message(
    api: Api, deliver: Callable[..., Any], register: Callable[..., None], inputs: dict[str, Any]
) -> None:
    register("Lister", FROM_TOM_EDUCATION, "FileLister")
    process = run(api, deliver, pipeline="Lister", flags={"fail": True}, **inputs)
    assert (process["status"], process["failure_message"]) == ("failed", "Something went terribly wrong")


def test_the_page_tells_the_limits_that_the_code_has() -> None:
    from chalicelib.services import handover
    from deployment.layer import REQUIREMENTS

    assert f"at most {handover.MAX_STATE_BYTES // 1000} KB" in PAGE
    assert f"at most {handover.MAX_FILES}. It does not return" in PAGE.replace("\n", " ")
    assert f"would do so when {handover.MAX_HANDOVERS} runs have already" in PAGE.replace("\n", " ")
    settings = get_settings()
    assert (settings.job_reserve_s, settings.job_handover_s) == (20, 60)
    memory = json.loads((PROJECT / ".chalice" / "config.json").read_text())["lambda_functions"]
    for queue, path in REQUIREMENTS.items():
        (row,) = [line for line in PAGE.splitlines() if line.startswith(f'| `"{queue}"` |')]
        assert f"{memory[f'run_{queue}']['lambda_memory_size']} MB" in row
        pinned = {name.lower() for name in re.findall(r"^([A-Za-z0-9_-]+)==", path.read_text(), re.MULTILINE)}
        named = {name.lower() for name in row.rsplit("|", 2)[1].replace(" ", "").split(",")}
        assert named <= pinned, row


def test_the_page_s_target_has_what_it_says() -> None:
    for name in ("id", "name", "ra", "dec", "extra_fields"):
        assert f"`{name}`" in PAGE
        assert name in Target.__dataclass_fields__
