"""Cells as points: where each lies, what type it is, and which markers it carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from metasight.errors import MarkerError

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int16]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Positions and types of the cells of one section.

    Attributes
    ----------
    x_um, y_um
        Centre of each cell in µm from the slide's level-0 origin, x to the right and y down,
        shape ``(n,)``, finite.
    type_code
        Index into ``type_names``, shape ``(n,)``.
    type_names
        Names of the types, unique. A type may have no cell.
    positive
        Marker name → whether each cell is positive, shape ``(n,)``. Empty where a table gives
        types only. Positivity and type are separate: a cell can be positive for two markers.
    probability
        Marker name → probability in [0, 1] that the cell is positive, where the source says so.

    Raises
    ------
    MarkerError
        Lengths differ, a position is not finite, a code has no name, a probability is outside
        [0, 1].
    """

    x_um: Floats
    y_um: Floats
    type_code: Codes
    type_names: tuple[str, ...]
    positive: Mapping[str, Flags] = field(default_factory=dict)
    probability: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.x_um)
        columns: dict[str, npt.NDArray[np.generic]] = {
            "y_um": self.y_um,
            "type_code": self.type_code,
        }
        columns |= self.positive
        columns |= self.probability
        for name, column in columns.items():
            if column.shape != (n,):
                raise MarkerError(
                    "cell columns differ in length", where=name, value=str(column.shape)
                )
        if not (np.isfinite(self.x_um).all() and np.isfinite(self.y_um).all()):
            raise MarkerError(
                "a cell has no finite position", remedy="Leave out cells without a centre"
            )
        if len(set(self.type_names)) != len(self.type_names):
            raise MarkerError("a cell type is named twice", value=", ".join(self.type_names))
        if n and not (self.type_code.min() >= 0 and self.type_code.max() < len(self.type_names)):
            raise MarkerError("a type code has no name", value=str(int(self.type_code.max())))
        for name, chance in self.probability.items():
            if n and not (np.nanmin(chance) >= 0 and np.nanmax(chance) <= 1):
                raise MarkerError("a probability is outside [0, 1]", where=name)

    def __len__(self) -> int:
        return len(self.x_um)

    def of_types(self, names: Sequence[str]) -> Flags:
        """Whether each cell is of one of ``names``, shape ``(n,)``.

        Raises
        ------
        MarkerError
            A name is no type of these cells.
        """
        wanted = [self._code(name) for name in names]
        return np.isin(self.type_code, np.asarray(wanted, dtype=np.int16))

    def _code(self, name: str) -> int:
        if name not in self.type_names:
            raise MarkerError(
                "no such cell type",
                value=name,
                remedy=f"Types of these cells: {', '.join(self.type_names)}",
            )
        return self.type_names.index(name)

    def take(self, kept: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Cells:
        """The cells that ``kept`` (flags or indices) names, in that order."""
        return Cells(
            x_um=self.x_um[kept],
            y_um=self.y_um[kept],
            type_code=self.type_code[kept],
            type_names=self.type_names,
            positive={name: flags[kept] for name, flags in self.positive.items()},
            probability={name: chance[kept] for name, chance in self.probability.items()},
        )


def cells_of(
    x_um: npt.ArrayLike,
    y_um: npt.ArrayLike,
    types: Sequence[str] | npt.NDArray[np.str_],
    type_names: Sequence[str] | None = None,
) -> Cells:
    """Cells from positions and one type name each.

    Parameters
    ----------
    x_um, y_um
        Positions in µm, shape ``(n,)``.
    types
        Type of each cell, shape ``(n,)``.
    type_names
        All names, in the order of the codes; by default those that occur, sorted.

    Raises
    ------
    MarkerError
        As :class:`Cells`, or a type that ``type_names`` does not list.
    """
    given = np.asarray(types, dtype=np.str_)
    found, code = np.unique(given, return_inverse=True)
    names = tuple(type_names) if type_names is not None else tuple(str(name) for name in found)
    unknown = sorted(set(found.tolist()) - set(names))
    if unknown:
        raise MarkerError(
            "cells of a type that is not listed",
            value=", ".join(unknown),
            remedy=f"Listed: {', '.join(names)}",
        )
    to_listed = np.asarray([names.index(str(name)) for name in found], dtype=np.int16)
    return Cells(
        x_um=np.array(x_um, dtype=np.float64),
        y_um=np.array(y_um, dtype=np.float64),
        type_code=to_listed[code] if len(found) else np.zeros(0, dtype=np.int16),
        type_names=names,
    )
