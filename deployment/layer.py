"""Builds the layers that only the job functions carry: wheels for Lambda's system, pruned, compiled and zipped.

Usage: `python -m deployment.layer timelapse build/package/timelapse-layer.zip`; `pipeline` is the other one.
"""

import compileall
import platform
import py_compile
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
REQUIREMENTS = {name: PROJECT / f"requirements-{name}.txt" for name in ("timelapse", "pipeline")}

# Old enough for each of Lambda's systems; newer Pythons run on newer ones, whose wheels pip prefers from the same list.
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_26_x86_64")

_NOT_NEEDED = ("tests", "test", "__pycache__", "_pyinstaller", "include", "sample_data")
_NEEDED = (
    "astropy/tests",  # imported by `import astropy`
)
_SOURCES = (".pyi", ".pyx", ".pxd", ".c", ".h", ".cpp")


def install(layer: str, folder: Path) -> None:
    """Put the libraries of a layer into a folder, as Lambda's `/opt/python` has them."""
    version = ".".join(platform.python_version_tuple()[:2])
    wanted = [argument for name in PLATFORMS for argument in ("--platform", name)]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"),
            *("--no-deps", "--no-compile", "--only-binary=:all:", "--python-version", version),
            *("--target", str(folder), *wanted, "-r", str(REQUIREMENTS[layer])),
        ],
        check=True,
    )


def prune(folder: Path) -> None:
    """Remove what no run needs: tests, headers, sources of compiled modules."""
    kept = {folder / each for each in _NEEDED}
    for name in _NOT_NEEDED:
        for found in list(folder.rglob(name)):
            if found.is_dir() and found not in kept:
                shutil.rmtree(found)
    for found in list(folder.rglob("*")):
        if found.suffix in _SOURCES and found.is_file():
            found.unlink()


def compile_modules(folder: Path) -> None:
    """Compile every module: Lambda cannot keep what it compiles, and would do it at each cold start.

    The files are not compared with their sources, whose times a zip file does not keep.
    """
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    # some libraries carry templates that are no Python, and are never imported
    compileall.compile_dir(str(folder), quiet=2, stripdir=str(folder.parent), invalidation_mode=mode)


def build(layer: str, target: Path) -> None:
    """Write the zip file of a layer."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "python"
        install(layer, root)
        prune(root)
        compile_modules(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(path for path in root.rglob("*") if path.is_file()):
                archive.write(path, path.relative_to(folder))


def main() -> None:
    """Build the layer named on the command line at the path given there."""
    layer, target = sys.argv[1:]
    build(layer, Path(target))


if __name__ == "__main__":
    main()
