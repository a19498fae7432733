"""Observation alerts: from the telescope to a mail, one open alert after the other.

Each step of an alert (state, frames, timelapse, mail) can be repeated without harm, and what one alert meets does not stop
the others.
"""

import math
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib import clock
from chalicelib.errors import ClaimLostError, NotFoundError, UnavailableError, UpstreamError
from chalicelib.facilities.base import Facility
from chalicelib.facilities.registry import find_facility
from chalicelib.models.alerts import Alert, Watch
from chalicelib.models.observations import Observation
from chalicelib.observability import log_keys, logger, note
from chalicelib.services import alert_timelapses
from chalicelib.services.alert_claims import AlertClaim, OutOfTimeError, TargetGoneError
from chalicelib.services.alert_mail import Postman
from chalicelib.services.alert_timelapses import Progress
from chalicelib.services.frames import FetchCounts, fetch_new_frames
from chalicelib.settings import get_settings
from chalicelib.storage import alerts, frames, observations

FIRST_PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=4)
"""Between two looks at a facility that fails; the pause doubles with each failure."""

PATIENCE = 0.1
"""The longer ago an observation ended, the less happens to it: the next look is due after this part of that time."""

FORGOTTEN_AFTER = timedelta(days=28)
"""After the end of its window: an observation that its facility does not know then is given up."""

GIVEN_UP_AFTER = timedelta(days=14)
"""Beyond the time for which an ended observation is watched: what is still outstanding then is given up."""

NO_TIMELAPSE = "the timelapse failed"
"""Why an alert is closed whose last timelapse failed, and was not repeated by anybody while it was watched."""


@dataclass
class AlertCounts:
    """What one run of the scheduled function did."""

    alerts: int = 0
    errors: int = 0
    closed: int = 0
    frames_fetched: int = 0
    frames_failed: int = 0
    timelapses_started: int = 0
    timelapses_failed: int = 0
    mails_sent: int = 0
    mails_failed: int = 0
    facility_failures: int = 0


def process_alerts(time_left_s: Callable[[], float] = lambda: math.inf) -> dict[str, int]:
    """Bring every open alert forward, and return what was done; those that come too late come first next time.

    Parameters
    ----------
    time_left_s : callable, optional
        Returns the seconds that are left of the function's time.
    """
    counts, postman, seen = AlertCounts(), Postman(), set[int]()
    for observation_id, place in alerts.open_alerts(clock.now()):
        if time_left_s() < get_settings().job_reserve_s:
            logger.info("alerts wait for the next run", extra={"processed": counts.alerts})
            break
        if observation_id in seen:  # moved behind the others while the index was read
            continue
        seen.add(observation_id)
        with log_keys(observation_id=observation_id):
            try:
                _process_one(observation_id, place, time_left_s, postman, counts)
            except ClaimLostError as error:
                logger.info("an alert is not ours", extra={"reason": str(error)})
            except Exception:  # noqa: BLE001 - the border of one alert: the others have their turn
                counts.errors += 1
                logger.exception("an alert failed unexpectedly")
    counts.mails_sent, counts.mails_failed = postman.sent, postman.failed
    return asdict(counts)


def _process_one(
    observation_id: int, place: str, time_left_s: Callable[[], float], postman: Postman, counts: AlertCounts
) -> None:
    token = uuid.uuid4().hex
    alert = alerts.claim(observation_id, place, token, clock.now())
    note(target_id=alert.target_id)
    counts.alerts += 1
    work = _Work(alert, AlertClaim(alert.id, token, time_left_s), postman, counts)
    try:
        work.run()
    except OutOfTimeError:
        work.release(clock.now())
    except TargetGoneError:
        logger.info("the target of an alert is gone")
        work.close("the target was deleted")
    except ClaimLostError:
        raise
    except Exception:
        with suppress(ClaimLostError):  # what went wrong is worth more than that
            work.back_off()
        raise


class _Work:
    """The work on one alert under one claim; `_values` are what its record is to be given at the next write."""

    def __init__(self, alert: Alert, claim: AlertClaim, postman: Postman, counts: AlertCounts) -> None:
        self._alert = alert
        self._claim = claim
        self._postman = postman
        self._counts = counts
        self._failures_before = alert.failures
        self._is_unknown = False
        self._has_timelapse_failed = False
        self._values: dict[str, Any] = {}

    def run(self) -> None:
        """Do what can be done now."""
        with TargetGoneError.instead():  # the observation goes with its target
            watch = frames.read(self._alert.id)
        facility = find_facility(self._alert.facility)
        if self._is_look_due(watch):
            watch = self._look(watch, facility)
        is_outstanding = self._advance(watch, facility)
        reason = self._reason_to_close(watch.observation, is_outstanding)
        if reason is not None:
            self.close(reason)
        elif is_outstanding:
            self.release(clock.now())
        else:
            self.release(max(clock.now(), _moment(self._alert.facility_due)))

    def release(self, due_at: datetime) -> None:
        """Give the alert back."""
        alerts.release(self._alert.id, self._claim.token, due_at, self._values)

    def back_off(self) -> None:
        """Give the alert back after something unexpected; its next turn comes the later the oftener that happens."""
        failures = self._failures_before + 1
        self._set(failures=failures)
        self.release(clock.now() + _pause(failures))

    def close(self, reason: str) -> None:
        """Take the alert out of the open ones."""
        alerts.close(self._alert.id, self._claim.token, clock.now(), reason, self._values)
        self._counts.closed += 1
        if reason == NO_TIMELAPSE:
            self._counts.timelapses_failed += 1
            logger.warning("an alert ends without its timelapse", extra={"process_id": self._alert.process_id})
        logger.info("alert closed", extra={"reason": reason})

    def _is_look_due(self, watch: Watch) -> bool:
        if self._alert.facility_due > clock.to_text(clock.now()):
            return False
        is_fetching = any(frame.is_outstanding for frame in watch.frames.values())
        return is_fetching or not self._has_last_look()

    def _look(self, watch: Watch, facility: Facility) -> Watch:
        """Ask the facility for state and frames; return what is known then."""
        fetched = FetchCounts()
        try:
            watch = replace(watch, observation=self._update_state(watch.observation, facility))
            fetch_new_frames(self._alert, watch, facility, self._claim, fetched)
        except (NotFoundError, UnavailableError, UpstreamError) as error:
            self._is_unknown = isinstance(error, NotFoundError)
            self._pause_facility(error)
        else:
            self._set(failures=0, facility_due=self._next_look(), looked_at=clock.to_text(clock.now()))
        finally:
            self._counts.frames_fetched += fetched.fetched
            self._counts.frames_failed += fetched.failed
        if fetched.is_changed:
            self._alert = alerts.change(self._alert.id, self._claim.token, self._values)
            self._values = {}
            with TargetGoneError.instead():
                watch = frames.read(self._alert.id)
        return watch

    def _next_look(self) -> str:
        """Return when the facility is to be asked again; "" for the next run."""
        if self._alert.ended_at is None:
            return ""
        now, ended = clock.now(), clock.from_text(self._alert.ended_at)
        due, watched_until = now + (now - ended) * PATIENCE, ended + _watch_time()
        return clock.to_text(min(due, watched_until) if now < watched_until else due)

    def _update_state(self, old: Observation, facility: Facility) -> Observation:
        """Ask for the state of an observation and keep it; note since when nothing more is observed."""
        state = facility.state(old.observation_id)
        self._claim.go_on()
        with TargetGoneError.instead():
            new = observations.set_state(old, state, clock.now())
        if new.status not in facility.terminal_states:
            if self._alert.ended_at is not None:  # the site has taken it back
                self._set(ended_at=None)
        elif self._alert.ended_at is None or new.status != old.status:
            self._set(ended_at=clock.to_text(clock.now()))
        return new

    def _advance(self, watch: Watch, facility: Facility) -> bool:
        """See to timelapse and mail; say whether anything is outstanding."""
        known = list(watch.frames.values())
        expected = facility.exposure_count(watch.observation.parameters)
        may_start = alert_timelapses.is_worth_while(self._alert, known, expected)
        step = alert_timelapses.advance(self._alert, self._claim, may_start=may_start)
        self._counts.timelapses_started += step.started
        self._has_timelapse_failed = step.progress is Progress.FAILED
        self._take(step.alert)
        is_mail_due = False
        if self._alert.settled_id is not None and self._alert.ended_at is not None:
            if step.progress is not Progress.RUNNING:
                self._take(self._postman.send_due(self._alert, self._claim))
            is_mail_due = self._alert.mailed_id != self._alert.settled_id
        is_film_due = step.progress in (Progress.WAITING, Progress.RUNNING)
        return is_mail_due or is_film_due or any(frame.is_outstanding for frame in known)

    def _reason_to_close(self, observation: Observation, is_outstanding: bool) -> str | None:
        now = clock.now()
        if self._is_unknown and now > window_end(observation) + FORGOTTEN_AFTER:
            return "the facility does not know the observation"
        if self._alert.ended_at is None:
            return None
        if not is_outstanding and self._has_last_look():
            return NO_TIMELAPSE if self._has_timelapse_failed else "done"
        watched_until = clock.from_text(self._alert.ended_at) + _watch_time()
        return "given up" if now > watched_until + GIVEN_UP_AFTER else None

    def _has_last_look(self) -> bool:
        """Say whether the facility was asked for frames at the end of the time for which the observation is watched."""
        if self._alert.ended_at is None or self._alert.looked_at is None:
            return False
        watched_until = clock.from_text(self._alert.ended_at) + _watch_time()
        return clock.from_text(self._alert.looked_at) >= watched_until

    def _pause_facility(self, error: Exception) -> None:
        failures = self._failures_before + 1
        self._counts.facility_failures += 1
        extra = {"reason": str(error), "kind": type(error).__name__, "failures": failures}
        logger.warning("a facility could not be asked", extra=extra)
        self._set(failures=failures, facility_due=clock.to_text(clock.now() + _pause(failures)))

    def _set(self, **values: Any) -> None:
        self._values |= values
        self._alert = replace(self._alert, **values)

    def _take(self, alert: Alert) -> None:
        """Go on with what a write has returned; what is not written yet stays."""
        self._alert = replace(alert, **self._values)


def window_end(observation: Observation) -> datetime:
    """Return when the window of an observation ends, as its form says; where it does not, when it was created."""
    created = clock.from_text(observation.created)
    try:
        end = datetime.fromisoformat(str(observation.parameters.get("end")))
    except ValueError:
        return created
    return max(created, end if end.tzinfo else end.replace(tzinfo=UTC))


def _watch_time() -> timedelta:
    """Return for how long an observation that has ended is watched.

    No end is sure: frames come late, COMPLETED may be taken back, and an attempt that reports late makes an expired or
    cancelled observation COMPLETED.
    """
    return timedelta(hours=get_settings().alert_watch_hours)


def _pause(failures: int) -> timedelta:
    pause: timedelta = FIRST_PAUSE * 2 ** min(failures - 1, 10)
    return min(LONGEST_PAUSE, pause)


def _moment(text: str) -> datetime:
    return clock.from_text(text) if text else datetime.min.replace(tzinfo=UTC)
