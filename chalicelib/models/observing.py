"""What is sent to ask for an observation (tom_education's observe API), and how far that has got."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from chalicelib.models.fields import RecordId
from chalicelib.models.names import Title

MAX_OVERRIDES_BYTES = 10_000
MAX_EMAIL_LENGTH = 254
MAX_LOCAL_PART_LENGTH = 64

FIXED = ("target_id", "facility")
"""What a form is filled in for: overriding these would ask for another observation than the one that was checked."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}")


def _check_overrides(overrides: dict[str, Any]) -> dict[str, Any]:
    fixed = [field for field in FIXED if field in overrides]
    if fixed:
        raise ValueError(f"May not replace {' or '.join(fixed)}.")
    size = len(json.dumps(overrides, ensure_ascii=False).encode())
    if size > MAX_OVERRIDES_BYTES:
        raise ValueError(f"Takes {size} bytes; at most {MAX_OVERRIDES_BYTES} are accepted.")
    return overrides


def _check_email(address: str) -> str:
    """Refuse what is no address that mail can be sent to; only dots, atoms and a domain with a dot are taken."""
    address = address.strip()
    if not address:
        raise ValueError("This field may not be blank.")
    local_part = address.partition("@")[0]
    is_short = len(address) <= MAX_EMAIL_LENGTH and len(local_part) <= MAX_LOCAL_PART_LENGTH
    if not (is_short and _EMAIL.fullmatch(address)):
        raise ValueError("Enter a valid email address.")
    return address


class ObserveEcho(TypedDict):
    """What was asked for, as it was understood; `overrides` only where they were given."""

    target: int
    template_name: str
    facility: str
    overrides: NotRequired[dict[str, Any]]
    email: str


class ObserveInput(BaseModel):
    """Body that asks for an observation; keys beside these are dropped, as the published API does."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    target: RecordId
    template_name: Title
    facility: Title
    overrides: Annotated[dict[str, Any], AfterValidator(_check_overrides)] = {}
    email: Annotated[str, AfterValidator(_check_email), Field(json_schema_extra={"format": "email"})]

    def echo(self) -> ObserveEcho:
        """Return the validated input as the API answers it; `overrides` only where they were given."""
        echo: ObserveEcho = {
            "target": self.target,
            "template_name": self.template_name,
            "facility": self.facility,
            "overrides": self.overrides,
            "email": self.email,
        }
        if "overrides" not in self.model_fields_set:
            del echo["overrides"]
        return echo

    def name(self, default: str) -> Any:
        """Return the name that the overrides give; null or blank is none, as in every other field of a form."""
        name = self.overrides.get("name")
        return default if name is None or (isinstance(name, str) and not name.strip()) else name

    def digest(self, identity: str = "") -> str:
        """Return what tells this input from every other: equal ones have the same, if their requests have one identity."""
        text = identity + json.dumps(self.echo(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Submission:
    """An observation on its way to a facility, written down before it is sent.

    Parameters
    ----------
    digest : str
        Of the input that asked for it, and of the key if the request had one.
    name : str
        By which the facility is asked for it; of nobody else's.
    parameters : dict
        The form, checked.
    created, sent : str
        When it was written down, and when the last of those began who may have sent it: stored time texts.
    holder : str
        Who works on it, or did last; unique.
    worked_until : float
        Until when the holder may be at work on it, seconds since 1970.
    held_until : float
        Until when the facility may be at work on it, so that not finding it there means nothing; seconds since 1970.
    is_lost : bool
        Whether an answer to it was lost, so that the facility may have it.
    is_keyed : bool
        Whether its request had an `Idempotency-Key`: then whoever sends that again means this one, whenever that is.
    observation_id : int, optional
        The observation that it became.
    """

    digest: str
    name: str
    facility: str
    target_id: int
    parameters: dict[str, Any]
    email: str
    user: str
    created: str
    sent: str
    holder: str
    worked_until: float
    held_until: float
    is_lost: bool = False
    is_keyed: bool = False
    observation_id: int | None = None
