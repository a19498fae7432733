"""Does the work of one function with nothing at hand but what the function carries. Run by `deployment.bundle`.

usage: python -I -S isolated.py FUNCTION FRAMES_FOLDER PATH...

The paths are the unzipped bundle, its layer, and the libraries that the Lambda runtime brings. Nothing of this project or
its environment can be imported from anywhere else. Prints one JSON object: what was made, and what it took.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCHEDULED = {
    "version": "0",
    "id": "isolated",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "000000000000",
    "time": "2026-01-01T00:00:00Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {},
}
"""What a schedule calls its function with."""

UNKNOWN_PROCESS = {"version": 1, "process_id": 999_999}
UNKNOWN_PRODUCT = {"version": 1, "kind": "thumbnail", "product_id": 999_999}


class File:
    """One input, that lies on the disk."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name


class Reporter:
    """Takes what a pipeline says, and gives it all the time it wants."""

    def log(self, text: str) -> None:
        """Forget the line."""

    def progress(self, done: int, total: int) -> None:
        """Forget the step."""

    def update_status(self, status: str) -> None:
        """Forget the word."""

    def is_time_short(self) -> bool:
        """Say that it is not."""
        return False


class Context:
    """What Lambda tells a function of its call."""

    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "isolated"

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that is left."""
        return 60_000


def ask_for_an_observation() -> str:
    """Start the API as Lambda does, and ask it for an observation, which asks the portal."""
    os.environ |= {"AWS_LAMBDA_FUNCTION_NAME": "api", "ASIMOV_API_KEY": "0123456789:somebody"}
    import app

    def request(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Authorization": "Bearer 0123456789"}
        if method == "POST":
            headers["Idempotency-Key"] = path
        place = {"httpMethod": method, "resourcePath": path, "path": path}
        event = {
            "requestContext": {"identity": {"sourceIp": "192.0.2.1"}, **place},
            "path": path,
            "headers": headers,
            "multiValueQueryStringParameters": None,
            "pathParameters": None,
            "stageVariables": None,
            "body": body and json.dumps(body),
            "isBase64Encoded": False,
        }
        answer = app.app(event, Context())
        if answer["statusCode"] not in (200, 201):
            raise SystemExit(f"{method} {path} answers {answer}")
        read: dict[str, Any] = json.loads(answer["body"])
        return read

    request("GET", "/api/v1/health/ready")
    request("GET", "/openapi.json")
    about = json.loads(os.environ["OBSERVATION"])
    target = request("POST", "/api/targets", about["target"])["id"]
    template = {"name": "isolated", "target": target, "facility": "LCO", "fields": about["fields"]}
    request("POST", "/api/observationtemplates", template)
    wanted = {"target": target, "template_name": "isolated", "facility": "LCO", "email": "somebody@example.org"}
    said = request("POST", "/api/observe", wanted)
    return f"an observation of target {said['target']}"


def look_after_alerts() -> str:
    """Look after the alert of the observation that the API has asked for: its frames come, a timelapse is asked for."""
    from chalicelib.handlers import jobs

    done: dict[str, int] = jobs.process_alerts(SCHEDULED, Context())
    expected = json.loads(os.environ["OBSERVATION"])["fields"]["rp_exposure_count"]
    if (done["frames_fetched"], done["timelapses_started"]) != (expected, 1):
        raise SystemExit(f"the alert was not looked after: {done}")
    return f"{done['alerts']} alert, {done['frames_fetched']} frames, {done['timelapses_started']} timelapse asked for"


def sweep() -> str:
    """Look for processes that wait without a message."""
    from chalicelib.handlers import jobs

    done: dict[str, int] = jobs.sweep(SCHEDULED, Context())
    return f"{done['resent']} processes sent again"


def deliver(function: str, body: dict[str, Any]) -> str:
    """Call a function as its queue does, with a message that asks for what is not there."""
    from chalicelib.handlers import jobs

    record = {
        "messageId": "isolated",
        "receiptHandle": "isolated",
        "body": json.dumps(body),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1767225600000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:isolated",
        "awsRegion": "us-east-1",
    }
    answer = getattr(jobs, function)({"Records": [record]}, Context())
    if answer != {"batchItemFailures": []}:
        raise SystemExit(f"{function} answers {answer}")
    return "a message"


def make_film(frames: list[Path]) -> str:
    """Make a film of the frames in each format."""
    from chalicelib.pipelines.timelapse import TimelapsePipeline
    from chalicelib.services import runs  # noqa: F401

    made = []
    for film_format, (start, at) in {"mp4": (b"ftyp", 4), "webm": (b"\x1aE\xdf\xa3", 0), "gif": (b"GIF89a", 0)}.items():
        options = TimelapsePipeline.options_model.model_validate({"format": film_format})
        flags = {name: name != "crop" for name in TimelapsePipeline.flags}
        made += _run(TimelapsePipeline, frames, options, flags, {f".{film_format}": (start, at)})
    return ", ".join(made)


def make_thumbnail(frames: list[Path]) -> str:
    """Make the thumbnail of a frame."""
    from chalicelib.imaging.thumbnails import make_thumbnail
    from chalicelib.services import archives, thumbnails  # noqa: F401

    picture = make_thumbnail(frames[0], frames[0].name)
    if not picture.startswith(b"\x89PNG"):
        raise SystemExit("the thumbnail is no PNG")
    return f"thumbnail ({len(picture)} bytes)"


def make_light_curve(frames: list[Path], x: float, y: float) -> str:
    """Measure a star on the frames, with everything that its pipeline can draw and search."""
    from chalicelib.pipelines.photometry import PhotometryPipeline
    from chalicelib.services import runs  # noqa: F401

    options = PhotometryPipeline.options_model.model_validate({"x": x, "y": y})
    flags = dict.fromkeys(PhotometryPipeline.flags, True)
    expected = {".png": (b"\x89PNG", 0), ".svg": (b"<?xml", 0), ".csv": (b"", 0)}
    return ", ".join(_run(PhotometryPipeline, frames, options, flags, expected))


def _run(
    pipeline: Any, frames: list[Path], options: Any, flags: dict[str, bool], expected: dict[str, tuple[bytes, int]]
) -> list[str]:
    from chalicelib.pipelines.base import Target

    with tempfile.TemporaryDirectory() as folder:
        run = pipeline(Target(1, "field"), [File(path) for path in frames], Reporter(), "x_1", options)
        paths = [Path(output.path) for output in run.run(Path(folder), flags) if output.path is not None]
        for suffix, (start, at) in expected.items():
            found = [path for path in paths if path.suffix == suffix]
            if not found or any(path.read_bytes()[at : at + len(start)] != start for path in found):
                raise SystemExit(f"{pipeline.__name__} made {[path.name for path in paths]}, and no right '{suffix}'")
        return [f"{path.name} ({path.stat().st_size} bytes)" for path in paths]


def peak_kb() -> int:
    """Return the most memory that this process has had; what `getrusage` says is that of its parent where that had more."""
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Do the work of the function named on the command line."""
    function, folder, *paths = sys.argv[1:]
    sys.path[:0] = paths
    frames = sorted(Path(folder).glob("*.fits*"))
    star = json.loads((Path(folder) / "star.json").read_text())
    started = time.perf_counter()
    work: dict[str, Callable[[], str]] = {
        "api": ask_for_an_observation,
        "run_dead_letters": lambda: deliver(function, UNKNOWN_PROCESS),
        "sweep": sweep,
        "process_alerts": look_after_alerts,
        "run_timelapse": lambda: f"{deliver(function, UNKNOWN_PROCESS)}, {make_film(frames)}",
        "make_rendition": lambda: f"{deliver(function, UNKNOWN_PRODUCT)}, {make_thumbnail(frames)}",
        "run_pipeline": lambda: (
            f"{deliver(function, UNKNOWN_PROCESS)}, {make_light_curve(frames, star['x'], star['y'])}"
        ),
    }
    made = work[function]()
    peak_mb = peak_kb() / 1024
    files = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
    strays = [name for name, file in files.items() if "site-packages" in file and not file.startswith(tuple(paths))]
    if strays:
        raise SystemExit(f"modules from elsewhere: {strays[:5]}")
    print(json.dumps({"made": made, "seconds": round(time.perf_counter() - started, 2), "peak_mb": round(peak_mb)}))


if __name__ == "__main__":
    main()
