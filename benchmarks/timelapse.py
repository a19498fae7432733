"""What a timelapse costs: CPU seconds and peak memory of a fresh process, imports included.

The limits are a quarter of the CPU time of the program this one replaces, measured as a whole process.
SIDEREAL_DATA may name a folder that holds `hat-p-32-transit`, a sequence of real frames.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MAX_PEAK_MB = 300
MAX_MEMORY_RATIO = 1.2


@dataclass(frozen=True)
class Case:
    """One measurement: so many frames of one size."""

    name: str
    count: int
    size_px: int
    max_cpu_s: float | None = None


CASES = (
    Case("50 of 1024 x 1024 float32", 50, 1024, 1.35),
    Case("10 of 1024 x 1024 float32", 10, 1024, 0.45),
    Case("10 of 2048 x 2048 float32", 10, 2048, 0.65),
    Case("200 of 1024 x 1024 float32", 200, 1024),
)
HAT_P_32 = "71 of HAT-P-32, 650 x 500 int16"


def run(data: Path | None = None, repeat: int = 5) -> dict[str, Any]:
    """Measure every case and return the figures.

    Parameters
    ----------
    data : path, optional
        Folder that may hold `hat-p-32-transit`, a sequence of real frames.
    repeat : int
        Runs of each case; the median counts.

    Returns
    -------
    dict
        `cases`: name -> frames, cpu_s, max_cpu_s, peak_mb, gif_mb, ok;
        `memory_ratio` of 200 frames to 10; `ok`.
    """
    data = data or Path(os.environ.get("SIDEREAL_DATA", ROOT.parent / "shared" / "data"))
    # Compiles what is imported and warms the disk cache.
    measure(["-c", "import chalicelib.imaging.fits, chalicelib.imaging.gif, chalicelib.pipelines.timelapse"])
    cases: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for case in CASES:
            folder = Path(scratch, case.name)
            make_sequence(folder, case.count, case.size_px)
            cases[case.name] = measure_case(sorted(folder.iterdir()), case.max_cpu_s, repeat)
            shutil.rmtree(folder)
    real = data / "hat-p-32-transit"
    if real.is_dir():
        files = sorted(path for path in real.iterdir() if path.suffix == ".FITS")
        cases[HAT_P_32] = measure_case(files, None, repeat)
    ratio = cases[CASES[3].name]["peak_mb"] / cases[CASES[1].name]["peak_mb"]
    ok = all(case["ok"] for case in cases.values()) and ratio < MAX_MEMORY_RATIO
    return {"cases": cases, "memory_ratio": round(ratio, 3), "ok": ok}


def make_sequence(folder: Path, count: int, size_px: int) -> None:
    """Write ten different frames as plain 32-bit float FITS; the others are links to them."""
    from local.frames import make_frames

    originals = make_frames(folder, min(count, 10), size_px, dtype="float32", compress=False)
    for number in range(len(originals), count):
        (folder / f"again-{number:04d}.fits").hardlink_to(originals[number % len(originals)])


def measure_case(files: list[Path], max_cpu_s: float | None, repeat: int) -> dict[str, Any]:
    """Make the timelapse of the files in fresh processes and return the medians."""
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch, "files.txt")
        listing.write_text("\n".join(map(str, files)))
        runs = [measure([__file__, "--child", str(listing), scratch]) for _ in range(repeat)]
        size_mb = Path(scratch, "t.gif").stat().st_size / 1e6
    cpu_s, peak_mb = (median(values) for values in zip(*runs, strict=True))
    ok = peak_mb < MAX_PEAK_MB and (max_cpu_s is None or cpu_s <= max_cpu_s)
    return {
        "frames": len(files),
        "cpu_s": round(cpu_s, 3),
        "max_cpu_s": max_cpu_s,
        "peak_mb": round(peak_mb, 1),
        "gif_mb": round(size_mb, 1),
        "ok": ok,
    }


def measure(arguments: list[str]) -> tuple[float, float]:
    """Run Python and return its CPU seconds (user and system) and its peak memory in MB."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # A new process counts the memory of the one it was forked from as its own peak: put a small one in between.
    probe = (
        "import json, resource, subprocess, sys\n"
        "subprocess.run([sys.executable, *sys.argv[1:]], check=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    cpu_s, peak = json.loads(done.stdout)
    return cpu_s, peak / (1e6 if sys.platform == "darwin" else 1024)


def run_child(listing: Path, folder: Path) -> None:
    """Make the timelapse of the files that `listing` names."""
    from chalicelib.pipelines.base import Target
    from chalicelib.pipelines.timelapse import TimelapsePipeline

    class LocalFile:
        def __init__(self, path: Path) -> None:
            self.name, self.path = path.name, path

    class SilentReporter:
        def log(self, text: str) -> None: ...

        def progress(self, done: int, total: int) -> None: ...

        def update_status(self, status: str) -> None: ...

    files = [LocalFile(Path(line)) for line in listing.read_text().splitlines()]
    (output,) = TimelapsePipeline(Target(1, "benchmark"), files, SilentReporter()).run(folder, {})
    if output.data != {"frames": len(files)}:
        raise SystemExit(f"{output.data} of {len(files)} frames")


def rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the figures as rows of a table: what, measured, wanted."""
    found = []
    for name, case in figures["cases"].items():
        wanted = f"<= {case['max_cpu_s']} s, < {MAX_PEAK_MB} MB" if case["max_cpu_s"] else f"< {MAX_PEAK_MB} MB"
        measured = f"{case['cpu_s']:.2f} s CPU, peak {case['peak_mb']:.0f} MB, gif {case['gif_mb']:.1f} MB"
        found.append((f"timelapse of {name}", measured, wanted))
    return [*found, ("memory, 200 frames to 10", f"{figures['memory_ratio']:.2f} x", f"< {MAX_MEMORY_RATIO} x")]


if __name__ == "__main__":  # one measurement, in a process of its own
    sys.path.insert(0, str(ROOT))
    run_child(Path(sys.argv[2]), Path(sys.argv[3]))
