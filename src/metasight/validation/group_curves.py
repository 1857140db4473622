"""Cumulative incidence by groups of predicted risk, with bands from patient resamples."""

from __future__ import annotations

import numpy as np

from metasight.validation.bootstrap import Draws
from metasight.validation.calibration import risk_groups
from metasight.validation.curves import incidence_at
from metasight.validation.group_curve import GroupCurve
from metasight.validation.ordering import EVENT
from metasight.validation.table import Aligned, Target

GROUPS = ("lowest third of risk", "middle third of risk", "highest third of risk")
_TIMES = 61
_LEAST_IN_A_GROUP = 10


def group_curves(
    aligned: Aligned,
    name: str,
    target: Target,
    draws: Draws,
    *,
    tau: float,
    confidence: float,
) -> tuple[GroupCurve, ...]:
    """Thirds of a model's risk, and what happened in each of them.

    A patient's risk is the mean over the repeats of the cross-validation; the groups are fixed,
    only patients are resampled.

    Parameters
    ----------
    aligned, name
        Everybody, and the model.
    target
        The horizon whose risk groups the patients.
    draws
        Shape ``(1 + B, n)``; the first row holds everybody once.
    tau
        Last time, in days.
    confidence
        Level of the pointwise band.

    Returns
    -------
    tuple of GroupCurve
        Lowest risk first; empty for nodal stage, and where a third holds fewer than ten patients.
    """
    if aligned.kind == "nodal":
        return ()
    at = [t.name for t in aligned.targets].index(target.name)
    risk = aligned.models[name].risk[:, at].mean(axis=0)
    group = risk_groups(risk, len(GROUPS))
    if np.bincount(group, minlength=len(GROUPS)).min() < _LEAST_IN_A_GROUP:
        return ()
    data = aligned.data.censored_at(tau)
    days = np.linspace(0.0, tau, _TIMES)
    weights = np.ascontiguousarray(draws[:, data.order], dtype=np.float64)
    tail = (1 - confidence) / 2
    curves = []
    for k, label in enumerate(GROUPS):
        inside = group == k
        chosen = inside[data.order]
        found = np.stack(
            [incidence_at(data.time, data.status, row, chosen, days) for row in weights]
        )
        lower, upper = np.nanquantile(found[1:], [tail, 1 - tail], axis=0)
        time = data.time[chosen]
        curves.append(
            GroupCurve(
                name=label,
                n=int(inside.sum()),
                events=int((data.status[chosen] == EVENT).sum()),
                lowest=float(risk[inside].min()),
                highest=float(risk[inside].max()),
                days=tuple(days.tolist()),
                incidence=tuple(found[0].tolist()),
                lower=tuple(lower.tolist()),
                upper=tuple(upper.tolist()),
                at_risk=tuple(int((time >= d).sum()) for d in days),
            )
        )
    return tuple(curves)
