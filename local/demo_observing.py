"""The second part of the demonstration: an observation is asked for, and ends in a mail."""

import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from tqdm import tqdm

from local.client import Client
from local.demo_checks import DemoError, check_film, wait_for
from local.portal.example import example_fields

TARGET = {"name": "HAT-P-32", "type": "SIDEREAL", "ra": 31.04275, "dec": 46.68785}
TEMPLATE = "transit"
EXPOSURES = 12
EMAIL = "somebody@example.org"

SETTINGS: Mapping[str, str] = {
    # A demonstration books no telescope, whatever portal its user works with, and writes to nobody.
    "PORTAL_URL": "",
    "LOCAL_PORTAL_DELAY_S": "2",
    "LOCAL_PORTAL_FRAME_S": "0.15",
    "LOCAL_ALERT_INTERVAL_S": "1",
    "ALERT_QUIET_S": "5",
    "FROM_EMAIL_ADDRESS": "observatory@example.org",
    "PUBLIC_URL": "",
    "TIMELAPSE_FORMAT": "gif",
}
"""Settings under which an observation takes seconds, with a telescope portal of this machine."""


class Observing:
    """Template, observation, frames, timelapse, mail, run against a server that is up.

    Parameters
    ----------
    client : Client
        Of that server.
    mail_folder : Path
        Where it puts its mails.
    output_folder : Path
        Where timelapse and mail are kept.
    """

    def __init__(self, client: Client, mail_folder: Path, output_folder: Path) -> None:
        self._client = client
        self._mail_folder = mail_folder
        self._output_folder = output_folder

    def run(self) -> list[str]:
        """Do everything and return lines that say what was made.

        Raises
        ------
        DemoError
            If something does not come, or is not as it should be.
        RefusedError
            If the API refuses what it must not.
        """
        target = int(self._client.call("POST", "/api/targets/", json=TARGET)["id"])
        self._make_template(target)
        observation = self._observe(target)
        facts = [f"observation {observation['parameters']['name']} (/api/observations/{observation['id']}/)"]
        self._wait_until_completed(int(observation["id"]))
        self._wait_for_frames(target)
        film = self._wait_for_timelapse(target)
        _, _, count = check_film(film)
        if count != EXPOSURES:
            raise DemoError(f"the timelapse of {EXPOSURES} exposures has {count} frames")
        facts.append(f"timelapse   {film} ({count} frames)")
        facts.append(f"mail        {self._wait_for_mail()}")
        return facts

    def _make_template(self, target: int) -> None:
        fields = example_fields(EXPOSURES)
        template = {"name": TEMPLATE, "target": target, "facility": "LCO", "fields": fields}
        made = self._client.call("POST", "/api/observationtemplates/", json=template)
        kept = self._client.call("GET", f"/api/observationtemplates/{made['id']}/")
        if kept["fields"] != fields:
            raise DemoError(f"the template's fields came back changed: {kept['fields']}")
        print(f"template {TEMPLATE!r} of {TARGET['name']}: {EXPOSURES} exposures of 30 s")

    def _observe(self, target: int) -> dict[str, Any]:
        now = datetime.now(UTC)
        window = {"start": now.isoformat(), "end": (now + timedelta(days=2)).isoformat()}
        wish = {"target": target, "template_name": TEMPLATE, "facility": "LCO", "overrides": window, "email": EMAIL}
        answer = self._client.call("POST", "/api/observe/", json=wish)
        if answer != wish:
            raise DemoError(f"the input came back changed: {answer}")
        observations: list[dict[str, Any]] = self._client.call("GET", f"/api/observations/?target={target}")["results"]
        if len(observations) != 1:
            raise DemoError(f"one observation was asked for, there are {len(observations)}")
        print(
            f"observation {observations[0]['parameters']['name']} asked for; the portal calls it "
            f"{observations[0]['observation_id']}"
        )
        return observations[0]

    def _wait_until_completed(self, observation: int) -> None:
        seen = ""

        def status() -> str | None:
            nonlocal seen
            now = str(self._client.call("GET", f"/api/observations/{observation}/")["status"])
            if now != seen:
                print(f"  {now}")
            seen = now
            return now if now not in ("", "PENDING") else None

        if wait_for("the end of the observation", status) != "COMPLETED":
            raise DemoError(f"the observation ended as {seen}")

    def _wait_for_frames(self, target: int) -> None:
        with tqdm(desc="frames", unit="frame", total=EXPOSURES, disable=None, file=sys.stdout) as bar:

            def all_there() -> int | None:
                products = self._client.call("GET", f"/api/dataproducts/?target={target}")["results"]
                count = sum(product["name"].endswith("-e91.fits.fz") for product in products)
                bar.update(min(count, EXPOSURES) - bar.n)
                return count if count >= EXPOSURES else None

            count = wait_for(f"{EXPOSURES} frames", all_there)
        if count != EXPOSURES:
            raise DemoError(f"{EXPOSURES} exposures gave {count} frames")
        print(f"{count} frames have become data products")

    def _wait_for_timelapse(self, target: int) -> Path:
        def found() -> dict[str, Any] | None:
            timelapses = self._client.call("GET", f"/api/target/{target}/")["timelapses"]
            # One may have been made before all frames were there; that of all of them takes its place.
            return next((each for each in timelapses if each["frames"] == EXPOSURES), None)

        timelapse = wait_for("the timelapse", found)
        film = self._output_folder / Path(timelapse["name"]).name
        self._client.download(timelapse["url"], film)
        print("a timelapse has been made of them")
        return film

    def _wait_for_mail(self) -> Path:
        file = wait_for("the mail", lambda: next(self._mail_folder.glob("*.eml"), None))
        kept = self._output_folder / file.name
        shutil.copyfile(file, kept)
        mail = message_from_bytes(kept.read_bytes(), _class=EmailMessage, policy=policy.default)
        text = mail.get_content()
        links = [word for word in text.split() if word.startswith(self._client.base_url)]
        if mail["To"] != EMAIL or not links:
            raise DemoError(f"the mail to {mail['To']} has {len(links)} links to this server:\n{text}")
        mailed = self._output_folder / "mailed.gif"
        self._client.download(links[0], mailed)
        check_film(mailed)
        mailed.unlink()
        print(f"\n  To: {mail['To']}\n  Subject: {mail['Subject']}\n")
        for line in text.strip().splitlines():
            print(f"  {line}".rstrip())
        return kept
