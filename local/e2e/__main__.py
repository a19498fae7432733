"""The end-to-end run: what `make package` made is deployed to an emulator and used from outside, over HTTP only.

Usage: `python -m local.e2e build/package`. Everything listens on the loopback interface, lies in one temporary folder, and
is gone afterwards. The emulator is MiniStack: it makes the stack from the template, runs the functions from the bundle and
the layers, and lets each only do what its policy allows.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.client import Client
from local.e2e.asking import E2EError
from local.e2e.observing import EXPOSURES, LIMIT, Observing, finish, prepare
from local.e2e.stack import Clock, Deployment, emulator
from local.emulator import answers
from local.frames import make_frames, plan_field
from local.portal.stand_in import StandIn

FRAME_COUNT = 8
FRAME_SIZE_PX = 256
SEED = 7

LONGEST_HANDOVER_S = "900"
"""As `JOB_HANDOVER_S`: time is short from the start, so each invocation does one step."""


class Usage:
    """What somebody does with the deployed API."""

    def __init__(self, client: Client, clock: Clock, folder: Path) -> None:
        self._client = client
        self._clock = clock
        self._folder = folder
        self.target = 0
        self.products: list[int] = []

    def upload_frames(self) -> None:
        """Create a target and upload frames of it."""
        body = {"name": "e2e field", "type": "SIDEREAL", "ra": 31.042863, "dec": 46.687847}
        self.target = int(self._client.call("POST", "/api/targets/", json=body)["id"])
        frames = make_frames(self._folder / "frames", FRAME_COUNT, FRAME_SIZE_PX, SEED)
        self.products = [self._client.upload_frame(frame, self.target) for frame in frames]

    def has_pipeline(self, name: str) -> bool:
        """Say whether the deployed API offers a pipeline."""
        listed: Any = self._client.call("GET", "/api/pipelines/")
        return name in [each["name"] for each in listed]

    def run(self, pipeline: str, **how: Any) -> tuple[dict[str, Any], str]:
        """Run a pipeline on all frames; return its process and its log.

        Raises
        ------
        E2EError
            If it fails.
        """
        body = {"target": self.target, "pipeline": pipeline, "products": self.products, **how}
        process = int(self._client.call("POST", "/api/pipeline/", json=body)["id"])

        def ended() -> dict[str, Any] | None:
            shown = self._client.call("GET", f"/api/pipeline/{process}/")
            return shown if shown["terminal_timestamp"] is not None else None

        shown = self._clock.wait(f"the pipeline {pipeline}", ended)
        log = str(self._client.call("GET", f"/api/pipeline/logs/{process}/")["logs"])
        if shown["status"] != "created":
            raise E2EError(f"{pipeline} failed: {shown['failure_message']}\n{log}")
        return shown, log

    def outputs(self, process: dict[str, Any]) -> dict[str, bytes]:
        """Download what a process has made: file name -> content."""
        group = str(process["group_url"]).strip("/").rpartition("/")[2]
        found = {}
        for product in self._client.call("GET", f"/api/dataproductgroups/{group}/")["products"]:
            about = self._client.call("GET", f"/api/dataproducts/{product}/")
            path = self._folder / about["name"]
            self._client.download(about["url"], path)
            found[path.name.removeprefix(f"{process['identifier']}_")] = path.read_bytes()
        return found

    def timelapses(self) -> list[dict[str, Any]]:
        """Return the timelapses that the target shows, newest first."""
        found: list[dict[str, Any]] = self._client.call("GET", f"/api/target/{self.target}/")["timelapses"]
        return found


def use(deployment: Deployment, usage: Usage, say: Callable[[str], None]) -> None:
    """Do what users do, and look at what they get."""
    usage.upload_frames()
    say(f"uploaded {FRAME_COUNT} frames through the API")
    process, _ = usage.run("Timelapse", options={"format": "mp4"})
    film = _film(usage, process)
    say(f"Timelapse: {len(film)} bytes of mp4, {FRAME_COUNT} frames, in one run")
    if usage.has_pipeline("Photometry"):
        star = plan_field(FRAME_COUNT, FRAME_SIZE_PX, SEED)
        variable = star.stars[star.variable]
        process, _ = usage.run("Photometry", options={"x": variable.x_px, "y": variable.y_px})
        names = sorted(usage.outputs(process))
        if not any(name.endswith(".csv") for name in names):
            raise E2EError(f"Photometry made no table: {names}")
        say(f"Photometry: {', '.join(names)}")
    else:
        say("Photometry is not among the pipelines of this deployment: left out")
    deployment.set_variable("RunTimelapse", "JOB_HANDOVER_S", LONGEST_HANDOVER_S)
    process, log = usage.run("Timelapse", options={"format": "mp4"})
    _film(usage, process)
    runs = 1 + log.count("going on with what attempt")
    if runs < FRAME_COUNT:
        raise E2EError(f"the run that had to hand over took {runs} invocations:\n{log}")
    if [line for line in log.splitlines() if line.startswith(f"Processing frame {FRAME_COUNT}/")][1:]:
        raise E2EError(f"a frame was processed twice:\n{log}")
    say(f"Timelapse: the same film by {runs} invocations, each handing over to the next")


def _film(usage: Usage, process: dict[str, Any]) -> bytes:
    (content,) = usage.outputs(process).values()
    newest = usage.timelapses()[0]
    if content[4:8] != b"ftyp" or (newest["format"], newest["frames"]) != ("mp4", FRAME_COUNT):
        raise E2EError(f"not the film that was asked for: {content[:12]!r}, {newest}")
    return content


def run(package: Path, say: Callable[[str], None]) -> None:
    """Deploy, use, remove.

    Raises
    ------
    E2EError
        If something is not as it should be.
    """
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="sidereal-e2e-") as name, _portal() as portal:
        folder = Path(name)
        with emulator(folder) as url:
            say(f"emulator on {url}")
            deployment = Deployment(package, url)
            api = deployment.create(clock, **prepare(deployment, portal))
            say(f"deployed {api}")
            try:
                client = Client(api, deployment.token)
                observing = Observing(deployment, client, clock, portal)
                # the first request starts the function, and may meet a stack that is not quite there
                clock.wait("the API", lambda: answers(f"{api}/api/v1/health") or None)
                observing.ask()
                say(
                    f"an observation of {EXPOSURES} frames was asked for; after {LIMIT} requests the address is throttled"
                )
                observing.observe()
                use(deployment, Usage(client, clock, folder), say)
                finish(observing, folder, say)
            except Exception:
                print((folder / "emulator.log").read_text()[-4000:], file=sys.stderr)
                raise
            deployment.delete(clock)
            say("deleted the stack")


@contextmanager
def _portal() -> Iterator[StandIn]:
    portal = StandIn(size_px=FRAME_SIZE_PX)
    portal.start()
    try:
        yield portal
    finally:
        portal.stop()


def main() -> int:
    """Run it on the package named on the command line, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local.e2e", description="Deploy a package to an emulator and use it."
    )
    parser.add_argument("package", type=Path, help="folder that `make package` has filled")
    package = parser.parse_args().package
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

    try:
        run(package, say)
    except E2EError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
