"""Frames come in, films and pictures go out: by the functions behind the queues, in the bundle and with their layers."""

import io
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from deployment.e2e.asking import Asker, E2EError
from deployment.e2e.scripts import run_example
from deployment.e2e.stack import Clock, Deployment
from deployment.e2e.telescope import FRAME
from local.client import Client
from local.frames import make_frames, plan_field

TARGET = "e2e field"
FRAME_COUNT = 8
FRAME_SIZE_PX = 256
SEED = 7

LONGEST_HANDOVER_S = "900"
"""As `JOB_HANDOVER_S`: time is short from the start, so each invocation does one step."""


@dataclass
class Films:
    """Somebody who has frames of a star field.

    Parameters
    ----------
    deployment : Deployment
        The stack.
    ask : Asker
        Of its API.
    clock : Clock
        The time that is left.
    folder : Path
        Takes frames and what is downloaded.
    """

    deployment: Deployment
    ask: Asker
    clock: Clock
    folder: Path
    target: int = 0
    products: list[int] = field(default_factory=list)

    def upload_frames(self) -> str:
        """Upload the frames with the example for it: each by a presigned POST, past the API."""
        make_frames(self.folder / "frames", FRAME_COUNT, FRAME_SIZE_PX, SEED)
        where = ("--target", TARGET, "--ra", "31.042863", "--dec", "46.687847")
        said = run_example(self.deployment, "upload_frames.py", str(self.folder / "frames"), *where)
        listed = self.ask("GET", f"/api/targets/?name={TARGET}", 200).json
        self.target = int(listed["results"][0]["id"])
        found = self.ask("GET", f"/api/dataproducts/?target={self.target}", 200).json["results"]
        self.products = [int(each["id"]) for each in found]
        if len(self.products) != FRAME_COUNT:
            raise E2EError(f"{len(self.products)} of {FRAME_COUNT} frames are there: {said}")
        return said.strip().splitlines()[-1]

    def refuse_uploads(self) -> str:
        """Try presigned uploads that are not what was announced; each must be refused, and leave nothing."""
        body = {"target": self.target, "filename": "late.fits", "size": len(FRAME), "data_product_type": "fits_file"}
        made = self.ask("POST", "/api/dataproducts/", 201, ..., body).json
        place, form = f"/api/dataproducts/{made['id']}/", made["upload"]
        self.ask("POST", f"{place}complete/", 409, {"detail": str})
        other = {**form["fields"], "key": form["fields"]["key"].replace("late", "other")}
        wrong = {
            "a larger file": (form["fields"], FRAME + b"x"),
            "another place": (other, FRAME),
            "a signature that was changed": ({**form["fields"], "x-amz-signature": "0" * 64}, FRAME),
        }
        for what, (fields, content) in wrong.items():
            status = self._post(form["url"], fields, content)
            if not 400 <= status < 500:
                raise E2EError(f"{what} is answered {status}")
        self.ask("POST", f"{place}complete/", 409, {"detail": str})
        # what is as large as announced, but no FITS file, the storage cannot know
        self._check_posted(form, b"x" * len(FRAME))
        self.ask("POST", f"{place}complete/", 400, {"file": list})
        self._check_posted(form, FRAME)
        self.ask("POST", f"{place}complete/", 200)
        self.ask("DELETE", place, 204)
        return ", ".join(wrong)

    def make_film(self) -> str:
        """Ask for a timelapse over HTTP."""
        process = self.start("Timelapse", options={"format": "mp4"})
        shown, _ = self.wait_for(process)
        film = self.film_of(shown)
        return f"{len(film)} bytes of mp4, {FRAME_COUNT} frames"

    def make_film_by_message(self) -> str:
        """Ask for a timelapse by a message, with the example for it."""
        film = self.folder / "by-message.gif"
        arguments = (TARGET, "--option", "format=gif", "--output", str(film), "--timeout", "120")
        address = run_example(self.deployment, "start_timelapse.py", *arguments).strip()
        if not film.read_bytes().startswith(b"GIF89a"):
            raise E2EError(f"no film at {address}")
        newest = self.timelapses()[0]
        if not address.endswith(newest["url"]) or newest["frames"] != FRAME_COUNT:
            raise E2EError(f"the film is at {address}, the newest of the target {newest}")
        return str(newest["name"])

    def make_pictures(self) -> str:
        """Look at a thumbnail, and fetch all frames as one archive."""
        picture = self._fetch(f"/api/dataproducts/{self.products[0]}/thumbnail/")
        if not picture.startswith(b"\x89PNG"):
            raise E2EError(f"no thumbnail: {picture[:20]!r}")
        group = self.ask("POST", "/api/dataproductgroups/", 201, ..., {"name": "e2e frames"}).json["id"]
        self.ask("PATCH", f"/api/dataproductgroups/{group}/", 200, ..., {"add": self.products})
        content = self._fetch(f"/api/dataproductgroups/{group}/zip/")
        self.ask("GET", f"/dataproducts/data/group/{group}/zip/", 302)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.testzip() or len(archive.namelist()) != FRAME_COUNT:
                raise E2EError(f"the archive has {archive.namelist()}")
        return f"a thumbnail of {len(picture)} bytes, an archive of {FRAME_COUNT} frames with {len(content)} bytes"

    def shorten_runs(self) -> None:
        """Let each run of a timelapse hand over after its first step."""
        self.deployment.set_variables("RunTimelapse", {"JOB_HANDOVER_S": LONGEST_HANDOVER_S})

    def progress(self, process: int) -> int:
        """Return how many frames of a film are done."""
        return int(self.ask("GET", f"/api/pipeline/{process}/", 200).json["progress"]["done"])

    def check_handed_over(self, process: int) -> int:
        """Wait for a film that several runs make, and return how many did.

        Raises
        ------
        E2EError
            If it was one, or if a frame was worked on twice.
        """
        shown, log = self.wait_for(process)
        self.film_of(shown)
        frames = [int(number) for number in re.findall(rf"^Processing frame (\d+)/{FRAME_COUNT}$", log, re.MULTILINE)]
        if frames != list(range(1, FRAME_COUNT + 1)):
            raise E2EError(f"the runs processed the frames {frames}:\n{log}")
        runs = 1 + log.count("going on with what attempt")
        if runs < 2:
            raise E2EError(f"one run made all of it:\n{log}")
        return runs

    def start_photometry(self) -> int:
        """Ask for the light curve of the variable star."""
        field_ = plan_field(FRAME_COUNT, FRAME_SIZE_PX, SEED)
        star = field_.stars[field_.variable]
        return self.start("Photometry", options={"x": star.x_px, "y": star.y_px})

    def check_photometry(self, process: int) -> str:
        """Wait for the light curve, and read it with the example for it."""
        shown, _ = self.wait_for(process)
        names = sorted(self.outputs(shown))
        if not any(name.endswith(".csv") for name in names):
            raise E2EError(f"Photometry made no table: {names}")
        lines = run_example(self.deployment, "light_curve.py", TARGET, "--process", str(process)).splitlines()
        points = self.ask("GET", f"/api/reduceddatums/?target={self.target}", 200).json["count"]
        table = self.ask("GET", f"/targets/{self.target}/data/download/?process={process}", 200).text
        if len(lines) != FRAME_COUNT + 1 or points < FRAME_COUNT or len(table.splitlines()) != FRAME_COUNT:
            raise E2EError(f"{FRAME_COUNT} frames have {points} points, as a script reads them:\n" + "\n".join(lines))
        return f"{', '.join(names)}; {FRAME_COUNT} points"

    def start(self, pipeline: str, **how: Any) -> int:
        """Start a pipeline on all frames, and return its process."""
        body = {"target": self.target, "pipeline": pipeline, "products": self.products, **how}
        return int(self.ask("POST", "/api/pipeline/", 202, ..., body).json["id"])

    def wait_for(self, process: int, status: str = "created") -> tuple[dict[str, Any], str]:
        """Wait until a process has ended; return it and its log.

        Raises
        ------
        E2EError
            If it ends otherwise.
        """

        def ended() -> dict[str, Any] | None:
            shown: dict[str, Any] = self.ask("GET", f"/api/pipeline/{process}/", 200).json
            return shown if shown["terminal_timestamp"] is not None else None

        shown = self.clock.wait(f"the process {process}", ended)
        log = str(self.ask("GET", f"/api/pipeline/logs/{process}/", 200).json["logs"])
        if shown["status"] != status:
            raise E2EError(f"the process {process} is {shown['status']}: {shown['failure_message']}\n{log}")
        return shown, log

    def film_of(self, process: dict[str, Any]) -> bytes:
        """Download the mp4 that a process has made.

        Raises
        ------
        E2EError
            If there is none, or if its target does not show it.
        """
        ((name, content),) = self.outputs(process).items()
        shown = [each for each in self.timelapses() if each["name"] == f"{process['identifier']}_{name}"]
        if content[4:8] != b"ftyp" or [(each["format"], each["frames"]) for each in shown] != [("mp4", FRAME_COUNT)]:
            raise E2EError(f"not the film that was asked for: {name}, {content[:12]!r}, {shown}")
        return content

    def outputs(self, process: dict[str, Any]) -> dict[str, bytes]:
        """Download what a process has made: file name -> content."""
        group = str(process["group_url"]).strip("/").rpartition("/")[2]
        client = Client(self.deployment.api, self.deployment.token)
        found = {}
        for product in self.ask("GET", f"/api/dataproductgroups/{group}/", 200).json["products"]:
            about = self.ask("GET", f"/api/dataproducts/{product}/", 200).json
            path = self.folder / about["name"]
            client.download(about["url"], path)
            found[path.name.removeprefix(f"{process['identifier']}_")] = path.read_bytes()
        return found

    def timelapses(self) -> list[dict[str, Any]]:
        """Return the timelapses that the target shows, newest first."""
        found: list[dict[str, Any]] = self.ask("GET", f"/api/target/{self.target}/", 200).json["timelapses"]
        return found

    def _fetch(self, path: str) -> bytes:
        """Ask for what is made on request until the API names where it is, and fetch it."""

        def place() -> str | None:
            reply = self.ask("GET", path, int)
            if reply.status not in (202, 302):
                raise E2EError(f"{path} answers {reply.status}: {reply.text}")
            return reply.headers["location"] if reply.status == 302 else None

        link = str(self.clock.wait(path, place))
        if urlsplit(link).netloc != urlsplit(self.deployment.url).netloc:
            raise E2EError(f"{path} leads to another host")
        found = requests.get(link, timeout=30)
        if not found.ok:
            raise E2EError(f"{path} leads to {found.status_code}")
        return found.content

    def _check_posted(self, form: dict[str, Any], content: bytes) -> None:
        status = self._post(form["url"], form["fields"], content)
        if not 200 <= status < 300:
            raise E2EError(f"the upload that was announced is answered {status}")

    def _post(self, url: str, fields: dict[str, str], content: bytes) -> int:
        return requests.post(url, data=fields, files={"file": ("late.fits", content)}, timeout=30).status_code
