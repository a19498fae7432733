"""Asking for observations in tests: a target with a template, and what is sent."""

from typing import Any

from tests.conftest import Api

TEMPLATE = "my-template"
FIELDS: dict[str, Any] = {
    "proposal": "DEMO-2026-001",
    "ipp_value": 1.05,
    "start": "2026-01-10T12:00:00Z",
    "end": "2026-01-17T12:00:00Z",
    "instrument_type": "0M4-SCICAM-QHY600",
    "max_airmass": 1.6,
    "observation_mode": "NORMAL",
    "rp_exposure_count": 5,
    "rp_exposure_time": 30.0,
}
FIRST_NAME = "my-template-2026-01-10-030405"
"""What the first observation is called, at the time where the clock of the tests stands."""


def prepare(api: Api, **fields: Any) -> int:
    """Keep a target with a template, and return the target's id."""
    target = api.target("HAT-P-32", ra=31.04275, dec=46.68785)
    answer = api.post(
        "/api/observationtemplates/",
        {"name": TEMPLATE, "target": target, "facility": "LCO", "fields": {**FIELDS, **fields}},
    )
    assert answer.status == 201, answer.text
    return target


def asked(target: int, **more: Any) -> dict[str, Any]:
    """Return what is sent to ask for an observation."""
    return {
        "target": target,
        "template_name": TEMPLATE,
        "facility": "LCO",
        "email": "someone@someplace.net",
        **more,
    }
