"""What many answers of the telescope API have in common."""

from typing import Annotated, Generic, TypeVar

from pydantic import Field
from typing_extensions import TypedDict

Member = TypeVar("Member")

UnixTime = Annotated[float, Field(description="UNIX time in seconds.")]

Address = Annotated[str, Field(description="Relative address, without the stage of the deployment.")]


class Listing(TypedDict, Generic[Member]):
    """One page of a list, in the form of Django REST framework."""

    count: Annotated[int, Field(description="Members of the whole list.")]
    next: Annotated[str | None, Field(description="Address of the page after this one; null on the last.")]
    previous: Annotated[str | None, Field(description="Address of the page before this one; null on the first.")]
    results: list[Member]


class Detail(TypedDict):
    """One sentence for people."""

    detail: str
