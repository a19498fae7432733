"""The telescopes behind the portal: requests wait, are tried, completed, undone, and their frames come one by one."""

import hashlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from local.portal.exposures import Exposure, render_exposure
from local.portal.instruments import SETUP_S, SITES
from local.portal.intake import PENDING, new_group
from local.portal.records import Json, Records, Store
from local.portal.times import from_text, to_text

COMPLETED, CANCELED, WINDOW_EXPIRED = "COMPLETED", "CANCELED", "WINDOW_EXPIRED"
IN_PROGRESS = "IN_PROGRESS"
STATES = (PENDING, COMPLETED, WINDOW_EXPIRED, CANCELED, "FAILURE_LIMIT_REACHED")
"""Those of a request, and of its group."""
ATTEMPT_STATES = (PENDING, IN_PROGRESS, COMPLETED, CANCELED, "ABORTED", "FAILED", "NOT_ATTEMPTED", "BAD_DATA")
MOST_FRAMES = 1000
CAMERAS = {"0m4": ("0m4a", "0m410", "kb23"), "1m0": ("1m0a", "1m001", "fa11")}
"""Telescope, its part of file names, and camera, by class of telescope."""

SUFFIX = ".fits.fz"
PROPRIETARY = timedelta(days=365)
"""For so long frames are only for those of their proposal."""


class TransitionError(Exception):
    """Raised when a request is in a state that forbids the change; says so in the portal's words."""


@dataclass(frozen=True)
class Pace:
    """How fast observations are played.

    Parameters
    ----------
    delay_s : float
        From a submission, or the opening of its window, to COMPLETED.
    frame_s : float
        From one frame in the archive to the next.
    """

    delay_s: float = 15.0
    frame_s: float = 1.0


class Observatory:
    """Plays what the records say.

    Parameters
    ----------
    store : Store
        Where records and files are kept.
    clock : callable
        Returns the time, aware.
    pace : Pace or None
        How fast; None if nothing but the end of a window comes by itself.
    size_px : int
        Side of the frames.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime], pace: Pace | None, size_px: int) -> None:
        self.store = store
        self.now = clock
        self.records: Records = store.load()
        self._pace = pace
        self._size_px = size_px
        self._lock = threading.RLock()
        self._is_kept = True

    def lock(self) -> AbstractContextManager[bool]:
        """Return what keeps other threads away while records are read or changed."""
        return self._lock

    def keep(self) -> None:
        """Store the records, if they have changed since that was done last."""
        if not self._is_kept:
            self.store.save(self.records)
            self._is_kept = True

    def submit(self, body: Json) -> Json:
        """Take a valid request group and return it with its ids."""
        self._is_kept = False
        now = self.now()
        group = new_group(body, now, self.records.next_id)
        for request in group["requests"]:
            self.records.plays[str(request["id"])] = {"since": now.timestamp(), "stage": ""}
        self.records.groups.append(group)
        return group

    def cancel(self, group: Json) -> Json:
        """Cancel what is pending of a group, and return it; its requests are shown as they were, as the portal does.

        Raises
        ------
        TransitionError
            If the group has ended otherwise.
        """
        if group["state"] not in (PENDING, CANCELED):
            raise TransitionError(
                f"Cannot transition from request state {group['state']} to CANCELED for {group['id']}"
            )
        before = [dict(request) for request in group["requests"]]
        for request in group["requests"]:
            if request["state"] == PENDING:
                self.set_state(request["id"], CANCELED)
        return {**group, "state": CANCELED, "requests": before}

    def set_state(self, request_id: int, state: str) -> None:
        """Put a request, and with it its group, into a state."""
        _check(state, STATES)
        request, group = self.find_request(request_id)
        if state != request["state"]:
            self._is_kept = False
            request["state"], request["modified"] = state, to_text(self.now())
            group["state"], group["modified"] = _group_state(group), request["modified"]
        if state == CANCELED:
            for attempt in self.records.attempts_of(request_id):
                if attempt["state"] == PENDING:
                    self._is_kept = False
                    attempt["state"] = CANCELED

    def schedule(self, request_id: int, state: str = PENDING, start: datetime | None = None) -> Json:
        """Add an attempt at a request, beside those that are there."""
        _check(state, ATTEMPT_STATES)
        request, _ = self.find_request(request_id)
        self._is_kept = False
        start = start or self.now()
        telescope, _, camera = CAMERAS[request["location"]["telescope_class"]]
        site = _site(request)
        attempt = {
            "id": self.records.next_id("attempt"),
            "request": request_id,
            "site": site,
            "enclosure": SITES[site][1],
            "telescope": telescope,
            "start": to_text(start),
            "end": to_text(start + timedelta(seconds=request["duration"])),
            "priority": 10,
            "state": state,
            "configuration_statuses": [
                {
                    "id": self.records.next_id("configuration_status"),
                    "configuration": configuration["id"],
                    "instrument_name": camera,
                    "guide_camera_name": camera,
                    "state": state,
                    "summary": {},
                }
                for configuration in request["configurations"]
            ],
        }
        self.records.attempts.append(attempt)
        return attempt

    def complete(
        self,
        request_id: int,
        frames: int | None = None,
        frame_s: float = 0.0,
        moment: datetime | None = None,
        attempt_state: str = COMPLETED,
    ) -> None:
        """Complete a request: one attempt is COMPLETED, an earlier one stays as it was, frames come.

        Parameters
        ----------
        request_id : int
            Which.
        frames : int or None
            How many; by default one for each exposure.
        frame_s : float
            Seconds from one to the next; 0 puts all into the archive at once.
        moment : datetime or None
            When it was completed; by default now.
        attempt_state : str
            How the attempt ended: one that failed late completes its request, too.
        """
        _check(attempt_state, ATTEMPT_STATES)
        if frames is not None and (not isinstance(frames, int) or not 0 <= frames <= MOST_FRAMES):
            raise ValueError(f"frames is a number from 0 to {MOST_FRAMES}")
        request, _ = self.find_request(request_id)
        self._is_kept = False
        now = moment or self.now()
        start = now - timedelta(seconds=request["duration"])
        running = [each for each in self.records.attempts_of(request_id) if each["state"] == IN_PROGRESS]
        if not self.records.attempts_of(request_id):
            self.schedule(request_id, PENDING, now)
        attempt = running[-1] if running else self.schedule(request_id)
        attempt.update(state=attempt_state, start=to_text(start), end=to_text(now))
        for status in attempt["configuration_statuses"]:
            status["state"] = attempt_state
            status["summary"] = {
                "start": attempt["start"],
                "end": attempt["end"],
                "state": attempt_state,
                "reason": "",
                "time_completed": float(request["duration"] - SETUP_S),
                "events": [],
            }
        self.records.plays[str(request_id)]["stage"] = COMPLETED
        self.set_state(request_id, COMPLETED)
        self._expose(request, attempt, frames, frame_s)
        self.advance()

    def bad_data(self, request_id: int) -> None:
        """Find that the data of a completed request are bad: it waits to be observed again."""
        self.find_request(request_id)
        self._is_kept = False
        for attempt in self.records.attempts_of(request_id):
            if attempt["state"] == COMPLETED:
                attempt["state"] = "BAD_DATA"
        self.records.plays[str(request_id)] = {"since": self.now().timestamp(), "stage": ""}
        self.set_state(request_id, PENDING)

    def advance(self) -> None:
        """Let everything happen that is due by now."""
        now = self.now()
        for request, _ in self.records.requests():
            # What is in progress goes on, cancelled or not, and may complete its request.
            stage = self.records.plays[str(request["id"])]["stage"]
            if request["state"] == PENDING or (request["state"] == CANCELED and stage == IN_PROGRESS):
                self._play(request, now)
        due = [each for each in self.records.coming if each["due"] <= now.timestamp()]
        if due:
            self._is_kept = False
            self.records.coming = [each for each in self.records.coming if each["due"] > now.timestamp()]
            for each in due:
                exposure = {**each["exposure"], "time": datetime.fromtimestamp(each["exposure"]["time"], UTC)}
                exposure["cards"] = tuple(tuple(card) for card in exposure["cards"])
                content = render_exposure(Exposure(**exposure), self._size_px)
                for level in (0, 91):
                    self.add_frame({**each["frame"], "reduction_level": level}, content)

    def add_frame(self, facts: Json, content: bytes | None) -> Json:
        """Put a frame into the archive; without content it has a record but no file."""
        self._is_kept = False
        now = to_text(self.now())
        public = to_text(self.now() + PROPRIETARY)
        frame_id = self.records.next_id("frame")
        basename = facts["basename"]
        if "reduction_level" in facts and not basename.endswith(("e00", "e91")):
            basename = f"{basename}-e{facts['reduction_level']:02d}"
        frame = {
            "extension": SUFFIX,
            "public_date": public,
            **facts,
            "id": frame_id,
            "basename": basename,
            "version": None,
        }
        if content is not None:
            self.store.write_file(frame_id, content)
            frame["version"] = {
                "id": self.records.next_id("version"),
                "created": now,
                "key": f"{frame_id:04x}/{basename}",
                "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
                "extension": frame["extension"],
            }
        self.records.frames.append(frame)
        return frame

    def _play(self, request: Json, now: datetime) -> None:
        play = self.records.plays[str(request["id"])]
        windows = [(from_text(each["start"]) or now, from_text(each["end"]) or now) for each in request["windows"]]
        opens, closes = min(start for start, _ in windows), max(end for _, end in windows)
        if self._pace is not None:
            begin = max(opens.timestamp(), play["since"])
            middle, end = begin + self._pace.delay_s / 2, begin + self._pace.delay_s
            if now.timestamp() >= begin and not play["stage"]:
                self.schedule(request["id"], PENDING, datetime.fromtimestamp(middle, UTC))
                play["stage"] = PENDING
            if now.timestamp() >= middle and play["stage"] == PENDING:
                self.schedule(request["id"], IN_PROGRESS, datetime.fromtimestamp(middle, UTC))
                play["stage"] = IN_PROGRESS
            if now.timestamp() >= end and end <= closes.timestamp():
                done = datetime.fromtimestamp(end, UTC)
                self.complete(request["id"], frame_s=self._pace.frame_s, moment=done)
                return
        if now >= closes and request["state"] == PENDING:
            self.set_state(request["id"], WINDOW_EXPIRED)

    def _expose(self, request: Json, attempt: Json, count: int | None, frame_s: float) -> None:
        start, end = from_text(attempt["start"]) or self.now(), from_text(attempt["end"]) or self.now()
        planned = [
            (configuration, config)
            for configuration in request["configurations"]
            for config in configuration["instrument_configs"]
            for _ in range(config["exposure_count"])
        ]
        count = len(planned) if count is None else count
        telescope, part, camera = CAMERAS[request["location"]["telescope_class"]]
        site = attempt["site"]
        moment = start + timedelta(seconds=SETUP_S)
        _, group = self.find_request(request["id"])
        for number in range(count):
            configuration, config = planned[number % len(planned)]
            target, exposure_s = configuration["target"], float(config["exposure_time"])
            optical_element = (config.get("optical_elements") or {}).get("filter", "")
            facts = {
                "basename": f"{site}{part}-{camera}-{moment:%Y%m%d}-{self.records.next_id('exposure'):04d}",
                "observation_date": to_text(moment),
                "observation_day": f"{moment:%Y-%m-%d}",
                "proposal_id": group["proposal"],
                "instrument_id": camera,
                "target_name": target["name"],
                "site_id": site,
                "telescope_id": telescope,
                "exposure_time": exposure_s,
                "primary_optical_element": optical_element,
                "configuration_type": configuration["type"],
                "observation_id": attempt["id"],
                "request_id": request["id"],
            }
            cards = {
                "OBJECT": target["name"],
                "FILTER": optical_element,
                "INSTRUME": camera,
                "SITEID": site,
                "TELID": telescope,
                "CRVAL1": target.get("ra"),
                "CRVAL2": target.get("dec"),
            }
            cards_ = tuple((name, value) for name, value in cards.items() if value is not None)
            exposure = Exposure(request["id"], number, count, moment, exposure_s, cards_)
            due = end.timestamp() + (number + 1) * frame_s
            stored = {**asdict(exposure), "time": moment.timestamp()}
            self.records.coming.append({"due": due, "frame": facts, "exposure": stored})
            moment += timedelta(seconds=exposure_s + 5)

    def find_request(self, request_id: int) -> tuple[Json, Json]:
        """Return a request and its group.

        Raises
        ------
        LookupError
            If there is none.
        """
        found = self.records.find_request(int(request_id))
        if found is None:
            raise LookupError(f"the portal has no request {request_id}")
        return found


def _check(state: str, known: tuple[str, ...]) -> None:
    if state not in known:
        raise ValueError(f"no such state: {state}; there are {', '.join(known)}")


def _group_state(group: Json) -> str:
    states = [str(request["state"]) for request in group["requests"]]
    return next((state for state in (PENDING, COMPLETED) if state in states), states[0])


def _site(request: Json) -> str:
    dec: Any = request["configurations"][0]["target"].get("dec")
    return "cpt" if dec is not None and dec < 0 else "tfn"
