"""Found objects against reference objects, paired one to one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Found objects against reference objects.

    Attributes
    ----------
    matched, found, reference
        Pairs, and objects of each side.
    """

    matched: int
    found: int
    reference: int

    @property
    def precision(self) -> float:
        """Share of the found that are in the reference; NaN if nothing was found."""
        return self.matched / self.found if self.found else float("nan")

    @property
    def recall(self) -> float:
        """Share of the reference that was found; NaN if there is none."""
        return self.matched / self.reference if self.reference else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of both, 2 × matched / (found + reference); NaN if both are empty."""
        total = self.found + self.reference
        return 2 * self.matched / total if total else float("nan")


def match_centres(
    x_um: Floats, y_um: Floats, x_ref_um: Floats, y_ref_um: Floats, tolerance_um: float
) -> Detection:
    """Pair as many centres as possible, one to one, within ``tolerance_um``.

    The largest matching (Hopcroft and Karp), so that the order of the objects does not matter.
    """
    pairs = 0
    if len(x_um) and len(x_ref_um):
        tree = cKDTree(np.column_stack([x_ref_um, y_ref_um]))
        near = tree.query_ball_point(np.column_stack([x_um, y_um]), tolerance_um)
        starts = np.concatenate([[0], np.cumsum([len(n) for n in near])])
        columns = np.concatenate([np.asarray(n, dtype=np.int64) for n in near])
        graph = csr_matrix(
            (np.ones(len(columns), dtype=np.int8), columns, starts),
            shape=(len(x_um), len(x_ref_um)),
        )
        pairs = int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())
    return Detection(matched=pairs, found=len(x_um), reference=len(x_ref_um))
