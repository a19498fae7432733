"""Pipelines as the API shows them."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

Limit = Literal["minimum", "maximum", "exclusive_minimum", "exclusive_maximum", "min_items", "max_items", "choices"]


class OptionType(TypedDict):
    """Type and limits of an option."""

    type: Annotated[str, Field(description="As JSON schema calls it; `any` where there is more than one.")]
    minimum: NotRequired[float]
    maximum: NotRequired[float]
    exclusive_minimum: NotRequired[float]
    exclusive_maximum: NotRequired[float]
    min_items: NotRequired[int]
    max_items: NotRequired[int]
    choices: NotRequired[list[Any]]


class PublicOption(OptionType):
    """An option of a pipeline, with its default in this deployment."""

    default: Any
    long_name: str


class PublicFlag(TypedDict):
    """A flag of a pipeline."""

    default: bool
    long_name: str


class PublicPipeline(TypedDict):
    """A pipeline with what a run of it takes; of files with any suffix where `allowed_suffixes` is null."""

    name: str
    short_name: str
    flags: dict[str, PublicFlag]
    options: dict[str, PublicOption]
    allowed_suffixes: list[str] | None
