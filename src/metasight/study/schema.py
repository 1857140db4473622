"""JSON schema of ``study.toml``, for editors that complete and check it while one types.

Made from the models that read the file::

    python -m metasight.study.schema > docs/schema/study.json
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from metasight.study.file import StudySettings

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The newest that taplo, and Even Better TOML with it, read."""

_SECRETS = {
    "vault": {
        "type": "string",
        "description": "Folder with the key of the pseudonyms, relative to the study folder.",
    },
    "salt": {
        "type": "string",
        "minLength": 8,
        "description": "In place of vault, for public or simulated data only.",
    },
}
"""Keys of the file from which the model's ``key`` is made; see :mod:`metasight.study.vault`."""
_PUBLIC = {
    "public_data": {
        "type": "boolean",
        "default": False,
        "description": "Whether the data are public or simulated; salt needs true.",
    }
}


def study_schema() -> dict[str, Any]:
    """JSON schema (draft 7) of ``study.toml``: its keys, types, ranges, defaults and meaning."""
    own = StudySettings.model_json_schema(mode="validation", ref_template="#/definitions/{model}")
    definitions = own.pop("$defs", {})
    described = {cls.__name__: _attributes(cls) for cls in _models(StudySettings)}
    for name, part in [("StudySettings", own), *definitions.items()]:
        _describe(part, described.get(name, {}))
    own["properties"].pop("key")
    own["properties"] |= _SECRETS | _PUBLIC
    own["required"] = [name for name in own["required"] if name != "key"]
    own["anyOf"] = [{"required": [name]} for name in _SECRETS]
    return {
        "$schema": DIALECT,
        **_of_toml(own),
        "title": "study.toml of metasight",
        "description": "docs/study-file.md explains every part.",
        "definitions": _of_toml(definitions),
    }


def _describe(part: dict[str, Any], attributes: dict[str, str]) -> None:
    """Give a model's fields their meaning, and codes that TOML may write as numbers both types."""
    part["description"] = _plain(part.get("description", "").split("\n")[0])
    part.pop("title", None)
    for name, field in part.get("properties", {}).items():
        field.pop("title", None)
        if name in attributes:
            field["description"] = attributes[name]
        if name in {"missing", "unknown"} and field.get("type") == "array":
            field["items"] = {"type": ["string", "number"]}


def _of_toml(part: Any) -> Any:
    """Without what TOML does not have (null) and draft 7 does not (items by position)."""
    if isinstance(part, list):
        return [_of_toml(p) for p in part if p != {"type": "null"}]
    if not isinstance(part, dict):
        return part
    own = {k: _of_toml(v) for k, v in part.items() if (k, v) != ("default", None)}
    choices = own.get("anyOf", [])
    if len(choices) == 1:
        own = {**own.pop("anyOf")[0], **own}
    if "prefixItems" in own:
        own["items"] = own.pop("prefixItems")[0]
    return own


def _models(cls: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and those of its fields, each with its parts."""
    yield cls
    for field in cls.model_fields.values():
        for part in _classes(field.annotation):
            yield from _models(part)


def _classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        for part in typing.get_args(annotation):
            yield from _classes(part)


def _attributes(cls: type[BaseModel]) -> dict[str, str]:
    """Meaning of a model's fields, from its docstring and those of the models it extends."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not issubclass(base, BaseModel) or not base.__doc__:
            continue
        text = inspect.cleandoc(base.__doc__)
        entries = re.findall(r"^(\w[\w, ]*)\n((?:    .+\n?)+)", text, re.MULTILINE)
        for names, meaning in entries:
            for name in names.split(", "):
                found[name] = _plain(meaning)
    return found


def _plain(text: str) -> str:
    return re.sub(r":\w+:`([^`]*)`|`+([^`]*)`+", r"\1\2", " ".join(text.split()))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(study_schema(), indent=2, ensure_ascii=False) + "\n")
