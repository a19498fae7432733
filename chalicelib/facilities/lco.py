"""Las Cumbres Observatory: observation portal and archive (docs/observing.md)."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import quote

from chalicelib.errors import ConflictError, NotFoundError, UpstreamError
from chalicelib.facilities import lco_archive, lco_faults, lco_form, lco_payload
from chalicelib.facilities.base import Facility, Frame, LostAnswerError, ObservationState, Submitted
from chalicelib.facilities.budget import time_budget
from chalicelib.facilities.http import Answer, JsonClient, OutageError
from chalicelib.facilities.lco_instruments import InstrumentList, Instruments
from chalicelib.models.targets import Target
from chalicelib.settings import get_settings

SUBMIT_BUDGET_S = 15.0
VALIDATE_BUDGET_S = 7.0
FIND_BUDGET_S = 5.0
READ_BUDGET_S = 10.0

CLOCK_SKEW = timedelta(minutes=5)
"""How far the portal's clock may be from ours."""

_MAX_STATE = 50
_MAX_PAGES = 10
_WAITING = ("PENDING", "IN_PROGRESS")


class LcoFacility(Facility):
    """Speaks the HTTP contract of `django-ocs-observation-portal` and of the science archive."""

    name = "LCO"
    max_name_length = lco_form.MAX_NAME_LENGTH
    terminal_states = frozenset({"COMPLETED", "WINDOW_EXPIRED", "CANCELED", "FAILURE_LIMIT_REACHED", "NOT_ATTEMPTED"})

    def __init__(self) -> None:
        self._list = InstrumentList()

    @cached_property
    def _portal(self) -> JsonClient:
        return JsonClient("telescope portal", get_settings().portal_url)

    @cached_property
    def _archive(self) -> JsonClient:
        return JsonClient("archive", get_settings().archive_url)

    def _instruments(self) -> Instruments:
        return self._list.get(self._portal)

    def check_fields(self, fields: Mapping[str, Any]) -> None:  # noqa: D102
        lco_form.check_fields(fields, self._instruments)

    def check_form(self, parameters: Mapping[str, Any], target: Target) -> dict[str, Any]:  # noqa: D102
        form = lco_form.check_form(parameters, self._instruments)
        lco_payload.check_target(target)
        return form

    def exposure_count(self, parameters: Mapping[str, Any]) -> int:  # noqa: D102
        return sum(int(exposure["exposure_count"]) for exposure in lco_form.exposures_of(parameters).values())

    def submit(self, parameters: Mapping[str, Any], target: Target) -> Submitted:  # noqa: D102
        with time_budget(SUBMIT_BUDGET_S):
            instruments = self._instruments()
            group = lco_payload.request_group(parameters, target, instruments)
            filters = lco_payload.filter_order(parameters, instruments)
            self._validate(group, filters)
            try:
                answer = self._portal.post("/api/requestgroups/", group, is_repeatable=False)
            except OutageError as error:
                if error.was_sent:
                    raise LostAnswerError(str(error), may_still_arrive=error.may_still_arrive) from None
                raise
        if answer.status == 400:
            raise lco_faults.refusal(answer.json, filters)
        if answer.status >= 400:
            raise answer.unexpected()
        try:
            return _submitted(answer.object())
        except UpstreamError as error:  # taken or not: the list of groups knows
            raise LostAnswerError(str(error), may_still_arrive=False) from None

    def _validate(self, group: dict[str, Any], filters: list[str]) -> None:
        """Let the portal look at a request group; what it finds is in `errors`, whatever the status."""
        with time_budget(VALIDATE_BUDGET_S):
            answer = self._portal.post("/api/requestgroups/validate/", group, is_repeatable=True)
        if answer.status == 400:
            raise lco_faults.refusal(answer.json, filters)
        told = answer.object()
        if not isinstance(told.get("errors"), (dict, list, str)):
            raise answer.unexpected()
        if told["errors"]:
            raise lco_faults.refusal(told["errors"], filters)

    def find(self, name: str, created_after: datetime) -> Submitted | None:  # noqa: D102
        since = (created_after.astimezone(UTC) - CLOCK_SKEW).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {"name": name, "created_after": since, "limit": 100}
        with time_budget(FIND_BUDGET_S):
            # The portal looks for names that contain this one, whatever the case; one of several requests is not ours.
            found = [_submitted(group) for group in self._groups(query) if group.get("name") == name and _is_one(group)]
        return min(found, key=lambda one: int(one.group_id), default=None)

    def _groups(self, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        page = self._portal.get("/api/requestgroups/", query).object()
        for _ in range(_MAX_PAGES):
            results = page.get("results")
            if not isinstance(results, list):
                raise UpstreamError("The telescope portal's list of request groups makes no sense.")
            yield from (group for group in results if isinstance(group, dict))
            path = lco_archive.next_path(self._portal, page.get("next"))
            if path is None:
                return
            page = self._portal.get(path).object()
        raise UpstreamError("The telescope portal's list of request groups does not end.")

    def state(self, observation_id: str) -> ObservationState:  # noqa: D102
        path = f"/api/requests/{quote(observation_id, safe='')}/"
        with time_budget(READ_BUDGET_S):
            answer = self._portal.get(path)
            if answer.status == 404:
                raise NotFoundError(f"The telescope portal shows us no observation {observation_id}.")
            state = answer.object().get("state")
            if not isinstance(state, str) or not 0 < len(state) <= _MAX_STATE or not state.isprintable():
                raise answer.unexpected()
            attempt = _attempt(self._portal.get(f"{path}observations/"), state)
        return ObservationState(state, _moment(attempt.get("start")), _moment(attempt.get("end")))

    def cancel(self, submitted: Submitted) -> None:  # noqa: D102
        with time_budget(READ_BUDGET_S):
            path = f"/api/requestgroups/{quote(submitted.group_id, safe='')}/cancel/"
            answer = self._portal.post(path, {}, is_repeatable=True)
        if answer.status == 404:
            raise NotFoundError(f"The telescope portal shows us no request group {submitted.group_id}.")
        if answer.status == 400:
            told = answer.json
            raise ConflictError(lco_faults.summary(told.get("errors", told) if isinstance(told, dict) else told))
        if answer.object().get("state") != "CANCELED":
            raise answer.unexpected()

    def frames(self, observation_id: str) -> Iterator[Frame]:  # noqa: D102
        return lco_archive.list_frames(self._archive, observation_id)

    def open_frame(self, frame: Frame) -> AbstractContextManager[Iterator[bytes]]:  # noqa: D102
        return lco_archive.open_frame(self._archive, frame)


def _submitted(group: dict[str, Any]) -> Submitted:
    """Return what a request group is called, which must have exactly one request."""
    requests = group.get("requests")
    one = requests[0] if isinstance(requests, list) and len(requests) == 1 else None
    ids = (one.get("id") if isinstance(one, dict) else None, group.get("id"))
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in ids):
        raise UpstreamError("The telescope portal did not name exactly one request.")
    return Submitted(str(ids[0]), str(ids[1]))


def _is_one(group: dict[str, Any]) -> bool:
    requests = group.get("requests")
    return not isinstance(requests, list) or len(requests) == 1


def _attempt(answer: Answer, state: str) -> dict[str, Any]:
    """Return the attempt that tells the times: the one that was completed, else the last that is planned, or was made.

    An attempt that failed late may complete its request, and others stay planned beside it; as long as the request waits,
    one that failed says nothing of when the next will be.
    """
    told = answer.json if answer.status == 200 else []
    if not isinstance(told, list):
        raise answer.unexpected()
    attempts = [one for one in told if isinstance(one, dict)]
    completed = [one for one in attempts if one.get("state") == "COMPLETED"]
    is_waiting = state in _WAITING
    told_of = [one for one in attempts if (one.get("state") in _WAITING) == is_waiting]
    others = [] if is_waiting else attempts
    return (completed[:1] or told_of[-1:] or others[-1:] or [{}])[0]


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        return moment if moment is None else moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
