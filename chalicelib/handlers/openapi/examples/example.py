"""What an example consists of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Example:
    """An example of one operation.

    Parameters
    ----------
    answers : mapping
        Status -> the JSON body of the answer; none for one without a body, or of another kind.
    takes : object, optional
        The JSON body that is sent.
    texts : mapping
        Media type -> the text of an answer that is no JSON.
    forms : mapping
        Media type -> the fields of a form that is sent instead.
    """

    answers: Mapping[int, Any] = field(default_factory=dict)
    takes: Any = None
    texts: Mapping[str, str] = field(default_factory=dict)
    forms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
