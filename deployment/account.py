"""The AWS account and region that a deployment goes to, or an emulator in their place."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import boto3


class DeployError(Exception):
    """Raised when something cannot be deployed or removed; says what, and what to do."""


@dataclass(frozen=True)
class Account:
    """Where clients come from.

    Parameters
    ----------
    session : boto3.Session
        Credentials and region.
    endpoint_url : str or None
        Address of an emulator; None for AWS itself.
    """

    session: "boto3.Session"
    endpoint_url: str | None = None

    @classmethod
    def of_environment(cls) -> "Account":
        """Return the account of boto3's own settings: variables, profiles, roles.

        Raises
        ------
        DeployError
            If no region or no credentials are found.
        """
        import boto3

        with one_line_errors():
            account = cls(boto3.Session(), os.environ.get("AWS_ENDPOINT_URL") or None)
            if not account.session.region_name:
                raise DeployError(
                    "no region is set: export AWS_DEFAULT_REGION=eu-west-1, or name one in your AWS profile"
                )
            if account.session.get_credentials() is None:
                raise DeployError("no AWS credentials are found: run `aws configure`, or export AWS_PROFILE=<profile>")
        return account

    @property
    def region(self) -> str:
        """The region that is deployed to."""
        return str(self.session.region_name)

    @cached_property
    def number(self) -> str:
        """The account's twelve digits, which also shows that the credentials are good."""
        with one_line_errors():
            return str(self.client("sts").get_caller_identity()["Account"])

    def client(self, service: str) -> Any:
        """Return a client of one service."""
        return self.session.client(service, endpoint_url=self.endpoint_url)  # type: ignore[call-overload]


@contextmanager
def one_line_errors(*secrets: str) -> Iterator[None]:
    """Turn what boto3 raises into a `DeployError` of one line, without the given secrets."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        text = " ".join(str(error).split())
        for secret in filter(None, secrets):
            text = text.replace(secret, "***")
        raise DeployError(f"AWS: {text}") from None
