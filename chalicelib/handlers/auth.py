"""Who may write: bearer tokens from the environment, a keys file, or the configuration file (asimov REST API)."""

import hmac
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from functools import cache
from pathlib import Path

from chalicelib.errors import NotConfiguredError, UnauthenticatedError
from chalicelib.settings import get_settings

HOW_TO_CONFIGURE = (
    "No API key is configured, so nobody could write. Set ASIMOV_API_KEY=token:user, or ASIMOV_API_KEYS_FILE to a YAML file "
    "with `api_keys: {token: user}`, or name such a file as `api_keys_file` in section [api] of .asimov/asimov.conf."
)
DEFAULT_USER = "api-user"


def require_user(authorization: str | None) -> str:
    """Return the user to whom the Authorization header belongs.

    Raises
    ------
    UnauthenticatedError
        If the header is missing or is not `Bearer <known token>`; the text says which.
    NotConfiguredError
        If no key is configured at all.
    """
    keys = require_configured()
    if not authorization:
        raise UnauthenticatedError("Authorization header missing")
    scheme, space, token = authorization.partition(" ")
    if not space:
        raise UnauthenticatedError("Invalid authorization header")
    if scheme.lower() != "bearer":
        raise UnauthenticatedError("Invalid authorization scheme")
    given = token.strip().encode("utf-8", "surrogatepass")
    found = None
    for known, user in keys:
        # Every key is compared, each in constant time: how long this takes says nothing about the keys.
        if hmac.compare_digest(known, given) and found is None:
            found = user
    if found is None:
        raise UnauthenticatedError("Invalid token")
    return found


def user_or_none(authorization: str | None) -> str | None:
    """Return the user to whom the Authorization header belongs; None where it is missing or wrong."""
    try:
        return require_user(authorization)
    except (UnauthenticatedError, NotConfiguredError):
        return None


@cache
def require_configured() -> tuple[tuple[bytes, str], ...]:
    """Return the configured (token, user) pairs, those of the environment first.

    Raises
    ------
    NotConfiguredError
        If there are none, or a file that is named cannot be read.
    """
    settings = get_settings()
    pairs: list[tuple[str, str]] = []
    if settings.asimov_api_key:
        token, _, user = settings.asimov_api_key.partition(":")
        pairs.append((token.strip(), user.strip() or DEFAULT_USER))
    files = [settings.asimov_api_keys_file, _file_of_configuration(settings.asimov_config_file)]
    for file in files:
        if file is not None:
            pairs.extend(_read_keys(file))
    keys = tuple((token.encode(), user) for token, user in pairs if token)
    if not keys:
        raise NotConfiguredError(HOW_TO_CONFIGURE)
    return keys


@cache
def allowed_origins() -> tuple[str, ...]:
    """Return the origins whose pages may call the API: the setting, else the configuration file's `cors_origins`."""
    settings = get_settings()
    if settings.cors_origins:
        return settings.cors_origins
    try:
        text = _configuration(settings.asimov_config_file).get("api", "cors_origins", fallback="")
    except NotConfiguredError:
        return ()  # every write says so; reading goes on
    return tuple(origin.strip().rstrip("/") for origin in text.split(",") if origin.strip())


def _configuration(path: Path) -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (ConfigParserError, OSError, UnicodeDecodeError) as error:
        raise NotConfiguredError(f"The configuration file {path} cannot be read: {type(error).__name__}") from error
    return parser


def _file_of_configuration(path: Path) -> Path | None:
    name = _configuration(path).get("api", "api_keys_file", fallback="").strip()
    return Path(name) if name else None


def _read_keys(path: Path) -> list[tuple[str, str]]:
    import yaml

    try:
        # The base loader leaves every scalar a text: a token of digits only stays as it is written.
        content = yaml.load(path.read_text("utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - it builds no objects
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise NotConfiguredError(f"The API keys file {path} cannot be read: {type(error).__name__}") from error
    keys = content.get("api_keys") if isinstance(content, dict) else None
    if not isinstance(keys, dict):
        raise NotConfiguredError(f"The API keys file {path} needs `api_keys:` with a token and a user on each line")
    return [(str(token), str(user) or DEFAULT_USER) for token, user in keys.items()]
