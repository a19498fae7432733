"""Make the pictures in `docs/images/`: a server of its own, content that looks like a night's work, a browser.

What differs from run to run, moments and the names made of them, is shown as one moment, so that a picture changes only when
the page does.
"""

import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from acceptance.browsers import find_chromium, look
from acceptance.content import run, start, wait_for_status
from acceptance.pipelines import FOLDER, Gate, Stepped
from acceptance.server import Server, running
from chalicelib.settings import DEFAULT_PIPELINES
from local.client import Client
from local.demo import FRAME_COUNT, FRAME_SIZE_PX, SEED
from local.frames import make_frames, plan_field
from local.home import PROJECT
from local.uploads import upload_file

IMAGES = PROJECT / "docs" / "images"
MOST_BYTES = 200_000
MOST_FILM_BYTES = 1_000_000
COLOURS = 192

WIDE = {"width": 1200, "height": 900}
PHONE = {"width": 390, "height": 780}

TRANSIT: dict[str, Any] = {
    "count": 60,
    "size_px": 192,
    "seed": 41,
    "star_count": 70,
    "cadence_s": 180,
    "light_curve": "transit",
}

TARGETS = (
    {"name": "M 31", "type": "SIDEREAL", "ra": 10.68471, "dec": 41.26875},
    {"name": "NGC 1300", "type": "SIDEREAL", "ra": 49.92081, "dec": -19.41111},
    {"name": "M 13", "type": "SIDEREAL", "ra": 250.42348, "dec": 36.46132},
)

ANALYSES: tuple[tuple[str, str, list[str], str, str], ...] = (
    ("Prod0", "bayeswave", [], "uploaded", "On-source power spectral densities"),
    ("Prod1", "lalinference", ["Prod0"], "reviewed", "Fast look"),
    ("Prod2", "bilby", ["Prod0"], "finished", "IMRPhenomXPHM, default priors"),
    ("Prod3", "bilby", ["Prod0"], "running", "SEOBNRv5PHM"),
    ("Prod4", "rift", ["Prod0"], "stuck", "NRSur7dq4: the scheduler holds its jobs"),
    ("Prod5", "bilby", ["Prod2", "Prod3"], "wait", "Calibration marginalised over both"),
    ("Prod6", "rift", ["Prod4"], "ready", "Eccentricity"),
    ("Prod7", "bilby", ["Prod5", "Prod6"], "ready", "Combined samples"),
)
"""Analyses of GW150914: name, pipeline, what they need, status, comment."""

SAME_MOMENT = r"""
() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        node.nodeValue = node.nodeValue
            .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/g, '2026-01-10 03:04:05 UTC')
            .replace(/\d{14}/g, '20260110030405');
    }
}
"""
SHOWN = """
async () => {
    for (const image of document.images) image.loading = 'eager';
    const isShown = (image) => image.complete && image.naturalWidth > 7;
    for (let tries = 0; tries < 300 && ![...document.images].every(isShown); tries++) {
        await new Promise((resolve) => { setTimeout(resolve, 100); });
    }
    for (const video of document.querySelectorAll('video')) {
        await new Promise((resolve) => { video.onseeked = resolve; video.currentTime = 1; });
    }
}
"""
"""Waits for thumbnails that are still being made, and stops films at the same frame."""


class Calibration(Stepped):
    """A process that is at work for as long as pictures are taken."""

    short_name = "calibration"
    word = "Calibrating"


@dataclass(frozen=True)
class Scene:
    """What there is to see: ids of two targets and of the process that made a film."""

    field: int
    transit: int
    film: int
    curve: int


def main() -> int:
    """Make all pictures; returns the exit code."""
    chromium = find_chromium()
    if chromium is None:
        print("error: there is no Chromium; CHROMIUM may name one", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as folder:
        work = Path(folder)
        pipelines = DEFAULT_PIPELINES | {"Calibration": "acceptance.screenshots.Calibration"}
        variables = {"PIPELINES": json.dumps(pipelines), FOLDER: folder}
        with running(work / "state", variables) as server, sync_playwright() as playwright:
            scene = make_scene(server, work)
            keep_outputs(server.client(), scene)
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            take_pictures(browser, server, scene)
            browser.close()
            Gate(work / "gate").open()
    return 0


def make_scene(server: Server, work: Path) -> Scene:
    """Make targets with frames, films and a light curve, an event with analyses, and a process that is at work."""
    client = server.client()
    for body in TARGETS:
        client.call("POST", "/api/targets/", json=body)
    transit, curve = make_transit(client, work / "transit")
    field, film = make_film(client, work / "field")
    for name, meta in (("GW170817", {"gps_time": 1187008882.4}), ("GW150914", {"gps_time": 1126259462.4, "far": 1e-7})):
        client.call("POST", "/api/v1/events/", json={"name": name, "meta": meta})
    for name, pipeline, needs, status, comment in ANALYSES:
        body = {"name": name, "pipeline": pipeline, "dependencies": needs, "comment": comment}
        client.call("POST", "/api/v1/productions/GW150914", json=body)
        client.call("PUT", f"/api/v1/productions/GW150914/{name}", json={"status": status})
    gate = Gate(work / "gate")
    gate.let(25)
    products = client.call("GET", f"/api/dataproducts/?target={field}&limit=40")["results"]
    inputs = [product["id"] for product in products]
    process = start(client, field, "Calibration", inputs, options={"gate": gate.name, "steps": 40})
    wait_for_status(client, process, lambda status: status == Calibration.word)
    return Scene(field, transit, film, curve)


def make_film(client: Client, folder: Path) -> tuple[int, int]:
    """Make the target of `make demo` with its frames and a film; return the ids of target and process."""
    body = {"name": "2713 Luxembourg", "type": "NON_SIDEREAL", "extra_fields": {"campaign": "winter 2026"}}
    target = int(client.call("POST", "/api/targets/", json=body)["id"])
    frames = make_frames(folder, FRAME_COUNT, FRAME_SIZE_PX, SEED)
    products = [upload_file(client, frame, target) for frame in frames]
    flags = {"normalise_background": True, "align": True, "annotate": True}
    process = run(client, target, "Timelapse", products, flags=flags, options={"format": "mp4"})
    # Noise is hard to compress: every other frame is enough for a film that lies in a repository.
    run(client, target, "Timelapse", products[::2], flags=flags, options={"format": "gif", "size": 220, "fps": 6})
    return target, process


def make_transit(client: Client, folder: Path) -> tuple[int, int]:
    """Make a target whose star is transited, and its light curve; return the ids of target and process."""
    plan = plan_field(**TRANSIT)
    star = plan.stars[plan.variable]
    body = {"name": "HAT-P-32", "type": "SIDEREAL", "ra": 31.04275, "dec": 46.68785}
    target = int(client.call("POST", "/api/targets/", json=body)["id"])
    products = [upload_file(client, frame, target) for frame in make_frames(folder, **TRANSIT)]
    options = {"x": round(star.x_px, 1), "y": round(star.y_px, 1), "comparisons": 6}
    return target, run(client, target, "Photometry", products, flags={"transit": True}, options=options)


def keep_outputs(client: Client, scene: Scene) -> None:
    """Keep the small film and the light curve themselves."""
    timelapses = client.call("GET", f"/api/target/{scene.field}/")["timelapses"]
    gif = next(each["url"] for each in timelapses if each["format"] == "gif")
    client.download(gif, IMAGES / "timelapse.gif")
    check(IMAGES / "timelapse.gif", MOST_FILM_BYTES)
    # Pictures are taken where less motion is asked for, which a page answers with words in the place of a gif.
    products = client.call("GET", f"/api/dataproducts/?target={scene.field}&limit=100")["results"]
    small = next(each["id"] for each in products if each["name"].endswith(".gif"))
    client.call("DELETE", f"/api/dataproducts/{small}/")
    plot = client.call("GET", f"/api/target/{scene.transit}/photometry/")["plot"]
    client.download(plot, IMAGES / "light-curve.png")
    keep(Image.open(IMAGES / "light-curve.png"), "light-curve")


def take_pictures(browser: Browser, server: Server, scene: Scene) -> None:
    """Take a picture of each page that the README shows."""

    @contextmanager
    def page(**more: Any) -> Iterator[Page]:
        context = browser.new_context(base_url=server.url, **look(viewport=WIDE, reduced_motion="reduce", **more))
        yield context.new_page()
        context.close()

    with page() as wide:
        picture(wide, "/", "home")
        picture(wide, f"/targets/{scene.field}/", "target")
        picture(wide, f"/pipeline/{scene.film}", "process")
        picture(wide, "/events/GW150914/", "event")
        picture(wide, "/docs", "docs", lambda shown: shown.locator(".opblock").first.wait_for())
    with page(color_scheme="dark") as dark:
        picture(dark, f"/targets/{scene.transit}/", "target-dark")
    with page() as phone:
        phone.set_viewport_size(PHONE)  # type: ignore[arg-type]
        picture(phone, f"/pipeline/{scene.film}", "process-phone")


def picture(page: Page, path: str, name: str, wait: Callable[[Page], None] = lambda _: None) -> None:
    """Take a picture of what is seen of a page first."""
    page.goto(path)
    wait(page)
    page.evaluate(SHOWN)
    page.evaluate(SAME_MOMENT)
    keep(Image.open(io.BytesIO(page.screenshot(animations="disabled"))), name)


def keep(image: Image.Image, name: str) -> None:
    """Write a picture with few colours."""
    path = IMAGES / f"{name}.png"
    small = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    check(path, MOST_BYTES)


def check(path: Path, most_bytes: int) -> None:
    """Say what was made; end if it is too large for a repository."""
    size = path.stat().st_size
    print(f"{path.relative_to(PROJECT)}  {size / 1000:.0f} kB")
    if size > most_bytes:
        raise SystemExit(f"error: {path.name} has {size} bytes; at most {most_bytes} are wanted")


if __name__ == "__main__":
    sys.exit(main())
