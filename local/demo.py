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

from local.client import Client, RefusedError
from local.demo_checks import POLL_S, STALL_S, DemoError, check_film
from local.demo_observing import SETTINGS, Observing
from local.home import Home
from local.serve import Options, serve
from local.supervisor import Supervisor

FRAME_COUNT = 40
FRAME_SIZE_PX = 512
SEED = 20_260_110

NO_FRAMES = (".md", ".json", ".txt", ".csv", ".yaml", ".yml", ".toml", ".py", ".html", ".pdf", ".log", ".gitignore")
"""Files that lie beside frames and are not meant as one."""

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
        products: list[int] = []
        refused: list[str] = []
        for frame in tqdm(frames, desc="uploading", unit="frame", disable=None, file=sys.stdout):
            try:
                products.append(client.upload_frame(frame, target))
            except RefusedError as error:
                if error.status != 400:
                    raise
                refused.append(f"not taken: {frame.name}: {error.text}")
        print(f"{len(products)} of {len(frames)} frames uploaded")
        for line in refused:
            print(f"  {line}")
        if not products:
            raise DemoError("none of the frames was taken")
        return products

    def _run_timelapse(self, client: Client, target: int, products: list[int]) -> dict[str, Any]:
        body = {"target": target, "pipeline": "Timelapse", "products": products, "flags": {}}
        process = client.call("POST", "/api/pipeline/", json=body)
        path = f"/api/pipeline/{process['id']}/"
        last_seen: object = None
        changed = time.monotonic()
        with tqdm(desc="timelapse", unit="frame", total=len(products), disable=None, file=sys.stdout) as bar:
            while process["status"] not in ("created", "failed"):
                time.sleep(POLL_S)
                process = client.call("GET", path)
                progress = process.get("progress") or {}
                done, total = int(progress.get("done") or 0), int(progress.get("total") or 0)
                bar.total = total or bar.total
                bar.update(done - bar.n)
                if (process["status"], done) != last_seen:
                    last_seen, changed = (process["status"], done), time.monotonic()
                elif time.monotonic() - changed > STALL_S:
                    raise DemoError(f"nothing has happened to process {process['id']} for {STALL_S:g} s")
        log = client.call("GET", f"/api/pipeline/logs/{process['id']}/")
        for line in str(log.get("logs", "")).splitlines():
            if "left out" in line.lower():
                print(f"  {line}")
        if process["status"] == "failed":
            raise DemoError(f"the timelapse failed: {process.get('failure_message')}")
        self.facts.append(f"process     {process.get('identifier')} ({path})")
        return process

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


def find_frames(folder: Path) -> list[Path]:
    """Return the files of a folder that may be frames, by name.

    Raises
    ------
    DemoError
        If there is no such folder, or none in it.
    """
    if not folder.is_dir():
        raise DemoError(f"there is no folder {folder}")
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    frames = [file for file in files if not file.name.lower().endswith(NO_FRAMES)]
    if not frames:
        raise DemoError(f"there are no frames in {folder}")
    return frames


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
                    outcome.append(f"{error}" if isinstance(error, (DemoError, RefusedError)) else f"{error!r}")
                finally:
                    supervisor.stop()

            def begin(url: str) -> None:
                print(f"serving on {url} for the time of this demonstration", flush=True)
                threading.Thread(target=steps, args=(url,), name="demo", daemon=True).start()

            overrides = {**SETTINGS, "MAIL_FOLDER": str(home.mail)}
            options = Options(home, port=0, own_key=f"{token}:demo", overrides=overrides)
            serve(options, supervisor, lambda _: None, begin)
            interrupted = supervisor.is_interrupted
    except DemoError as error:
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
