"""The observing part of the end-to-end run: what is asked of the portal's stand-in comes back as frames, film and mail."""

import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from chalicelib.storage.circuits import MAX_FAILURES
from local.client import Client
from local.e2e.asking import E2EError
from local.e2e.stack import Clock, Deployment
from local.environment import REGION
from local.portal.stand_in import StandIn
from local.schedule import make_event

TOKEN_PARAMETER = "/e2e/portal-token"  # noqa: S105 - a name
SENDER = "alerts@example.org"
EMAIL = "somebody@example.com"
EXPOSURES = 4
LIMIT = 6
"""As `THROTTLE_OBSERVE` has it by default."""

LATE_QUIET_S = "3"

TEMPLATE = "e2e"
FIELDS: dict[str, Any] = {
    "proposal": "DEMO-2026-001",
    "ipp_value": 1.05,
    "instrument_type": "0M4-SCICAM-QHY600",
    "max_airmass": 1.6,
    "observation_mode": "NORMAL",
    "rp_exposure_count": EXPOSURES,
    "rp_exposure_time": 30,
}


def prepare(deployment: Deployment, portal: StandIn) -> dict[str, str]:
    """Put the portal's token where the stack reads it, make the sender known, and return the stack's parameters."""
    deployment.parameters.put_parameter(Name=TOKEN_PARAMETER, Type="SecureString", Value=portal.token)
    deployment.mail.create_email_identity(EmailIdentity=SENDER)
    return {
        "PortalUrl": portal.portal_url,
        "ArchiveUrl": portal.archive_url,
        "PortalTokenParameter": TOKEN_PARAMETER,
        "FromEmailAddress": SENDER,
        "AlertRate": "rate(1 minute)",
    }


class Observing:
    """Somebody who asks the deployed API for an observation.

    Parameters
    ----------
    deployment : Deployment
        The stack.
    client : Client
        Of its API.
    clock : Clock
        The time that is left.
    portal : StandIn
        Where observations are asked for.
    """

    def __init__(self, deployment: Deployment, client: Client, clock: Clock, portal: StandIn) -> None:
        self._deployment = deployment
        self._client = client
        self._clock = clock
        self._portal = portal
        self._target = 0
        start = datetime.now(UTC)
        self._window = {"start": start.isoformat(), "end": (start + timedelta(days=7)).isoformat()}

    def ask(self) -> None:
        """Ask for an observation, without a token, as often as the throttle lets us."""
        body = {"name": "e2e sky", "type": "SIDEREAL", "ra": 31.042863, "dec": 46.687847}
        self._target = int(self._client.call("POST", "/api/targets/", json=body)["id"])
        template = {"name": TEMPLATE, "target": self._target, "facility": "LCO", "fields": FIELDS}
        self._client.call("POST", "/api/observationtemplates/", json=template)
        self._expect(201, {"overrides": self._window})
        for _ in range(LIMIT - 1):
            self._expect(404, {"template_name": "another"})
        reply = self._expect(429, {"template_name": "another"})
        if not 1 <= int(reply.headers["Retry-After"]) <= 60:
            raise E2EError(f"Retry-After: {reply.headers['Retry-After']}")
        # The emulator takes the address of a caller from this header, where API Gateway takes it from the connection.
        self._expect(404, {"template_name": "another"}, {"X-Forwarded-For": "192.0.2.1"})
        self._expect(404, {"template_name": "another"}, {"Authorization": f"Bearer {self._deployment.token}"})

    def observe(self) -> None:
        """Let the telescope take the frames."""
        ((group,),) = self._portal.submissions.values()
        self._portal.complete(group["requests"][0]["id"])

    def add_late_frame(self) -> None:
        """Put one more frame into the archive, a copy of one that is there, and count silence in seconds from now on."""
        # a film of late frames is made when no more of them come
        self._deployment.set_variable("ProcessAlerts", "ALERT_QUIET_S", LATE_QUIET_S)
        ((group,),) = self._portal.submissions.values()
        request = group["requests"][0]["id"]
        known = next(each for each in self._portal.frames(request) if each["basename"].endswith("e91"))
        content = self._portal.observatory.store.read_file(known["id"])
        name = known["basename"].replace("e91", "late-e91") + known["extension"]
        self._portal.add_frame(request, name, content, reduction_level=91)

    def wait_for_schedule(self) -> None:
        """Wait until the schedule has called its function, and that has fetched the frames."""
        self._clock.wait("frames by the schedule", lambda: self._products() >= EXPOSURES or None)

    def wait_for_mail(self, count: int, folder: Path) -> str:
        """Look after the alert until this many mails were sent; return what the last one led to.

        Raises
        ------
        E2EError
            If there are more, or the last one is not as it should be.
        """

        def sent() -> list[dict[str, Any]] | None:
            self.look_after_alerts()
            mails = self.mails()
            return mails if len(mails) >= count else None

        mails = self._clock.wait(f"mail {count}", sent, pause_s=1)
        self.look_after_alerts()  # once more: nothing is sent twice
        if len(self.mails()) != count:
            raise E2EError(f"not {count} mails: {self.mails()}")
        mail = mails[-1]
        expected = ([EMAIL], SENDER, "Observation for 'e2e sky' has new data")
        if (mail["To"], mail["Source"], mail["Subject"]) != expected:
            raise E2EError(f"not the mail that was expected: {mail}")
        return self._film(mail["BodyText"], folder)

    def look_after_alerts(self) -> dict[str, int]:
        """Call the schedule's function beside the schedule."""
        done: dict[str, int] = self._deployment.invoke("ProcessAlerts", make_event(datetime.now(UTC), "process_alerts"))
        if done["errors"] or done["mails_failed"] or done["facility_failures"]:
            raise E2EError(f"an alert is not looked after: {done}")
        return done

    def mails(self) -> list[dict[str, Any]]:
        """Return what was sent, oldest first."""
        with urllib.request.urlopen(f"{self._deployment.url}/_ministack/ses/messages", timeout=5) as reply:
            accounts = json.load(reply)["messages"]
        found = [mail for mails in accounts.values() for mail in mails]
        return sorted(found, key=lambda mail: float(mail["Timestamp"]))

    def timelapses(self) -> list[dict[str, Any]]:
        """Return the timelapses that the target shows, newest first."""
        found: list[dict[str, Any]] = self._client.call("GET", f"/api/target/{self._target}/")["timelapses"]
        return found

    def break_portal(self) -> None:
        """Let the portal go out of order, until it is left alone.

        Raises
        ------
        E2EError
            If it is asked nevertheless.
        """
        self._portal.fail("503", times=1000)
        somebody = {"X-Forwarded-For": "192.0.2.2"}
        for _ in range(MAX_FAILURES):
            self._expect(503, {"overrides": self._window}, somebody)
        before = len(self._portal.requests)
        self._expect(503, {"overrides": self._window}, somebody)
        if len(self._portal.requests) != before:
            raise E2EError(f"the portal is asked for the {before + 1}th time, although it is out of order")

    def check_secrecy(self) -> None:
        """Make sure that the portal's token stands in no log.

        Raises
        ------
        E2EError
            If it does, or if there are no logs.
        """
        lines = 0
        for group in self._deployment.logs.describe_log_groups()["logGroups"]:
            pages = self._deployment.logs.get_paginator("filter_log_events")
            for page in pages.paginate(logGroupName=group["logGroupName"]):
                lines += len(page["events"])
                if any(self._portal.token in event["message"] for event in page["events"]):
                    raise E2EError(f"the portal's token is in the log {group['logGroupName']}")
        if not lines:
            raise E2EError("the functions have no logs")

    def _film(self, text: str, folder: Path) -> str:
        """Fetch what a mail leads to, and return what it is called."""
        rest_api, stage = self._client.base_url.split("/")[4:6]
        public = f"https://{rest_api}.execute-api.{REGION}.amazonaws.com/{stage}"
        links = [word for word in text.split() if word.startswith(f"{public}/data/")]
        if len(links) != 1:
            raise E2EError(f"no link to a film of this deployment: {text}")
        file = folder / "mailed.gif"
        self._client.download(links[0].removeprefix(public), file)
        if not file.read_bytes().startswith(b"GIF89a"):
            raise E2EError(f"no film at {links[0]}")
        return links[0].rpartition("/")[2]

    def _products(self) -> int:
        return int(self._client.call("GET", f"/api/dataproducts/?target={self._target}")["count"])

    def _expect(self, status: int, more: dict[str, Any], headers: dict[str, str] | None = None) -> requests.Response:
        body = {"target": self._target, "template_name": TEMPLATE, "facility": "LCO", "email": EMAIL, **more}
        url = f"{self._client.base_url}/api/observe/"
        reply = requests.post(url, json=body, headers=headers, timeout=60)
        if reply.status_code != status:
            raise E2EError(f"POST /api/observe/ answers {reply.status_code}, not {status}: {reply.text}")
        return reply


def finish(observing: Observing, folder: Path, say: Callable[[str], None]) -> None:
    """See the observation through to its mails."""
    observing.wait_for_schedule()
    say(f"the schedule has called its function: {EXPOSURES} frames are data products")
    film = observing.wait_for_mail(1, folder)
    say(f"one mail, with the link to {film}")
    observing.add_late_frame()
    newer = observing.wait_for_mail(2, folder)
    shown = [(each["name"], each["frames"]) for each in observing.timelapses()]
    if newer == film or shown != [(newer, EXPOSURES + 1)]:
        raise E2EError(f"the target shows {shown}, after a mail about {newer}")
    say(f"a late frame: one more mail, about {newer}; the older timelapse is deleted")
    observing.break_portal()
    say(f"the portal is out of order: 503, and after {MAX_FAILURES} of them it is left alone")
    observing.check_secrecy()
    say("the portal's token is in no log")
