"""`make bench`: run every benchmark, print one table, keep the figures under `benchmarks/results/`.

python -m benchmarks [NAME ...]
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
NAMES = ("imports", "events", "timelapse", "job", "load")


def main() -> int:
    """Run the benchmarks that the command line names, or all; return 1 if a figure was missed."""
    RESULTS.mkdir(exist_ok=True)
    chosen = sys.argv[1:] or list(NAMES)
    table: list[tuple[str, str, str]] = []
    is_met = True
    for name in chosen:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"... {name}", file=sys.stderr, flush=True)
        figures: dict[str, Any] = module.run()
        (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")
        table.extend(module.rows(figures))
        is_met = is_met and figures["ok"]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0 if is_met else 1


if __name__ == "__main__":
    raise SystemExit(main())
