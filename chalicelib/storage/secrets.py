"""The portal's token and the API keys, from the SSM Parameter Store or Secrets Manager (Powertools)."""

import re
from functools import cache
from typing import TYPE_CHECKING

from chalicelib.errors import UnavailableError
from chalicelib.observability import logger
from chalicelib.settings import get_settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider, SSMProvider
    from botocore.config import Config

MAX_AGE_S = 300
"""Seconds for which a token that was read is used; one that the portal refuses is read anew at once."""

OF_THE_PORTAL = "The token of the telescope portal"
OF_THE_API = "The parameter with the API keys"

_TOKEN = re.compile(r"[!-~]{1,1000}")


def portal_token(*, refresh: bool = False) -> str | None:
    """Return the token, or None where none is configured.

    Parameters
    ----------
    refresh : bool
        Whether to read it anew, because the one in use is refused: it may have been changed.

    Raises
    ------
    UnavailableError
        If it cannot be read, or is no token. It is never part of a text.
    """
    settings = get_settings()
    if settings.portal_token is not None:
        token: object = settings.portal_token.get_secret_value()
    elif settings.portal_token_parameter is not None:
        token = _read_parameter(settings.portal_token_parameter, refresh, OF_THE_PORTAL)
    elif settings.portal_token_secret is not None:
        token = _read_secret(settings.portal_token_secret, refresh)
    else:
        return None
    token = token.strip() if isinstance(token, str) else ""
    # Anything else would break the header that it goes into, and http.client puts such a header into its error.
    if not _TOKEN.fullmatch(token):
        raise UnavailableError("What is kept as the token of the telescope portal is no token.")
    return token


def api_keys(name: str) -> str:
    """Return the text of the parameter that holds the API keys, as it is now.

    Raises
    ------
    UnavailableError
        If it cannot be read.
    """
    text = _read_parameter(name, refresh=True, what=OF_THE_API)
    return text if isinstance(text, str) else ""


def _read_parameter(name: str, refresh: bool, what: str) -> object:
    from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

    try:
        return _parameters().get(name, max_age=MAX_AGE_S, force_fetch=refresh, decrypt=True)
    except GetParameterError as error:
        raise _unreadable(error, what) from None


def _read_secret(name: str, refresh: bool) -> object:
    from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

    try:
        return _secrets().get(name, max_age=MAX_AGE_S, force_fetch=refresh)
    except GetParameterError as error:
        raise _unreadable(error, OF_THE_PORTAL) from None


def _unreadable(error: Exception, what: str) -> UnavailableError:
    logger.error("a secret cannot be read", extra={"secret": what, "reason": str(error)[:500]})
    return UnavailableError(f"{what} cannot be read at the moment.")


@cache
def _parameters() -> "SSMProvider":
    from aws_lambda_powertools.utilities.parameters import SSMProvider

    return SSMProvider(boto_config=_config())


@cache
def _secrets() -> "SecretsProvider":
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

    return SecretsProvider(boto_config=_config())


def _config() -> "Config":
    from botocore.config import Config

    return Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "max_attempts": 2})


def forget() -> None:
    """Drop the token and the clients, so that the next use makes new ones; for tests."""
    _parameters.cache_clear()
    _secrets.cache_clear()
