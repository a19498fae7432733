"""Which classes become pipelines, and which are refused with which words; modules are written as their authors would."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from chalicelib.errors import NotFoundError
from chalicelib.pipelines import registry
from chalicelib.pipelines.registry import RefusedPipelineError, load_pipeline, load_pipelines
from chalicelib.settings import DEFAULT_PIPELINES, get_settings
from tests.conftest import Api

IMPORTS = """
from abc import ABC, abstractmethod
from typing import Any
from pydantic import Field
from chalicelib.pipelines.base import PipelineOptions, PipelineProcess
"""
METHOD = "def do_pipeline(self, tmpdir, **flags): return ()"
FLAG = "{'default': False, 'long_name': 'A flag'}"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Write a module of pipelines, and return the dotted path of a class of it."""
    monkeypatch.syspath_prepend(tmp_path)
    made: list[str] = []

    def one(body: str, *, module: str = "", name: str = "Mine") -> str:
        module = module or f"authors_module_{len(made)}"
        (tmp_path / f"{module}.py").write_text(IMPORTS + dedent(body), "utf-8")
        made.append(module)
        return f"{module}.{name}"

    yield one
    for module in made:
        sys.modules.pop(module, None)


def a_class(attributes: str = "", method: str = METHOD, bases: str = "PipelineProcess", name: str = "Mine") -> str:
    """Return the text of a class that is right but for what is given."""
    body = "\n".join((dedent(attributes), dedent(method))) or "pass"
    return f"\nclass {name}({bases}):\n" + indent("short_name = 'mine'\n" + body, "    ") + "\n"


@pytest.mark.parametrize(
    "text",
    [
        a_class(),
        a_class(method="def do_pipeline(self, tmpdir): return []"),
        a_class("allowed_suffixes = ['.fits', '.fz']"),
        a_class("allowed_suffixes = ('.csv',)"),
        a_class(f"flags = {{'one': {FLAG}, 'two_2': {FLAG}}}"),
        a_class(f"flags = {{'one': {FLAG}}}", "def do_pipeline(self, tmpdir, one=False): return []"),
        a_class("flags = {}"),
        a_class("runs_on = 'timelapse'"),
        a_class("short_name = 'My-pipeline_2.0'"),
        a_class("class Meta:\n    proxy = True"),
        "class Options(PipelineOptions):\n    size: int = Field(3, ge=1)\n" + a_class("options_model = Options"),
        a_class(method="pass", bases="PipelineProcess", name="Base")
        + a_class("short_name = 'sub'", METHOD, bases="Base"),
    ],
)
def test_a_class_of_the_documented_form_is_a_pipeline(write: Callable[..., str], text: str) -> None:
    assert load_pipeline(write(text)).__name__ == "Mine"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Mine = 3", "not a subclass of PipelineProcess"),
        ("class Mine: pass", "not a subclass of PipelineProcess"),
        (a_class(method="pass"), "it has no do_pipeline method"),
        (a_class(method="async def do_pipeline(self, tmpdir): return ()"), "do_pipeline must be a plain method"),
        (a_class(method="do_pipeline = 3"), "do_pipeline must be a plain method"),
        (a_class(method="def do_pipeline(self): return ()"), "do_pipeline must take (self, tmpdir)"),
        (a_class(method="@staticmethod\ndef do_pipeline(tmpdir): return ()"), "do_pipeline must take (self, tmpdir)"),
        (
            a_class(f"flags = {{'one': {FLAG}}}", "def do_pipeline(self, tmpdir): return ()"),
            "do_pipeline must take (self, tmpdir, one)",
        ),
        (
            a_class(
                method="def do_pipeline(self, tmpdir): return ()\n@abstractmethod\ndef more(self): ...",
                bases="PipelineProcess, ABC",
            ),
            "it is abstract: more must be written",
        ),
        (a_class("def __init__(self): pass"), "__init__ must take what that of PipelineProcess takes"),
        (a_class("short_name = ''"), "short_name '' must be 1 to 60 letters"),
        (a_class("short_name = 'a/b'"), "short_name 'a/b' must be 1 to 60 letters"),
        (a_class("short_name = 'a b'"), "short_name 'a b' must be 1 to 60 letters"),
        (a_class("short_name = 'a' * 61"), "must be 1 to 60 letters"),
        (a_class("short_name = None"), "short_name None must be 1 to 60 letters"),
        (a_class("runs_on = 'gpu'"), "runs_on 'gpu' must be one of 'timelapse', 'pipeline'"),
        (a_class("allowed_suffixes = '.fits'"), "allowed_suffixes '.fits' must be a list or tuple"),
        (a_class("allowed_suffixes = ['.fits', 3]"), "must be a list or tuple of texts"),
        (a_class("allowed_suffixes = ['']"), "must be a list or tuple of texts"),
        (a_class("flags = ['one']"), "its flags must be a mapping"),
        (a_class(f"flags = {{'two words': {FLAG}}}"), "'two words' must have a name that can be a parameter"),
        (a_class(f"flags = {{'class': {FLAG}}}"), "'class' must have a name that can be a parameter"),
        (a_class(f"flags = {{3: {FLAG}}}"), "the flag 3 must have a name"),
        (a_class(f"flags = {{'tmpdir': {FLAG}}}"), "'tmpdir' has the name of another parameter"),
        (a_class("flags = {'one': True}"), "'one' must be a mapping with 'default' and 'long_name'"),
        (a_class("flags = {'one': {'long_name': 'One'}}"), "'one' must have a 'default' that is True or False"),
        (a_class("flags = {'one': {'default': 0, 'long_name': 'One'}}"), "'default' that is True or False"),
        (a_class("flags = {'one': {'default': True}}"), "'one' must have a 'long_name' for people"),
        (a_class("flags = {'one': {'default': True, 'long_name': 1}}"), "'one' must have a 'long_name' for people"),
        (
            a_class("flags = {'one': {'default': True, 'long_name': 'One', 'help': 'no'}}"),
            "'one' has the unknown key 'help'",
        ),
        (a_class("options_model = dict"), "options_model must be a subclass of PipelineOptions"),
        (
            "class Options(PipelineOptions):\n    a: int\n    b: int\n    c: int = 3\n"
            + a_class("options_model = Options"),
            "its options need defaults: a, b",
        ),
        (
            "class Odd: pass\nclass Options(PipelineOptions):\n    a: 'Odder' = 3\n"
            + a_class("options_model = Options"),
            "its options_model cannot be used: ",
        ),
    ],
)
def test_a_class_that_is_wrong_is_refused_in_words(write: Callable[..., str], text: str, reason: str) -> None:
    with pytest.raises(RefusedPipelineError) as raised:
        load_pipeline(write(text))
    assert reason in str(raised.value)


def test_all_faults_of_a_class_are_told_at_once(write: Callable[..., str]) -> None:
    with pytest.raises(RefusedPipelineError) as raised:
        load_pipeline(write(a_class("short_name = ''\nruns_on = 'gpu'", method="pass")))
    assert str(raised.value).count(";") == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise RuntimeError('no telescope')", "importing 'broken' raises RuntimeError: no telescope"),
        ("import sys; sys.exit(3)", "importing 'broken' raises SystemExit: 3"),
        ("def f(:", "importing 'broken' raises SyntaxError: "),
        (
            "import tensor_of_everything",
            "importing 'broken' needs the module 'tensor_of_everything', which is not there;"
            " what only job functions carry is imported inside do_pipeline",
        ),
        ("Other = 1", "the module 'broken' has no class 'Mine'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_the_reason(
    write: Callable[..., str], text: str, reason: str
) -> None:
    with pytest.raises(RefusedPipelineError) as raised:
        load_pipeline(write(text, module="broken"))
    assert str(raised.value).startswith(reason)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "'' is not a dotted path"),
        ("Mine", "'Mine' is not a dotted path"),
        ("..x", "'..x' is not a dotted path"),
        ("a b.Mine", "'a b.Mine' is not a dotted path"),
        ("nowhere.at.all.Mine", "there is no module 'nowhere.at.all'"),
        ("chalicelib.pipelines.nowhere.Mine", "there is no module 'chalicelib.pipelines.nowhere'"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, reason: str) -> None:
    with pytest.raises(RefusedPipelineError) as raised:
        load_pipeline(path)
    assert str(raised.value).startswith(reason)


def test_one_wrong_pipeline_does_not_take_the_others_down(write: Callable[..., str]) -> None:
    path = write(a_class() + a_class(method="pass", name="Wrong"))
    loaded = load_pipelines({"Bad": path.replace("Mine", "Wrong"), "Mine": path, "Gone": "nowhere.Gone"})
    assert (list(loaded), list(loaded.refused)) == (["Mine"], ["Bad", "Gone"])


def with_option(field: str) -> str:
    return (
        f"class Options(PipelineOptions):\n    model_config = {{'arbitrary_types_allowed': True}}\n    a: {field}\n"
        + (a_class("options_model = Options", name="Odd"))
    )


@pytest.mark.parametrize(
    "text",
    [
        "def __getattr__(name): raise RuntimeError('no')",
        "def __getattr__(name): raise SystemExit(3)",
        with_option("Any = object()"),
        with_option("Any = b'\\xff'"),
        with_option("str = Field('a', description='\\udc80')"),
        with_option("str = '\\udc80'"),
        a_class("flags = {'one': {'default': True, 'long_name': '\\udc80'}}", name="Odd"),
        a_class("allowed_suffixes = ['.\\udc80']", name="Odd"),
    ],
)
def test_a_class_that_cannot_be_described_is_refused_and_the_others_are_listed(
    write: Callable[..., str], text: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = write(a_class())
    monkeypatch.setenv("PIPELINES", json.dumps({"Odd": write(text, name="Odd"), "Mine": good}))
    get_settings.cache_clear()
    answer = api.get("/api/pipelines/")
    assert (answer.status, [each["name"] for each in answer.json]) == (200, ["Mine"])
    assert list(registry.all_pipelines().refused) == ["Odd"]


def test_options_that_are_hidden_or_follow_from_others_can_be_listed(
    write: Callable[..., str], api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
    from pydantic.json_schema import SkipJsonSchema
    class Options(PipelineOptions):
        a: int = 3
        b: int = Field(default_factory=lambda data: 2 * data['a'])
        c: SkipJsonSchema[int] = 4
    """
    path = write(dedent(text) + a_class("options_model = Options"))
    monkeypatch.setenv("PIPELINES", json.dumps({"Mine": path}))
    get_settings.cache_clear()
    (listed,) = api.get("/api/pipelines/").json
    assert {name: about["default"] for name, about in listed["options"].items()} == {"a": 3, "b": 6}


def test_names_that_differ_by_case_only_and_short_names_of_others_are_refused(write: Callable[..., str]) -> None:
    path = write(a_class() + a_class("short_name = 'MINE'", name="Second") + a_class("short_name = 'b'", name="Third"))
    module = path.partition(".")[0]
    loaded = load_pipelines({"Mine": path, "mINE": f"{module}.Third", "Other": f"{module}.Second", " ": path})
    assert list(loaded) == ["Mine"]
    assert loaded.refused == {
        "mINE": "its name differs from that of 'Mine' only by upper and lower case",
        "Other": "its short_name 'MINE' is that of 'Mine', too",
        " ": "its name must have 1 to 100 characters",
    }


def test_this_project_refuses_none_of_its_own() -> None:
    loaded = load_pipelines(DEFAULT_PIPELINES)
    assert (list(loaded), loaded.refused) == (list(DEFAULT_PIPELINES), {})


@pytest.fixture
def _one_is_wrong(write: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("raise RuntimeError('s3cret')")
    monkeypatch.setenv("PIPELINES", json.dumps({**DEFAULT_PIPELINES, "Wrong": path}))
    get_settings.cache_clear()


@pytest.mark.usefixtures("_one_is_wrong")
def test_a_refused_pipeline_is_named_in_the_log_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(registry.logger, "error", lambda text, **_: said.append(text))
    registry.all_pipelines()
    registry.all_pipelines()
    (line,) = said
    assert line.startswith("PIPELINES: the pipeline 'Wrong' is refused: importing 'authors_module_")
    assert line.endswith("raises RuntimeError: s3cret")


@pytest.mark.usefixtures("_one_is_wrong")
def test_a_refused_pipeline_is_looked_for_in_vain() -> None:
    with pytest.raises(NotFoundError, match="The pipeline 'wrong' is configured, but was refused"):
        registry.find_pipeline("wrong")
    with pytest.raises(NotFoundError, match="Invalid pipeline name 'other'"):
        registry.find_pipeline("other")
    assert registry.find_pipeline("TIMELAPSE")[0] == "Timelapse"


@pytest.mark.usefixtures("_one_is_wrong")
def test_starting_a_refused_pipeline_says_so_and_keeps_its_secrets(api: Api) -> None:
    answer = api.post("/api/pipeline/", {"target": api.target(), "pipeline": "Wrong", "products": [1]})
    text = "The pipeline 'Wrong' is configured, but was refused; the log says why"
    assert (answer.status, answer.json) == (400, {"pipeline": [text]})
    listed: list[dict[str, Any]] = api.get("/api/pipelines/").json
    assert [each["name"] for each in listed] == list(DEFAULT_PIPELINES)


@pytest.mark.usefixtures("_one_is_wrong")
def test_the_local_server_says_at_its_start_which_pipelines_are_refused() -> None:
    from local.serve import refused_pipelines

    (line,) = refused_pipelines()
    assert line.startswith("PIPELINES: the pipeline 'Wrong' is refused: ")
