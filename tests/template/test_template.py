"""The deployment template says what the code says."""

import json
from pathlib import Path
from typing import Any

import pytest

from app import app
from chalicelib.settings import get_settings
from local import template

FOLDER = Path(__file__).resolve().parents[2] / ".chalice"


def test_the_generated_files_are_those_that_lie_in_the_repository() -> None:
    for path, text in template.files().items():
        assert path.read_text("utf-8") == text, f"{path.name}: run `python -m local.template`"


def test_every_function_of_the_bundle_has_a_policy_of_its_own() -> None:
    functions = {"api_handler"} | {handler.name for handler in app.pure_lambda_functions}
    functions |= {source.name for source in app.event_sources if hasattr(source, "name")}
    configured = json.loads((FOLDER / "config.json").read_text())["stages"]["dev"]["lambda_functions"]
    assert set(configured) == functions
    assert len({entry["iam_policy_file"] for entry in configured.values()}) == len(functions)
    assert all((FOLDER / entry["iam_policy_file"]).is_file() for entry in configured.values())


@pytest.mark.parametrize("function", template.FUNCTIONS)
def test_policies_name_actions_and_resources(function: str) -> None:
    for statement in template.policy(function)["Statement"]:
        assert not any("*" in action for action in statement["Action"])
        if not any(action.startswith("xray:") for action in statement["Action"]):
            assert "*" not in statement["Resource"]


def test_every_function_is_told_where_things_are_kept() -> None:
    known = {name.upper() for name in type(get_settings()).model_fields}
    for function, logical in template.FUNCTIONS.items():
        made: dict[str, Any] = template.resources()["Resources"][logical]["Properties"]
        variables = set(made["Environment"]["Variables"])
        assert variables <= known, function
        assert {"LEDGER_TABLE", "TELESCOPE_TABLE", "OPERATIONS_TABLE", "BUCKET"} <= variables


def test_a_queue_hides_a_message_for_longer_than_its_function_runs() -> None:
    configured = json.loads((FOLDER / "config.json").read_text())["stages"]["dev"]["lambda_functions"]
    made = template.resources()["Resources"]
    for function, queue in template.QUEUE_OF.items():
        visibility = made[template.QUEUES[queue]]["Properties"]["VisibilityTimeout"]
        assert visibility > configured[function]["lambda_timeout"]


def test_one_parameter_name_stands_at_each_position_of_all_paths() -> None:
    names: dict[tuple[str, ...], set[str]] = {}
    for path in app.routes:
        parts = path.strip("/").split("/")
        for position, part in enumerate(parts):
            if part.startswith("{"):
                names.setdefault(tuple(parts[:position]), set()).add(part)
    assert all(len(several) == 1 for several in names.values()), names


def test_every_job_function_that_computes_carries_one_layer_of_those_that_are_built() -> None:
    from local.layer import REQUIREMENTS

    made = template.resources()["Resources"]
    assert set(template.LAYERS) == set(REQUIREMENTS) == set(template.LAYER_OF.values())
    for function, layer in template.LAYER_OF.items():
        assert made[template.FUNCTIONS[function]]["Properties"]["Layers"] == [{"Ref": template.LAYERS[layer]}]
        assert made[template.LAYERS[layer]]["Properties"]["ContentUri"] == f"./{layer}-layer.zip"


@pytest.mark.parametrize("function", ["run_timelapse", "run_pipeline"])
def test_a_function_whose_runs_hand_over_may_send_the_message_of_the_next_run(function: str) -> None:
    allowed = [
        each["Resource"] for each in template.policy(function)["Statement"] if "sqs:SendMessage" in each["Action"]
    ]
    assert allowed == [[{"Fn::GetAtt": ["TimelapseQueue", "Arn"]}, {"Fn::GetAtt": ["PipelineQueue", "Arn"]}]]
