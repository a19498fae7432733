"""The form of an observation with LCO: fields, ranges and texts as tom_education has them.

Each filter has two fields: `<code>_exposure_count` and `<code>_exposure_time` (s). A field that is null or "" is not given.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from chalicelib.errors import FieldError, InvalidInputError, UnavailableError, UpstreamError
from chalicelib.facilities.lco_instruments import Instruments
from chalicelib.models.fields import refuse_boolean
from chalicelib.models.names import Title
from chalicelib.models.validation import MAX_FAULTS, location, validate_telescope

OBSERVATION_MODES = ("NORMAL", "RAPID_RESPONSE", "TIME_CRITICAL")

MAX_NAME_LENGTH = 50
"""Of a request group's name: the portal's limit."""

MAX_EXPOSURES = 2**31 - 1
"""What the portal's database takes; what one instrument may take is the portal's to say."""

MISSING = "This field is required."

_EXPOSURE = re.compile(r"(?P<code>.+)_(?P<member>exposure_count|exposure_time)", re.DOTALL)
_MAX_SHOWN = 100


def _at_least(limit: float) -> AfterValidator:
    def check(number: float) -> float:
        if number < limit:
            raise ValueError(f"Ensure this value is greater than or equal to {limit:.10g}.")
        return number

    return AfterValidator(check)


def _at_most(limit: float) -> AfterValidator:
    def check(number: float) -> float:
        if number > limit:
            raise ValueError(f"Ensure this value is less than or equal to {limit:.10g}.")
        return number

    return AfterValidator(check)


def _check_length(name: str) -> str:
    if len(name) > MAX_NAME_LENGTH:
        raise ValueError(f"Ensure this value has at most {MAX_NAME_LENGTH} characters (it has {len(name)}).")
    return name


def _check_mode(mode: str) -> str:
    if mode not in OBSERVATION_MODES:
        raise ValueError(_no_choice(mode))
    return mode


def _no_choice(value: str) -> str:
    return f"Select a valid choice. {value[:_MAX_SHOWN]} is not one of the available choices."


def _to_moment(value: object) -> datetime:
    """Read an ISO date, or date and time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
        if moment is not None:
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("Enter a valid date/time.")


def _check_order(end: datetime, info: ValidationInfo) -> datetime:
    start = info.data.get("start")
    if start is not None and end <= start:
        raise ValueError("The end must be after the start.")
    return end


_Number = Annotated[float, BeforeValidator(refuse_boolean), Field(allow_inf_nan=False)]
_Moment = Annotated[datetime, BeforeValidator(_to_moment)]


class _Form(BaseModel):
    """The fields that every observation has."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    name: Annotated[Title, AfterValidator(_check_length)]
    proposal: Title
    ipp_value: Annotated[_Number, _at_least(0.5), _at_most(2)]
    start: _Moment
    end: Annotated[_Moment, AfterValidator(_check_order)]
    instrument_type: Title
    max_airmass: Annotated[_Number, _at_least(1), _at_most(25)]
    observation_mode: Annotated[str, AfterValidator(_check_mode)]
    min_lunar_distance: Annotated[_Number, _at_least(0), _at_most(180)] | None = None
    max_lunar_phase: Annotated[_Number, _at_least(0), _at_most(1)] | None = None
    readout_mode: Title | None = None


class _Exposure(BaseModel):
    """The two fields of one filter; time in seconds."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    exposure_count: Annotated[int, BeforeValidator(refuse_boolean), _at_least(1), _at_most(MAX_EXPOSURES)] | None = None
    exposure_time: Annotated[_Number, _at_least(0.1)] | None = None


def check_fields(fields: Mapping[str, Any], instruments: Callable[[], Instruments]) -> None:
    """Check the fields of a template, each by itself; any may be missing.

    Raises
    ------
    InvalidInputError
        With one fault for each field that is unknown or wrong.
    UnavailableError, UpstreamError
        If no field is found wrong without the list of instruments, and `instruments` cannot give it.
    """
    given = _given(fields)
    _, faults = _parse(given)
    faults = [fault for fault in faults if fault.msg != MISSING]
    _check_against(instruments, given, faults)
    _raise_if_any(faults)


def check_form(parameters: Mapping[str, Any], instruments: Callable[[], Instruments]) -> dict[str, Any]:
    """Check the form of one observation and return it with numbers as numbers, and times in UTC.

    Raises
    ------
    InvalidInputError
        With one fault for each field that is unknown, missing or wrong; `loc` is empty where no single field is.
    UnavailableError, UpstreamError
        As `check_fields`.
    """
    given = _given(parameters)
    form, faults = _parse(given)
    offered = _check_against(instruments, given, faults)
    exposures = exposures_of(given)
    if not exposures:
        faults.append(FieldError((), "No filters selected"))
    for code, members in exposures.items():
        for member, word in (("exposure_count", "count"), ("exposure_time", "time")):
            if offered is not None and code in offered.filters and member not in members:
                faults.append(FieldError((), f"Exposure {word} missing for filter '{offered.filter_name(code)}'"))
    _raise_if_any(faults)
    return form


def exposures_of(parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return `exposure_count` and `exposure_time`, as far as they are given, by code of the filter."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in parameters.items():
        match = _EXPOSURE.fullmatch(key)
        if match:
            found.setdefault(match["code"], {})[match["member"]] = value
    return found


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None and value != ""}


def _parse(given: dict[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
    """Return the fields in their normal form, and what is wrong with them by themselves."""
    faults: list[FieldError] = []
    form: dict[str, Any] = {}
    try:
        form = _dump(validate_telescope(_Form, {k: v for k, v in given.items() if not _EXPOSURE.fullmatch(k)}))
    except InvalidInputError as error:
        faults.extend(error.fields)
    for code, members in exposures_of(given).items():
        try:
            exposure = validate_telescope(_Exposure, members)
        except InvalidInputError as error:
            faults.extend(FieldError(location((f"{code}_{fault.loc[0]}",)), fault.msg) for fault in error.fields)
        else:
            form |= {f"{code}_{member}": value for member, value in exposure.model_dump(exclude_none=True).items()}
    return form, faults


def _dump(form: _Form) -> dict[str, Any]:
    values = form.model_dump(exclude_none=True)
    return {k: _to_text(v) if isinstance(v, datetime) else v for k, v in values.items()}


def _to_text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _check_against(
    instruments: Callable[[], Instruments], given: dict[str, Any], faults: list[FieldError]
) -> Instruments | None:
    """Add what the portal does not offer to the faults; None where it does not say, and there are faults to tell already."""
    try:
        offered = instruments()
    except (UnavailableError, UpstreamError):
        if faults:
            return None
        raise
    wrong = {fault.loc[0] for fault in faults}
    code = given.get("instrument_type")
    instrument = offered.by_code.get(code.strip()) if isinstance(code, str) else None
    if isinstance(code, str) and instrument is None and "instrument_type" not in wrong:
        faults.append(FieldError(("instrument_type",), _no_choice(code)))
    mode = given.get("readout_mode")
    modes = instrument.readout_modes if instrument is not None else ()
    if modes and isinstance(mode, str) and mode.strip() not in modes and "readout_mode" not in wrong:
        faults.append(FieldError(("readout_mode",), _no_choice(mode)))
    for filter_code, members in exposures_of(given).items():
        for member in members:
            field = f"{filter_code}_{member}"
            if filter_code not in offered.filters:
                faults.append(FieldError(location((field,)), "Unknown field."))
            elif instrument is not None and filter_code not in instrument.filters and field not in wrong:
                faults.append(
                    FieldError((field,), f"The instrument has no filter '{offered.filter_name(filter_code)}'.")
                )
    return offered


def _raise_if_any(faults: list[FieldError]) -> None:
    if faults:
        raise InvalidInputError(faults[:MAX_FAULTS])
