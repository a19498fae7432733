"""The mail of an alert: at most once, and one that cannot be sent stops no other."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from chalicelib.observability import logger
from chalicelib.settings import get_settings
from chalicelib.storage import clients, mail
from tests.jobs.sky import FITS, SENDER, Sky


def ready(sky: Sky, *emails: str, name: str = "M 13") -> list[int]:
    """Bring observations of new targets to where their mails are due; return the targets."""
    targets = []
    for number, email in enumerate(emails or ["someone@example.org"]):
        targets.append(sky.api.target(f"{name} {number}" if number else name))
        observation = sky.observe(target=targets[-1], email=email)
        sky.finish(observation, f"{observation.id}a-e91.fits.fz", f"{observation.id}b-e91.fits.fz")
    sky.look()
    assert sky.make_timelapses() == len(targets)
    return targets


def refusal(code: str, status: int = 400, text: str = "no") -> ClientError:
    """Return what boto3 raises for an answer of SES."""
    answer: Any = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "SendEmail")


@pytest.fixture
def ses_says(sky: Sky) -> Callable[[Exception | None], None]:
    """Let SES answer the next mails with an error, instead of sending them."""
    waiting: list[Exception | None] = [None]

    def answer(**_: Any) -> None:
        if waiting[0] is not None:
            raise waiting[0]

    clients.ses().meta.events.register("before-call.sesv2.SendEmail", answer)

    def say(error: Exception | None) -> None:
        waiting[0] = error

    return say


def test_a_refused_address_does_not_stop_the_others_and_is_not_tried_again(sky: Sky) -> None:
    ready(sky, "no address", "well@example.org")
    counts = sky.look()
    assert (counts["mails_sent"], counts["mails_failed"], counts["errors"]) == (1, 1, 0)
    for _ in range(3):
        assert sky.look()["mails_failed"] == 0
    assert sky.recipients == ["well@example.org"]


NOT_SENT = [
    refusal("TooManyRequestsException", 429),
    refusal("LimitExceededException"),
    refusal("SendingPausedException"),
    refusal("AccountSuspendedException"),
    refusal("MailFromDomainNotVerifiedException"),
    refusal("AccessDeniedException", 403),
    refusal("MessageRejected", text=f"Email address is not verified: {SENDER}"),
    EndpointConnectionError(endpoint_url="https://email.example.org"),
]
PERHAPS_SENT = [refusal("InternalFailure", 500), ReadTimeoutError(endpoint_url="https://email.example.org")]


def test_a_mail_that_was_certainly_not_sent_is_sent_later(
    sky: Sky, ses_says: Callable[[Exception | None], None]
) -> None:
    ready(sky)
    for error in NOT_SENT:
        ses_says(error)
        counts = sky.look()
        assert (counts["mails_sent"], counts["mails_failed"]) == (0, 0), error
    ses_says(None)
    assert sky.look()["mails_sent"] == 1
    assert len(sky.mails) == 1


@pytest.mark.parametrize("error", PERHAPS_SENT, ids=["InternalFailure", "ReadTimeoutError"])
def test_a_mail_that_may_have_been_sent_is_not_sent_again_and_that_is_an_error_in_the_log(
    sky: Sky, ses_says: Callable[[Exception | None], None], error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger.name)
    ready(sky)
    ses_says(error)
    assert sky.look()["mails_failed"] == 1
    ses_says(None)
    assert sky.look()["mails_sent"] == 0
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        "a mail may not have been sent; it is not sent again"
    ]


def test_after_a_throttled_mail_ses_is_left_alone_until_the_next_run(
    sky: Sky, ses_says: Callable[[Exception | None], None], caplog: pytest.LogCaptureFixture
) -> None:
    ready(sky, "0@example.org", "1@example.org", "2@example.org")
    caplog.set_level(logging.WARNING, "sidereal")
    ses_says(refusal("TooManyRequestsException", 429))
    sky.look()
    assert [record.message for record in caplog.records] == ["mails wait"]
    ses_says(None)
    assert sky.look()["mails_sent"] == 3


def test_without_a_sender_mails_wait_and_all_else_goes_on(
    sky: Sky, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("FROM_EMAIL_ADDRESS")
    get_settings.cache_clear()
    targets = ready(sky, "0@example.org", "1@example.org")
    caplog.clear()
    caplog.set_level(logging.WARNING, "sidereal")
    sky.look()
    said = [record.message for record in caplog.records if "mails wait" in record.message]
    assert said == ["mails wait: neither FROM_EMAIL_ADDRESS nor MAIL_FOLDER is set"]
    assert all(len(sky.timelapses(target)) == 1 for target in targets)
    monkeypatch.setenv("FROM_EMAIL_ADDRESS", SENDER)
    get_settings.cache_clear()
    assert sky.look()["mails_sent"] == 2


def test_a_mail_that_could_not_be_sent_for_two_weeks_is_given_up(sky: Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FROM_EMAIL_ADDRESS")
    get_settings.cache_clear()
    ready(sky)
    day = 24 * 60
    sky.look(3 * day)
    sky.look(3 * day)
    asked = len(sky.portal.requests)
    assert sky.look(3 * day)["closed"] == 0
    assert len(sky.portal.requests) == asked  # nothing is expected of the portal any more
    assert sky.look(8 * day)["closed"] == 1


def test_a_sender_that_is_not_verified_is_no_fault_of_the_mail(sky: Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_EMAIL_ADDRESS", "The Observatory <new@example.net>")
    get_settings.cache_clear()
    ready(sky)
    assert sky.look()["mails_sent"] == 0
    boto3.client("sesv2").create_email_identity(EmailIdentity="new@example.net")
    assert sky.look()["mails_sent"] == 1


def test_on_a_laptop_mails_are_files_of_the_same_name_each_time(sky: Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_FOLDER", "mail")
    get_settings.cache_clear()
    name = "Bär \"x\" 'y' <a@b.c> 星雲"
    (target,) = ready(sky, name=name)
    sky.look()
    (letter,) = sky.letters()
    (timelapse,) = sky.timelapses(target)
    assert letter["Subject"] == f"Observation for '{name}' has new data"
    assert (letter["To"], letter["From"]) == ("someone@example.org", SENDER)
    lines = letter.get_content().splitlines()
    assert lines[0] == f"Your observation for '{name}' has completed, and a timelapse is available"
    assert f"https://sky.example.org/dev{timelapse['url']}" in lines
    assert timelapse["url"].isascii()
    assert sky.mails == []


@pytest.mark.parametrize("email", ["someone@example.org\r\nBcc: other@example.org", "\ud800@example.org"])
def test_no_address_adds_a_header(monkeypatch: pytest.MonkeyPatch, email: str) -> None:
    monkeypatch.setenv("MAIL_FOLDER", "mail")
    with pytest.raises(mail.MailRefusedError):
        mail.send(mail.Mail("a", email, "Subject", "text"))


def test_a_folder_that_cannot_be_written_lets_mails_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_FOLDER", "mail")
    Path("mail").write_text("a file is in the way")
    with pytest.raises(mail.MailDelayedError):
        mail.send(mail.Mail("a", "someone@example.org", "Subject", "text"))


def test_where_the_alerts_own_timelapse_was_replaced_the_mail_leads_to_the_newest(sky: Sky) -> None:
    observation = sky.observe()
    sky.put(observation, "a-e91.fits.fz", "b-e91.fits.fz")
    sky.settle()
    products = [each["id"] for each in sky.products()]
    sky.api.delete(f"/api/dataproducts/{products[-1] + 1}/")
    sky.clock.advance(60)
    sky.api.post("/api/pipeline/", {"target": sky.target, "pipeline": "Timelapse", "products": products})
    sky.make_timelapses()
    (timelapse,) = sky.timelapses()
    sky.finish(observation)
    sky.look()
    assert timelapse["url"] in sky.mails[0].body


def test_without_a_timelapse_there_is_no_mail(sky: Sky) -> None:
    (target,) = ready(sky)
    for product in sky.api.get(f"/api/dataproducts/?target={target}").json["results"]:
        if product["data_product_type"] == "timelapse":
            sky.api.delete(f"/api/dataproducts/{product['id']}/")
    assert sky.timelapses(target) == []
    sky.look()
    sky.look()
    assert sky.mails == []


def test_no_mail_tells_of_a_timelapse_that_is_older_than_the_alerts_own(sky: Sky) -> None:
    frames = [sky.api.upload(sky.target, f"{letter}-e91.fits", FITS).json["id"] for letter in "xy"]
    sky.api.post("/api/pipeline/", {"target": sky.target, "pipeline": "Timelapse", "products": frames})
    sky.make_timelapses()
    sky.finish(sky.observe(), "a-e91.fits.fz", "b-e91.fits.fz")
    sky.look()
    sky.make_timelapses()
    newest = sky.api.get(f"/api/dataproducts/?target={sky.target}").json["results"][-1]
    assert newest["data_product_type"] == "timelapse"
    sky.api.delete(f"/api/dataproducts/{newest['id']}/")
    sky.look()
    assert len(sky.timelapses()) == 1
    assert sky.mails == []
