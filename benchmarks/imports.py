"""What importing the app costs, beside importing the libraries that it cannot do without.

Each in a fresh process, in turn; the ratio is taken pair by pair, so that it holds when the machine's speed drifts.
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MAX_RATIO = 1.3
BASE = "import chalice, boto3, pydantic, aws_lambda_powertools"
WHOLE = {"app": "import app", "one job function": "import chalicelib.handlers.jobs"}


def run(repeat: int = 9) -> dict[str, Any]:
    """Return CPU seconds of each import, and its ratio to the libraries alone."""
    _cpu_s(BASE), _cpu_s("import app")  # compiles what is imported
    figures: dict[str, Any] = {}
    for name, statement in WHOLE.items():
        pairs = [(_cpu_s(statement), _cpu_s(BASE)) for _ in range(repeat)]
        figures[name] = {
            "cpu_s": round(median(ours for ours, _ in pairs), 3),
            "libraries_cpu_s": round(median(base for _, base in pairs), 3),
            "ratio": round(median(ours / base for ours, base in pairs), 2),
        }
    return {"cases": figures, "max_ratio": MAX_RATIO, "ok": figures["app"]["ratio"] <= MAX_RATIO}


def rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the figures as rows of a table: what, measured, wanted."""
    return [
        (f"import of {name}", f"{case['cpu_s']} s CPU, {case['ratio']} x the libraries", f"<= {figures['max_ratio']} x")
        for name, case in figures["cases"].items()
    ]


def _cpu_s(statement: str) -> float:
    code = f"{statement}\nimport json, time\nprint(json.dumps(time.process_time()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))
