"""Imports run one way, and what is heavy stays out of the API."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LAYERS = ("handlers", "services", "facilities", "storage", "models")
"""Each may import those to its right, and none to its left."""


def test_importing_the_app_loads_no_numpy_no_fits_no_images_no_boto3_and_no_http_client() -> None:
    code = "import sys, app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    # Powertools imports the bare package botocore, which costs a millisecond; its session is what costs.
    heavy = {
        "numpy",
        "fitsio",
        "PIL",
        "astropy",
        "matplotlib",
        "sep",
        "boto3",
        "botocore.session",
        "jinja2",
        "multipart",
        "urllib3",
        "aws_lambda_powertools.utilities.circuit_breaker",
        "aws_lambda_powertools.utilities.parameters",
    }
    assert loaded & heavy == set()


@pytest.mark.parametrize("layer", LAYERS)
def test_no_module_imports_a_layer_above_its_own(layer: str) -> None:
    above = LAYERS[: LAYERS.index(layer)]
    for path in (PROJECT / "chalicelib" / layer).glob("*.py"):
        for name in _imported(path):
            assert not name.startswith(tuple(f"chalicelib.{each}" for each in above)), f"{path.name} imports {name}"


def test_only_storage_imports_boto3_and_only_imaging_imports_numpy() -> None:
    for path in (PROJECT / "chalicelib").rglob("*.py"):
        roots = {name.partition(".")[0] for name in _imported(path)}
        if path.parent.name != "storage":
            assert roots & {"boto3", "botocore"} == set(), path
        if path.parent.name not in ("imaging", "lightcurves", "pipelines"):
            assert roots & {"numpy", "fitsio", "PIL", "sep", "astropy", "matplotlib"} == set(), path


def test_a_laptop_needs_nothing_of_the_deployment_and_the_functions_nothing_of_either() -> None:
    above = {"chalicelib": ("local", "deployment"), "local": ("deployment",)}
    for folder, others in above.items():
        for path in (PROJECT / folder).rglob("*.py"):
            assert {name.partition(".")[0] for name in _imported(path)} & set(others) == set(), path


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names
