"""Sending e-mail: by SES, or into a folder on a laptop. Each mail is handed over once; what became of it is told exactly."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.errors import SiderealError
from chalicelib.settings import get_settings
from chalicelib.storage.clients import ses

_REFUSALS = frozenset({"MessageRejected", "BadRequestException", "InvalidParameterValue", "ValidationException"})
"""What SES says of one mail, rather than of us: sent again it would be refused again."""

_NEVER_REACHED = ("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "NoCredentialsError")


class MailRefusedError(SiderealError):
    """Raised when a mail is refused for good: its address, or what it says; the text has no address."""


class MailDelayedError(SiderealError):
    """Raised when a mail was certainly not sent, and may be sent later: throttled, not configured, not reached."""


class MailUncertainError(SiderealError):
    """Raised when it is not known whether a mail was sent."""


@dataclass(frozen=True)
class Mail:
    """One mail; `name` is the same however often it is made, and fit for a file name."""

    name: str
    to: str
    subject: str
    text: str


def is_configured() -> bool:
    """Say whether mail can be sent at all."""
    settings = get_settings()
    return settings.from_email_address is not None or settings.mail_folder is not None


def send(mail: Mail) -> None:
    """Send a mail. One SendEmail, or one file.

    Raises
    ------
    MailRefusedError, MailDelayedError, MailUncertainError
        If it was not, or may not have been, sent.
    """
    if get_settings().mail_folder is not None:
        _write(mail, Path(get_settings().mail_folder or "."))
        return
    sender = get_settings().from_email_address
    if sender is None:
        raise MailDelayedError("FROM_EMAIL_ADDRESS is not set")
    _send(mail, sender)


def _send(mail: Mail, sender: str) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    content: Any = {
        "Simple": {
            "Subject": {"Data": mail.subject, "Charset": "UTF-8"},
            "Body": {"Text": {"Data": mail.text, "Charset": "UTF-8"}},
        }
    }
    try:
        ses().send_email(FromEmailAddress=sender, Destination={"ToAddresses": [mail.to]}, Content=content)
    except ClientError as error:
        raise _judge(error, sender) from None
    except BotoCoreError as error:
        kind = type(error).__name__
        if kind in _NEVER_REACHED:
            raise MailDelayedError(f"SES was not reached ({kind})") from None
        raise MailUncertainError(f"no answer of SES ({kind})") from None


def _judge(error: Any, sender: str) -> SiderealError:
    """Tell a mail that is refused from an account that may not send at the moment, and both from an unknown end.

    An answer below 500 says that nothing was sent. Where the complaint names our own address, it is no fault of the mail.
    """
    code = error.response["Error"]["Code"]
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400) >= 500:
        return MailUncertainError(f"SES failed ({code})")
    own = sender.rpartition("<")[2].rstrip(">").strip().lower()
    if code in _REFUSALS and own not in error.response["Error"].get("Message", "").lower():
        return MailRefusedError(f"refused by SES ({code})")
    return MailDelayedError(f"SES sends nothing at the moment ({code})")


def _write(mail: Mail, folder: Path) -> None:
    from email.message import EmailMessage
    from email.policy import SMTP

    message = EmailMessage(policy=SMTP)
    try:
        message["Subject"] = mail.subject
        message["From"] = get_settings().from_email_address or "sidereal@localhost"
        message["To"] = mail.to
        message.set_content(mail.text)
        content = bytes(message)
    except (ValueError, IndexError):  # an address that no header can hold
        raise MailRefusedError("no mail can be made of it") from None
    path = folder / f"{mail.name}.eml"
    unfinished = path.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    except OSError as error:
        raise MailDelayedError(f"MAIL_FOLDER cannot be written ({type(error).__name__})") from None
