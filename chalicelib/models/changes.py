"""Changes of the ledger, as its stream tells them."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict


class LedgerChange(TypedDict):
    """One change of an event or a production: what was done, to which one, when; the rest is read where it is."""

    action: Literal["created", "changed", "deleted"]
    kind: Literal["event", "production"]
    event: str
    name: NotRequired[str]
    status: NotRequired[str]
    time: float
