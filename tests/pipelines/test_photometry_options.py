import json

import pytest
from pydantic import ValidationError

from chalicelib.pipelines.options import merge_options
from chalicelib.pipelines.photometry import PhotometryPipeline
from chalicelib.pipelines.photometry_options import PhotometryOptions


def fault(**options):
    with pytest.raises(ValidationError) as caught:
        PhotometryOptions.model_validate_json(json.dumps(options))
    error, *others = caught.value.errors()
    assert {other["loc"][0] for other in others} <= {error["loc"][0]}
    return error["loc"][0], error["msg"].removeprefix("Value error, ")


def test_nothing_has_to_be_given():
    assert merge_options("Photometry", PhotometryPipeline, {}).comparisons == 10


def test_whole_numbers_are_positions_too():
    options = merge_options(
        "Photometry", PhotometryPipeline, {"x": 424, "y": 286, "comparison_positions": [[464, 182.5]]}
    )
    assert (options.x, options.y, options.comparison_positions) == (424.0, 286.0, ((464.0, 182.5),))


@pytest.mark.parametrize("given", [{"x": 5.0}, {"y": 5.0}])
def test_one_of_x_and_y_is_not_enough(given):
    assert fault(**given) == ("y", "x and y belong together: give both or none of them")


@pytest.mark.parametrize("given", [{"sky_inner": 12}, {"sky_outer": 20}])
def test_one_radius_of_the_sky_is_not_enough(given):
    assert fault(**given) == ("sky_outer", "sky_inner and sky_outer belong together: give both or none of them")


def test_the_ring_of_the_sky_has_a_width():
    assert fault(sky_inner=12, sky_outer=13) == (
        "sky_outer",
        "sky_outer must be greater than sky_inner by 2 pixels at least",
    )


def test_periods_are_in_order():
    assert fault(shortest_period=3, longest_period=3)[0] == "longest_period"


@pytest.mark.parametrize(
    "given",
    [
        {"x": "5", "y": 5},
        {"x": -3, "y": 5},
        {"x": True, "y": 5},
        {"comparisons": 0},
        {"comparisons": 51},
        {"comparisons": 2.5},
        {"comparison_positions": []},
        {"comparison_positions": [[1]]},
        {"comparison_positions": [[1, 2, 3]]},
        {"comparison_positions": "1,2"},
        {"aperture": 0},
        {"aperture": 1000},
        {"saturation": -1},
        {"filter": ""},
        {"shortest_period": 0},
        {"shortest_period": 1e-300},
        {"shortest_period": 1e300},
        {"longest_period": 1e-6},
        {"apperture": 4},
    ],
)
def test_a_wrong_option_is_named(given):
    assert fault(**given)[0] == next(iter(given))
