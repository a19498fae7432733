"""Validating and submitting: what goes to the portal, and what each of its answers means."""

from typing import Any

from chalicelib.facilities.base import Submitted
from chalicelib.facilities.lco import LcoFacility
from chalicelib.models.targets import Target
from tests.facilities.scripted import TOKEN, ScriptedServer


def test_a_form_becomes_one_request_with_one_configuration_for_each_filter(
    lco: LcoFacility, server: ScriptedServer, form: dict[str, Any], target: Target
) -> None:
    assert lco.submit(lco.check_form(form, target), target) == Submitted("12", "11")

    shared = {
        "type": "EXPOSE",
        "instrument_type": "0M4-SCICAM-QHY600",
        "target": {"name": "HAT-P-32", "type": "ICRS", "ra": 31.04275, "dec": 46.68785, "epoch": 2000},
        "acquisition_config": {},
        "guiding_config": {},
        "constraints": {"max_airmass": 1.6},
    }
    of_v = {"exposure_count": 2, "exposure_time": 60.0, "optical_elements": {"filter": "V"}}
    of_rp = {"exposure_count": 5, "exposure_time": 30.0, "optical_elements": {"filter": "rp"}}
    sent = server.asked[-1]
    assert sent.json == {
        "name": "demo-2026-01-10-030405",
        "proposal": "DEMO-2026-001",
        "ipp_value": 1.05,
        "operator": "SINGLE",
        "observation_type": "NORMAL",
        "requests": [
            {
                # sorted by the filters' names: Bessell-V, SDSS-rp
                "configurations": [{**shared, "instrument_configs": [of_v]}, {**shared, "instrument_configs": [of_rp]}],
                "windows": [{"start": "2026-11-22T13:45:45Z", "end": "2026-11-29T13:45:45Z"}],
                "location": {"telescope_class": "0m4"},
            }
        ],
    }
    assert sent.headers["Authorization"] == f"Token {TOKEN}"
    assert server.paths("POST") == ["/api/requestgroups/validate/", "/api/requestgroups/"]
    assert server.asked[-2].json == sent.json
