"""Productions in the ledger: many writers, circles of dependencies, exact meta."""

from itertools import pairwise
from typing import Any

import pytest

from chalicelib.errors import ConflictError, InvalidInputError, NotFoundError
from chalicelib.models.events import Event
from chalicelib.models.productions import Production, ProductionChange
from chalicelib.services import productions as service
from chalicelib.storage import events, productions


@pytest.fixture(autouse=True)
def _event(aws: Any) -> None:
    events.create(Event("GW150914", "w", "2026-01-01T00:00:00.000000Z"))


def made(name: str, *dependencies: str, second: int = 0, **more: Any) -> Production:
    """Return a production."""
    created = f"2026-01-01T00:00:{second:02}.000000Z"
    return Production("GW150914", name, "bilby", created, dependencies=dependencies, **more)


def test_production_comes_back_as_it_was_kept() -> None:
    meta = {"": 1.0, "~a": 1e-7, "b": 10**40, "c": [None, {"é": 1e300}]}
    whole = made("Prod_A", "Prod_B", comment="é", meta=meta, status="wait")
    service.create_production(whole)
    assert productions.get("GW150914", "Prod_A") == whole
    assert repr(service.get_production("GW150914", "Prod_A").meta["~a"]) == "1e-07"


def test_change_returns_what_is_kept() -> None:
    service.create_production(made("Prod_A", meta={"a": 1}))
    change = ProductionChange(status="running", comment="c", meta={"b": {"x": 1.0}})
    changed = service.change_production("GW150914", "Prod_A", change)
    assert changed == made("Prod_A", status="running", comment="c", meta={"a": 1, "b": {"x": 1.0}})
    assert productions.get("GW150914", "Prod_A") == changed


@pytest.mark.parametrize("keys", [0, 1, 200])
def test_change_of_an_absent_production_makes_none(aws: Any, keys: int) -> None:
    before = aws.items("sidereal-ledger")
    change = ProductionChange(meta={str(number): number for number in range(keys)})
    with pytest.raises(NotFoundError, match="Production not found"):
        service.change_production("GW150914", "Prod_A", change)
    with pytest.raises(NotFoundError, match="Event not found"):
        service.change_production("Nope", "Prod_A", change)
    assert aws.items("sidereal-ledger") == before


def test_one_of_twenty_creations_at_once_wins(at_once: Any) -> None:
    def one(number: int) -> int:
        try:
            service.create_production(made("Prod_A", comment=str(number)))
        except ConflictError:
            return 409
        return 201

    answers = at_once(one, range(20))
    assert sorted(answers) == [201] + [409] * 19
    assert service.get_production("GW150914", "Prod_A").comment == str(answers.index(201))
    assert len(events.get("GW150914")[1]) == 1


def test_twenty_creations_at_once_of_different_names_all_succeed(at_once: Any) -> None:
    assert at_once(lambda n: service.create_production(made(f"Prod_{n}")), range(20)) == [None] * 20
    event, found = events.get("GW150914")
    assert {production.name for production in found} == event.production_names == {f"Prod_{n}" for n in range(20)}


def test_twenty_creations_at_once_with_dependencies_all_succeed(at_once: Any) -> None:
    answers = at_once(lambda n: service.create_production(made(f"Prod_{n}", "Prod_first")), range(20))
    assert answers == [None] * 20


def test_twenty_changes_at_once_of_different_keys_all_survive(at_once: Any) -> None:
    service.create_production(made("Prod_A"))
    changes = [ProductionChange(meta={f"k{number}": number}) for number in range(20)]
    at_once(lambda change: service.change_production("GW150914", "Prod_A", change), changes)
    assert service.get_production("GW150914", "Prod_A").meta == {f"k{number}": number for number in range(20)}


@pytest.mark.parametrize("length", [1, 2, 3, 40])
def test_circle_of_any_length_is_refused_and_named(length: int) -> None:
    names = [f"Prod_{number}" for number in range(length)]
    for name, following in pairwise(names):
        service.create_production(made(name, following))
    with pytest.raises(InvalidInputError, match=" -> ".join([names[-1], *names])):
        service.create_production(made(names[-1], names[0]))
    assert productions.get("GW150914", names[-1]) is None
    service.create_production(made(names[-1], "Somebody else"))


def test_many_ways_to_the_same_production_are_no_circle() -> None:
    service.create_production(made("Top", "Left", "Right"))
    service.create_production(made("Left", "Bottom"))
    service.create_production(made("Right", "Bottom"))
    service.create_production(made("Bottom"))
    with pytest.raises(ConflictError):
        service.create_production(made("Bottom"))


def test_dense_dependencies_are_searched_in_little_time() -> None:
    names = [f"{number:03}" for number in range(300)]
    edges = {name: tuple(names[index + 1 :]) for index, name in enumerate(names)}
    assert service.find_circle("new", names, edges) == []
    assert service.find_circle("299", ["000"], edges | {"298": ("299",)})[-1] == "299"


def test_deleted_production_leaves_no_dependency_behind() -> None:
    service.create_production(made("Prod_A", "Prod_B"))
    productions.delete("GW150914", "Prod_A")
    service.create_production(made("Prod_B", "Prod_A"))
    with pytest.raises(InvalidInputError):
        service.create_production(made("Prod_A", "Prod_B"))


def test_two_creations_at_once_never_close_a_circle(at_once: Any) -> None:
    def one(pair: tuple[str, str]) -> int:
        try:
            service.create_production(made(*pair))
        except InvalidInputError:
            return 400
        return 201

    for number in range(5):
        first, second = f"A{number}", f"B{number}"
        assert sorted(at_once(one, [(first, second), (second, first)])) == [201, 400]


def test_circle_closed_between_looking_and_writing_is_found(aws: Any) -> None:
    _, version = productions.graph("GW150914")
    service.create_production(made("Prod_A", "Prod_B"))
    with pytest.raises(productions.GraphChangedError):
        productions.create(made("Prod_B", "Prod_A"), version)
    assert productions.get("GW150914", "Prod_B") is None


def test_productions_of_one_event_are_in_creation_order() -> None:
    for second, name in enumerate(["c", "a", "b"]):
        service.create_production(made(name, second=second))
    assert [production.name for production in events.get("GW150914")[1]] == ["c", "a", "b"]
    page, _ = events.read_page(10, None, 1_000_000)
    assert [production.name for production in page[0][1]] == ["c", "a", "b"]


def test_deletion_of_what_is_not_there_says_which() -> None:
    with pytest.raises(NotFoundError, match="Production not found"):
        productions.delete("GW150914", "Prod_A")
    with pytest.raises(NotFoundError, match="Event not found"):
        productions.delete("Nope", "Prod_A")


def test_more_than_a_hundred_productions_are_listed_with_their_events() -> None:
    for number in range(110):
        productions.create(made(f"Prod_{number}"))
    page, _ = events.read_page(10, None, 1_000_000)
    assert len(page[0][1]) == len(events.get("GW150914")[1]) == 110


@pytest.mark.usefixtures("aws")
def test_an_event_takes_so_many_productions_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(productions, "MAX_PRODUCTIONS", 2)
    events.create(Event("E", "w", "2026-01-01T00:00:00.000000Z"))
    for name in ("A", "B"):
        productions.create(Production("E", name, "bilby", "2026-01-01T00:00:00.000000Z"))
    with pytest.raises(InvalidInputError):
        productions.create(Production("E", "C", "bilby", "2026-01-01T00:00:00.000000Z"))
    with pytest.raises(ConflictError):
        productions.create(Production("E", "A", "bilby", "2026-01-01T00:00:00.000000Z"))
