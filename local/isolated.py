"""Does the work of one function with nothing at hand but what the function carries. Run by `local.bundle`.

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


def answer_a_request() -> str:
    """Start the API as Lambda does and answer a request."""
    os.environ |= {"AWS_LAMBDA_FUNCTION_NAME": "api", "ASIMOV_API_KEY": "0123456789:somebody"}
    import app

    context = {"identity": {}, "httpMethod": "GET", "resourcePath": "/api/v1/health", "path": "/api/v1/health"}
    event = {
        "requestContext": context,
        "path": "/api/v1/health",
        "headers": {},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "body": None,
        "isBase64Encoded": False,
    }
    answer = app.app(event, None)
    if answer["statusCode"] != 200:
        raise SystemExit(f"the API answers {answer}")
    return str(answer["body"])


def import_job_services() -> str:
    """Import what the functions without libraries of their own import when they are called."""
    from chalicelib.handlers import jobs
    from chalicelib.services import processes, renditions

    return f"{jobs.__name__}, {processes.__name__}, {renditions.__name__}"


def make_film(frames: list[Path]) -> str:
    """Make a film of the frames in each format."""
    from chalicelib.handlers import jobs  # noqa: F401 - the module that Lambda imports
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
    from chalicelib.handlers import jobs  # noqa: F401
    from chalicelib.imaging.thumbnails import make_thumbnail
    from chalicelib.services import archives, thumbnails  # noqa: F401

    picture = make_thumbnail(frames[0], frames[0].name)
    if not picture.startswith(b"\x89PNG"):
        raise SystemExit("the thumbnail is no PNG")
    return f"thumbnail ({len(picture)} bytes)"


def make_light_curve(frames: list[Path], x: float, y: float) -> str:
    """Measure a star on the frames, with everything that its pipeline can draw and search."""
    from chalicelib.handlers import jobs  # noqa: F401
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


def main() -> None:
    """Do the work of the function named on the command line."""
    function, folder, *paths = sys.argv[1:]
    sys.path[:0] = paths
    frames = sorted(Path(folder).glob("*.fits*"))
    star = json.loads((Path(folder) / "star.json").read_text())
    started = time.perf_counter()
    work: dict[str, Callable[[], str]] = {
        "api": answer_a_request,
        "run_dead_letters": import_job_services,
        "sweep": import_job_services,
        "run_timelapse": lambda: make_film(frames),
        "make_rendition": lambda: make_thumbnail(frames),
        "run_pipeline": lambda: make_light_curve(frames, star["x"], star["y"]),
    }
    made = work[function]()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    files = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
    strays = [name for name, file in files.items() if "site-packages" in file and not file.startswith(tuple(paths))]
    if strays:
        raise SystemExit(f"modules from elsewhere: {strays[:5]}")
    print(json.dumps({"made": made, "seconds": round(time.perf_counter() - started, 2), "peak_mb": round(peak_mb)}))


if __name__ == "__main__":
    main()
