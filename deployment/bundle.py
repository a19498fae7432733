"""Says what each packaged function weighs and what its import costs, and proves that it runs with what it carries.

The functions find AWS in memory and the telescope portal's stand-in around them, both behind ports of this machine.

Usage: `python -m deployment.bundle build/package`, after `chalice package`, `python -m deployment.slim`
and `python -m deployment.layer`.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deployment import cold_start, template
from local.environment import REGION, aws_variables, without_aws
from local.frames import make_frames, plan_field
from local.memory_aws import memory_aws
from local.portal.example import example_fields
from local.portal.stand_in import StandIn
from local.provision import provision

DEPLOYMENT_FILE = "deployment.zip"

MAX_UNZIPPED_MB = 240
"""Lambda takes 250 MB of function and layers together, unzipped."""

MAX_BUNDLE_MB = {"zipped": 8.0, "unzipped": 21.5}
"""It has 7.6 and 20.3, of which 7 are compiled modules, 5 the core of pydantic and 1.7 (0.5 zipped) Swagger UI. Each cold
start fetches all of it; more means that something has slipped in. Lambda takes 50 MB zipped."""

RUNTIME_LIBRARIES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
"""What the Lambda runtime brings."""

FRAME_COUNT = 12
FRAME_SIZE_PX = 256
SEED = 7
TIMEOUT_S = 120

TOKEN_PARAMETER = "/sidereal/portal-token"  # noqa: S105 - a name
EXPOSURES = 3
OBSERVATION: dict[str, Any] = {
    "target": {"name": "bundle", "type": "SIDEREAL", "ra": 31.042863, "dec": 46.687847},
    "fields": example_fields(EXPOSURES),
}
"""What the API is asked for, and the alerts function has to find the frames of."""


@dataclass(frozen=True)
class Size:
    """Bytes of a zip file, and of what is in it, in MB."""

    zipped: float
    unzipped: float

    @classmethod
    def of(cls, archive: Path) -> "Size":
        """Measure a zip file."""
        with zipfile.ZipFile(archive) as file:
            unzipped = sum(entry.file_size for entry in file.infolist())
        return cls(archive.stat().st_size / 1e6, unzipped / 1e6)


def check(package: Path) -> list[str]:
    """Print a line for each function, and return what is wrong.

    Parameters
    ----------
    package : Path
        Folder with the bundle and the layers.
    """
    bundle = Size.of(package / DEPLOYMENT_FILE)
    layers = {layer: Size.of(package / template.layer_file(layer)) for layer in template.LAYERS}
    faults = bundle_faults(bundle)
    costs: dict[tuple[str, str | None], cold_start.Cost] = {}
    print(
        f"{'function':18}{'bundle, MB':>14}{'layer, MB':>16}{'both, MB':>10}{'import, CPU':>20}   alone with what it carries"
    )
    with tempfile.TemporaryDirectory(prefix="sidereal-bundle-") as name, surroundings() as around:
        folder = Path(name)
        places = _unzip(package, folder)
        frames = _make_frames(folder / "frames")
        for function in template.FUNCTIONS:
            carried = template.LAYER_OF.get(function)
            layer = layers[carried] if carried else Size(0, 0)
            both = bundle.unzipped + layer.unzipped
            if both > MAX_UNZIPPED_MB:
                faults.append(f"{function} has {both:.0f} MB unzipped, more than {MAX_UNZIPPED_MB}")
            if function == "process_alerts":
                around.observe()
            carries = [places[each] for each in _carries(carried)]
            said, is_right = _run_alone(function, frames, carries, folder, around.environment)
            if not is_right:
                faults.append(f"{function} does not run with what it carries")
            took = "-"
            if is_right:
                module = cold_start.module_of(function)
                if (module, carried) not in costs:
                    costs[module, carried] = cold_start.measure(module, carries)
                    faults += costs[module, carried].faults(module)
                took = str(costs[module, carried])
            print(f"{function:18}{_text(bundle):>14}{_text(layer):>16}{both:>10.1f}{took:>20}   {said}", flush=True)
    print("(MB zipped / unzipped; Lambda takes 250 MB unzipped, bundle and layer together, and 50 MB of bundle zipped;")
    print(
        f" import: of the module that Lambda imports, in a fresh process, and in units of `import {cold_start.BASE}`)"
    )
    return faults


def bundle_faults(bundle: Size) -> list[str]:
    """Return what is wrong with the size of the bundle."""
    return [
        f"the bundle has {getattr(bundle, kind):.1f} MB {kind}, more than {most:g}"
        for kind, most in MAX_BUNDLE_MB.items()
        if getattr(bundle, kind) > most
    ]


class Surroundings:
    """What is around the functions: AWS, and a portal.

    Parameters
    ----------
    aws_url : str
        Where AWS answers.
    portal : StandIn
        The portal, with its archive.
    """

    def __init__(self, aws_url: str, portal: StandIn) -> None:
        self._portal = portal
        start = datetime.now(UTC)
        window = {"start": start.isoformat(), "end": (start + timedelta(days=7)).isoformat()}
        observation = {**OBSERVATION, "fields": {**OBSERVATION["fields"], **window}}
        self.environment = aws_variables(aws_url) | {
            "PORTAL_URL": portal.portal_url,
            "ARCHIVE_URL": portal.archive_url,
            "PORTAL_TOKEN_PARAMETER": TOKEN_PARAMETER,
            "OBSERVATION": json.dumps(observation),
        }

    def observe(self) -> None:
        """Take the frames of what the portal was asked for."""
        for (group,) in self._portal.submissions.values():
            self._portal.complete(group["requests"][0]["id"])


@contextmanager
def surroundings() -> Iterator[Surroundings]:
    """Run what is around the functions."""
    import boto3

    portal = StandIn()
    portal.start()
    try:
        with memory_aws() as aws_url:
            provision()
            boto3.client("ssm").put_parameter(Name=TOKEN_PARAMETER, Type="SecureString", Value=portal.token)
            yield Surroundings(aws_url, portal)
    finally:
        portal.stop()


def _carries(layer: str | None) -> list[str]:
    return ["bundle", *([layer] if layer else []), "runtime"]


def _unzip(package: Path, folder: Path) -> dict[str, Path]:
    """Lay out what is packaged as Lambda does, and the libraries of its runtime beside it."""
    places = {"bundle": folder / "bundle"}
    with zipfile.ZipFile(package / DEPLOYMENT_FILE) as file:
        file.extractall(places["bundle"])
    for layer in template.LAYERS:
        with zipfile.ZipFile(package / template.layer_file(layer)) as file:
            file.extractall(folder / layer)
        places[layer] = folder / layer / "python"
    places["runtime"] = folder / "runtime"
    places["runtime"].mkdir()
    for library in RUNTIME_LIBRARIES:
        found = importlib.util.find_spec(library)
        if found is None or found.origin is None:
            raise SystemExit(f"{library}, which the Lambda runtime brings, is not installed here")
        origin = Path(found.origin)
        origin = origin.parent if origin.name == "__init__.py" else origin
        (places["runtime"] / origin.name).symlink_to(origin)
    return places


def _make_frames(folder: Path) -> Path:
    make_frames(folder, FRAME_COUNT, FRAME_SIZE_PX, SEED)
    field = plan_field(FRAME_COUNT, FRAME_SIZE_PX, SEED)
    star = field.stars[field.variable]
    (folder / "star.json").write_text(json.dumps({"x": star.x_px, "y": star.y_px}))
    return folder


def _run_alone(
    function: str, frames: Path, paths: list[Path], folder: Path, around: dict[str, str]
) -> tuple[str, bool]:
    """Let a function work in a process that sees nothing else; return what to say of it, and whether it did."""
    home = folder / "tmp"
    home.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(home), "HOME": "/nowhere", **around}
    script = Path(__file__).with_name("isolated.py")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", str(script), function, str(frames), *map(str, paths)],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        print(done.stdout + done.stderr, file=sys.stderr)
        return "FAILED", False
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return f"{figures['seconds']:.1f} s, peak {figures['peak_mb']} MB: {figures['made']}", True


def _text(size: Size) -> str:
    return f"{size.zipped:.1f} / {size.unzipped:.1f}" if size.unzipped else "-"


def main() -> None:
    """Check the package in the folder given on the command line."""
    # nothing of the user's cloud, which is what AWS in memory must not be
    for name in os.environ.keys() - without_aws(os.environ).keys():
        del os.environ[name]
    os.environ["AWS_DEFAULT_REGION"] = REGION
    faults = check(Path(sys.argv[1]))
    if faults:
        raise SystemExit("; ".join(faults))


if __name__ == "__main__":
    main()
