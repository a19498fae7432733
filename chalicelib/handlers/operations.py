"""What each view takes and answers, told beside it: the description of the API is made from this, and from the routes."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from chalicelib.handlers.replies import Reply

View = TypeVar("View", bound=Callable[..., Reply])


class Content(NamedTuple):
    """A body that is no JSON: its media type, and what there is to know of it.

    Parameters
    ----------
    messages : tuple of pairs
        Of a stream: each kind of message with the type of its data.
    """

    media_type: str
    description: str
    messages: tuple[tuple[str, Any], ...] = ()


HTML = Content("text/html", "A page.")
REDIRECT = Content("", "The address stands in `Location`.")
EMPTY = Content("", "There is no body.")


class Parameter(NamedTuple):
    """A parameter of the query or a header.

    Parameters
    ----------
    name, description : str
        As it is sent, and what it is for.
    kind : type
        What its text must be: ``int``, ``str``, an ``Annotated`` with limits, an enumeration.
    is_required : bool
        Whether it must be given.
    place : str
        ``query`` or ``header``.
    is_checked : bool
        Whether there are values that are refused.
    """

    name: str
    description: str
    kind: Any = str
    is_required: bool = False
    place: str = "query"
    is_checked: bool = True


class Operation(NamedTuple):
    """What one view takes and answers.

    Parameters
    ----------
    answers : mapping
        Status of each good answer -> the type of its JSON body (a `TypedDict`, a list of them), or a `Content`; a tuple of
        these where it may be either. A refusal stands here, too, where it may have another body than its family's.
    takes : type, optional
        The model of the JSON body that it takes, or a union of such.
    refuses : tuple of int
        Statuses of refusals, beyond those that follow from the method, the path and the parameters (`openapi.refusals`).
    parameters : tuple of Parameter
        What may be asked for in the query or a header.
    more : mapping
        Anything else of OpenAPI's operation object, such as further kinds of request bodies; joined with what is made of
        the rest.
    """

    answers: Mapping[int, Any]
    takes: Any = None
    refuses: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    more: Mapping[str, Any] = MappingProxyType({})


def operation(
    answers: Mapping[int, Any],
    *,
    takes: Any = None,
    refuses: tuple[int, ...] = (),
    parameters: tuple[Parameter, ...] = (),
    **more: Any,
) -> Callable[[View], View]:
    """Tell what the decorated view takes and answers; see `Operation`. Its docstring says what it does."""

    def tell(view: View) -> View:
        view.__dict__["operation"] = Operation(answers, takes, refuses, parameters, more)
        return view

    return tell


class Told(NamedTuple):
    """What there is to tell of a view: a name of its own, what its docstring says, and what it takes and answers."""

    name: str
    text: str
    operation: Operation


def told(view: Callable[..., Reply]) -> Told:
    """Return what a view tells of itself.

    A method may serve several objects with answers of their own: its object's `spelled` turns names and texts, its
    `types` those of bodies into that object's.

    Raises
    ------
    LookupError
        If nothing is told: every view needs `@operation`.
    """
    operation: Operation | None = getattr(view, "operation", None)
    if operation is None:
        raise LookupError(f"the view {view.__qualname__} lacks @operation")
    text = inspect.cleandoc(view.__doc__ or "")
    owner = getattr(view, "__self__", None)
    if owner is None:
        return Told(view.__name__, text, operation)
    own = operation._replace(
        answers={status: owner.types.get(kind, kind) for status, kind in operation.answers.items()},
        takes=owner.types.get(operation.takes, operation.takes),
    )
    return Told(owner.spelled(view.__name__), owner.spelled(text), own)
