"""The portal's trees of errors, as faults of the form's fields."""

from typing import Any

import pytest

from chalicelib.facilities import lco_faults

FILTERS = ["V", "rp"]


def told(tree: Any) -> list[tuple[str, str]]:
    return [(".".join(map(str, fault.loc)), fault.msg) for fault in lco_faults.refusal(tree, FILTERS).fields]


def of_configuration(tree: Any, position: int = 1) -> Any:
    return {"requests": [{"configurations": [*[{}] * position, tree]}]}


@pytest.mark.parametrize(
    ("tree", "field"),
    [
        ({"name": ["no"]}, "name"),
        ({"proposal": ["no"]}, "proposal"),
        ({"ipp_value": ["no"]}, "ipp_value"),
        ({"observation_type": ["no"]}, "observation_mode"),
        ({"requests": [{"windows": [{"start": ["no"]}]}]}, "start"),
        ({"requests": [{"windows": [{"end": ["no"]}]}]}, "end"),
        ({"requests": [{"windows": [{"non_field_errors": ["no"]}]}]}, "end"),
        ({"requests": [{"location": {"telescope_class": ["no"]}}]}, "instrument_type"),
        (of_configuration({"instrument_type": ["no"]}), "instrument_type"),
        (of_configuration({"constraints": {"max_airmass": ["no"]}}), "max_airmass"),
        (of_configuration({"constraints": {"min_lunar_distance": ["no"]}}), "min_lunar_distance"),
        (of_configuration({"constraints": {"max_lunar_phase": ["no"]}}), "max_lunar_phase"),
        (of_configuration({"instrument_configs": [{"mode": ["no"]}]}), "readout_mode"),
        (of_configuration({"instrument_configs": [{"exposure_time": ["no"]}]}), "rp_exposure_time"),
        (of_configuration({"instrument_configs": [{"exposure_count": ["no"]}]}, 0), "V_exposure_count"),
    ],
)
def test_a_fault_is_told_of_the_field_that_caused_it(tree: Any, field: str) -> None:
    assert told(tree) == [(field, "no")]


def test_a_fault_of_the_target_is_told_of_the_target() -> None:
    tree = of_configuration({"target": {"dec": ["too high"], "non_field_errors": ["unknown"]}})
    assert told(tree) == [("target", "dec: too high"), ("target", "unknown")]


def test_what_no_field_caused_is_told_with_its_place() -> None:
    tree = {
        "non_field_errors": ["You do not belong to the proposal"],
        "requests": [
            {
                "non_field_errors": ["never visible"],
                "configurations": [
                    {},
                    {"non_field_errors": ["optical element zz"], "guiding_config": {"mode": ["no such mode"]}},
                ],
            }
        ],
    }
    assert told(tree) == [
        ("", "You do not belong to the proposal"),
        ("", "never visible"),
        ("", "filter rp: optical element zz"),
        ("", "filter rp.guiding_config.mode: no such mode"),
    ]


def test_what_each_filter_repeats_is_told_once() -> None:
    assert told({"requests": [{"configurations": [{"instrument_type": ["no"]}, {"instrument_type": ["no"]}]}]}) == [
        ("instrument_type", "no")
    ]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"requests": ["You must specify at least 1 request"]}, [("", "You must specify at least 1 request")]),
        ({"requests": "none"}, [("", "none")]),
        ({"detail": "JSON parse error"}, [("", "JSON parse error")]),
        ({"ipp_value": ["half \ud800\x00\x1b[m"]}, [("ipp_value", "half \ufffd\ufffd\ufffd[m")]),
        ({"k\ud800": "two\nlines\u202e"}, [("", "k\ufffd: two lines\ufffd")]),
        ("just a text", [("", "just a text")]),
        (["one", "two"], [("", "one"), ("", "two")]),
        ({"ipp_value": "bare"}, [("ipp_value", "bare")]),
        ({"ipp_value": 5}, [("ipp_value", "5")]),
        ({"name": {"deep": {"er": ["x"]}}}, [("", "name.deep.er: x")]),
        ({"requests": {"configurations": {"target": ["x"]}}}, [("target", "x")]),
        (of_configuration({"instrument_configs": [{"exposure_time": ["x"]}]}, 7), "no such filter"),
    ],
)
def test_a_tree_of_any_shape_is_told(tree: Any, expected: Any) -> None:
    if expected == "no such filter":
        expected = [("", "configurations.instrument_configs.exposure_time: x")]
    assert told(tree) == expected


@pytest.mark.parametrize("tree", [{}, [], None, "", {"requests": [{}, None, [], {"a": ""}]}, 0 * [1], {"a": None}])
def test_a_refusal_without_a_reason_is_still_one(tree: Any) -> None:
    assert told(tree) == [("", "The telescope portal refused the request and did not say why.")]


def test_neither_number_nor_length_of_the_faults_grows_with_the_answer() -> None:
    faults = told({"name": ["x" * 10_000], **{f"field{number}": ["no"] for number in range(1000)}})
    assert len(faults) == 100
    assert len(faults[0][1]) == lco_faults.MAX_TEXT


def test_a_tree_that_is_too_deep_ends_somewhere() -> None:
    tree: Any = "x"
    for _ in range(5000):
        tree = {"a": [tree]}
    assert told([tree, "y"]) == [("", "y")]
