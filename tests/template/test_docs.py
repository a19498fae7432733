"""The documents say what the code says."""

import re
from pathlib import Path

from app import app
from chalicelib.settings import Settings

README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")


def test_the_readme_explains_every_setting() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| .* \| (.+) \|$", README, re.MULTILINE))
    assert {name: field.description for name, field in Settings.model_fields.items()} == {
        name.lower(): text for name, text in rows.items()
    }


def test_the_readme_names_every_api_route() -> None:
    plain = re.sub(r"<[a-z_ ]+>", "{}", README).replace("`POST .../cancel/`, `POST .../retry/`", "")
    for path in app.routes:
        if not path.startswith("/api/") or path.endswith(("/cancel", "/retry")) or "analyses" in path:
            continue
        assert re.sub(r"\{[a-z_]+\}", "{}", path) in plain, path
