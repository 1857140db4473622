"""A small checker of JSON schemas: the words that those in ``docs/schema`` use, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
_KNOWN = {
    *("$schema", "$defs", "$ref", "title", "description", "type", "const", "minimum", "maximum"),
    *("properties", "required", "additionalProperties", "items", "definitions", "anyOf", "enum"),
    *("default", "pattern", "minLength", "maxLength", "minItems", "maxItems", "minProperties"),
    *("exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def problems(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str = "$"
) -> list[str]:
    """Where a value is not as a schema of ``root`` says; empty where it is."""
    return list(_problems(value, schema, root, at))


def _problems(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    unknown = set(schema) - _KNOWN
    assert not unknown, f"the checker does not know {sorted(unknown)}"
    if "$ref" in schema:
        _, where, name = schema["$ref"].split("/")
        yield from _problems(value, root[where][name], root, at)
    if "const" in schema and value != schema["const"]:
        yield f"{at} is {value!r}, not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at} is {value!r}, none of {schema['enum']}"
    if "anyOf" in schema:
        tried = [problems(value, choice, root, at) for choice in schema["anyOf"]]
        if all(tried):
            yield f"{at} fits no choice: {tried}"
    if "type" in schema and not _is(value, schema["type"]):
        yield f"{at} is {value!r}, no {schema['type']}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(value, schema, at)
    elif isinstance(value, str):
        yield from _text(value, schema, at)
    elif isinstance(value, list):
        yield from _array(value, schema, root, at)
    elif isinstance(value, dict):
        yield from _object(value, schema, root, at)


def _number(value: float, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if (
        not schema.get("minimum", value) <= value <= schema.get("maximum", value)
        or (above is not None and value <= above)
        or (below is not None and value >= below)
        or ("multipleOf" in schema and value % schema["multipleOf"])
    ):
        yield f"{at} is {value!r}, out of range"


def _text(value: str, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{at} is too short or too long"
    if not re.search(schema.get("pattern", ""), value):
        yield f"{at} is not as {schema['pattern']!r}"


def _array(
    value: list[Any], schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        yield f"{at} has {len(value)} items"
    for k, item in enumerate(value):
        yield from _problems(item, schema.get("items", {}), root, f"{at}[{k}]")


def _object(
    value: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    own, others = schema.get("properties", {}), schema.get("additionalProperties")
    if len(value) < schema.get("minProperties", 0):
        yield f"{at} has {len(value)} entries"
    yield from (f"{at} lacks {name}" for name in schema.get("required", ()) if name not in value)
    for name, inner in value.items():
        if name in own:
            yield from _problems(inner, own[name], root, f"{at}.{name}")
        elif isinstance(others, dict):
            yield from _problems(inner, others, root, f"{at}.{name}")
        elif others is False:
            yield f"{at} has {name}, which the schema does not"


def _is(value: Any, types: str | list[str]) -> bool:
    names = [types] if isinstance(types, str) else types
    wanted = tuple(t for name in names for t in _TYPES[name])
    return isinstance(value, wanted) and (not isinstance(value, bool) or bool in wanted)
