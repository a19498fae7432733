"""The mail of an alert: at most one for each timelapse, marked before it is sent."""

from chalicelib.errors import ClaimLostError, NotFoundError
from chalicelib.models.alerts import Alert, MailState
from chalicelib.models.targets import Target, Timelapse
from chalicelib.observability import logger
from chalicelib.services.alert_claims import AlertClaim, TargetGoneError
from chalicelib.settings import get_settings
from chalicelib.storage import alerts, mail, processes, targets
from chalicelib.storage.mail import Mail, MailDelayedError, MailRefusedError, MailUncertainError


class Postman:
    """Sends the mails of one run of the scheduled function; where the account may not send, it rests until the next run."""

    def __init__(self) -> None:
        self.sent = 0
        self.failed = 0
        self._is_resting = False

    def send_due(self, alert: Alert, claim: AlertClaim) -> Alert:
        """Send the mail about the last timelapse of an alert, if it was not sent, and return the alert.

        Raises
        ------
        ClaimLostError
            If the claim no longer stands.
        TargetGoneError
            If the target is gone.
        """
        if alert.mailed_id == alert.settled_id:
            return self._look_at_last(alert, claim)
        if self._is_resting:
            return alert
        if not mail.is_configured():
            logger.warning("mails wait: neither FROM_EMAIL_ADDRESS nor MAIL_FOLDER is set")
            self._is_resting = True
            return alert
        with TargetGoneError.instead():
            target, timelapses = targets.get_with_timelapses(alert.target_id)
        timelapse = _timelapse_of(alert, timelapses)
        if timelapse is None:
            logger.warning("no mail: the timelapse was deleted", extra={"process_id": alert.settled_id})
            return _mark(alert, claim, MailState.REFUSED, "the timelapse was deleted")
        letter = _letter(alert, target, timelapse)
        try:
            marked = _mark(alert, claim, MailState.SENDING)
        except ClaimLostError:
            raise
        except Exception:  # the answer was lost, perhaps; nothing is sent
            _unmark(alert, claim)
            raise
        return self._send(marked, letter, claim, alert)

    def _look_at_last(self, alert: Alert, claim: AlertClaim) -> Alert:
        """Say once of a mail whose sender died that nobody knows whether it was sent."""
        if alert.mail_state != MailState.SENDING:
            return alert
        self._note_unknown(alert, "its sender died")
        return alerts.change(alert.id, claim.token, {"mail_state": MailState.UNKNOWN.value})

    def _send(self, alert: Alert, letter: Mail, claim: AlertClaim, before: Alert) -> Alert:
        about = {"process_id": alert.settled_id}
        try:
            mail.send(letter)
        except MailRefusedError as error:
            self.failed += 1
            logger.error("a mail was refused", extra={**about, "reason": str(error)})
            return _mark(alert, claim, MailState.REFUSED, str(error))
        except MailDelayedError as error:
            self._is_resting = True
            logger.warning("mails wait", extra={**about, "reason": str(error)})
            return _unmark(before, claim)
        except MailUncertainError as error:
            self._note_unknown(alert, str(error))
            return _mark(alert, claim, MailState.UNKNOWN, str(error))
        self.sent += 1
        logger.info("mail sent", extra=about)
        return _mark(alert, claim, MailState.SENT)

    def _note_unknown(self, alert: Alert, reason: str) -> None:
        self.failed += 1
        logger.error(
            "a mail may not have been sent; it is not sent again",
            extra={"process_id": alert.settled_id, "reason": reason},
        )


def _mark(alert: Alert, claim: AlertClaim, state: MailState, reason: str | None = None) -> Alert:
    values = {"mailed_id": alert.settled_id, "mail_state": state.value, "mail_reason": reason}
    return alerts.change(alert.id, claim.token, values)


def _unmark(before: Alert, claim: AlertClaim) -> Alert:
    """Take back the mark of a mail that was certainly not sent; `before` is the alert as it was before."""
    undone = {"mailed_id": before.mailed_id, "mail_state": before.mail_state or None}
    return alerts.change(before.id, claim.token, undone)


def _timelapse_of(alert: Alert, timelapses: list[Timelapse]) -> Timelapse | None:
    """Return the timelapse that the alert's process has made, or a younger one that has taken its place."""
    try:
        process = processes.get(alert.settled_id or 0)
    except NotFoundError:
        return None
    younger = [each for each in timelapses if each.created > (process.terminal_timestamp or "")]
    return next((each for each in timelapses if each.name in process.output_ids), younger[0] if younger else None)


def _letter(alert: Alert, target: Target, timelapse: Timelapse) -> Mail:
    base = (get_settings().public_url or "").rstrip("/")
    lines = [
        f"Your observation for '{target.name}' has completed, and a timelapse is available",
        "",
        f"{base}{timelapse.url}",
        "",
        f"All about '{target.name}': {base}/targets/{target.id}/",
        "",
    ]
    return Mail(
        name=f"observation-{alert.id}-timelapse-{alert.settled_id}",
        to=alert.email,
        subject=f"Observation for '{target.name}' has new data",
        text="\n".join(lines),
    )
