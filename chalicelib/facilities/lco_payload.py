"""From the form to the portal's request group: one request, with one configuration for each filter."""

from collections.abc import Mapping
from typing import Any

from chalicelib.errors import InvalidInputError
from chalicelib.facilities.lco_form import exposures_of
from chalicelib.facilities.lco_instruments import Instruments
from chalicelib.models.targets import Target

MAX_TARGET_NAME = 50
"""The portal's limit; a longer name is cut, for it only labels the frames."""


def check_target(target: Target) -> None:
    """Refuse a target that LCO cannot be pointed at by its position.

    Raises
    ------
    InvalidInputError
        Naming `target`.
    """
    if target.type != "SIDEREAL":
        raise InvalidInputError.of("target", "Only sidereal targets can be observed with this facility.")
    if target.ra is None or target.dec is None:
        raise InvalidInputError.of("target", "The target has no position (ra and dec).")


def filter_order(parameters: Mapping[str, Any], instruments: Instruments) -> list[str]:
    """Return the codes of the form's filters in the order of their configurations: by name."""
    return sorted(exposures_of(parameters), key=lambda code: (instruments.filter_name(code), code))


def request_group(parameters: Mapping[str, Any], target: Target, instruments: Instruments) -> dict[str, Any]:
    """Return the body for the portal's `validate` and `submit`.

    Raises
    ------
    InvalidInputError
        If the target has no position, or the portal has no such instrument any more.
    """
    check_target(target)
    instrument = instruments.by_code.get(parameters["instrument_type"])
    if instrument is None:
        raise InvalidInputError.of("instrument_type", "The facility has no such instrument any more.")
    configurations = [
        _configuration(parameters, target, code, exposures_of(parameters)[code])
        for code in filter_order(parameters, instruments)
    ]
    return {
        "name": parameters["name"],
        "proposal": parameters["proposal"],
        "ipp_value": parameters["ipp_value"],
        "operator": "SINGLE",
        "observation_type": parameters["observation_mode"],
        "requests": [
            {
                "configurations": configurations,
                "windows": [{"start": parameters["start"], "end": parameters["end"]}],
                "location": {"telescope_class": instrument.telescope_class},
            }
        ],
    }


def _configuration(
    parameters: Mapping[str, Any], target: Target, code: str, exposure: Mapping[str, Any]
) -> dict[str, Any]:
    constraints = ("max_airmass", "min_lunar_distance", "max_lunar_phase")
    instrument_config = {**exposure, "optical_elements": {"filter": code}}
    if "readout_mode" in parameters:
        instrument_config["mode"] = parameters["readout_mode"]
    return {
        "type": "EXPOSE",
        "instrument_type": parameters["instrument_type"],
        "target": {
            "name": target.name[:MAX_TARGET_NAME],
            "type": "ICRS",
            "ra": target.ra,
            "dec": target.dec,
            "epoch": 2000,
        },
        "instrument_configs": [instrument_config],
        "acquisition_config": {},
        "guiding_config": {},
        "constraints": {name: parameters[name] for name in constraints if name in parameters},
    }
