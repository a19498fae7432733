"""What a timelapse costs: CPU seconds and peak memory of a fresh process, imports included.

The limits are fractions of the CPU time of the program this one replaces, measured as a whole process: a quarter for gif,
a third for mp4 and webm, a thirtieth where the sky is subtracted.
SIDEREAL_DATA may name a folder that holds `hat-p-32-transit`, a sequence of real frames.
"""

import json
import os
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
SKY = ("normalise_background",)
EVERY = ("normalise_background", "crop", "clean_cosmics", "align", "annotate", "colour_map")


@dataclass(frozen=True)
class Case:
    """One measurement: so many frames of one size, in one format, with some flags."""

    count: int
    size_px: int
    format: str = "gif"
    flags: tuple[str, ...] = ()
    max_cpu_s: float | None = None
    max_peak_mb: float = MAX_PEAK_MB
    repeat: int = 3

    @property
    def name(self) -> str:
        flags = {(): "", EVERY: ", every flag"}.get(self.flags, f", {', '.join(self.flags)}")
        return f"{self.count} of {self.size_px} x {self.size_px} float32, {self.format}{flags}"


FEW, MANY = Case(10, 1024, max_cpu_s=0.45, repeat=5), Case(200, 1024, repeat=1)
CASES = (
    Case(50, 1024, "gif", max_cpu_s=1.35),
    Case(50, 1024, "mp4", max_cpu_s=2.13),
    Case(50, 1024, "webm", max_cpu_s=2.83),
    Case(50, 1024, "mp4", SKY, max_cpu_s=4.3),
    FEW,
    MANY,
    Case(10, 2048, "gif", max_cpu_s=0.65),
    Case(10, 2048, "mp4", SKY, max_cpu_s=3.3),
)
# Memory with every flag: that of each size, and whether it grows with the number of frames.
FEW_FLAGGED, MANY_FLAGGED = (Case(count, 512, "mp4", EVERY, repeat=1) for count in (10, 200))
MEMORY_CASES = (
    FEW_FLAGGED,
    MANY_FLAGGED,
    *(Case(4, 2048, kind, EVERY, repeat=1) for kind in ("mp4", "webm")),
    *(Case(3, 4096, kind, EVERY, max_peak_mb=700, repeat=1) for kind in ("mp4", "webm")),
)
HAT_P_32 = "71 of HAT-P-32, 650 x 500 int16, gif"


def run(data: Path | None = None) -> dict[str, Any]:
    """Measure every case and return the figures.

    Parameters
    ----------
    data : path, optional
        Folder that may hold `hat-p-32-transit`, a sequence of real frames.

    Returns
    -------
    dict
        `cases`: name -> frames, cpu_s, max_cpu_s, peak_mb, max_peak_mb, film_mb, ok;
        `memory_ratios` of 200 frames to 10, without flags and with all; `ok`.
    """
    data = data or Path(os.environ.get("SIDEREAL_DATA", ROOT.parent / "shared" / "data"))
    # Compiles what is imported and warms the disk cache.
    measure(["-c", "import chalicelib.imaging.rendering, chalicelib.imaging.video, chalicelib.pipelines.timelapse"])
    cases: dict[str, dict[str, Any]] = {}
    for size_px in sorted({case.size_px for case in (*CASES, *MEMORY_CASES)}):
        alike = [case for case in (*CASES, *MEMORY_CASES) if case.size_px == size_px]
        with tempfile.TemporaryDirectory() as scratch:
            files = make_sequence(Path(scratch), max(case.count for case in alike), size_px)
            for case in alike:
                cases[case.name] = measure_case(files[: case.count], case)
    real = data / "hat-p-32-transit"
    if real.is_dir():
        files = sorted(path for path in real.iterdir() if path.suffix == ".FITS")
        cases[HAT_P_32] = measure_case(files, Case(len(files), 650))
    ratios = {
        "without flags": cases[MANY.name]["peak_mb"] / cases[FEW.name]["peak_mb"],
        "with every flag": cases[MANY_FLAGGED.name]["peak_mb"] / cases[FEW_FLAGGED.name]["peak_mb"],
    }
    ok = all(case["ok"] for case in cases.values()) and max(ratios.values()) < MAX_MEMORY_RATIO
    return {"cases": cases, "memory_ratios": {name: round(ratio, 3) for name, ratio in ratios.items()}, "ok": ok}


def make_sequence(folder: Path, count: int, size_px: int) -> list[Path]:
    """Write ten different frames as plain 32-bit float FITS; the others are links to them."""
    from local.frames import make_frames

    originals = make_frames(folder, min(count, 10), size_px, dtype="float32", compress=False)
    for number in range(len(originals), count):
        (folder / f"z-again-{number:04d}.fits").hardlink_to(originals[number % len(originals)])
    return sorted(folder.iterdir())


def measure_case(files: list[Path], case: Case) -> dict[str, Any]:
    """Make the timelapse of the files in fresh processes and return the medians."""
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch, "files.txt")
        listing.write_text("\n".join(map(str, files)))
        wish = [case.format, ",".join(case.flags)]
        runs = [measure([__file__, "--child", str(listing), scratch, *wish]) for _ in range(case.repeat)]
        size_mb = Path(scratch, f"t.{case.format}").stat().st_size / 1e6
    cpu_s, peak_mb = (median(values) for values in zip(*runs, strict=True))
    ok = peak_mb < case.max_peak_mb and (case.max_cpu_s is None or cpu_s <= case.max_cpu_s)
    return {
        "frames": len(files),
        "cpu_s": round(cpu_s, 3),
        "max_cpu_s": case.max_cpu_s,
        "peak_mb": round(peak_mb, 1),
        "max_peak_mb": case.max_peak_mb,
        "film_mb": round(size_mb, 1),
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


def run_child(listing: Path, folder: Path, kind: str, flags: str) -> None:
    """Make the timelapse of the files that `listing` names; `flags` are joined by commas."""
    from chalicelib.pipelines.base import Target
    from chalicelib.pipelines.timelapse import TimelapseOptions, TimelapsePipeline

    class LocalFile:
        def __init__(self, path: Path) -> None:
            self.name, self.path = path.name, path

    class SilentReporter:
        def log(self, text: str) -> None: ...

        def progress(self, done: int, total: int) -> None: ...

        def update_status(self, status: str) -> None: ...

        def is_time_short(self) -> bool:
            return False

    files = [LocalFile(Path(line)) for line in listing.read_text().splitlines()]
    options = TimelapseOptions.model_validate({"format": kind})
    pipeline = TimelapsePipeline(Target(1, "benchmark"), files, SilentReporter(), "", options)
    (output,) = pipeline.run(folder, dict.fromkeys(filter(None, flags.split(",")), True))
    if output.data != {"frames": len(files)}:
        raise SystemExit(f"{output.data} of {len(files)} frames")


def rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the figures as rows of a table: what, measured, wanted."""
    found = []
    for name, case in figures["cases"].items():
        limits = [f"<= {case['max_cpu_s']} s"] if case["max_cpu_s"] else []
        wanted = ", ".join([*limits, f"< {case['max_peak_mb']} MB"])
        measured = f"{case['cpu_s']:.2f} s CPU, peak {case['peak_mb']:.0f} MB, film {case['film_mb']:.1f} MB"
        found.append((f"timelapse of {name}", measured, wanted))
    for name, ratio in figures["memory_ratios"].items():
        found.append((f"memory, 200 frames to 10, {name}", f"{ratio:.2f} x", f"< {MAX_MEMORY_RATIO} x"))
    return found


if __name__ == "__main__":  # one measurement, in a process of its own
    sys.path.insert(0, str(ROOT))
    run_child(Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:6])
