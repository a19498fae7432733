"""How errors are worded in the shapes of the two published APIs."""

from typing import Any

import pytest

from chalicelib.errors import FieldError, InvalidInputError, ThrottledError, UnavailableError, UpstreamError
from chalicelib.handlers.replies import ASIMOV, TELESCOPE

FORM = FieldError((), "No filters selected")
FIELD = FieldError(("ipp_value",), "A valid number is required.")


def body(*faults: FieldError) -> Any:
    """Return what the telescope API answers to these faults."""
    return TELESCOPE.error(InvalidInputError(faults)).body


@pytest.mark.parametrize("loc", [(), ("detail",)])
def test_what_is_wrong_with_no_single_field_is_one_text(loc: tuple[str, ...]) -> None:
    assert body(FieldError(loc, "No filters selected")) == {"detail": "No filters selected"}


def test_several_texts_of_no_field_are_joined() -> None:
    assert body(FORM, FieldError((), "And too late.")) == {"detail": "No filters selected And too late."}


def test_texts_of_fields_stand_beside_that_of_none() -> None:
    second = FieldError(("ipp_value",), "Odd.")
    assert body(FIELD, FORM, second) == {
        "detail": "No filters selected",
        "ipp_value": ["A valid number is required.", "Odd."],
    }


def test_fields_alone_come_without_a_detail() -> None:
    assert body(FIELD) == {"ipp_value": ["A valid number is required."]}
    assert body(FieldError(("overrides", "a", 0), "Odd.")) == {"overrides": ["a.0: Odd."]}


def test_members_of_a_form_are_fields_too() -> None:
    assert body(FieldError(("fields", "ipp_value"), "Odd."), FORM) == {
        "detail": "No filters selected",
        "fields": {"ipp_value": ["Odd."]},
    }
    assert body(FieldError(("fields",), "Odd.")) == {"fields": ["Odd."]}


@pytest.mark.parametrize("family", [TELESCOPE, ASIMOV])
def test_a_throttled_caller_is_told_when_to_come_back(family: Any) -> None:
    reply = family.error(ThrottledError(42))
    assert (reply.status, reply.headers) == (429, {"Retry-After": "42"})
    assert "Request was throttled. Expected available in 42 seconds." in reply.text
    assert "in 1 second." in family.error(ThrottledError(1)).text


def test_a_portal_that_is_away_is_a_503_that_says_when_to_try_again() -> None:
    reply = TELESCOPE.error(UnavailableError("The portal does not answer.", retry_after_s=30))
    assert (reply.status, reply.body, reply.headers) == (
        503,
        {"detail": "The portal does not answer."},
        {"Retry-After": "30"},
    )


def test_a_portal_that_makes_no_sense_is_a_502() -> None:
    reply = TELESCOPE.error(UpstreamError("The portal refuses our token."))
    assert (reply.status, reply.body) == (502, {"detail": "The portal refuses our token."})
