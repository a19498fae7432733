"""What observing reads of a template, and that a template never outlives its target."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.errors import InvalidInputError, NotFoundError
from chalicelib.models.observation_templates import ObservationTemplate
from chalicelib.storage import observation_templates, targets
from chalicelib.storage.observation_templates import TemplateChangedError
from tests.conftest import Aws
from tests.storage import records


def template(target_id: int, name: str = "transit", **values: Any) -> ObservationTemplate:
    """Keep a template."""
    made = ObservationTemplate(
        **{
            "id": observation_templates.next_id(),
            "name": name,
            "target_id": target_id,
            "facility": "LCO",
            "fields": {"ipp_value": 1.0},
            "created": records.NOW,
            "modified": records.NOW,
            **values,
        }
    )
    observation_templates.create(made)
    return made


def test_target_and_template_are_found_with_one_request(aws: Aws, calls: list[str]) -> None:
    target = records.target()
    made = template(target.id)
    calls.clear()
    assert observation_templates.find(target.id, "LCO", "transit") == (target, made)
    assert calls == ["BatchGetItem"]


@pytest.mark.parametrize(
    ("facility", "name"),
    [("LCO", "other"), ("LCO", "x" * 5000), ("y" * 5000, "transit"), ("LCO#a", "b"), ("", ""), ("LCO", "transit ")],
)
def test_a_template_that_does_not_exist_is_none(aws: Aws, facility: str, name: str) -> None:
    target = records.target()
    template(target.id)
    template(target.id, "a#b")
    assert observation_templates.find(target.id, facility, name) == (target, None)
    assert observation_templates.find(target.id + 1, facility, name) == (None, None)


def test_nothing_is_added_to_a_target_that_is_being_deleted(aws: Aws) -> None:
    target = records.target()
    made = template(target.id)
    targets.mark_going(target.id)
    with pytest.raises(InvalidInputError, match="object does not exist"):
        template(target.id, "another")
    with pytest.raises(NotFoundError):
        observation_templates.replace(made, ObservationTemplate(**{**vars(made), "name": "moved", "modified": "later"}))
    assert observation_templates.ids_of_target(target.id) == [made.id]
    observation_templates.delete(made)
    assert observation_templates.ids_of_target(target.id) == []


def test_what_changed_since_it_was_read_is_neither_replaced_nor_deleted(aws: Aws) -> None:
    target = records.target()
    old = template(target.id)
    new = ObservationTemplate(**{**vars(old), "name": "moved", "modified": "later"})
    observation_templates.replace(old, new)
    for act in (lambda: observation_templates.replace(old, new), lambda: observation_templates.delete(old)):
        with pytest.raises(TemplateChangedError):
            act()
    assert observation_templates.find(target.id, "LCO", "moved") == (target, new)


def test_a_change_of_the_target_keeps_count_of_its_templates(aws: Aws, at_once: Callable[..., list[Any]]) -> None:
    target = records.target()
    made = at_once(lambda number: template(target.id, f"n{number}"), range(6))
    assert all(isinstance(each, ObservationTemplate) for each in made)
    targets.replace(target, type(target)(**{**vars(target), "name": "M 92", "modified": "later"}))
    observation_templates.delete(made[0])
    (item,) = [item for item in aws.items() if item["sk"]["S"] == "TARGET"]
    assert item["template_count"]["N"] == "5"
