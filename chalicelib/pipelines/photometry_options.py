"""The options of the photometry pipeline."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from chalicelib.pipelines.base import PipelineOptions

Coordinate = Annotated[float, Field(ge=-0.5, le=100_000)]
Position = tuple[Coordinate, Coordinate]


class PhotometryOptions(PipelineOptions):
    """What is measured, and how. Positions are pixels of the first frame in time; 0 is the middle of the first pixel."""

    x: Coordinate | None = Field(
        None, description="Column of the target on the first frame; by default from its RA and Dec and the WCS"
    )
    y: Coordinate | None = Field(None, validate_default=True, description="Row of the target on the first frame")
    comparisons: int = Field(
        10, ge=1, le=50, title="number of comparison stars", description="Most comparison stars to choose"
    )
    comparison_positions: tuple[Position, ...] | None = Field(
        None,
        min_length=1,
        max_length=50,
        title="comparison stars",
        description="The comparison stars to use, as a list of [x, y] on the first frame; by default the steadiest",
    )
    aperture: float | None = Field(
        None,
        ge=0.5,
        le=200,
        title="aperture radius",
        description="Radius of the aperture, pixels; by default the one with the least scatter",
    )
    sky_inner: float | None = Field(
        None, ge=1, le=500, title="inner sky radius", description="Inner radius of the ring of the sky, pixels"
    )
    sky_outer: float | None = Field(
        None,
        ge=3,
        le=600,
        validate_default=True,
        title="outer sky radius",
        description="Outer radius of the ring of the sky, pixels",
    )
    saturation: float | None = Field(
        None, gt=0, description="Counts from which on a pixel is saturated; by default from the header or the counts"
    )
    filter: str | None = Field(
        None, min_length=1, max_length=70, description="Filter to measure; by default the one that most frames have"
    )
    shortest_period: float | None = Field(
        None,
        ge=0.001,
        le=100_000,
        title="shortest period",
        description="Shortest period that the flag `period` tries, hours; not below twice the distance of the frames",
    )
    longest_period: float | None = Field(
        None,
        ge=0.001,
        le=100_000,
        title="longest period",
        description="Longest period that the flag `period` tries, hours",
    )

    @field_validator("y")
    @classmethod
    def _need_both(cls, y: float | None, info: ValidationInfo) -> float | None:
        if "x" in info.data and (info.data["x"] is None) != (y is None):
            raise ValueError("x and y belong together: give both or none of them")
        return y

    @field_validator("sky_outer")
    @classmethod
    def _need_ring(cls, outer: float | None, info: ValidationInfo) -> float | None:
        if "sky_inner" not in info.data:
            return outer
        inner = info.data["sky_inner"]
        if (inner is None) != (outer is None):
            raise ValueError("sky_inner and sky_outer belong together: give both or none of them")
        if inner is not None and outer is not None and outer < inner + 2:
            raise ValueError("sky_outer must be greater than sky_inner by 2 pixels at least")
        return outer

    @field_validator("longest_period")
    @classmethod
    def _need_order(cls, longest: float | None, info: ValidationInfo) -> float | None:
        shortest = info.data.get("shortest_period")
        if longest is not None and shortest is not None and longest <= shortest:
            raise ValueError("longest_period must be greater than shortest_period")
        return longest
