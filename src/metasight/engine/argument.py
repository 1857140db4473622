"""What a step is told, as plain data: everything in its argument counts, and counts once.

An argument is frozen: dataclasses, pydantic models, enums, tuples, numbers and texts. A path in it
stands for the content that it names; a secret (a field that ``repr`` leaves out) for its hash.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from metasight.engine.contents import Contents, Folder

Plain = None | bool | int | str | list["Plain"] | dict[str, "Plain"]


@dataclasses.dataclass(frozen=True)
class Told:
    """An argument as plain data.

    Attributes
    ----------
    plain
        JSON values that are equal only where the argument is.
    classes
        Of everything in it that has code of its own.
    """

    plain: Plain
    classes: frozenset[type]


def tell(argument: Any, contents: Contents) -> Told:
    """An argument as plain data.

    Parameters
    ----------
    argument
        A step's.
    contents
        Tells what paths hold; also keeps what was told of settings that many steps share.

    Raises
    ------
    TypeError
        Something in it has no plain form: a function, an open file, a mutable object.
    """
    if isinstance(argument, BaseModel):
        known = contents.told.get(id(argument))
        if known is not None and known[0] is argument:
            found: Told = known[1]
            return found
        found = _of_fields(argument, contents)
        contents.told[id(argument)] = (argument, found)
        return found
    for kind, telling in _TELLING:
        if isinstance(argument, kind):
            return telling(argument, contents)
    if dataclasses.is_dataclass(argument) and not isinstance(argument, type):
        return _of_fields(argument, contents)
    raise TypeError(f"a step's argument holds a {type(argument).__name__}")


def _of_fields(argument: Any, contents: Contents) -> Told:
    fields: dict[str, Plain] = {}
    classes: set[type] = {type(argument)}
    for name, value, hidden in _fields(argument):
        if hidden:
            fields[name] = {"secret": hashlib.sha256(repr(value).encode()).hexdigest()}
            continue
        inner = tell(value, contents)
        fields[name] = inner.plain
        classes |= inner.classes
    return Told({"type": type(argument).__name__, "fields": fields}, frozenset(classes))


def _fields(value: Any) -> Iterator[tuple[str, Any, bool]]:
    """Name and value of every field, and whether it is a secret."""
    if isinstance(value, BaseModel):
        for name, about in type(value).model_fields.items():
            yield name, getattr(value, name), not about.repr
    else:
        for f in dataclasses.fields(value):
            yield f.name, getattr(value, f.name), not f.repr


_NONE: frozenset[type] = frozenset()


def _of_value(argument: Any, _: Contents) -> Told:
    return Told(argument, _NONE)


def _of_enum(argument: Enum, contents: Contents) -> Told:
    return Told(tell(argument.value, contents).plain, frozenset({type(argument)}))


def _of_float(argument: float, _: Contents) -> Told:
    # JSON has no infinity, and 1 and 1.0 are different settings to some code
    return Told({"float": repr(float(argument))}, _NONE)


def _of_date(argument: date, _: Contents) -> Told:
    return Told({"date": argument.isoformat()}, _NONE)


def _of_path(argument: Path, contents: Contents) -> Told:
    return Told({"content": contents.of(argument)}, _NONE)


def _of_folder(argument: Folder, contents: Contents) -> Told:
    return Told({"folder": dict(contents.of_folder(argument))}, _NONE)


def _of_many(argument: Any, contents: Contents) -> Told:
    items = sorted(argument) if isinstance(argument, set | frozenset) else argument
    inner = [tell(v, contents) for v in items]
    return Told([i.plain for i in inner], frozenset().union(*(i.classes for i in inner)))


def _of_mapping(argument: Mapping[Any, Any], contents: Contents) -> Told:
    # in its own order: a result may hang on it
    return _of_many([(k, v) for k, v in argument.items()], contents)


def _of_array(argument: Any, _: Contents) -> Told:
    digest = hashlib.sha256(np.ascontiguousarray(argument).tobytes()).hexdigest()
    return Told({"array": [str(argument.dtype), list(argument.shape), digest]}, _NONE)


_TELLING: tuple[tuple[Any, Callable[[Any, Contents], Told]], ...] = (
    (Enum, _of_enum),
    ((bool, int, str, type(None)), _of_value),
    (float, _of_float),
    (date, _of_date),
    (Path, _of_path),
    (Folder, _of_folder),
    (Mapping, _of_mapping),
    ((tuple, list, set, frozenset), _of_many),
    (np.ndarray, _of_array),
)
"""How values of each kind are told; enums come first, for some are texts or numbers too."""
