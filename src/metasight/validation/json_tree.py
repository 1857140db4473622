"""Frozen dataclasses to JSON and back, by their type hints alone.

Nothing from the data chooses a class to build: the reader is told the root class and follows its
annotations, so a damaged or hostile file can give an error, never code.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

from metasight.errors import EvaluationError

T = TypeVar("T")


def to_jsonable(tree: Any) -> dict[str, object]:
    """Turn a dataclass tree into dicts, lists, text, numbers and null.

    Parameters
    ----------
    tree
        A dataclass instance whose fields are dataclasses, mappings with text keys, tuples,
        text, numbers or ``None``.

    Returns
    -------
    dict
        Field names to values. A NaN or infinite float is null.
    """
    plain = _plain(tree)
    if not isinstance(plain, dict):
        raise TypeError(f"{type(tree).__name__} is not a dataclass")
    return plain


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def from_jsonable(cls: type[T], data: Mapping[str, object]) -> T:
    """Build ``cls`` from what :func:`to_jsonable` gave.

    Parameters
    ----------
    cls
        The dataclass to build.
    data
        Its fields. A null where a number is annotated becomes NaN.

    Raises
    ------
    EvaluationError
        A field is missing, unknown or of a shape that the class does not have.
    """
    kind: Any = cls
    hints: dict[str, Any] = _hints(kind)
    if not isinstance(data, Mapping) or set(data) != set(hints):
        found = sorted(set(data) ^ set(hints)) if isinstance(data, Mapping) else [repr(data)[:40]]
        raise EvaluationError(
            "not an evaluation written by this version",
            where=cls.__name__,
            value=", ".join(map(str, found)),
            remedy="Run the evaluation again",
        )
    return cls(**{name: _typed(hint, data[name]) for name, hint in hints.items()})


@cache
def _hints(cls: Any) -> dict[str, Any]:
    names = {f.name for f in fields(cls)}
    return {k: v for k, v in typing.get_type_hints(cls).items() if k in names}


def _typed(hint: Any, value: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of(typing.get_args(hint), value)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_typed(inner, v) for v in value)
    if origin is not None and origin is not typing.Literal and issubclass(origin, Mapping):
        inner = typing.get_args(hint)[1]
        return {k: _typed(inner, v) for k, v in value.items()}
    if is_dataclass(hint) and isinstance(hint, type):
        return from_jsonable(hint, value)
    if hint is float:
        return math.nan if value is None else float(value)
    return value


def _one_of(options: tuple[Any, ...], value: Any) -> Any:
    """Choose the member of a union: by null, or by the field names of its dataclasses."""
    if value is None:
        return None
    for option in options:
        if option is type(None):
            continue
        if is_dataclass(option) and isinstance(option, type):
            if isinstance(value, Mapping) and set(value) == set(_hints(option)):
                return from_jsonable(option, value)
            continue
        return _typed(option, value)
    raise EvaluationError(
        "not an evaluation written by this version",
        value=", ".join(sorted(map(str, value)))[:80] if isinstance(value, Mapping) else "",
        remedy="Run the evaluation again",
    )
