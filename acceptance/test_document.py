"""What /openapi.json says is so: schemathesis asks both APIs whatever the document allows and forbids."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from acceptance.content import make_content, make_event
from acceptance.server import running
from local.home import PROJECT
from local.portal.example import example_fields

SECONDS = os.environ.get("SCHEMATHESIS_S")
"""How long it goes on asking; by default it tries each operation in as many ways as the configuration says."""

LONGEST_S = 300
"""Seconds after which something hangs."""

LEAST_DONE = 0.8
"""Share of the operations that must have done what they are for, once at least: who only refuses is not tried."""

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")

SETTINGS = {
    "RENDITION_WAIT_S": "0.2",
    "LOCAL_PORTAL_DELAY_S": "2",
    "THROTTLE_OBSERVE": "1000/second",
}
"""Nobody is to wait here for what workers make, or to be throttled where something else is tried."""


def test_every_answer_is_as_the_document_says(tmp_path: Path) -> None:
    with running(tmp_path / "state", SETTINGS) as server:
        client = server.client()
        content = make_content(server, tmp_path / "frames")
        make_event(client, "GW170817")
        client.call("POST", "/api/dataproductgroups/", json={"name": "frames"})
        template = {"name": "t", "target": content.target, "facility": "LCO", "fields": example_fields(2)}
        client.call("POST", "/api/observationtemplates/", json=template)
        now = datetime.now(UTC)
        window = {"start": now.isoformat(), "end": (now + timedelta(days=2)).isoformat()}
        wish = {"target": content.target, "template_name": "t", "facility": "LCO", "email": "somebody@example.org"}
        client.call("POST", "/api/observe/", json={**wish, "overrides": window})
        report = tmp_path / "report.ndjson"
        command = [
            str(Path(sys.executable).with_name("st")),
            *("--config-file", str(CONFIGURATION)),
            *("run", f"{server.url}/openapi.json", "--seed", "1"),
            *(("--max-time", SECONDS) if SECONDS else ()),
            *("--report-ndjson-path", str(report)),
        ]
        environment = {
            **os.environ,
            "SIDEREAL_KEY": server.token,
            "SCHEMATHESIS_HOOKS": "acceptance.api_hooks",
            "PYTHONPATH": str(PROJECT),
        }
        limit = int(SECONDS or 0) + LONGEST_S
        run = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=limit, check=False
        )
    print(run.stdout, run.stderr)
    assert run.returncode == 0
    seen = statuses(report)
    done = {operation for operation, found in seen.items() if min(found) < 400}
    assert len(done) >= LEAST_DONE * len(seen), f"never done: {sorted(set(seen) - done)}"


def statuses(report: Path) -> dict[str, set[int]]:
    """Return the statuses that each operation has answered to its own method."""
    found: dict[str, set[int]] = {}
    for line in report.read_text().splitlines():
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for exchange in recorder.get("interactions", {}).values():
            if exchange["response"] and recorder["label"].startswith(f"{exchange['request']['method']} "):
                found.setdefault(recorder["label"], set()).add(exchange["response"]["status_code"])
    return found
