"""Published scores as fixed baselines: NPI, CTS5, nodal single-marker rules, Fudan 2012.

The score is fixed; only what the paper does not give is refitted in the fold. A score on a log
hazard or log odds scale enters as an offset (its slope stays 1) and gets its baseline hazard or
intercept; a score on a scale of its own gets a slope too, never below zero, so that the order it
puts patients in is always the published one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from metasight.cohort.outcome import (
    COMPETING,
    EVENT,
    NodalOutcome,
    Outcome,
    SurvivalOutcome,
)
from metasight.errors import FitError
from metasight.features.columns import FeatureTable
from metasight.features.missing import FittedImputer, Imputer
from metasight.models.base import State
from metasight.models.competing import featureless
from metasight.models.elastic_net import COX, LOGISTIC, Problem
from metasight.models.fitted import ReaderHeadModel, require_nodal, require_survival
from metasight.models.hazards import CauseHazard, HazardHead, Scale
from metasight.models.logistic import LogisticHead, n2_share
from metasight.models.partial_likelihood import PartialLikelihood
from metasight.models.preparation import Preparation, canonical, observed_only

Values = Mapping[str, NDArray[np.float64]]

REFITTED = "score fixed, baseline refitted"
_RIDGE = 1e-3
"""Penalty of a refitted slope, so that a rule without failures on one side has a finite one."""
_FLAT = 1e-3
"""Smallest slope per standard deviation: keeps the score's order where the data deny it."""


def nottingham_prognostic_index(values: Values) -> NDArray[np.float64]:
    """0.2 · size in cm + nodes (1: none, 2: one to three, 3: four or more) + grade.

    Galea et al., Breast Cancer Res Treat 1992;22:207.
    """
    nodes = 1.0 + np.searchsorted([1.0, 4.0], values["positive_nodes"], side="right")
    return np.asarray(0.2 * values["tumour_size_mm"] / 10.0 + nodes + values["grade"])


def cts5(values: Values) -> NDArray[np.float64]:
    """Clinical Treatment Score after 5 years, a log hazard.

    0.438 · n + 0.988 · (0.093 · size − 0.001 · size² + 0.375 · grade + 0.017 · age), n = 0 to 4
    for 0, 1, 2–3, 4–9 and more than 9 positive nodes, size in mm, at most 30. Dowsett et al.,
    J Clin Oncol 2018;36:1941.
    """
    nodes = np.searchsorted([1.0, 2.0, 4.0, 10.0], values["positive_nodes"], side="right")
    size = np.minimum(values["tumour_size_mm"], 30.0)
    rest = 0.093 * size - 0.001 * size**2 + 0.375 * values["grade"] + 0.017 * values["age_years"]
    return np.asarray(0.438 * nodes + 0.988 * rest)


def noninvasive_by_ct(values: Values) -> NDArray[np.float64]:
    """0 where CTR ≤ 0.25 and the whole lesion ≤ 20 mm, else 1.

    Suzuki et al. (JCOG0201), J Thorac Oncol 2011;6:751.
    """
    low = (values["ctr"] <= 0.25) & (values["tumour_size_mm"] <= 20.0)
    return np.asarray(1.0 - low)


def fudan_2012(values: Values) -> NDArray[np.float64]:
    """Log odds up to an intercept, which is refitted.

    Odds ratios: age 0.974 a year, size 2.769 a cm, central 3.204, adenocarcinoma 3.537. Made for
    N2 disease in T1 tumours; read here for any positive node. Zhang et al., J Thorac Cardiovasc
    Surg 2012;144:1360.
    """
    return np.asarray(
        np.log(0.974) * values["age_years"]
        + np.log(2.769) * values["tumour_size_mm"] / 10.0
        + np.log(3.204) * values["central"]
        + np.log(3.537) * values["adenocarcinoma"]
    )


def _single(name: str) -> Callable[[Values], NDArray[np.float64]]:
    return lambda values: np.asarray(values[name])


@dataclass(frozen=True, kw_only=True)
class Score:
    """A published score.

    Attributes
    ----------
    inputs
        Canonical feature names it reads.
    compute
        From their values, shape (n,) each, none missing, to the score, shape (n,).
    outcome
        ``survival`` or ``nodal``.
    enters
        ``offset`` (log hazard or log odds: slope 1) or ``covariate`` (slope refitted, ≥ 0).
    applies_to
        Patients it was made for; stated, not enforced.
    source
        Paper.
    """

    inputs: tuple[str, ...]
    compute: Callable[[Values], NDArray[np.float64]]
    outcome: Literal["survival", "nodal"]
    enters: Literal["offset", "covariate"]
    applies_to: str
    source: str


_STAGE_I = "clinical stage I non-small-cell lung cancer"
SCORES: Mapping[str, Score] = {
    "npi": Score(
        inputs=("tumour_size_mm", "positive_nodes", "grade"),
        compute=nottingham_prognostic_index,
        outcome="survival",
        enters="covariate",
        applies_to="operable primary breast cancer",
        source="Galea et al., Breast Cancer Res Treat 1992;22:207",
    ),
    "cts5": Score(
        inputs=("tumour_size_mm", "positive_nodes", "grade", "age_years"),
        compute=cts5,
        outcome="survival",
        enters="offset",
        applies_to="ER-positive breast cancer, postmenopausal, after 5 years of endocrine therapy "
        "without distant recurrence; in other patients it is used outside its definition",
        source="Dowsett et al., J Clin Oncol 2018;36:1941",
    ),
    "nodal_size": Score(
        inputs=("tumour_size_mm",),
        compute=_single("tumour_size_mm"),
        outcome="nodal",
        enters="covariate",
        applies_to=_STAGE_I,
        source="single marker: whole-lesion diameter",
    ),
    "nodal_solid_size": Score(
        inputs=("solid_size_mm",),
        compute=_single("solid_size_mm"),
        outcome="nodal",
        enters="covariate",
        applies_to=_STAGE_I,
        source="single marker: diameter of the solid part",
    ),
    "nodal_ctr": Score(
        inputs=("ctr", "tumour_size_mm"),
        compute=noninvasive_by_ct,
        outcome="nodal",
        enters="covariate",
        applies_to="clinical stage IA lung adenocarcinoma",
        source="Suzuki et al. (JCOG0201), J Thorac Oncol 2011;6:751",
    ),
    "nodal_suvmax": Score(
        inputs=("suvmax",),
        compute=_single("suvmax"),
        outcome="nodal",
        enters="covariate",
        applies_to=_STAGE_I + ", with PET",
        source="single marker: SUVmax of the primary",
    ),
    "fudan_2012": Score(
        inputs=("age_years", "tumour_size_mm", "central", "adenocarcinoma"),
        compute=fudan_2012,
        outcome="nodal",
        enters="offset",
        applies_to="N2 disease in clinical T1 non-small-cell lung cancer; read here for any "
        "positive node",
        source="Zhang et al., J Thorac Cardiovasc Surg 2012;144:1360; intercept refitted",
    ),
}


@dataclass(frozen=True, kw_only=True)
class ScoreReader:
    """Reads a published score, one standardised column.

    Attributes
    ----------
    score
        Key of :data:`SCORES`.
    imputer
        Fills of the inputs, learnt in the fold.
    mean, scale
        Of the score among training patients.
    """

    score: str
    imputer: FittedImputer
    mean: float
    scale: float

    @property
    def state(self) -> State:
        """Plain JSON."""
        published = SCORES[self.score]
        return {
            "kind": "published_score",
            "score": self.score,
            "refit": REFITTED,
            "enters": published.enters,
            "applies_to": published.applies_to,
            "source": published.source,
            "imputer": self.imputer.state,
            "mean": self.mean,
            "scale": self.scale,
        }

    @classmethod
    def from_state(cls, state: State) -> ScoreReader:
        """Inverse of :attr:`state`."""
        return cls(
            score=state["score"],
            imputer=FittedImputer(state["imputer"]),
            mean=state["mean"],
            scale=state["scale"],
        )

    @property
    def columns(self) -> list[str]:
        """The score's name."""
        return [self.score]

    def values(self, table: FeatureTable) -> NDArray[np.float64]:
        """Return the score itself, shape (n,)."""
        return _score(self.score, self.imputer, table)

    def matrix(self, table: FeatureTable) -> NDArray[np.float64]:
        """Standardised score, shape (n, 1)."""
        return np.asarray(((self.values(table) - self.mean) / self.scale)[:, None])


def _score(score: str, imputer: FittedImputer, table: FeatureTable) -> NDArray[np.float64]:
    complete = imputer.transform(table).values
    inputs = SCORES[score].inputs
    return SCORES[score].compute({name: complete[name].to_numpy(float) for name in inputs})


@dataclass(frozen=True, kw_only=True)
class PublishedScoreModel:
    """A published score with its baseline refitted.

    Attributes
    ----------
    name
        As it appears in predictions and report.
    score
        Key of :data:`SCORES`.
    imputer
        How gaps in its inputs are filled; no indicator is read.
    """

    name: str
    score: str
    imputer: Imputer = field(default_factory=Imputer)

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> ReaderHeadModel:
        """Refit baseline (and slope, where the score is not on a log scale); no seed is used.

        Raises
        ------
        FitError
            An input is absent or has no value in training, the score is constant, or the outcome
            is not the score's.
        """
        published = SCORES[self.score]
        head: HazardHead | LogisticHead
        if published.outcome == "survival":
            table, follow_up = canonical(table, require_survival(outcome, self.name))
            reader, column, offset = self._column(table)
            head, flat = _hazard_head(column, follow_up, offset)
        else:
            stage = require_nodal(outcome, self.name)
            table, stage = observed_only(*canonical(table, stage))
            reader, column, offset = self._column(table)
            head, flat = _nodal_head(column, stage, offset)
        notes = [REFITTED, f"made for {published.applies_to}", *reader.imputer.state["notes"]]
        if flat:
            notes.append(
                "in the training patients the score ranks in the opposite direction: its "
                "slope is set close to zero"
            )
        return ReaderHeadModel(self.score, self.name, reader, head, tuple(notes))

    def _column(self, table: FeatureTable) -> tuple[ScoreReader, NDArray[np.float64], float | None]:
        """Reader, standardised score, and its slope where it is an offset."""
        reader = self._reader(table)
        offset = reader.scale if SCORES[self.score].enters == "offset" else None
        return reader, reader.matrix(table)[:, 0], offset

    def _reader(self, table: FeatureTable) -> ScoreReader:
        inputs = SCORES[self.score].inputs
        modalities = {f.modality for f in table.features}
        own = Preparation(modalities=sorted(modalities), features=inputs).select(table)
        imputer = self.imputer.fit(own)
        empty = sorted(set(inputs) - set(imputer.state["fills"]))
        if empty:
            raise FitError(
                "an input of the published score has no value in any training patient",
                where=self.name,
                value=", ".join(empty),
                remedy="Leave this baseline out of the study",
            )
        values = _score(self.score, imputer, own)
        if not float(np.ptp(values)) > 0:
            raise FitError("the score is the same for every training patient", where=self.name)
        return ScoreReader(
            score=self.score,
            imputer=imputer,
            mean=float(values.mean()),
            scale=float(values.std()),
        )


def _hazard_head(
    column: NDArray[np.float64], follow_up: SurvivalOutcome, offset: float | None
) -> tuple[HazardHead, bool]:
    """Cox baseline, and slope unless it is an offset; the competing cause reads nothing."""
    likelihood = PartialLikelihood.of(follow_up.time_days, follow_up.status == EVENT)
    x = np.asfortranarray(column[likelihood.order][:, None])
    slope, flat = offset, False
    if slope is None:
        problem = Problem(
            family=COX, matrix=x, time=likelihood.time, label=likelihood.event, factor=np.ones(1)
        )
        found = float(problem.solve(0.0, np.array([_RIDGE])).coefficients[-1, 0])
        slope, flat = max(found, _FLAT), found < _FLAT
    times, steps = likelihood.baseline(slope * x[:, 0])
    causes = [CauseHazard(coefficients=np.array([slope]), times=times, increments=steps)]
    scale: Scale = "survival"
    if follow_up.competing:
        scale = "product_integral"
        other = follow_up.status == COMPETING
        causes.append(featureless(column[:, None], follow_up.time_days, other))
    fit = {"n": len(column), "events": follow_up.n_events, "slope_refitted": offset is None}
    return HazardHead(scale=scale, causes=tuple(causes), fit=fit), flat


def _nodal_head(
    column: NDArray[np.float64], stage: NodalOutcome, offset: float | None
) -> tuple[LogisticHead, bool]:
    """Intercept, and slope unless it is an offset."""
    from scipy.optimize import brentq

    positive = (stage.stage > 0).astype(np.float64)
    slope, flat = offset, False
    if slope is None:
        problem = Problem(
            family=LOGISTIC,
            matrix=np.asfortranarray(np.column_stack([np.ones(len(column)), column])),
            time=np.zeros(len(column)),
            label=positive,
            factor=np.array([0.0, 1.0]),
        )
        found = float(problem.solve(0.0, np.array([_RIDGE])).coefficients[-1, 1])
        slope, flat = max(found, _FLAT), found < _FLAT
    linear = slope * column
    bound = 40.0 + float(np.abs(linear).max())
    intercept = brentq(
        lambda a: float((expit(a + linear) - positive).sum()), -bound, bound, xtol=1e-12
    )
    head = LogisticHead(
        intercept=float(intercept),
        coefficients=np.array([slope]),
        n2_share=n2_share(stage),
        fit={"n": len(column), "positive": stage.n_events, "slope_refitted": offset is None},
    )
    return head, flat
