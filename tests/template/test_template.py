"""The deployment template says what the code says."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app import app
from chalicelib.settings import get_settings
from deployment import template
from deployment.logical_names import PLACES

FOLDER = Path(__file__).resolve().parents[2] / ".chalice"
STAGES = json.loads((FOLDER / "config.json").read_text())["stages"]

Packaged = Callable[[str], dict[str, Any]]


def test_the_generated_files_are_those_that_lie_in_the_repository() -> None:
    for path, text in template.files().items():
        assert path.read_text("utf-8") == text, f"{path.name}: run `python -m deployment.template`"


def test_every_function_of_the_bundle_has_a_policy_of_its_own() -> None:
    functions = {"api_handler"} | {handler.name for handler in app.pure_lambda_functions}
    functions |= {source.name for source in app.event_sources if hasattr(source, "name")}
    configured = json.loads((FOLDER / "config.json").read_text())["lambda_functions"]
    assert set(configured) == functions
    assert len({entry["iam_policy_file"] for entry in configured.values()}) == len(functions)
    assert all((FOLDER / entry["iam_policy_file"]).is_file() for entry in configured.values())


@pytest.mark.parametrize("function", template.FUNCTIONS)
def test_a_function_is_told_where_those_things_are_that_it_may_use_and_no_others(function: str) -> None:
    properties = template.resources()["Resources"][template.FUNCTIONS[function]]["Properties"]
    variables: dict[str, Any] = properties["Environment"]["Variables"]
    told = {name: value["Ref"] for name, value in variables.items() if name in PLACES}
    mentioned = set(_mentioned(template.policy(function)))
    assert told == {name: logical for name, logical in PLACES.items() if logical in mentioned}
    assert told, "a function that uses nothing"


def test_every_variable_of_a_function_is_a_setting() -> None:
    known = {name.upper() for name in type(get_settings()).model_fields} | {"POWERTOOLS_SERVICE_NAME"}
    for function, logical in template.FUNCTIONS.items():
        made: dict[str, Any] = template.resources()["Resources"][logical]["Properties"]
        assert set(made["Environment"]["Variables"]) <= known, function


def test_every_table_queue_and_bucket_that_a_setting_names_is_in_the_stack() -> None:
    named = {name.upper() for name in type(get_settings()).model_fields if name.endswith(("_table", "_queue"))}
    assert named | {"BUCKET"} == set(PLACES)
    assert set(PLACES.values()) <= set(template.resources()["Resources"])


def test_a_queue_hides_a_message_for_longer_than_its_function_runs() -> None:
    configured = json.loads((FOLDER / "config.json").read_text())["lambda_functions"]
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
    from deployment.layer import REQUIREMENTS

    made = template.resources()["Resources"]
    assert set(template.LAYERS) == set(REQUIREMENTS) == set(template.LAYER_OF.values())
    for function, layer in template.LAYER_OF.items():
        assert made[template.FUNCTIONS[function]]["Properties"]["Layers"] == [{"Ref": template.LAYERS[layer]}]
        assert made[template.LAYERS[layer]]["Properties"]["ContentUri"] == f"./{layer}-layer.zip"


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_gives_each_function_its_own_policy_time_and_memory(packaged: Packaged, stage: str) -> None:
    made = packaged(stage)["Resources"]
    configured = json.loads((FOLDER / "config.json").read_text())
    for name, own in configured["lambda_functions"].items():
        logical = template.FUNCTIONS["api" if name == "api_handler" else name]
        function = made[logical]
        expected = {key: own.get(key, configured[key]) for key in ("lambda_timeout", "lambda_memory_size")}
        assert [function["Properties"][key] for key in ("Timeout", "MemorySize")] == list(expected.values()), name
        (role,) = function["Properties"]["Role"]["Fn::GetAtt"][:1]
        written = json.loads((FOLDER / own["iam_policy_file"]).read_text())
        assert [each["PolicyDocument"] for each in made[role]["Properties"]["Policies"]] == [written], name


@pytest.mark.parametrize("stage", STAGES)
def test_every_function_of_the_template_is_one_that_chalice_makes(packaged: Packaged, stage: str) -> None:
    made = packaged(stage)["Resources"]
    assert [name for name, resource in made.items() if "Type" not in resource] == []
    assert {name for name, each in made.items() if each["Type"] == "AWS::Serverless::Function"} == set(
        template.FUNCTIONS.values()
    )


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_in_the_template_needs_itself_or_what_is_not_there(packaged: Packaged, stage: str) -> None:
    made = packaged(stage)
    known = set(made["Resources"]) | set(made["Parameters"])
    needs = {name: set(_mentioned(resource)) for name, resource in made["Resources"].items()}
    assert {name for each in needs.values() for name in each} <= known
    settled: set[str] = set(made["Parameters"])
    while ready := {name for name, each in needs.items() if name not in settled and each <= settled}:
        settled |= ready
    assert known - settled == set()


def _mentioned(part: Any) -> Iterator[str]:
    """Yield the logical names that a part of the template refers to."""
    names: list[str] = []
    if isinstance(part, list):
        for each in part:
            yield from _mentioned(each)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key in ("Ref", "Fn::GetAtt"):
                names = [value] if isinstance(value, str) else value[:1]
            elif key == "Fn::Sub":
                text, own = value if isinstance(value, list) else (value, {})
                names = [name for name in re.findall(r"\$\{([^}!]+)\}", text) if name not in own]
                yield from _mentioned(own)
            else:
                yield from _mentioned(value)
    yield from (name.partition(".")[0] for name in names if not name.startswith("AWS::"))
