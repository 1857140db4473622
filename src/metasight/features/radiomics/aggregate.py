"""How values of several matrices become one, and how a stack of slices is taken apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int32]


class Averaged:
    """Mean of each feature over matrices, of those for which it is defined.

    Parameters
    ----------
    names
        Of the features, in the order of the rows that are added.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._total = np.zeros(len(names))
        self._n = np.zeros(len(names))

    def add(self, rows: Floats) -> None:
        """Add matrices' features, shape (matrices, features); NaN where undefined."""
        defined = np.isfinite(rows)
        self._total += np.where(defined, rows, 0.0).sum(axis=0)
        self._n += defined.sum(axis=0)

    def mean(self) -> dict[str, float]:
        """The means; NaN for a feature that no matrix defines."""
        means = np.full(len(self._names), np.nan)
        np.divide(self._total, self._n, out=means, where=self._n > 0)
        return dict(zip(self._names, means.tolist(), strict=True))


def padded(levels: Levels, width: int = 1) -> Levels:
    """Levels with a border of zeros."""
    return np.pad(levels, width)


def slices_of(levels: Levels) -> Iterator[Levels]:
    """Each slice that has a voxel inside, as a stack of one."""
    for k in range(len(levels)):
        if levels[k].any():
            yield levels[k : k + 1]
