"""What a colleague needs to compute a locked model's risk with a pocket calculator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metasight.features.clinical import FittedDesign
from metasight.features.skewness import Logarithm, Logarithms
from metasight.models.hazards import CauseHazard


@dataclass(frozen=True, kw_only=True)
class Formula:
    """A regression written out.

    With s the sum of coefficient × (value − mean) over the terms, the risk is

    - ``hazard``: 1 − exp(−H exp(s)) at each target, H being its constant;
    - ``odds``: the probability of a stage above the target, 1 / (1 + exp(c − s)), c being its
      constant.

    Attributes
    ----------
    kind
        ``hazard`` or ``odds``.
    terms
        Column, coefficient per unit, training mean. A column with a prime is a spline's bend.
    constants
        Target (horizon in days, or the stage that is exceeded) and its constant.
    logarithms
        Column whose value is a logarithm → the feature that it is of, and how it is taken.
    """

    kind: str
    terms: tuple[tuple[str, float, float], ...]
    constants: tuple[tuple[str, float], ...]
    logarithms: Mapping[str, tuple[str, Logarithm]] = field(default_factory=dict)

    def risk(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """Risk at each target from values of every column, of a logarithm from its feature's."""
        s = sum(b * (self._value(name, values) - mean) for name, b, mean in self.terms)
        if self.kind == "hazard":
            return tuple(float(-np.expm1(-h * np.exp(s))) for _, h in self.constants)
        return tuple(float(1 / (1 + np.exp(c - s))) for _, c in self.constants)

    def _value(self, column: str, values: Mapping[str, float]) -> float:
        if column not in self.logarithms:
            return values[column]
        feature, logarithm = self.logarithms[column]
        return float(logarithm.of(np.asarray(values[feature], dtype=np.float64)))


def formula_of(state: Mapping[str, Any], horizons_days: Sequence[int]) -> Formula | None:
    """The formula of a fitted regression.

    Parameters
    ----------
    state
        Of the model.
    horizons_days
        Targets of follow-up; ignored by nodal stage.

    Returns
    -------
    None for what has none: trees, networks, stacks, scores, and incidences of two causes; and where
    a term is of a feature that is harmonised between centres or drawn in for its error of
    measurement first: its measured value is not what the coefficient is of.
    """
    head, reader = state["head"], state["reader"]
    if reader["kind"] != "preparation":
        return None
    design, chosen = reader["design"], reader["chosen"]
    scale, mean = np.asarray(design["scale"]), np.asarray(design["mean"])
    found = _constants(head, horizons_days)
    if found is None:
        return None
    kind, per_sd, constants = found
    owners = FittedDesign(design).owners
    used = [(j, b) for j, b in zip(chosen, per_sd, strict=True) if b != 0]
    if reader["harmony"] or {owners[j] for j, _ in used} & set(reader["shrinkage"]):
        return None
    logs = Logarithms.from_state(reader.get("logarithms", {}))
    names = {j: logs.named(str(design["columns"][j]), owners[j]) for j, _ in used}
    return Formula(
        kind=kind,
        terms=tuple((names[j], float(b / scale[j]), float(mean[j])) for j, b in used),
        constants=constants,
        logarithms={
            names[j]: (owners[j], logs.learnt[owners[j]])
            for j, _ in used
            if owners[j] in logs.learnt and design["columns"][j] == owners[j]
        },
    )


def _constants(
    head: Mapping[str, Any], horizons_days: Sequence[int]
) -> tuple[str, Sequence[float], tuple[tuple[str, float], ...]] | None:
    """Kind of a formula, coefficients of standardised columns, and constants by target."""
    if head["kind"] == "hazards" and len(head["causes"]) == 1:
        cause = head["causes"][0]
        hazard = CauseHazard(
            coefficients=np.asarray(cause["coefficients"], dtype=np.float64),
            times=np.asarray(cause["times"], dtype=np.float64),
            increments=np.asarray(cause["increments"], dtype=np.float64),
        )
        days = np.asarray(horizons_days, dtype=np.int64)
        cumulative = hazard.cumulative(days)
        constants = tuple(
            (str(d), float(h)) for d, h in zip(days.tolist(), cumulative, strict=True)
        )
        return "hazard", cause["coefficients"], constants
    if head["kind"] == "ordinal":
        below = head["classes"][:-1]
        cuts = tuple((f"N{k}", float(c)) for k, c in zip(below, head["thresholds"], strict=True))
        return "odds", head["coefficients"], cuts
    if head["kind"] == "logistic":
        return "odds", head["coefficients"], (("N0", -float(head["intercept"])),)
    return None
