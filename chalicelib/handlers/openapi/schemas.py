"""The models of bodies as JSON schemas: each once, under `#/components/schemas`, and referred to by its name."""

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

TEMPLATE = "#/components/schemas/{model}"

Schema = dict[str, Any]


class _Plain(GenerateJsonSchema):
    """Pydantic's generator, without the titles that only repeat the names of fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - as the class has it
        return False


class Schemas:
    """The schemas of what all operations take and answer.

    Parameters
    ----------
    takes : iterable of types
        Models of bodies that come in.
    answers : iterable of types
        Types of bodies that go out.
    """

    def __init__(self, takes: Iterable[Any], answers: Iterable[Any]) -> None:
        kinds: dict[tuple[Any, JsonSchemaMode], None] = {
            **dict.fromkeys((kind, "validation") for kind in takes),
            **dict.fromkeys((kind, "serialization") for kind in answers),
        }
        asked = [(kind, mode, TypeAdapter[Any](kind)) for kind, mode in kinds]
        self._made, rest = TypeAdapter.json_schemas(asked, ref_template=TEMPLATE, schema_generator=_Plain)
        self.components: dict[str, Schema] = rest.get("$defs", {})
        for name, schema in self.components.items():
            schema.pop("title", None)  # its name says more: all kinds of lists have one title
            if name.endswith("Change"):
                _forget_defaults(schema)

    def of_input(self, kind: Any) -> Schema:
        """Return the schema of what comes in: a reference, if it has a name."""
        return self._made[kind, "validation"]

    def of_answer(self, kind: Any) -> Schema:
        """Return the schema of what goes out."""
        return self._made[kind, "serialization"]


def of_parameter(kind: Any) -> Schema:
    """Return the schema of a parameter."""
    return TypeAdapter[Any](kind).json_schema(schema_generator=_Plain)


def _forget_defaults(schema: Schema) -> None:
    """Leave out the defaults of a change: what is absent in it stays as it is."""
    for member in schema["properties"].values():
        member.pop("default", None)
