"""From the template to the mail, with frames that are pictures and a timelapse that is a film."""

from collections.abc import Callable
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from local.portal.stand_in import StandIn
from tests.conftest import Api, Aws, Clock, forget
from tests.jobs.sky import EVENT, FORM


def test_a_template_becomes_an_observation_frames_a_film_and_a_mail(
    api: Api,
    aws: Aws,
    clock: Clock,
    portal: StandIn,
    deliver: Callable[..., list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAIL_FOLDER", "mail")
    monkeypatch.setenv("PUBLIC_URL", "https://sky.example.org")
    forget()
    target = api.target("HAT-P-32", ra=31.04275, dec=46.68785)
    fields = {**FORM, "rp_exposure_count": 3}
    template = {"name": "transit", "target": target, "facility": "LCO", "fields": fields}
    assert api.post("/api/observationtemplates/", template).status == 201
    wish = {"target": target, "template_name": "transit", "facility": "LCO", "email": "someone@example.org"}
    assert api.post("/api/observe/", wish).status == 201
    (observation,) = api.get(f"/api/observations/?target={target}").json["results"]
    portal.complete(observation["observation_id"])

    clock.advance(300)
    counts = api.invoke("process_alerts", EVENT)
    assert (counts["frames_fetched"], counts["timelapses_started"]) == (3, 1)
    assert deliver("timelapse") == [{"batchItemFailures": []}]
    clock.advance(300)
    assert api.invoke("process_alerts", EVENT)["mails_sent"] == 1

    (timelapse,) = api.get(f"/api/target/{target}/").json["timelapses"]
    assert (timelapse["format"], timelapse["frames"]) == ("gif", 3)
    (path,) = Path("mail").iterdir()
    letter = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert letter["Subject"] == "Observation for 'HAT-P-32' has new data"
    assert f"https://sky.example.org{timelapse['url']}" in letter.get_content()
    film = api.get(timelapse["url"])
    assert film.status == 302
    shown = api.get(f"/api/observations/{observation['id']}/").json
    assert shown["status"] == "COMPLETED"
    assert shown["scheduled_start"] is not None
    assert len(aws.keys("products/")) == 3
