"""The addresses as the published documents spell them, and what their parts must be."""

import re

from chalicelib.handlers.openapi.schemas import Schema
from chalicelib.models.fields import MAX_ID
from chalicelib.models.names import NAME_SCHEMA

_WITH_SLASH = re.compile(
    r"/api/(?!v1/)(?!.*/stream$).*|/api/v1/events|/events(/{event_name})?|/targets/.*|/dataproducts/data/group/.*"
)
"""Whatever is asked for, it is answered with a slash at the end and without one alike."""

_TEXTS: dict[str, tuple[str, Schema, str]] = {
    "event_name": ("Name of an event.", {**NAME_SCHEMA}, "GW150914"),
    "production_name": ("Name of a production of the event.", {**NAME_SCHEMA}, "Prod_A"),
    "folder": ("Name of the target, as it stands in addresses.", {"minLength": 1}, "Hercules Globular Cluster"),
    "observation": ("`none`: files belong to targets.", {"minLength": 1}, "none"),
    "file_name": ("Name of the file, as it stands in addresses.", {"minLength": 1}, "tl_1_20190926154515_t.gif"),
    "asset": ("Name of the file.", {"minLength": 1}, "docs.js"),
}
_RECORDS = {"observation_pk": "an observation", "template_id": "an observation template"}


def published(route: str) -> str:
    """Return a route as the published documents spell it: most addresses of the telescope API end in a slash."""
    return f"{route}/" if _WITH_SLASH.fullmatch(route) else route


def path_parameters(route: str) -> list[Schema]:
    """Return the parameters that stand in an address."""
    return [_path_parameter(name) for name in re.findall(r"{(\w+)}", route)]


def _path_parameter(name: str) -> Schema:
    about: Schema = {"name": name, "in": "path", "required": True}
    if name.endswith(("_id", "_pk")):
        noun = name.rpartition("_")[0].replace("_", " ")
        record = _RECORDS.get(name, f"a {noun}")
        whole = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
        return {**about, "description": f"Id of {record}.", "schema": whole, "example": 1}
    text, schema, example = _TEXTS[name]
    return {**about, "description": text, "schema": {"type": "string", **schema}, "example": example}
