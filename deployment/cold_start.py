"""What a cold start of each function costs before its first request: the import of its module, with what it carries.

Measured in CPU time of fresh processes that see nothing else, each beside one that imports a little of the standard library,
in turn. The ratio of the two says the same on a quick machine and on a slow one; the milliseconds are those of this one.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

BASE = "json, urllib.request"
MODULES = {"api": "app"}
"""The module that Lambda imports, where it is not that of the job functions."""

JOBS_MODULE = "chalicelib.handlers.jobs"

MAX_RATIO = {"app": 7.0, JOBS_MODULE: 4.5}
"""Times the base. About a half above what was measured (5.0 and 3.0), so that a library too many is seen, and the machine's
mood is not; modules that are not compiled cost nearly three times as much."""

HEAVY = (
    "astropy",
    "av",
    "boto3",
    "botocore.session",  # Powertools imports `botocore` itself, which is next to nothing
    "fitsio",
    "jinja2",
    "matplotlib",
    "numpy",
    "PIL",
    "scipy",
    "sep",
    "urllib3",
)
"""What no function imports before it is called: who needs one imports it then."""

REPEAT = 5


@dataclass(frozen=True)
class Cost:
    """What an import costs.

    Parameters
    ----------
    cpu_ms : float
        CPU time of the whole process, ms.
    ratio : float
        The same in units of a process that imports `BASE`.
    heavy : tuple of str
        Libraries of `HEAVY` that were imported.
    """

    cpu_ms: float
    ratio: float
    heavy: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.cpu_ms:.0f} ms, {self.ratio:.1f} x"

    def faults(self, module: str) -> list[str]:
        """Return what is wrong with it."""
        found = [f"importing {module} imports {name}" for name in self.heavy]
        if self.ratio > MAX_RATIO[module]:
            found.append(f"importing {module} takes {self.ratio:.1f} times the base, more than {MAX_RATIO[module]:g}")
        return found


def module_of(function: str) -> str:
    """Return the module that Lambda imports for a function."""
    return MODULES.get(function, JOBS_MODULE)


def measure(module: str, paths: list[Path]) -> Cost:
    """Import a module in fresh processes that see these folders and the standard library.

    Raises
    ------
    SystemExit
        If it cannot be imported.
    """
    pairs = [(_run(module, paths), _run(BASE, paths)) for _ in range(REPEAT)]
    return Cost(
        cpu_ms=median(ours["cpu_ms"] for ours, _ in pairs),
        ratio=median(ours["cpu_ms"] / base["cpu_ms"] for ours, base in pairs),
        heavy=tuple(name for name in HEAVY if name in pairs[0][0]["modules"]),
    )


def _run(modules: str, paths: list[Path]) -> dict[str, Any]:
    program = (
        f"import sys; sys.path[:0] = {[str(path) for path in paths]!r}\nimport {modules}\n"
        "import json, time\nprint(json.dumps({'cpu_ms': time.process_time() * 1e3, 'modules': list(sys.modules)}))"
    )
    environment = {"PATH": os.environ["PATH"], "AWS_LAMBDA_FUNCTION_NAME": "cold", "ASIMOV_API_KEY": "0123456789:cold"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{modules} cannot be imported alone:\n{done.stderr}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures
