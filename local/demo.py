"""The demonstration, on a server of its own: frames in, a timelapse out; an event; an observation that ends in a mail."""

import fcntl
import secrets
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from local.client import Client
from local.demo_checks import STALL_S, DemoError, check_film
from local.demo_observing import SETTINGS, Observing
from local.faults import ClientError
from local.following import follow
from local.home import Home
from local.serve import Options, serve
from local.supervisor import Supervisor
from local.uploads import NoFramesError, Uploads, find_frames

FRAME_COUNT = 40
FRAME_SIZE_PX = 512
SEED = 20_260_110

INTERRUPTED = 130


@dataclass
class Demo:
    """The steps of the demonstration, run against a server that is up.

    Parameters
    ----------
    frames_folder : Path or None
        The user's own frames; None for frames that are made up.
    work_folder : Path
        Where frames are made.
    mail_folder : Path
        Where the server puts its mails.
    output_folder : Path
        Where the timelapse is kept.
    """

    frames_folder: Path | None
    work_folder: Path
    mail_folder: Path
    output_folder: Path
    facts: list[str] = field(default_factory=list)

    def run(self, client: Client) -> None:
        """Do everything and say what was made.

        Raises
        ------
        DemoError
            If something is not as it should be.
        RefusedError
            If the API refuses what it must not.
        """
        frames = self._find_frames()
        name = f"demo {self.frames_folder.name}" if self.frames_folder else "demo field"
        body = {"name": name, "type": "SIDEREAL", "ra": 31.042863, "dec": 46.687847}
        target = client.call("POST", "/api/targets/", json=body)
        self.facts.append(f"target      {target['name']} (/api/targets/{target['id']}/)")
        products = self._upload(client, frames, int(target["id"]))
        process = self._run_timelapse(client, int(target["id"]), products)
        self._keep_timelapse(client, int(target["id"]), process)
        self._create_event(client)
        self.facts.extend(Observing(client, self.mail_folder, self.output_folder).run())
        print("\nMade:")
        for fact in self.facts:
            print(f"  {fact}")

    def _find_frames(self) -> list[Path]:
        if self.frames_folder is None:
            from local.frames import make_frames

            print(f"making {FRAME_COUNT} frames of a star field")
            return make_frames(self.work_folder / "frames", count=FRAME_COUNT, size_px=FRAME_SIZE_PX, seed=SEED)
        return find_frames(self.frames_folder)

    def _upload(self, client: Client, frames: list[Path], target: int) -> list[int]:
        total = sum(frame.stat().st_size for frame in frames)
        with tqdm(desc="uploading", unit="B", unit_scale=True, total=total, disable=None, file=sys.stdout) as bar:
            uploads = Uploads(client, target, heed=bar.update)
            uploads.send(frames)
        print(f"{len(uploads.products)} of {len(frames)} frames uploaded")
        for frame, reason in sorted(uploads.refused.items()):
            print(f"  not taken: {frame.name}: {reason}")
        if not uploads.products:
            raise DemoError("none of the frames was taken")
        return sorted(uploads.products.values())

    def _run_timelapse(self, client: Client, target: int, products: list[int]) -> dict[str, Any]:
        body = {"target": target, "pipeline": "Timelapse", "products": products, "flags": {}}
        process = client.call("POST", "/api/pipeline/", json=body)
        path = f"/api/pipeline/{process['id']}/"
        last_seen = time.monotonic()

        def sleep(seconds: float) -> None:
            if time.monotonic() - last_seen > STALL_S:
                raise DemoError(f"nothing has happened to process {process['id']} for {STALL_S:g} s")
            time.sleep(seconds)

        with tqdm(desc="timelapse", unit="frame", total=len(products), disable=None, file=sys.stdout) as bar:
            for message in follow(client, f"{path}stream", sleep):
                last_seen = time.monotonic()
                if message.event == "process":
                    process = message.data
                    progress = process["progress"]
                    bar.total = progress["total"] or bar.total
                    bar.update(progress["done"] - bar.n)
                elif message.event == "log":
                    for line in message.data["text"].splitlines():
                        if "left out" in line.lower():
                            bar.write(f"  {line}", file=sys.stdout)
        if process["status"] != "created":
            raise DemoError(f"the timelapse failed: {process.get('failure_message')}")
        self.facts.append(f"process     {process.get('identifier')} ({path})")
        return dict(process)

    def _keep_timelapse(self, client: Client, target: int, process: dict[str, Any]) -> None:
        detail = client.call("GET", f"/api/target/{target}/")
        if not detail["timelapses"]:
            raise DemoError(f"process {process['id']} is finished but the target has no timelapse")
        timelapse = detail["timelapses"][0]
        self.output_folder.mkdir(parents=True, exist_ok=True)
        film = self.output_folder / Path(timelapse["name"]).name
        size = client.download(timelapse["url"], film)
        width, height, count = check_film(film)
        self.facts.append(f"timelapse   {film} ({width} x {height} pixels, {count} frames, {size / 1e6:.1f} MB)")
        self.facts.append(f"            {timelapse['url']} on the server")

    def _create_event(self, client: Client) -> None:
        event = {"name": "GW150914", "meta": {"gps_time": 1126259462.4, "far": 1e-7}}
        made = client.call("POST", "/api/v1/events/", json=event)["event"]
        if made["meta"] != event["meta"]:
            raise DemoError(f"the event's meta came back changed: {made['meta']}")
        production = {"name": "Prod0", "pipeline": "bilby", "comment": "made by the demonstration"}
        client.call("POST", "/api/v1/productions/GW150914", json=production)
        found = client.call("GET", "/api/v1/events/GW150914")["event"]
        self.facts.append(f"event       {found['name']} with {len(found['productions'])} production")


def demo_command(frames_folder: Path | None) -> int:
    """Run `python -m local demo`: a server on free ports, the steps, the end; returns the exit code."""
    output = Home.default().root / "demo"
    output.mkdir(parents=True, exist_ok=True)
    remove_leftovers(output)
    state = Path(tempfile.mkdtemp(prefix="state-", dir=output))
    home = Home(state)
    token = secrets.token_urlsafe(24)
    outcome: list[str | None] = []
    interrupted = False
    try:
        if frames_folder is not None:
            find_frames(frames_folder)
        with Supervisor() as supervisor:

            def steps(url: str) -> None:
                try:
                    Demo(frames_folder, state, home.mail, output).run(Client(url, token))
                    outcome.append(None)
                except Exception as error:  # noqa: BLE001 - whatever went wrong is the outcome
                    outcome.append(f"{error}" if isinstance(error, (DemoError, ClientError)) else f"{error!r}")
                finally:
                    supervisor.stop()

            def begin(url: str) -> None:
                print(f"serving on {url} for the time of this demonstration", flush=True)
                threading.Thread(target=steps, args=(url,), name="demo", daemon=True).start()

            overrides = {**SETTINGS, "MAIL_FOLDER": str(home.mail)}
            options = Options(home, port=0, own_key=f"{token}:demo", overrides=overrides)
            serve(options, supervisor, lambda _: None, begin)
            interrupted = supervisor.is_interrupted
    except (DemoError, NoFramesError) as error:
        outcome.append(str(error))
    finally:
        shutil.rmtree(state, ignore_errors=True)
    if interrupted or not outcome:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    if outcome[0] is not None:
        print(f"error: {outcome[0]}", file=sys.stderr)
        return 1
    print("everything is shut down again")
    return 0


def remove_leftovers(folder: Path) -> None:
    """Remove the state of demonstrations that were killed; one that is running holds its lock."""
    for state in folder.glob("state-*"):
        lock = state / "lock"
        if not lock.exists():
            continue
        with lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(state, ignore_errors=True)
