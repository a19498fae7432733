"""What the acceptance tests look at: made through the API, as a user would."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acceptance.server import Server
from local.client import Client
from local.demo_checks import wait_for
from local.frames import make_frames
from local.uploads import upload_file

FRAMES = 12
SIZE_PX = 160
SEED = 40

EVENT = "GW150914"
CHAIN: tuple[tuple[str, str, list[str], str], ...] = (
    ("Prod0", "bayeswave", [], "finished"),
    ("Prod1", "bilby", ["Prod0"], "running"),
    ("Prod2", "rift", ["Prod0"], "stuck"),
    ("Prod3", "rift", ["Prod1", "Prod2"], "ready"),
)
"""Productions of the event: name, pipeline, what they need, status."""


@dataclass(frozen=True)
class Content:
    """Ids of what is there.

    Parameters
    ----------
    target : int
        A target with frames, a film, a light curve, an observation template.
    products : list of int
        Its frames.
    film : int
        The process that made the film.
    """

    target: int
    products: list[int]
    film: int


def make_content(server: Server, folder: Path) -> Content:
    """Make a target with frames, a film, a light curve and a template, and an event with productions."""
    client = server.client()
    target = make_target(client, "HAT-P-32")
    frames = make_frames(folder, FRAMES, SIZE_PX, SEED, star_count=60, cadence_s=300)
    products = [upload_file(client, frame, target) for frame in frames]
    film = run(client, target, "Timelapse", products, options={"format": "mp4", "size": 160})
    make_event(client)
    return Content(target, products, film)


def make_target(client: Client, name: str) -> int:
    """Make a target where the made frames point."""
    body = {"name": name, "type": "SIDEREAL", "ra": 31.042863, "dec": 46.687847}
    return int(client.call("POST", "/api/targets/", json=body)["id"])


def make_event(client: Client, name: str = EVENT) -> None:
    """Make an event with the productions of `CHAIN`."""
    client.call("POST", "/api/v1/events/", json={"name": name, "meta": {"gps_time": 1126259462.4, "far": 1e-7}})
    for production, pipeline, dependencies, status in CHAIN:
        body = {
            "name": production,
            "pipeline": pipeline,
            "dependencies": dependencies,
            "comment": f"about {production}",
        }
        client.call("POST", f"/api/v1/productions/{name}", json=body)
        client.call("PUT", f"/api/v1/productions/{name}/{production}", json={"status": status})


def start(client: Client, target: int, pipeline: str, products: list[int], **more: Any) -> int:
    """Start a pipeline; return the process's id."""
    body = {"target": target, "pipeline": pipeline, "products": products, **more}
    return int(client.call("POST", "/api/pipeline/", json=body)["id"])


def run(client: Client, target: int, pipeline: str, products: list[int], **more: Any) -> int:
    """Run a pipeline to its good end; return the process's id."""
    process = start(client, target, pipeline, products, **more)
    wait_for_status(client, process, lambda status: status == "created")
    return process


def wait_for_status(client: Client, process: int, is_wanted: Callable[[str], bool]) -> dict[str, Any]:
    """Wait until the status of a process is as wanted; return the process."""

    def look() -> dict[str, Any] | None:
        found = client.call("GET", f"/api/pipeline/{process}/")
        if found["status"] == "failed" and not is_wanted("failed"):
            raise AssertionError(f"process {process} failed: {found['failure_message']}")
        return found if is_wanted(found["status"]) else None

    return wait_for(f"the wanted status of process {process}", look)
