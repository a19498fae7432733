"""Makes the bundle of `chalice package` smaller, and its import quicker.

What no function of ours uses is left out, and every module is compiled: Lambda cannot keep what it compiles, so that without
this each cold start compiles each module anew, which takes longer than importing it.

Usage: `python -m deployment.slim build/package/deployment.zip`.
"""

import sys
import tempfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

from deployment.layer import compile_modules

NOT_NEEDED = (
    *(
        f"aws_lambda_powertools/utilities/{utility}/*"
        for utility in ("auth_alpha", "data_masking", "feature_flags", "kafka")
    ),
    # version 1 within version 2, and a plug-in for a type checker
    "pydantic/v1/*",
    "pydantic/mypy.py",
    # libyaml, 2.6 MB: one small file is read, by the reader in Python
    "yaml/_yaml*.so",
    # what installers and editors read; licences stay
    "*.dist-info/RECORD",
    "*.dist-info/sboms/*",
    "*/tests/*",
    "*.pyi",
    "*.c",
)
"""Files that are left out; that every function works without them is proved by `deployment.bundle`."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the bundle: what has not changed makes the same bundle."""


def is_needed(name: str) -> bool:
    """Say whether a file belongs into the bundle."""
    return not any(fnmatch(name, pattern) for pattern in NOT_NEEDED)


def slim(bundle: Path) -> None:
    """Replace a bundle by one without what is not needed, and with its modules compiled."""
    with tempfile.TemporaryDirectory(prefix="sidereal-slim-") as folder:
        root = Path(folder) / "bundle"
        with zipfile.ZipFile(bundle) as file:
            file.extractall(root, [name for name in file.namelist() if is_needed(name)])
        compile_modules(root)
        draft = bundle.with_suffix(".new")
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
            for path in sorted(path for path in root.rglob("*") if path.is_file()):
                entry = zipfile.ZipInfo(str(path.relative_to(root)), _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                file.writestr(entry, path.read_bytes())
        draft.replace(bundle)


def main() -> None:
    """Slim the bundle given on the command line."""
    slim(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
