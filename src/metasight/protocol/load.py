"""Read a protocol: one of the two in the package, or a file of the user's."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from metasight.errors import ProtocolError
from metasight.protocol.study import Protocol

BUILT_IN = {"breast-dmfs": "breast_dmfs.toml", "nsclc-occult-node": "nsclc_occult_node.toml"}


def read_protocol(name: str, *, folder: Path | None = None) -> Protocol:
    """Protocol by built-in name, or by path relative to the study folder.

    Raises
    ------
    ProtocolError
        There is no such protocol, the file is not TOML, or an entry is wrong; every wrong entry
        is named.
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
    return parse_protocol(path.read_text("utf-8"), where=path.name)


def parse_protocol(text: str, *, where: str) -> Protocol:
    """Protocol from TOML text; ``where`` names it in errors."""
    try:
        return Protocol.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ProtocolError("not valid TOML", where=where, value=str(error)) from error
    except ValidationError as error:
        raise ProtocolError(
            "the protocol is not valid:\n" + validation_lines(error),
            where=where,
            remedy="Correct the entries named",
        ) from error


def validation_lines(error: ValidationError) -> str:
    """One line an entry: where it stands and what is wrong with it."""
    return "\n".join(
        f"  {'.'.join(str(p) for p in e['loc']) or '(file)'}: {e['msg']}" for e in error.errors()
    )
