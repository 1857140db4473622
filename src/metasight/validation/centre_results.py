"""What leave-one-centre-out says: every model centre by centre, and its gap to random folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metasight.validation.json_tree import from_jsonable, to_jsonable
from metasight.validation.results import (
    CentreSummary,
    ContrastMetric,
    EvaluationSettings,
    Kind,
    Metric,
    NotEstimable,
)


@dataclass(frozen=True, kw_only=True)
class CentreGap:
    """Random folds against leave-one-centre-out, for one model, on the same patients.

    ``gap`` is random folds minus left-out centres: a positive gap is what the model owes to
    having seen the centre before.
    """

    model: str
    measure: str
    random_folds: Metric
    left_out_centres: Metric
    gap: ContrastMetric


@dataclass(frozen=True, kw_only=True)
class CentreEvaluation:
    """Leave-one-centre-out predictions judged centre by centre.

    ``models`` maps each model to its centres and their pooling.
    """

    endpoint: str
    kind: Kind
    settings: EvaluationSettings
    models: dict[str, CentreSummary | NotEstimable]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return plain dicts, lists, text and numbers; NaN becomes null."""
        return to_jsonable(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> CentreEvaluation:
        """Read what :meth:`to_json` gave."""
        return from_jsonable(cls, data)
