"""What the portal fills in where a submission leaves it out."""

from collections.abc import Callable
from datetime import datetime

from local.portal.instruments import INSTRUMENTS, USER, durations
from local.portal.records import Json
from local.portal.times import to_text

PENDING = "PENDING"

NextId = Callable[[str], int]


def new_group(body: Json, now: datetime, next_id: NextId) -> Json:
    """Return the request group that a valid submission becomes, with ids, in the portal's shape."""
    return {
        **body,
        "id": next_id("group"),
        # The portal keeps names without the white space around them, and finds them so.
        "name": str(body["name"]).strip(),
        "submitter": USER,
        "state": PENDING,
        "created": to_text(now),
        "modified": to_text(now),
        "requests": [_request(request, now, next_id) for request in body["requests"]],
    }


def _request(body: Json, now: datetime, next_id: NextId) -> Json:
    return {
        "observation_note": "",
        "optimization_type": "TIME",
        "acceptability_threshold": 90.0,
        "configuration_repeats": 1,
        "extra_params": {},
        **body,
        "id": next_id("request"),
        "state": PENDING,
        "suspend_until": None,
        "created": to_text(now),
        "modified": to_text(now),
        "duration": durations(body)["duration"],
        "configurations": [
            _configuration(each, index, next_id) for index, each in enumerate(body["configurations"], 1)
        ],
        "windows": [{"start": to_text(now), **window} for window in body["windows"]],
    }


def _configuration(body: Json, priority: int, next_id: NextId) -> Json:
    readout = INSTRUMENTS[body["instrument_type"]]["modes"]["readout"]["default"]
    motion = {"proper_motion_ra": 0.0, "proper_motion_dec": 0.0, "parallax": 0.0, "epoch": 2000.0}
    limits = {"min_lunar_distance": 30.0, "max_lunar_phase": 1.0, "max_seeing": None, "min_transparency": None}
    return {
        "extra_params": {},
        **body,
        "id": next_id("configuration"),
        "priority": priority,
        "target": {**motion, "extra_params": {}, **body["target"]},
        "instrument_configs": [
            {"mode": readout, "rotator_mode": "", **config, "extra_params": {"bin_x": 1, "bin_y": 1}}
            for config in body["instrument_configs"]
        ],
        "guiding_config": {
            "mode": "ON",
            "optional": True,
            "optical_elements": {},
            "exposure_time": None,
            "extra_params": {},
            **body["guiding_config"],
        },
        "acquisition_config": {"mode": "OFF", "exposure_time": None, "extra_params": {}, **body["acquisition_config"]},
        "constraints": {**limits, "extra_params": {}, **body["constraints"]},
    }
