"""A form of an observation that the stand-in takes: for demonstrations and trials."""

from typing import Any


def example_fields(exposures: int) -> dict[str, Any]:
    """Return the fields of a template for so many exposures; a window is still to be given."""
    return {
        "proposal": "DEMO-2026-001",
        "ipp_value": 1.05,
        "instrument_type": "0M4-SCICAM-QHY600",
        "max_airmass": 1.6,
        "observation_mode": "NORMAL",
        "rp_exposure_count": exposures,
        "rp_exposure_time": 30,
    }
