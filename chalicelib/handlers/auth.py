"""Who may write: bearer tokens from the environment, a keys file, the configuration file (asimov REST API), or SSM."""

from configparser import ConfigParser
from configparser import Error as ConfigParserError
from functools import cache
from pathlib import Path

from chalicelib.errors import NotConfiguredError, UnauthenticatedError, UnavailableError
from chalicelib.handlers.api_keys import DEFAULT_USER, Keys, ParameterKeys, find_user, parse_keys
from chalicelib.settings import get_settings

HOW_TO_CONFIGURE = (
    "No API key is configured, so nobody could write. Set ASIMOV_API_KEY=token:user, or ASIMOV_API_KEYS_FILE to a YAML file "
    "with `api_keys: {token: user}`, or name such a file as `api_keys_file` in section [api] of .asimov/asimov.conf, or an "
    "SSM parameter that holds such YAML in ASIMOV_API_KEYS_PARAMETER."
)


def require_user(authorization: str | None) -> str:
    """Return the user to whom the Authorization header belongs.

    Raises
    ------
    UnauthenticatedError
        If the header is missing or is not `Bearer <known token>`; the text says which.
    NotConfiguredError
        If no key is configured at all.
    UnavailableError
        If the token may be among keys that cannot be read at the moment.
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
    found = find_user(keys, given)
    kept = parameter_keys()
    if found is None and kept is not None:
        found = kept.find_user(given)
    if found is None:
        raise UnauthenticatedError("Invalid token")
    return found


def user_or_none(authorization: str | None) -> str | None:
    """Return the user to whom the Authorization header belongs; None where it is missing or wrong, or nobody can tell."""
    try:
        return require_user(authorization)
    except (UnauthenticatedError, UnavailableError):
        return None


@cache
def require_configured() -> Keys:
    """Return the keys of environment and files, those of the environment first. Nothing is asked of AWS.

    Raises
    ------
    NotConfiguredError
        If there are none and no parameter is named that may hold some, or a file that is named cannot be read.
    """
    settings = get_settings()
    keys: Keys = ()
    if settings.asimov_api_key:
        token, _, user = (part.strip() for part in settings.asimov_api_key.partition(":"))
        keys = ((token.encode(), user or DEFAULT_USER),) if token else ()
    files = [settings.asimov_api_keys_file, _file_of_configuration(settings.asimov_config_file)]
    for file in files:
        if file is not None:
            keys += _read_keys(file)
    if not keys and parameter_keys() is None:
        raise NotConfiguredError(HOW_TO_CONFIGURE)
    return keys


def require_readable() -> None:
    """Make sure that there are keys by which somebody could be let in.

    Raises
    ------
    NotConfiguredError, UnavailableError
        If there are none, or those of the parameter cannot be read.
    """
    kept = parameter_keys()
    if not require_configured() and kept is not None:
        kept.require_any()


@cache
def parameter_keys() -> ParameterKeys | None:
    """Return the keys of the SSM Parameter Store, which are read on first use; None where no parameter is named."""
    name = get_settings().asimov_api_keys_parameter
    return ParameterKeys(name) if name else None


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


def _read_keys(path: Path) -> Keys:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfiguredError(f"The API keys file {path} cannot be read: {type(error).__name__}") from error
    try:
        return parse_keys(text)
    except ValueError as error:
        raise NotConfiguredError(f"The API keys file {path} {error}") from None
