"""A small checker of JSON schemas: the words that those in ``docs/schema`` use, and no others."""

from __future__ import annotations

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
    *("properties", "required", "additionalProperties", "items"),
}


def problems(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> list[str]:
    """Where a value is not as a schema of ``root`` says; empty where it is."""
    return list(_problems(value, schema, root, "$"))


def _problems(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    unknown = set(schema) - _KNOWN
    assert not unknown, f"the checker does not know {sorted(unknown)}"
    if "$ref" in schema:
        named = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        yield from _problems(value, named, root, at)
    if "const" in schema and value != schema["const"]:
        yield f"{at} is {value!r}, not {schema['const']!r}"
    if "type" in schema and not _is(value, schema["type"]):
        yield f"{at} is {value!r}, no {schema['type']}"
        return
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            yield f"{at} is {value!r}, out of range"
    elif isinstance(value, list):
        for k, item in enumerate(value):
            yield from _problems(item, schema.get("items", {}), root, f"{at}[{k}]")
    elif isinstance(value, dict):
        own = schema.get("properties", {})
        yield from (
            f"{at} lacks {name}" for name in schema.get("required", ()) if name not in value
        )
        for name, inner in value.items():
            if name in own:
                yield from _problems(inner, own[name], root, f"{at}.{name}")
            elif schema.get("additionalProperties") is False:
                yield f"{at} has {name}, which the schema does not"


def _is(value: Any, types: str | list[str]) -> bool:
    names = [types] if isinstance(types, str) else types
    wanted = tuple(t for name in names for t in _TYPES[name])
    return isinstance(value, wanted) and (not isinstance(value, bool) or bool in wanted)
