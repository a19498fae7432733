"""What the telescopes of the stand-in can do, who may use them, and how long it takes; in the shapes of the real portal."""

from typing import Any

Json = dict[str, Any]

USER = "local"
SEMESTER = "2026B"
SETUP_S = 94
"""Seconds for pointing and setting up, once for each request."""

SITES: dict[str, tuple[float, str]] = {
    "tfn": (28.30, "aqwa"),
    "elp": (30.68, "aqwa"),
    "ogg": (20.71, "clma"),
    "lsc": (-30.17, "aqwa"),
    "cpt": (-32.38, "aqwa"),
    "coj": (-31.27, "clma"),
}
"""Latitude (degrees) and enclosure by site."""

_BROAD = (("B", "Bessell-B"), ("V", "Bessell-V"), ("gp", "SDSS-g'"), ("rp", "SDSS-r'"), ("ip", "SDSS-i'"))


def _filters(*more: tuple[str, str], out_of_use: str = "") -> list[Json]:
    return [
        {"code": code, "name": name, "schedulable": code != out_of_use, "default": code == "rp"}
        for code, name in (*_BROAD, *more)
    ]


def _modes(default: str, *modes: tuple[str, float, bool]) -> Json:
    return {
        "default": default,
        "modes": [
            {"code": code, "name": code.replace("_", " "), "overhead": overhead_s, "schedulable": schedulable}
            for code, overhead_s, schedulable in modes
        ],
    }


def _instrument(name: str, telescope_class: str, filters: list[Json], readout: Json, camera: Json) -> Json:
    return {
        "type": "IMAGE",
        "class": telescope_class,
        "name": name,
        "optical_elements": {"filters": filters},
        "modes": {
            "readout": readout,
            "guiding": _modes("ON", ("ON", 0.0, True), ("OFF", 0.0, True)),
            "acquisition": _modes("OFF", ("OFF", 0.0, True)),
        },
        "configuration_types": {
            kind: {"name": kind.replace("_", " ").title(), "code": kind, "schedulable": schedulable}
            for kind, schedulable in (("EXPOSE", True), ("REPEAT_EXPOSE", True), ("BIAS", False))
        },
        "default_configuration_type": "EXPOSE",
        "camera_type": camera,
    }


INSTRUMENTS: dict[str, Json] = {
    "0M4-SCICAM-QHY600": _instrument(
        "0.4 meter QHY600",
        "0m4",
        _filters(("zs", "PanSTARRS-Z"), ("w", "PanSTARRS-w"), ("OIII", "OIII"), ("SII", "SII"), out_of_use="SII"),
        _modes("central30x30", ("central30x30", 5.0, True), ("full_frame", 5.0, True), ("engineering", 5.0, False)),
        {"science_field_of_view": 136.8, "pixel_scale": 0.74, "pixels_x": 9576, "pixels_y": 6388},
    ),
    "1M0-SCICAM-SINISTRO": _instrument(
        "1.0 meter Sinistro",
        "1m0",
        _filters(("U", "Bessell-U"), ("R", "Bessell-R"), ("I", "Bessell-I"), ("up", "SDSS-u'"), ("zs", "PanSTARRS-Z")),
        _modes("full_frame", ("full_frame", 28.0, True), ("central_2k_2x2", 6.0, True)),
        {"science_field_of_view": 37.5, "pixel_scale": 0.389, "pixels_x": 4096, "pixels_y": 4096},
    ),
}
LONGEST_EXPOSURE_S = {"0M4-SCICAM-QHY600": 3600.0, "1M0-SCICAM-SINISTRO": 3600.0}
LONGEST_NAME = 50


def _proposal(code: str, title: str, *, active: bool = True, hours: float = 100.0) -> Json:
    allocation = {
        "semester": SEMESTER,
        "instrument_types": list(INSTRUMENTS),
        "std_allocation": hours,
        "std_time_used": 0.0,
        "rr_allocation": hours,
        "rr_time_used": 0.0,
        "tc_allocation": hours,
        "tc_time_used": 0.0,
        "ipp_limit": 10.0,
        "ipp_time_available": 5.0,
    }
    return {"id": code, "title": title, "active": active, "timeallocation_set": [allocation]}


PROPOSALS: dict[str, Json] = {
    proposal["id"]: proposal
    for proposal in (
        _proposal("DEMO-2026-001", "Demonstration"),
        _proposal("DEMO-2019-001", "A demonstration that is over", active=False),
        _proposal("DEMO-2026-002", "A demonstration that has used its time", hours=0.0),
        _proposal("OTHER-2026-001", "Somebody else's"),
    )
}
MEMBERSHIPS = frozenset(PROPOSALS) - {"OTHER-2026-001"}
"""Proposals whose member the user of the stand-in is."""


def instrument_config_duration_s(instrument: str, config: Json) -> float:
    """Return how long the exposures of one instrument configuration take with their read-out."""
    readout = INSTRUMENTS[instrument]["modes"]["readout"]
    code = str(config.get("mode") or readout["default"]).lower()
    overhead_s = next(mode["overhead"] for mode in readout["modes"] if mode["code"].lower() == code)
    return float(config["exposure_count"] * (config["exposure_time"] + overhead_s))


def durations(request: Json) -> Json:
    """Return how long a request takes, in seconds, as the answer to a validation tells it."""
    configurations: list[Json] = []
    for configuration in request["configurations"]:
        instrument = configuration["instrument_type"]
        parts = [instrument_config_duration_s(instrument, config) for config in configuration["instrument_configs"]]
        total = max(sum(parts), float(configuration.get("repeat_duration") or 0))
        configurations.append({"instrument_configs": [{"duration": part} for part in parts], "duration": total})
    return {
        "duration": round(SETUP_S + sum(each["duration"] for each in configurations)),
        "configurations": configurations,
    }
