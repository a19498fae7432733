"""docs/operations.md explains what the functions write, and why messages are given up."""

import re
from pathlib import Path

import pytest

from chalicelib.handlers import jobs
from chalicelib.metrics import NAMESPACE, Metric
from deployment import costs

PROJECT = Path(__file__).resolve().parents[2]
GUIDE = (PROJECT / "docs" / "operations.md").read_text("utf-8")


def section(name: str) -> str:
    """Return the text of a section."""
    return GUIDE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def rows(name: str) -> list[list[str]]:
    """Return the cells of the tables of a section, without heads."""
    lines = [line for line in section(name).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_metric_is_explained_with_its_unit_and_dimensions() -> None:
    assert [(f"`{metric}`", metric.unit.value, ", ".join(metric.dimensions)) for metric in Metric] == [
        (name, unit, dimensions) for name, unit, dimensions, _ in rows("Metrics")
    ]
    assert f"`{NAMESPACE}`" in section("Metrics")


def test_every_metric_is_written_somewhere() -> None:
    sources = [path.read_text("utf-8") for path in (PROJECT / "chalicelib").rglob("*.py")]
    written = set(re.findall(r"(?:add\(|: )Metric\.([A-Z_]+)", "\n".join(sources)))
    assert written == {metric.name for metric in Metric}


def test_the_number_of_all_metrics_is_told() -> None:
    assert f"at most {costs.metric_count()} in a stack" in section("Metrics")


@pytest.mark.parametrize("reason", [jobs.FAILED, jobs.UNREADABLE])
def test_the_reasons_for_giving_a_message_up_are_explained(reason: str) -> None:
    assert f"`{reason}`" in (PROJECT / "docs" / "data-model.md").read_text("utf-8")
