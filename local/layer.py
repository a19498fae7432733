"""Builds the layer that only the job functions carry: the wheels of requirements-timelapse.txt for Lambda's system, zipped.

Usage: `python -m local.layer build/package/jobs-layer.zip`.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
MAX_UNZIPPED_MB = 240
"""Lambda takes 250 MB of function and layers together, unzipped."""

# Old enough for each of Lambda's systems; newer Pythons run on newer ones, whose wheels pip prefers from the same list.
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_26_x86_64")
_NOT_NEEDED = ("tests", "test", "__pycache__", "_pyinstaller", "include")


def build(target: Path) -> float:
    """Write the layer to `target` and return its size unzipped, in MB.

    Raises
    ------
    SystemExit
        If it is larger than Lambda takes.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "python"
        version = ".".join(platform.python_version_tuple()[:2])
        wanted = [argument for name in PLATFORMS for argument in ("--platform", name)]
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"),
                *("--no-deps", "--only-binary=:all:", "--python-version", version, "--target", str(root), *wanted),
                *("-r", str(PROJECT / "requirements-timelapse.txt")),
            ],
            check=True,
        )
        for unneeded in _NOT_NEEDED:
            for found in list(root.rglob(unneeded)):
                if found.is_dir():
                    shutil.rmtree(found)
        files = sorted(path for path in root.rglob("*") if path.is_file())
        size_mb = sum(path.stat().st_size for path in files) / 1e6
        if size_mb > MAX_UNZIPPED_MB:
            raise SystemExit(f"the layer has {size_mb:.0f} MB unzipped; Lambda takes {MAX_UNZIPPED_MB}")
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder))
    return size_mb


def main() -> None:
    """Build the layer at the path given on the command line."""
    target = Path(sys.argv[1])
    size_mb = build(target)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB zipped, {size_mb:.1f} MB unzipped")


if __name__ == "__main__":
    main()
