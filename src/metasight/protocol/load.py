"""Read a protocol: one of the two in the package, or a file of the user's."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from metasight.errors import ProtocolError
from metasight.protocol.study import Protocol

BUILT_IN = {"breast-dmfs": "breast_dmfs.toml", "nsclc-occult-node": "nsclc_occult_node.toml"}


def read_protocol(name: str, *, folder: Path | None = None) -> Protocol:
    """Protocol by built-in name, or by path relative to the study folder.

    Raises
    ------
    ProtocolError
        There is no such protocol, the file is not UTF-8 or not TOML, or an entry is wrong; every
        wrong entry is named.
    """
    if name in BUILT_IN:
        text = files("metasight.protocol").joinpath(BUILT_IN[name]).read_text("utf-8")
        return parse_protocol(text, where=name)
    path = (folder or Path()) / name
    if path.suffix != ".toml" or not path.is_file():
        raise ProtocolError(
            "there is no such protocol",
            value=name,
            remedy=f"Use one of {', '.join(BUILT_IN)}, or the path of a protocol's .toml file",
        )
    try:
        text = path.read_text("utf-8-sig")  # Windows editors put a mark before the text
    except UnicodeDecodeError as error:
        raise ProtocolError(
            "the file is not UTF-8 text",
            where=path.name,
            value=f"byte 0x{error.object[error.start]:02x} at {error.start}",
            remedy="Save it as UTF-8",
        ) from error
    return parse_protocol(text, where=path.name)


def parse_protocol(text: str, *, where: str) -> Protocol:
    """Protocol from TOML text; ``where`` names it in errors."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProtocolError(
            "not valid TOML", where=where, value=str(error), remedy="Correct the line named"
        ) from error
    try:
        return Protocol.model_validate(data)
    except ValidationError as error:
        raise ProtocolError(
            "the protocol is not valid:\n" + validation_lines(error, Protocol, data) + "\n",
            where=where,
            remedy="Correct the entries named",
        ) from error


# ------------------------------------------------------------------- what is wrong, in words


def validation_lines(error: ValidationError, model: type[BaseModel], data: object) -> str:
    """One line an entry: where it stands in the file, what is wrong with it, and its value.

    Where an entry may be one of several things (a column's name or a table about it), only the
    thing that it comes closest to is spoken of.

    Parameters
    ----------
    error
        What reading ``data`` as ``model`` raised.
    model
        Knows which entries there are, for "did you mean".
    data
        The file's content, as TOML gives it.
    """
    found = [_found(dict(e), model, data) for e in error.errors()]
    return "\n".join(
        f"  {line}" for f in _without_echoes(_closest(found)) for line in _line(f, data).split("\n")
    )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """One complaint, its place split into what the file holds and which alternative was tried.

    Attributes
    ----------
    path
        Keys and list positions (from 0) as in the file.
    tried
        Alternatives tried on the way: length of the path so far, and pydantic's name.
    kind, message, value
        As pydantic says them.
    known
        Entries that the table may have in which this one stands.
    """

    path: tuple[str | int, ...]
    tried: tuple[tuple[int, str], ...]
    kind: str
    message: str
    value: object
    known: tuple[str, ...]

    @property
    def meant(self) -> str | None:
        """The entry that an unknown one resembles."""
        near = difflib.get_close_matches(str(self.path[-1]), self.known, n=1, cutoff=0.6)
        return near[0] if self.kind == "extra_forbidden" and near else None


def _found(error: Mapping[str, Any], model: type[BaseModel], data: object) -> _Found:
    path: list[str | int] = []
    tried: list[tuple[int, str]] = []
    there: object = data
    models: tuple[type[BaseModel], ...] = (model,)
    known: tuple[str, ...] = ()
    names = False  # whether the next key is a name that the user chose
    for i, part in enumerate(error["loc"]):
        absent = error["type"] == "missing" and i == len(error["loc"]) - 1
        if not absent and not _holds(there, part):
            tried.append((len(path), str(part)))
            chosen = tuple(m for m in models if re.search(rf"\b{m.__name__}\b", str(part)))
            models = chosen or models
            continue
        path.append(part)
        there = None if absent else there[part]  # type: ignore[index]
        if isinstance(part, int):
            continue
        if names:
            names = False
            continue
        known = tuple(
            f.alias or n
            for m in models
            for n, f in m.model_fields.items()
            if f.repr  # a secret does not stand in the file
        )
        annotations = [
            f.annotation for m in models for n, f in m.model_fields.items() if part in {n, f.alias}
        ]
        names = any(get_origin(a) is dict for a in annotations)
        models = tuple(m for a in annotations for m in _models_in(a))
    return _Found(
        path=tuple(path),
        tried=tuple(tried),
        kind=error["type"],
        message=error["msg"],
        value=error["input"],
        known=known,
    )


def _holds(there: object, part: str | int) -> bool:
    if isinstance(there, list):
        return isinstance(part, int) and part < len(there)
    return isinstance(there, dict) and part in there


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        if argument is not NoneType:
            yield from _models_in(argument)


def _closest(found: Iterable[_Found]) -> list[_Found]:
    """Of the alternatives tried at one place keep the one that fits best."""
    kept: list[_Found] = []
    places: dict[tuple[str | int, ...], dict[str, list[_Found]]] = {}
    for f in found:
        if not f.tried:
            kept.append(f)
            continue
        (depth, name), *rest = f.tried
        alternatives = places.setdefault(f.path[:depth], {})
        alternatives.setdefault(name, []).append(replace(f, tried=tuple(rest)))
    for place, alternatives in places.items():
        each = [_without_echoes(_closest(a)) for a in alternatives.values()]
        if all(_no_fit(a, place) for a in each):
            wanted = " or ".join(dict.fromkeys(_wanted(a[0]) for a in each))
            kept.append(replace(each[0][0], kind="none fits", message=f"should be {wanted}"))
        else:
            best = min(each, key=lambda a: _distance(a, place))
            kept += best
    return kept


def _distance(found: list[_Found], place: tuple[str | int, ...]) -> tuple[bool, bool, int, int]:
    meant = sum(f.meant is not None for f in found)
    return _no_fit(found, place), _is_another(found), -meant, len(found)


def _no_fit(found: list[_Found], place: tuple[str | int, ...]) -> bool:
    return len(found) == 1 and found[0].path == place and found[0].kind.endswith("_type")


def _is_another(found: list[_Found]) -> bool:
    """Whether the file says itself that it is not this alternative (``type = …``)."""
    return any(f.kind == "literal_error" and f.path[-1] == "type" for f in found)


def _without_echoes(found: list[_Found]) -> list[_Found]:
    # A list whose items are wrong is also reported as too short.
    return [
        f
        for f in found
        if f.kind != "too_short"
        or not any(o is not f and o.path[: len(f.path)] == f.path for o in found)
    ]


_TYPES = {
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def _wanted(found: _Found) -> str:
    return _TYPES.get(found.kind) or found.message.removeprefix("Input should be ")


def _line(found: _Found, data: object) -> str:
    place = _place(found.path, data)
    text = _wording(found)
    return f"{place}: {text}" if place else text


def _wording(found: _Found) -> str:
    if found.kind == "extra_forbidden":
        if found.meant:
            return f"unknown entry; did you mean {found.meant!r}?"
        return "unknown entry" + (f"; there are {', '.join(found.known)}" if found.known else "")
    if found.kind == "missing":
        return "missing entry"
    if found.kind == "value_error":
        return found.message.removeprefix("Value error, ")
    if found.kind == "tuple_type" and isinstance(found.value, dict):
        return f"should be a list: write [[{found.path[-1]}]] with two brackets"
    if found.kind == "model_type" and isinstance(found.value, list):
        return f"should be one table: write [{found.path[-1]}] once, with single brackets"
    if found.kind in _TYPES:
        text = f"should be {_TYPES[found.kind]}"
    else:
        text = re.sub(
            r"^(Input|String|Tuple|List|Value|Dictionary) should", "should", found.message
        )
        text = text.replace(" after validation, not 0", "")
    plain = isinstance(found.value, bool | int | float | str)
    return f"{text} (value: {found.value!r:.80})" if plain else text


def _place(path: tuple[str | int, ...], data: object) -> str:
    """The place as a reader of the file counts: ``[[model]] 2 (forest) n_trees``."""
    text = ""
    there: Any = data
    for i, part in enumerate(path):
        there = there[part] if _holds(there, part) else None
        if isinstance(part, str):
            text += f".{part}" if text and not text.endswith(" ") else part
        elif i == 1 and isinstance(there, dict):
            name = there.get("name", there.get("id"))
            text = f"[[{path[0]}]] {part + 1}" + (f" ({name})" if isinstance(name, str) else "")
            text += " " if i + 1 < len(path) else ""
        else:
            text += f"[{part + 1}]"
    return text
