"""Who lacks which predictors: groups of patients by what is missing, to judge models in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metasight.features.columns import FeatureTable

ANY = "any predictor"
"""Variable that tells patients with every predictor from the others."""
COMPLETE, INCOMPLETE = "complete", "some missing"
RECORDED, MISSING = "recorded", "missing"

FEWEST = 10
"""Patients who must lack a predictor, or have one, before they are a group."""
MOST = 12
"""Predictors and modalities by which patients are grouped."""


@dataclass(frozen=True, kw_only=True)
class MissingPatterns:
    """Groups of patients by what they lack.

    Attributes
    ----------
    groups
        Variable → patient → level. :data:`ANY` is first, then modalities that patients lack as a
        whole, then predictors, those that most lack first.
    together
        Variable → further predictors that the same patients lack.
    few
        Predictor → patients who lack it, where they (or the others) are fewer than
        :data:`FEWEST`.
    further
        Predictors beyond :data:`MOST`, which make no groups.
    """

    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    together: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    few: Mapping[str, int] = field(default_factory=dict)
    further: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the patients."""
        return {
            "variables": list(self.groups),
            "together": {k: list(v) for k, v in self.together.items()},
            "few": dict(self.few),
            "further": list(self.further),
        }


def missing_patterns(
    table: FeatureTable, names: Sequence[str], rows: NDArray[np.bool_]
) -> MissingPatterns:
    """Group patients by what they lack of some features.

    Parameters
    ----------
    table
        Of the analysis.
    names
        Features that a model reads.
    rows
        Shape (n,): patients who are judged.

    Returns
    -------
    MissingPatterns
        Empty where none of them lacks a feature. A feature that nobody has is none.
    """
    patients = [str(p) for p in table.values.index[rows]]
    own = [f for f in table.features if f.name in set(names)]
    missing = {f.name: table.values[f.name].isna().to_numpy()[rows] for f in own}
    missing = {name: gap for name, gap in missing.items() if not gap.all()}
    lacking = {name: gap for name, gap in missing.items() if gap.any()}
    if not lacking:
        return MissingPatterns()
    found: dict[str, NDArray[np.bool_]] = {}
    for modality in dict.fromkeys(f.modality for f in own):
        gaps = [missing[f.name] for f in own if f.modality == modality and f.name in missing]
        if len(gaps) > 1:
            found[modality] = np.logical_and.reduce(gaps)
    found |= dict(sorted(lacking.items(), key=lambda item: -int(item[1].sum())))
    kept: dict[str, NDArray[np.bool_]] = {}
    together: dict[str, list[str]] = {}
    few: dict[str, int] = {}
    further: list[str] = []
    for name, gap in found.items():
        n = int(gap.sum())
        alike = next((k for k, other in kept.items() if np.array_equal(gap, other)), None)
        if min(n, len(patients) - n) < FEWEST:
            few |= {name: n} if name in lacking else {}
        elif alike is not None:
            together.setdefault(alike, []).append(name)
        elif len(kept) == MOST:
            further.append(name)
        else:
            kept[name] = gap
    some = np.logical_or.reduce(list(lacking.values()))
    groups = {ANY: _levels(patients, some, INCOMPLETE, COMPLETE)}
    groups |= {name: _levels(patients, gap, MISSING, RECORDED) for name, gap in kept.items()}
    return MissingPatterns(
        groups=groups,
        together={k: tuple(v) for k, v in together.items() if k in kept},
        few=few,
        further=tuple(further),
    )


def _levels(
    patients: Sequence[str], gap: NDArray[np.bool_], yes: str, no: str
) -> Mapping[str, str]:
    return {p: yes if g else no for p, g in zip(patients, gap.tolist(), strict=True)}
