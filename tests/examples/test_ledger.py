"""Ledger out, ledger in: `export_ledger.py` and `import_ledger.py`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from chalicelib.storage import lists
from tests.conftest import Api
from tests.examples.conftest import Ended

META: dict[str, Any] = {
    "gps_time": 1126259462.4,
    "far": 1e-7,
    "one": 1.0,
    "whole": 1,
    "huge": 1e300,
    "many": 10**40,
    "nothing": None,
    "yes": True,
    "line": "\x85",  # which PyYAML loses where it writes letters as they are
    "looks like a date": "2015-09-14",
    "looks like a number": "1e-7",
    "looks like no": "no",
    "": "no name",
    "~": "tilde",
    "Größe ☄ 𝛼": "näher\nzweite Zeile\t\u2028\x85 end ",
    "nested": {"b": [1, 2.5, {"c": []}], "a": {}, "1": "text"},
}
EVENTS: list[dict[str, Any]] = [
    {"name": "GW150914", "repository": "https://git.example.org/e", "working_directory": "/scratch/é", "meta": META},
    {"name": "GW151226", "meta": {"name": "a name of its own", "meta": {"meta": 1}, "productions": [], "x": 1}},
    {"name": "S190425z ✨"},
]
PRODUCTIONS: list[dict[str, Any]] = [
    {
        "name": "Prod1",
        "pipeline": "bilby",
        "dependencies": ["Prod0", "Prod2"],
        "comment": "second: first",
        "meta": META,
    },
    {"name": "Prod0", "pipeline": "bayeswave", "meta": {"needs": ["meta's own"], "status": "x", "sampler": {"n": 1.0}}},
    {"name": "Prod2", "pipeline": "rift"},
]


def fill(api: Api) -> None:
    for event in EVENTS:
        assert api.post("/api/v1/events/", event).status == 201
    for production in PRODUCTIONS:
        assert api.post("/api/v1/productions/GW150914", production).status == 201
    assert api.put("/api/v1/productions/GW150914/Prod0", {"status": "uploaded"}).status == 200


def answers(api: Api) -> list[Any]:
    """Return all that the API shows of events and productions."""
    events = api.get("/api/v1/events/").json["events"]
    shown = [
        api.get(f"/api/v1/productions/{event['name']}/{production['name']}").json
        for event in events
        for production in event["productions"]
    ]
    return [events, shown]


def empty(api: Api) -> None:
    for event in EVENTS:
        assert api.delete(f"/api/v1/events/{event['name']}").status == 204


def test_a_ledger_goes_out_and_in_again_and_nothing_has_changed(
    api: Api, online: str, script: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "BUCKET_SIZE", 2)
    fill(api)
    before, first = answers(api), script("export_ledger")
    assert (first.code, first.err) == (0, "")
    (tmp_path / "ledger.yml").write_text(first.out, "utf-8")
    empty(api)
    assert script("import_ledger", tmp_path / "ledger.yml") == Ended(0, "", "")
    assert answers(api) == before
    assert script("export_ledger") == first
    # what is there already stays what it is
    assert script("import_ledger", tmp_path / "ledger.yml") == Ended(0, "", "")
    assert script("export_ledger") == first


def test_an_event_stands_in_the_ledger_as_in_asimov_s(api: Api, script: Callable[..., Ended]) -> None:
    api.post("/api/v1/events/", {"name": "GW150914", "meta": {"interferometers": ["H1", "L1"], "name": "other"}})
    api.post("/api/v1/productions/GW150914", {"name": "Prod0", "pipeline": "Bilby", "meta": {"approximant": "X"}})
    api.post(
        "/api/v1/productions/GW150914",
        {"name": "Prod1", "pipeline": "rift", "dependencies": ["Prod0"], "comment": "after it", "meta": {"needs": 1}},
    )
    assert yaml.safe_load(script("export_ledger", "--project", "O4").out) == {
        "events": [
            {
                "name": "GW150914",
                "working directory": "working/GW150914",
                "interferometers": ["H1", "L1"],
                "meta": {"name": "other"},
                "productions": [
                    {
                        "Prod0": {
                            "pipeline": "bilby",
                            "status": "ready",
                            "comment": None,
                            "needs": [],
                            "approximant": "X",
                        }
                    },
                    {
                        "Prod1": {
                            "pipeline": "rift",
                            "status": "ready",
                            "comment": "after it",
                            "needs": ["Prod0"],
                            "meta": {"needs": 1},
                        }
                    },
                ],
            }
        ],
        "project": {"name": "O4"},
        "project analyses": [],
    }


FOREIGN = """
asimov: {version: 0.8.0}
data: {channels: {H1: of the whole project}}
events:
- name: GW150914
  event time: 1126259462.4
  observed: 2015-09-14
  meta: {not: reserved}
  productions:
  - Prod0: {name: Prod0, event: GW150914, pipeline: bayeswave, status: uploaded, comment: null, quality: {4: four}}
  - {name: Prod1, pipeline: bilby, needs: [Prod0], waveform: {approximant: X}}
  - Prod2: {pipeline: cogwheel}
- name: GW/bad
- name: GW170817
  repository: /a/b
"""


def test_a_ledger_of_asimov_s_comes_in_but_for_what_is_refused(
    api: Api, online: str, script: Callable[..., Ended], tmp_path: Path
) -> None:
    (tmp_path / "ledger.yml").write_text(FOREIGN)
    ended = script("import_ledger", "ledger.yml")
    assert ended.code == 1
    refused = ended.err.splitlines()
    assert [line.partition(": 400 ")[0] for line in refused] == ["refused: GW150914/Prod2", "refused: GW/bad"]
    assert "unknown pipeline" in refused[0]
    first, second = api.get("/api/v1/events/").json["events"]
    assert first["meta"] == {"event time": 1126259462.4, "observed": "2015-09-14", "meta": {"not": "reserved"}}
    assert (second["name"], second["repository"]) == ("GW170817", "/a/b")
    shown = [api.get(f"/api/v1/productions/GW150914/{name}").json["production"] for name in ("Prod0", "Prod1")]
    assert [(each["status"], each["dependencies"], each["meta"]) for each in shown] == [
        ("uploaded", [], {"quality": {"4": "four"}}),
        ("ready", ["Prod0"], {"waveform": {"approximant": "X"}}),
    ]


def test_what_exists_is_merged_or_left_alone(
    api: Api, online: str, script: Callable[..., Ended], tmp_path: Path
) -> None:
    production = {"pipeline": "RIFT", "needs": ["Q"], "status": "stuck"}
    ledger = [{"name": "A", "new": 1, "productions": [{"P": production}]}, {"name": "B"}]
    ledger.append({"name": "B", "twice": 2, "productions": [{"P": {"pipeline": "Bilby"}}]})
    (tmp_path / "ledger.yml").write_text(yaml.safe_dump({"events": ledger}))
    api.post("/api/v1/events/", {"name": "A", "meta": {"old": 1}})
    api.post("/api/v1/productions/A", {"name": "P", "pipeline": "bilby"})
    before = answers(api)
    assert script("import_ledger", "ledger.yml", "--skip-existing").code == 0
    events, productions = answers(api)
    assert (events[:1], productions[:1]) == (before[0], before[1])
    # what stands there twice is all there
    assert (events[1]["meta"], len(events[1]["productions"])) == ({"twice": 2}, 1)
    ended = script("import_ledger", "ledger.yml")
    assert (ended.code, ended.err) == (1, "refused: A/P: its pipeline and needs cannot be changed\n")
    assert answers(api)[0][0]["meta"] == {"old": 1, "new": 1}
    assert answers(api)[1][0]["production"]["status"] == "stuck"


MISSHAPEN = """
events:
- {name: A, productions: 5}
- {name: B, productions: [a, [P], null, {P: [1]}, {P: text}, {pipeline: bilby}, {pipeline: {pipeline: bilby}}]}
- {name: C, productions: {P: {pipeline: bilby}}}
"""


def test_what_is_no_production_is_named_and_the_rest_comes_in(
    api: Api, online: str, script: Callable[..., Ended], tmp_path: Path
) -> None:
    (tmp_path / "ledger.yml").write_text(MISSHAPEN)
    ended = script("import_ledger", "ledger.yml")
    names = ["A/5", "B/a", "B/['P']", "B/None", "B/P", "B/P", "B/pipeline"]
    assert ended.code == 1
    assert ended.err.splitlines() == [f"refused: {name}: is no map of a production's fields" for name in names]
    events = api.get("/api/v1/events/").json["events"]
    made = [[each["name"] for each in event["productions"]] for event in events]
    assert made == [[], ["pipeline"], ["P"]]


@pytest.mark.parametrize(
    "text", ["events: 1", "- 1", "events: [1]", "events: [{x: 1}]", "a: [", "events: [{name: .nan}]", "[" * 500]
)
def test_what_is_no_ledger_is_told_in_one_line(
    online: str, script: Callable[..., Ended], tmp_path: Path, text: str
) -> None:
    (tmp_path / "ledger.yml").write_text(text)
    ended = script("import_ledger", "ledger.yml")
    assert ended.code == 1
    assert ended.err.startswith("error: ledger.yml is no ledger: ")
    assert len(ended.err.splitlines()) == 1
