"""What the emulator is told in place of what AWS is told."""

from collections.abc import Callable
from typing import Any

from deployment.emulator_template import for_emulator
from deployment.template import FUNCTIONS, LAYER_OF


def test_the_emulator_is_told_the_number_of_jobs_as_a_number(packaged: Callable[[str], dict[str, Any]]) -> None:
    made = for_emulator(packaged("dev"))["Resources"]
    for function in LAYER_OF:
        (event,) = made[FUNCTIONS[function]]["Properties"]["Events"].values()
        assert event["Properties"]["ScalingConfig"] == {"MaximumConcurrency": 10}
