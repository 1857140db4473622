"""What a step is told, as plain data: everything in its argument counts, and counts once.

An argument is frozen: dataclasses, pydantic models, enums, tuples, numbers and texts. A path in it
stands for the content that it names; a secret (a field that ``repr`` leaves out) for its hash.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from metasight.engine.contents import Contents, Folder
from metasight.provenance import canonical_json

Plain = None | bool | int | str | list["Plain"] | dict[str, "Plain"]


@dataclasses.dataclass(frozen=True)
class Told:
    """An argument as plain data.

    Attributes
    ----------
    plain
        JSON values that are equal only where the argument is.
    text
        The same as canonical JSON; put together from that of the parts, of which settings that many
        steps share are written once.
    classes
        Of everything in it that has code of its own.
    """

    plain: Plain
    text: str
    classes: frozenset[type]


def _told(plain: Plain, classes: frozenset[type]) -> Told:
    return Told(plain, canonical_json(plain), classes)


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
    kind: type = type(argument)
    return _telling_of(kind)(argument, contents)


def _of_shared(argument: Any, contents: Contents) -> Told:
    """Frozen settings and rows stand in the arguments of many steps, and are told once."""
    known = contents.told.get(id(argument))
    if known is not None and known[0] is argument:
        found: Told = known[1]
        return found
    found = _of_fields(argument, contents)
    contents.told[id(argument)] = (argument, found)
    return found


def _of_fields(argument: Any, contents: Contents) -> Told:
    fields: dict[str, Told] = {}
    for name, value, hidden in _fields(argument):
        if hidden:
            secret = hashlib.sha256(repr(value).encode()).hexdigest()
            fields[name] = _told({"secret": secret}, _NONE)
        else:
            fields[name] = tell(value, contents)
    kind = type(argument).__name__
    parts = ",".join(f'"{name}":{fields[name].text}' for name in sorted(fields))
    return Told(
        {"type": kind, "fields": {name: inner.plain for name, inner in fields.items()}},
        f'{{"fields":{{{parts}}},"type":"{kind}"}}',
        frozenset({type(argument)}).union(*(inner.classes for inner in fields.values())),
    )


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
    return _told(argument, _NONE)


def _of_enum(argument: Enum, contents: Contents) -> Told:
    return dataclasses.replace(tell(argument.value, contents), classes=frozenset({type(argument)}))


def _of_float(argument: float, _: Contents) -> Told:
    # JSON has no infinity, and 1 and 1.0 are different settings to some code
    return _told({"float": repr(float(argument))}, _NONE)


def _of_date(argument: date, _: Contents) -> Told:
    return _told({"date": argument.isoformat()}, _NONE)


def _of_path(argument: Path, contents: Contents) -> Told:
    return _told({"content": contents.of(argument)}, _NONE)


def _of_folder(argument: Folder, contents: Contents) -> Told:
    return _told({"folder": dict(contents.of_folder(argument))}, _NONE)


def _of_many(argument: Any, contents: Contents) -> Told:
    items = sorted(argument) if isinstance(argument, set | frozenset) else argument
    inner = [tell(v, contents) for v in items]
    return Told(
        [i.plain for i in inner],
        f"[{','.join(i.text for i in inner)}]",
        frozenset().union(*(i.classes for i in inner)),
    )


def _of_mapping(argument: Mapping[Any, Any], contents: Contents) -> Told:
    # in its own order: a result may hang on it
    return _of_many([(k, v) for k, v in argument.items()], contents)


def _of_array(argument: Any, _: Contents) -> Told:
    digest = hashlib.sha256(np.ascontiguousarray(argument).tobytes()).hexdigest()
    return _told({"array": [str(argument.dtype), list(argument.shape), digest]}, _NONE)


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


@functools.cache
def _telling_of(kind: type) -> Callable[[Any, Contents], Told]:
    """How values of one class are told."""
    if issubclass(kind, BaseModel):
        return _of_shared
    for bases, telling in _TELLING:
        if issubclass(kind, bases):
            return telling
    if dataclasses.is_dataclass(kind):
        frozen = kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
        return _of_shared if frozen else _of_fields
    raise TypeError(f"a step's argument holds a {kind.__name__}")
