"""What holds for every script of `examples/`: short, on its own, with help, and in one line about what goes wrong."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.stub import Stubber

from deployment import template
from tests.examples.conftest import EXAMPLES, Ended

SCRIPTS = {
    "export_ledger": [],
    "import_ledger": [__file__],
    "light_curve": ["1"],
    "replay_dead_letters": [],
    "start_timelapse": ["1", "--group", "1"],
    "upload_frames": [str(EXAMPLES), "--target", "1"],
}


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


def test_each_file_is_below_80_lines_and_imports_nothing_of_the_project() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert {path.stem for path in files} >= SCRIPTS.keys()
    for path in files:
        assert len(path.read_text("utf-8").splitlines()) < 80, path.name
    allowed = {"boto3", "botocore", "requests", "urllib3", "yaml", "tqdm", "mypy_boto3_s3", "mypy_boto3_sqs"}
    allowed |= {path.stem for path in files}
    for path in files:
        assert imports(path) <= allowed | set(sys.stdlib_module_names), path.name


@pytest.mark.parametrize("name", [*SCRIPTS, "stack_env"])
def test_a_script_says_what_it_needs(name: str, script: Callable[..., Ended]) -> None:
    ended = script(name, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert f"python examples/{name}.py" in ended.out
    assert "Variables: " in ended.out
    assert "Rights" in ended.out


@pytest.mark.parametrize(("name", "arguments"), SCRIPTS.items())
def test_a_variable_that_is_missing_is_told_in_one_line(
    name: str, arguments: list[str], script: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("LEDGER_TABLE", "TELESCOPE_TABLE", "GIVEN_UP_QUEUE", "SIDEREAL_URL", "SIDEREAL_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "ledger.yml").write_text("events: []")
    ended = script(name, *([tmp_path / "ledger.yml"] if name == "import_ledger" else arguments))
    assert ended.code == 1
    assert ended.err.endswith(" is not set; examples/README.md says where to find it\n")
    assert len(ended.err.splitlines()) == 1


def test_servers_that_do_not_answer_are_told_in_one_line(
    script: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import http_api

    monkeypatch.setenv("SIDEREAL_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SIDEREAL_TOKEN", "t")
    monkeypatch.setattr(http_api, "Retry", lambda *_, **__: 0)
    ended = script("upload_frames", tmp_path, "--target", "x")
    assert (ended.code, ended.err) == (1, "error: no answer from http://127.0.0.1:9/api/targets/ (ConnectionError)\n")
    monkeypatch.setenv("TELESCOPE_TABLE", "nobody-s")
    ended = script("light_curve", "1")
    assert ended.code == 1
    assert ended.err.startswith("error: An error occurred (ResourceNotFoundException)")
    assert len(ended.err.splitlines()) == 1


def test_a_request_whose_earlier_try_is_at_work_is_asked_again_and_is_no_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    http_api = importlib.import_module("http_api")
    monkeypatch.setenv("SIDEREAL_URL", "https://sidereal.example.org")
    monkeypatch.setenv("SIDEREAL_TOKEN", "t")
    answers, keys = [(409, {"Retry-After": "0"}), (409, {"Retry-After": "0"}), (201, {}), (409, {})], list[str]()

    def request(_method: str, url: str, headers: dict[str, str], **_: Any) -> requests.Response:
        keys.append(headers["Idempotency-Key"])
        answer = requests.Response()
        answer.status_code, more = answers.pop(0)
        answer.headers.update(more)
        answer.request = requests.Request("POST", url).prepare()
        return answer

    api = http_api.Api()
    monkeypatch.setattr(api.session, "request", request)
    assert api.ask("POST", "/api/v1/events/", {"name": "A"}).status_code == 201
    assert len(set(keys)) == 1
    # this one exists
    assert api.ask("POST", "/api/v1/events/", {"name": "A"}).status_code == 409
    monkeypatch.setattr(http_api, "AT_WORK_S", 0)
    answers.append((409, {"Retry-After": "0"}))
    with pytest.raises(requests.Timeout):
        api.ask("POST", "/api/v1/events/", {"name": "A"})


def test_a_script_runs_by_itself() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "export_ledger.py"], capture_output=True, text=True, env={"PATH": ""}, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: LEDGER_TABLE is not set; examples/README.md says where to find it\n"


def test_a_stack_says_itself_what_the_scripts_need(
    script: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = [
        {"OutputKey": key, "OutputValue": f"the {key}", "Description": value["Description"]}
        for key, value in template.outputs().items()
    ]
    client = boto3.client("cloudformation", region_name="us-east-1")
    monkeypatch.setattr(boto3, "client", lambda *_, **__: client)
    with Stubber(client) as stub:
        stub.add_response(
            "describe_stacks",
            {"Stacks": [{"StackName": "s", "CreationTime": 0, "StackStatus": "CREATE_COMPLETE", "Outputs": outputs}]},
        )
        ended = script("stack_env", "s")
    assert ended.code == 0
    exported = dict(line.removeprefix("export ").split("=") for line in ended.out.splitlines())
    read = set(re.findall(r"\b[A-Z]+_(?:TABLE|QUEUE|URL)\b|\bBUCKET\b", (EXAMPLES / "README.md").read_text("utf-8")))
    assert exported.keys() >= read - {"AWS_ENDPOINT_URL"}
    assert exported["SIDEREAL_URL"] == "'the ApiUrl'"
    assert exported["GIVEN_UP_QUEUE"] == "'the GivenUpQueue'"
