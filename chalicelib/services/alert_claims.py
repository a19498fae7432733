"""One worker's hold on an alert while it works: signs of life, and a look at the time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chalicelib import clock
from chalicelib.errors import NotFoundError, SiderealError
from chalicelib.settings import get_settings
from chalicelib.storage import alerts


class OutOfTimeError(SiderealError):
    """Raised when the function's time is nearly up: the work stops in order, and the next run goes on."""


class TargetGoneError(SiderealError):
    """Raised when the target of an alert is gone, or being deleted: there is nothing left to do for it."""

    @classmethod
    @contextmanager
    def instead(cls) -> Iterator[None]:
        """Raise this error in the place of the target's `NotFoundError`."""
        try:
            yield
        except NotFoundError:
            raise cls from None


class AlertClaim:
    """The claim on one alert.

    Parameters
    ----------
    token : str
        Under which the alert was claimed.
    time_left_s : callable
        Returns the seconds that are left of the function's time.
    """

    def __init__(self, alert_id: int, token: str, time_left_s: Callable[[], float]) -> None:
        self.token = token
        self.time_left_s = time_left_s
        self._alert_id = alert_id
        self._every_s = get_settings().job_lease_s / 4
        self._next_sign = time.monotonic() + self._every_s

    def go_on(self) -> None:
        """Say that the work goes on; to be called every few seconds. One UpdateItem for every quarter of the lease.

        Raises
        ------
        OutOfTimeError
            If the function's time is nearly up.
        ClaimLostError
            If the claim no longer stands.
        """
        if self.time_left_s() < get_settings().job_reserve_s:
            raise OutOfTimeError("the function's time is nearly up")
        if time.monotonic() >= self._next_sign:
            alerts.hold(self._alert_id, self.token, clock.now())
            self._next_sign = time.monotonic() + self._every_s
