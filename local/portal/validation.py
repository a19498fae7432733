"""What the portal finds wrong with a submission: a tree that mirrors the body, as deep as the first layer that fails.

Fields come first, those of a part before the part as a whole; siblings are all looked at. So a bad declination hides a bad
`ipp_value`, which concerns the whole.
"""

import math
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from local.portal.instruments import (
    INSTRUMENTS,
    LONGEST_EXPOSURE_S,
    LONGEST_NAME,
    MEMBERSHIPS,
    PROPOSALS,
    SEMESTER,
    durations,
)
from local.portal.times import from_text
from local.portal.visibility import longest_visibility_s

Json = dict[str, Any]
Check = Callable[[Any], Any]

LAST_SEMESTER = timedelta(days=2 * 365)
"""How far ahead semesters are defined. Here no window falls between two of them, as it may at the real portal."""

REQUIRED = "This field is required."
NULL = "This field may not be null."
OPERATORS = ("SINGLE", "MANY")
OBSERVATION_TYPES = ("NORMAL", "RAPID_RESPONSE", "TIME_CRITICAL", "DIRECT", "REAL_TIME")
CONFIGURATION_TYPES = ("EXPOSE", "REPEAT_EXPOSE", "BIAS", "DARK", "SKY_FLAT", "SPECTRUM", "REPEAT_SPECTRUM", "STANDARD")
TARGET_TYPES = ("ICRS", "ORBITAL_ELEMENTS", "HOUR_ANGLE", "SATELLITE")
ALLOCATIONS = {"NORMAL": "std", "RAPID_RESPONSE": "rr", "TIME_CRITICAL": "tc"}

TOO_LONG = (
    "According to the constraints of the request, the target will only be visible for a maximum of {0:.2f} hours within "
    "the time window. This is less than the duration of your request {1:.2f} hours."
)
NOT_RAPID = (
    "A Rapid Response observation must start within the next 24 hours, so the window end time must be within the next "
    "(24 hours + the observation duration)"
)
NOT_VISIBLE = "According to the constraints of the request, the target will not be visible within the time window."


def find_faults(body: Any, now: datetime) -> Json:
    """Return what is wrong with a request group; an empty tree if nothing is.

    Parameters
    ----------
    body : object
        The parsed JSON.
    now : datetime
        Aware; windows that end before are over.
    """
    return _Check(now).group(body)


def largest_interval_s(request: Json, now: datetime) -> float:
    """Return for how long at a stretch all targets of a valid request can be seen within its longest window, seconds."""
    windows = [
        (from_text(window.get("start")) or now, from_text(window["end"]) or now) for window in request["windows"]
    ]
    longest_s = max((end - start).total_seconds() for start, end in windows)
    return min(
        longest_visibility_s(
            float(configuration["target"]["dec"]),
            float(configuration["constraints"].get("max_airmass", 1.6)),
            longest_s,
        )
        if configuration["target"]["type"] == "ICRS"
        else longest_s
        for configuration in request["configurations"]
    )


class _Check:
    """The checks of each part; each returns the faults of its part, empty if there are none."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def group(self, body: Any) -> Json:
        return _object(
            body,
            {
                "name": _required(_name),
                "proposal": _required(_proposal, "Please provide a proposal."),
                "ipp_value": _required(_number()),
                "operator": _required(_choice(OPERATORS)),
                "observation_type": _required(_choice(OBSERVATION_TYPES)),
                "requests": _required(_many(self.request, "You must specify at least 1 request")),
            },
            self.whole_group,
        )

    def request(self, request: Any) -> Json:
        return _object(
            request,
            {
                "configurations": _required(_many(_configuration, "You must specify at least 1 configuration")),
                "windows": _required(_many(self.window, "You must specify at least 1 window")),
                "location": _required(_location),
            },
            self.whole_request,
        )

    def window(self, window: Any) -> Json:
        return _object(window, {"start": _optional(_time), "end": _required(self.window_end)}, self.whole_window)

    def whole_group(self, group: Json) -> Json:
        is_rapid = group["observation_type"] == "RAPID_RESPONSE"
        return _whole_group(group) or (_rapid_response(group, self._now) if is_rapid else {})

    def whole_window(self, window: Json) -> Json:
        start, end = from_text(window.get("start")) or self._now, from_text(window["end"]) or self._now
        if end <= start:
            return _faults(f"Window end '{end}' cannot be earlier than window start '{start}'")
        if end > self._now + LAST_SEMESTER:
            return _faults("The observation window does not fit within any defined semester.")
        return {}

    def window_end(self, text: Any) -> list[str]:
        if faults := _time(text):
            return faults
        end = from_text(text)
        return [] if end and end > self._now else ["Window end time must be in the future"]

    def whole_request(self, request: Json) -> Json:
        telescope_class = request["location"]["telescope_class"]
        for configuration in request["configurations"]:
            code = configuration["instrument_type"]
            if INSTRUMENTS[code]["class"] != telescope_class:
                return _faults(f"Invalid instrument type '{code}' at site=Any, enc=Any, tel=Any. ")
        visible_s, needed_s = largest_interval_s(request, self._now), durations(request)["duration"]
        if visible_s <= 0:
            return _faults(NOT_VISIBLE)
        if visible_s <= needed_s:
            return _faults(TOO_LONG.format(visible_s / 3600, needed_s / 3600))
        return {}


def _configuration(configuration: Any) -> Json:
    return _object(
        configuration,
        {
            "type": _required(_choice(CONFIGURATION_TYPES)),
            "instrument_type": _required(_instrument_type),
            "repeat_duration": _nullable(_number(0.0)),
            "target": _required(_target),
            "instrument_configs": _required(
                _many(_instrument_config, "A configuration must have at least one instrument configuration")
            ),
            "acquisition_config": _required(lambda config: _object(config, {})),
            "guiding_config": _required(lambda config: _object(config, {})),
            "constraints": _required(
                lambda constraints: _object(
                    constraints,
                    {
                        "max_airmass": _optional(_number(1.0, 25.0)),
                        "min_lunar_distance": _optional(_number(0.0, 180.0)),
                        "max_lunar_phase": _optional(_number(0.0, 1.0)),
                    },
                )
            ),
        },
        _whole_configuration,
    )


def _target(target: Any) -> Json:
    return _object(
        target,
        {
            "name": _required(_name),
            "type": _required(_choice(TARGET_TYPES)),
            "ra": _nullable(_number(0.0, 360.0)),
            "dec": _nullable(_number(-90.0, 90.0)),
        },
        lambda target: (
            # The portal itself writes this one without its full stop.
            {field: [REQUIRED.rstrip(".")] for field in ("ra", "dec") if target.get(field) is None}
            if target["type"] == "ICRS"
            else {}
        ),
    )


def _instrument_config(config: Any) -> Json:
    return _object(
        config,
        {
            "exposure_count": _required(_number(1, whole=True)),
            "exposure_time": _required(_number(0.0)),
            "optical_elements": _optional(lambda elements: _object(elements, {})),
        },
    )


def _location(location: Any) -> Json:
    classes = sorted({instrument["class"] for instrument in INSTRUMENTS.values()})
    return _object(location, {"telescope_class": _required(_choice(classes))})


def _whole_group(group: Json) -> Json:
    proposal, kind = group["proposal"], group["observation_type"]
    if proposal not in MEMBERSHIPS:
        return _faults("You do not belong to the proposal you are trying to submit with")
    if not PROPOSALS[proposal]["active"]:
        return _faults("The proposal you are trying to submit with is currently inactive")
    if not 0.5 <= float(group["ipp_value"]) <= 2:
        return _faults("requestgroups ipp_value must be >= 0.5, <= 2.0")
    if group["operator"] == "SINGLE" and len(group["requests"]) > 1:
        return _faults("'Single' type requestgroups must have exactly one child request.")
    if group["operator"] == "MANY" and len(group["requests"]) == 1:
        return _faults("'Many' type requestgroups must have more than one child request.")
    allocation = PROPOSALS[proposal]["timeallocation_set"][0]
    part = ALLOCATIONS.get(kind)
    if part and allocation[f"{part}_allocation"] <= allocation[f"{part}_time_used"]:
        instrument = group["requests"][0]["configurations"][0]["instrument_type"]
        return _faults(
            f"Proposal {proposal} does not have any {kind} time left allocated in semester {SEMESTER} on {instrument} "
            "instruments"
        )
    return {}


def _rapid_response(group: Json, now: datetime) -> Json:
    for request in group["requests"]:
        latest = now + timedelta(days=1, seconds=durations(request)["duration"])
        for window in request["windows"]:
            if (from_text(window.get("start")) or now) > now:
                return _faults("The Rapid Response observation window start time cannot be in the future.")
            if (from_text(window["end"]) or now) > latest:
                return _faults(NOT_RAPID)
    return {}


def _whole_configuration(configuration: Json) -> Json:
    code = configuration["instrument_type"]
    instrument = INSTRUMENTS[code]
    kind = configuration["type"]
    if kind not in instrument["configuration_types"]:
        return _faults(f"configuration type {kind} is not valid for instrument type {code}")
    if not instrument["configuration_types"][kind]["schedulable"]:
        return _faults(f"configuration type {kind} is not schedulable for instrument type {code}")
    if (kind == "REPEAT_EXPOSE") != (configuration.get("repeat_duration") is not None):
        return _faults(
            f"Must specify a configuration repeat_duration for {kind} type configurations."
            if kind == "REPEAT_EXPOSE"
            else "You may only specify a repeat_duration for REPEAT_* type configurations."
        )
    guiding = str(configuration["guiding_config"].get("mode") or "ON")
    if guiding not in {mode["code"] for mode in instrument["modes"]["guiding"]["modes"]}:
        return _faults(f"Guiding mode {guiding} is not available for instrument type {code}")
    longest_s = LONGEST_EXPOSURE_S[code]
    too_long = [
        {"exposure_time": [f"max value is {longest_s}"]} if float(config["exposure_time"]) > longest_s else {}
        for config in configuration["instrument_configs"]
    ]
    if any(too_long):
        return {"instrument_configs": too_long}
    for config in configuration["instrument_configs"]:
        if fault := _unavailable(config, code, instrument):
            return _faults(fault)
    return {}


def _unavailable(config: Json, code: str, instrument: Json) -> str:
    modes = {mode["code"].lower() for mode in instrument["modes"]["readout"]["modes"] if mode["schedulable"]}
    if config.get("mode") and str(config["mode"]).lower() not in modes:
        return f"Readout mode {config['mode']} is not available for instrument type {code}"
    elements = config.get("optical_elements") or {}
    # A filter that cannot be scheduled is taken all the same.
    known = {each["code"].lower() for each in instrument["optical_elements"]["filters"]}
    for kind, value in elements.items():
        if kind != "filter":
            return f"optical_element of type {kind} is not available on {code} instruments"
        if str(value).lower() not in known:
            return f"optical element {value} of type {kind} is not available"
    return "" if elements else f"Must set optical element of type filter for instrument type {code}"


def _faults(text: str) -> Json:
    return {"non_field_errors": [text]}


def _object(value: Any, fields: dict[str, Check], whole: Check = lambda _: {}) -> Json:
    """Return the faults of an object's fields; those of the whole only if each field is well."""
    if not isinstance(value, dict):
        return _faults(f"Invalid data. Expected a dictionary, but got {type(value).__name__}.")
    faults = {name: found for name, check in fields.items() if (found := check(value.get(name, ...)))}
    return faults or whole(value) or {}


def _many(check: Check, missing: str) -> Check:
    def every(value: Any) -> Any:
        if not isinstance(value, list):
            return _faults(f'Expected a list of items but got type "{type(value).__name__}".')
        faults = [check(item) for item in value]
        return ([missing] if not value else []) or (faults if any(faults) else [])

    return every


def _required(check: Check, null: str = NULL) -> Check:
    return lambda value: [REQUIRED] if value is ... else [null] if value is None else check(value)


def _optional(check: Check) -> Check:
    return lambda value: [] if value is ... else _required(check)(value)


def _nullable(check: Check) -> Check:
    return lambda value: [] if value is ... or value is None else check(value)


def _number(lowest: float | None = None, highest: float | None = None, *, whole: bool = False) -> Check:
    def check(value: Any) -> list[str]:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or (whole and value != int(value)):
            return [f"A valid {'integer' if whole else 'number'} is required."]
        if lowest is not None and value < lowest:
            return [f"Ensure this value is greater than or equal to {lowest}."]
        if highest is not None and value > highest:
            return [f"Ensure this value is less than or equal to {highest}."]
        return []

    return check


def _choice(choices: Iterable[str]) -> Check:
    known = tuple(choices)
    return lambda value: [] if value in known else [f'"{value}" is not a valid choice.']


def _name(value: Any) -> list[str]:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ["Not a valid string."]
    name = str(value).strip()
    if not name:
        return ["Please provide a name."]
    return [f"Ensure this field has no more than {LONGEST_NAME} characters."] if len(name) > LONGEST_NAME else []


def _proposal(value: Any) -> list[str]:
    return [] if isinstance(value, str) and value in PROPOSALS else [f'Invalid pk "{value}" - object does not exist.']


def _instrument_type(value: Any) -> list[str]:
    if isinstance(value, str) and value in INSTRUMENTS:
        return []
    if value == "":
        return ["This field may not be blank."]
    return [f"Invalid instrument type {value}. Valid instruments may include: {', '.join(INSTRUMENTS)}"]


def _time(value: Any) -> list[str]:
    if from_text(value):
        return []
    return [
        "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
    ]
