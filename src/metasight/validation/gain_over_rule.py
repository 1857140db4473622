"""Net benefit of acting by a risk beside acting by a yes-or-no rule, on the same patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import EvaluationError
from metasight.estimate import Estimate
from metasight.validation.decision_curve import net_benefit_class

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class GainAt:
    """Net benefit at one threshold, of acting by the risk, by the rule, and on everybody.

    Attributes
    ----------
    threshold
        Risk from which one acts.
    risk, rule, everybody
        Net benefit.
    gain
        ``risk`` less ``rule``, with the percentile interval of patients drawn anew.
    """

    threshold: float
    risk: float
    rule: float
    everybody: float
    gain: Estimate


def gain_over_rule(
    risk: Floats,
    rule: npt.NDArray[np.bool_],
    disease: npt.NDArray[np.bool_],
    thresholds: tuple[float, ...],
    *,
    resamples: int,
    seed: int,
) -> tuple[GainAt, ...]:
    """Gain at each threshold; risk and rule see the same resamples.

    Parameters
    ----------
    risk
        In [0, 1], shape (n,).
    rule
        Whether the rule says to act, shape (n,).
    disease
        Shape (n,).
    thresholds
        In (0, 1).
    resamples, seed
        Of the bootstrap of patients; a resample with one class only is left out.

    Raises
    ------
    EvaluationError
        One of the two classes is missing, among the patients or in every resample.
    """
    y = np.asarray(disease, dtype=np.float64)
    acted = np.asarray(rule, dtype=np.float64)
    if len(y) == 0 or len(np.unique(y)) < 2:
        raise EvaluationError("both classes are needed among patients with a rule and a risk")
    rng = np.random.default_rng([seed, 0x7374])
    gains: list[Floats] = []
    for _ in range(resamples):
        rows = rng.integers(0, len(y), len(y))
        if 0 < y[rows].sum() < len(y):
            gains.append(
                _net(risk[rows], y[rows], thresholds) - _net(acted[rows], y[rows], thresholds)
            )
    if not gains:
        raise EvaluationError("no resample of the patients holds both classes")
    low, high = np.quantile(np.array(gains), [0.025, 0.975], axis=0)
    by_risk, by_rule = _net(risk, y, thresholds), _net(acted, y, thresholds)
    everybody = _net(np.ones(len(y)), y, thresholds)
    return tuple(
        GainAt(
            threshold=t,
            risk=float(by_risk[k]),
            rule=float(by_rule[k]),
            everybody=float(everybody[k]),
            gain=Estimate(
                value=float(by_risk[k] - by_rule[k]), lower=float(low[k]), upper=float(high[k])
            ),
        )
        for k, t in enumerate(thresholds)
    )


def _net(risk: Floats, y: Floats, thresholds: tuple[float, ...]) -> Floats:
    return np.asarray(net_benefit_class(risk, y, thresholds).model)
