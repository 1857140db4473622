"""What a final fit says beyond its coefficients: their intervals, and whether its shape holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from metasight.cohort.outcome import EVENT, Outcome, SurvivalOutcome
from metasight.estimate import Estimate
from metasight.features.columns import FeatureTable, Kind
from metasight.models.coefficient_intervals import coefficient_intervals, risk_sets_of
from metasight.models.fitted import ReaderHeadModel
from metasight.models.linearity import linearity
from metasight.models.preparation import FittedPreparation, canonical
from metasight.models.proportional_hazards import ChiSquare, proportional_hazards


@dataclass(frozen=True, kw_only=True)
class FinalFit:
    """Of one model on all its patients.

    Attributes
    ----------
    intervals
        Column → log hazard ratio per unit with its 95 % interval; empty for a penalised model.
    over_time, over_days
        Tests of proportional hazards by feature and of all, time on the scale of 1 − Kaplan–Meier
        and in days; empty where the model is no Cox regression.
    straight
        Likelihood-ratio tests of linearity of the log hazard in each continuous feature.
    """

    intervals: Mapping[str, Estimate] = field(default_factory=dict)
    over_time: tuple[ChiSquare, ...] = ()
    over_days: tuple[ChiSquare, ...] = ()
    straight: tuple[ChiSquare, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "intervals": {name: e.to_json() for name, e in self.intervals.items()},
            **{name: [asdict(t) for t in getattr(self, name)] for name in _TESTS},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FinalFit:
        """What :meth:`to_json` gave."""
        tests = {name: tuple(ChiSquare(**t) for t in data[name]) for name in _TESTS}
        intervals = {name: Estimate.from_json(e) for name, e in data["intervals"].items()}
        return cls(intervals=intervals, **tests)


_TESTS = ("over_time", "over_days", "straight")


def final_fit(fitted: ReaderHeadModel, table: FeatureTable, outcome: Outcome) -> FinalFit:
    """Look at a fitted model on the patients that it was fitted to; nothing in it changes.

    Parameters
    ----------
    fitted
        To the rows of ``table`` and ``outcome``.
    table, outcome
        What it was fitted to.
    """
    sets = risk_sets_of(fitted, table, outcome)
    reader = fitted.reader
    if sets is None or not isinstance(reader, FittedPreparation):
        return FinalFit(intervals=coefficient_intervals(fitted, table, outcome))
    return FinalFit(
        intervals=coefficient_intervals(fitted, table, outcome),
        over_time=proportional_hazards(sets, reader.owners),
        over_days=proportional_hazards(sets, reader.owners, transform="identity"),
        straight=_straight(reader, table, outcome),
    )


def _straight(
    reader: FittedPreparation, table: FeatureTable, outcome: Outcome
) -> tuple[ChiSquare, ...]:
    """A test of each continuous feature beside the others as the model has them."""
    if not isinstance(outcome, SurvivalOutcome):
        return ()
    table, follow_up = canonical(table, outcome)
    complete, matrix = reader.complete(table), reader.matrix(table)
    owners = np.asarray(reader.owners)
    found = [
        linearity(
            complete.values[f.name].to_numpy(float),
            matrix[:, owners != f.name],
            follow_up.time_days,
            follow_up.status == EVENT,
            name=f.name,
            knots=reader.design.knots(f.name),
        )
        for f in complete.features
        if f.kind is Kind.CONTINUOUS and f.name in set(reader.owners)
    ]
    return tuple(t for t in found if t is not None)
