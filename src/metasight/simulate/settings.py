"""What every simulator has in common: its stamp, and how its settings are read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from metasight.errors import StudyError
from metasight.protocol.load import validation_lines

STAMP = "Simulated by metasight: no patient, no tissue, no evidence of anything but software."
"""Stands in every file that can hold text."""


class Part(BaseModel):
    """Settings that belong together: frozen, finite, and none that is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Settings = TypeVar("Settings", bound=BaseModel)


def settings_of(
    kind: type[Settings], path: Path | None, given: Mapping[str, Any], *, manual: str
) -> Settings:
    """Settings of one simulator from a TOML file, with ``given`` over it.

    ``manual`` is the page that lists them.

    Raises
    ------
    StudyError
        The file cannot be read, or a setting is unknown or out of its range.
    """
    found: dict[str, Any] = {}
    if path is not None:
        try:
            found = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise StudyError(
                "the settings cannot be read",
                where=path.name,
                value=type(error).__name__,
                remedy=f"Give a TOML file; {manual} lists the settings",
            ) from error
    asked = {**found, **given}
    try:
        return kind.model_validate(asked)
    except ValidationError as error:
        raise StudyError(
            "the settings of the simulation are wrong",
            where="" if path is None else path.name,
            value=validation_lines(error, kind, asked),
            remedy=f"See {manual}",
        ) from error
