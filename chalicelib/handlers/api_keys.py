"""API keys: how they are written, how a token is looked for among them, and those in the SSM Parameter Store."""

import hmac
from datetime import datetime, timedelta
from threading import Lock

from chalicelib import clock
from chalicelib.errors import UnavailableError
from chalicelib.observability import logger
from chalicelib.storage import secrets

DEFAULT_USER = "api-user"
MAX_AGE_S = 300
"""Seconds for which keys that were read are used without a look at the parameter: a key that was removed works as long."""
ASK_AGAIN_S = 5
"""Seconds between two readings because of tokens that are not known: wrong ones must not keep the store busy."""
KEPT_S = 3600
"""Seconds for which keys that were read still count while the parameter cannot be read."""

Keys = tuple[tuple[bytes, str], ...]
"""Tokens, each with its user."""


def find_user(keys: Keys, token: bytes) -> str | None:
    """Return the user of a token; None if it is not among the keys."""
    found = None
    for known, user in keys:
        # Every key is compared, each in constant time: how long this takes says nothing about the keys.
        if hmac.compare_digest(known, token) and found is None:
            found = user
    return found


def parse_keys(text: str) -> Keys:
    """Return the keys in YAML that maps tokens to users, under `api_keys`.

    Raises
    ------
    ValueError
        If it is something else; the message has nothing of the text.
    """
    import yaml

    try:
        # The base loader leaves every scalar a text: a token of digits only stays as it is written.
        content = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - it builds no objects
    except yaml.YAMLError as error:
        raise ValueError(f"cannot be read: {type(error).__name__}") from None
    keys = content.get("api_keys") if isinstance(content, dict) else None
    if not isinstance(keys, dict):
        raise ValueError("needs `api_keys:` with a token and a user on each line")
    return tuple((str(token).encode(), str(user) or DEFAULT_USER) for token, user in keys.items() if token)


class ParameterKeys:
    """The keys in a parameter of the store, which may change at any time.

    Parameters
    ----------
    name : str
        Name of the parameter.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = Lock()
        self._keys: Keys = ()
        self._read_at: datetime | None = None
        self._asked_at: datetime | None = None

    def find_user(self, token: bytes) -> str | None:
        """Return the user of a token; None if it is not among the keys.

        A token that is not known may be a new one: for it the parameter is read again, unless that was just done.

        Raises
        ------
        UnavailableError
            If it is not among those that are known, and the parameter cannot be read.
        """
        with self._lock:
            if not self._is_within(self._read_at, MAX_AGE_S):
                self._read()
            user = find_user(self._keys, token)
            if user is None:
                self._read()
                user = find_user(self._keys, token)
            # asked after it was read: the last time it was asked in vain
            if user is None and self._read_at != self._asked_at:
                raise UnavailableError("The API keys cannot be read at the moment.")
            return user

    def require_any(self) -> None:
        """Make sure that somebody could be let in.

        Raises
        ------
        UnavailableError
            If no keys are known.
        """
        with self._lock:
            if not self._is_within(self._read_at, MAX_AGE_S):
                self._read()
            if not self._keys:
                raise UnavailableError("The API keys cannot be read at the moment.")

    def _read(self) -> None:
        if self._is_within(self._asked_at, ASK_AGAIN_S):
            return
        self._asked_at = clock.now()
        keys = self._fetch()
        if keys is not None:
            self._keys, self._read_at = keys, self._asked_at
        elif not self._is_within(self._read_at, KEPT_S):
            self._keys = ()

    def _fetch(self) -> Keys | None:
        try:
            text = secrets.api_keys(self._name)
        except UnavailableError:  # which the log has already
            return None
        try:
            return parse_keys(text)
        except ValueError as error:
            logger.error("the parameter with the API keys is of no use", extra={"reason": str(error)})
            return None

    @staticmethod
    def _is_within(moment: datetime | None, seconds: float) -> bool:
        return moment is not None and clock.now() - moment < timedelta(seconds=seconds)
