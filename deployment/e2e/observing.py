"""The observing part of the end-to-end run: what is asked of the portal's stand-in comes back as frames, film and mail."""

import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chalicelib.storage.circuits import MAX_FAILURES
from deployment.e2e.asking import Asker, E2EError, Reply
from deployment.e2e.stack import Clock, Deployment
from deployment.e2e.telescope import REQUIRED, page
from local.client import Client
from local.portal.example import example_fields
from local.portal.stand_in import StandIn
from local.schedule import make_event

TOKEN_PARAMETER = "/e2e/portal-token"  # noqa: S105 - a name
SENDER = "alerts@example.org"
EMAIL = "somebody@example.com"
EXPOSURES = 4
LIMIT = 6
"""As `THROTTLE_OBSERVE` has it by default."""

LATE_QUIET_S = "3"

URL = "/api/observe/"
TEMPLATE = "e2e"
WINDOW_DAYS = {"start": 0, "end": 7}
FIELDS: dict[str, Any] = example_fields(EXPOSURES)


def prepare(deployment: Deployment, portal: StandIn) -> dict[str, str]:
    """Put the portal's token where the stack reads it, make the sender known, and return the stack's parameters."""
    deployment.client("ssm").put_parameter(Name=TOKEN_PARAMETER, Type="SecureString", Value=portal.token)
    deployment.client("sesv2").create_email_identity(EmailIdentity=SENDER)
    return {
        "PortalUrl": portal.portal_url,
        "ArchiveUrl": portal.archive_url,
        "PortalTokenParameter": TOKEN_PARAMETER,
        "FromEmailAddress": SENDER,
        "AlertRate": "rate(1 minute)",
    }


OBSERVATION = {
    "id": int,
    "target": int,
    "facility": "LCO",
    "observation_id": str,
    "status": str,
    "parameters": dict,
    "created": float,
    "modified": float,
    "scheduled_start": ...,
    "scheduled_end": ...,
}


class Observing:
    """Somebody who asks the deployed API for an observation.

    Parameters
    ----------
    deployment : Deployment
        The stack.
    ask : Asker
        Of its API.
    clock : Clock
        The time that is left.
    portal : StandIn
        Where observations are asked for.
    """

    def __init__(self, deployment: Deployment, ask: Asker, clock: Clock, portal: StandIn) -> None:
        self._deployment = deployment
        self._ask = ask
        self._clock = clock
        self._portal = portal
        self._target = 0
        self._request = 0
        start = datetime.now(UTC)
        # without a zone, as in the document's example
        self._window = {name: f"{start + timedelta(days=days):%Y-%m-%dT%H:%M:%S}" for name, days in WINDOW_DAYS.items()}

    def ask(self) -> None:
        """Ask for an observation, without a token, as often as the throttle lets us."""
        # a film of late frames is made when no more of them come
        self._deployment.set_variables("ProcessAlerts", {"ALERT_QUIET_S": LATE_QUIET_S})
        body = {"name": "e2e sky", "type": "SIDEREAL", "ra": 31.042863, "dec": 46.687847}
        self._target = int(self._ask("POST", "/api/targets/", 201, ..., body).json["id"])
        template = {"name": TEMPLATE, "target": self._target, "facility": "LCO", "fields": FIELDS}
        self._ask("POST", "/api/observationtemplates/", 201, ..., template)
        example = self._body(overrides=self._window)
        self._ask("POST", URL, 201, example, example, authorization=None)  # what was sent is answered, as documented
        missing = {"template_name": REQUIRED, "facility": REQUIRED, "email": REQUIRED}
        self._ask("POST", URL, 400, missing, {"target": self._target}, authorization=None)
        wrong = {"overrides": {"start": "garbage", "end": self._window["end"]}}
        self._ask("POST", URL, 400, {"start": list}, self._body(**wrong), authorization=None)
        for _ in range(LIMIT - 3):
            self._expect(404)
        reply = self._expect(429)
        if not 1 <= int(reply.headers["retry-after"]) <= 60:
            raise E2EError(f"Retry-After: {reply.headers['retry-after']}")
        # The emulator takes the address of a caller from this header, where API Gateway takes it from the connection.
        self._expect(404, {"X-Forwarded-For": "192.0.2.1"})
        self._expect(404, {"authorization": f"Bearer {self._deployment.token}"})

    def observe(self) -> None:
        """Let the telescope take the frames."""
        ((group,),) = self._portal.submissions.values()
        self._request = group["requests"][0]["id"]
        self._portal.complete(self._request)

    def cancel_another(self) -> None:
        """Ask for another observation, under a user's name, and cancel it."""
        self._ask(
            "POST", URL, 201, ..., self._body(overrides=self._window), authorization=f"Bearer {self._deployment.token}"
        )
        listed = self._ask("GET", f"/api/observations/?target={self._target}", 200, page(OBSERVATION, OBSERVATION)).json
        newest = listed["results"][0]
        its = f"/api/observations/{newest['id']}/"
        self._ask("GET", its, 200, {**OBSERVATION, "status": ""})
        self._ask("PATCH", f"{its}cancel/", 200, {**OBSERVATION, "status": "CANCELED"})
        states = {
            each["id"]: each["state"] for (group,) in self._portal.submissions.values() for each in group["requests"]
        }
        if states[int(newest["observation_id"])] != "CANCELED":
            raise E2EError(f"the portal has {states}")

    def add_late_frame(self) -> None:
        """Put one more frame into the archive, a copy of one that is there."""
        known = next(each for each in self._portal.frames(self._request) if each["basename"].endswith("e91"))
        content = self._portal.observatory.store.read_file(known["id"])
        name = known["basename"].replace("e91", "late-e91") + known["extension"]
        self._portal.add_frame(self._request, name, content, reduction_level=91)

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
        found: list[dict[str, Any]] = self._ask("GET", f"/api/target/{self._target}/", 200).json["timelapses"]
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
        body = self._body(overrides=self._window)
        for _ in range(MAX_FAILURES):
            self._ask("POST", URL, 503, {"detail": str}, body, authorization=None, headers=somebody)
        before = len(self._portal.requests)
        self._ask("POST", URL, 503, {"detail": str}, body, authorization=None, headers=somebody)
        if len(self._portal.requests) != before:
            raise E2EError(f"the portal is asked for the {before + 1}th time, although it is out of order")

    def _film(self, text: str, folder: Path) -> str:
        """Fetch what a mail leads to, and return what it is called."""
        public = self._deployment.outputs["EndpointURL"].rstrip("/")
        links = [word for word in text.split() if word.startswith(f"{public}/data/")]
        if len(links) != 1:
            raise E2EError(f"no link to a film of this deployment: {text}")
        file = folder / "mailed.gif"
        Client(self._deployment.api, self._deployment.token).download(links[0].removeprefix(public), file)
        if not file.read_bytes().startswith(b"GIF89a"):
            raise E2EError(f"no film at {links[0]}")
        return links[0].rpartition("/")[2]

    def _products(self) -> int:
        return int(self._ask("GET", f"/api/dataproducts/?target={self._target}", 200).json["count"])

    def _body(self, **more: Any) -> dict[str, Any]:
        return {"target": self._target, "template_name": TEMPLATE, "facility": "LCO", **more, "email": EMAIL}

    def _expect(self, status: int, headers: dict[str, str] | None = None) -> Reply:
        """Ask for an observation from a template that is not there."""
        body = self._body(template_name="another")
        return self._ask("POST", URL, status, {"detail": str}, body, authorization=None, headers=headers)


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
