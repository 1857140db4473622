"""What a step is told, as plain data: everything in its argument counts, and counts once.

An argument is frozen: dataclasses, pydantic models, enums, tuples, numbers and texts. A path in it
stands for the content that it names; a secret (a field that ``repr`` leaves out) for its hash.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from metasight.engine.contents import Contents, Folder

Plain = None | bool | int | str | list["Plain"] | dict[str, "Plain"]


def plain(argument: Any, contents: Contents) -> Plain:
    """An argument as JSON values that are equal only where the argument is.

    Parameters
    ----------
    argument
        A step's.
    contents
        Tells what paths hold.

    Raises
    ------
    TypeError
        Something in it has no plain form: a function, an open file, a mutable object.
    """
    if argument is None or isinstance(argument, bool | str):
        found: Plain = str(argument.value) if isinstance(argument, Enum) else argument
    elif isinstance(argument, Enum):
        found = plain(argument.value, contents)
    elif isinstance(argument, int):
        found = int(argument)
    elif isinstance(argument, float):
        # JSON has no infinity, and 1 and 1.0 are different settings to some code
        found = {"float": repr(float(argument)) if not math.isnan(argument) else "nan"}
    elif isinstance(argument, date):
        found = {"date": argument.isoformat()}
    elif isinstance(argument, Path):
        found = {"content": contents.of(argument)}
    elif isinstance(argument, Folder):
        found = {"folder": dict(contents.of_folder(argument))}
    elif isinstance(argument, BaseModel) or _is_dataclass(argument):
        found = {
            "type": type(argument).__name__,
            "fields": {
                name: _secret(value) if hidden else plain(value, contents)
                for name, value, hidden in _fields(argument)
            },
        }
    elif isinstance(argument, Mapping):
        found = [[plain(k, contents), plain(v, contents)] for k, v in argument.items()]
    elif isinstance(argument, tuple | list):
        found = [plain(v, contents) for v in argument]
    elif isinstance(argument, set | frozenset):
        found = [plain(v, contents) for v in sorted(argument)]
    elif isinstance(argument, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(argument).tobytes()).hexdigest()
        found = {"array": [str(argument.dtype), list(argument.shape), digest]}
    else:
        raise TypeError(f"a step's argument holds a {type(argument).__name__}")
    return found


def classes_of(argument: Any) -> frozenset[type]:
    """Classes of everything in an argument that has code of its own."""
    return frozenset(_classes(argument))


def _classes(value: Any) -> Iterator[type]:
    if isinstance(value, Enum):
        yield type(value)
    elif isinstance(value, BaseModel) or _is_dataclass(value):
        yield type(value)
        for _, inner, _ in _fields(value):
            yield from _classes(inner)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _classes(inner)
    elif isinstance(value, tuple | list | set | frozenset):
        for inner in value:
            yield from _classes(inner)


def _is_dataclass(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _fields(value: Any) -> Iterator[tuple[str, Any, bool]]:
    """Name and value of every field, and whether it is a secret."""
    if isinstance(value, BaseModel):
        for name, about in type(value).model_fields.items():
            yield name, getattr(value, name), not about.repr
    else:
        for f in dataclasses.fields(value):
            yield f.name, getattr(value, f.name), not f.repr


def _secret(value: Any) -> Plain:
    return {"secret": hashlib.sha256(repr(value).encode()).hexdigest()}
