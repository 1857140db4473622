"""Runs to be written up: survival, competing and nodal endpoints, made up and judged for real."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.describe import FollowUp, Table1, Table1Row
from metasight.cohort.eligibility import FlowStep
from metasight.leakage import Check
from metasight.predictions import NODAL_LABELS, Predictions
from metasight.protocol.load import read_protocol
from metasight.report.contents import (
    AnalysisResult,
    FlowCounts,
    ModelDescription,
    OptimismResult,
    ReportContents,
    SampleSizeResult,
)
from metasight.validation.evaluate import centre_gap, evaluate, evaluate_centres
from metasight.validation.results import EvaluationPlan

CENTRES = ("North", "South & Söns", "West")
HOSTILE = 'Tumour <script>alert("1")</script> & #set $x^2$ *bold* _it_ @ref \\ [a](b) “q” 5 < 6'
REFERENCE, HEADLINE = "clinical", "clinical + maps"
HORIZONS = (1826, 3652)


def simulate(
    kind: str,
    *,
    n: int = 160,
    signal: float = 1.0,
    seed: int = 3,
    by_centre: bool = False,
    models: tuple[str, ...] = (REFERENCE, HEADLINE),
) -> Predictions:
    """Out-of-fold predictions; ``signal`` 0 gives risks that know nothing."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    onset = rng.exponential(np.exp(-score) * 4000) + 1
    censoring = rng.uniform(1500, 6500, n)
    status = (onset <= censoring).astype(float)
    if kind == "competing":
        status[(status == 1) & (rng.random(n) < 0.25)] = 2
    days = np.ceil(np.minimum(onset, censoring))
    centre = np.array(CENTRES)[rng.integers(0, 3, n)]
    stage = np.digitize(score + rng.logistic(size=n), [0.8, 2.0]).astype(float)
    stage[:6] = np.nan
    parts = []
    for k, model in enumerate(models):
        fold = rng.permutation(n) % 3
        if by_centre:
            fold = np.unique(centre, return_inverse=True)[1]
        lp = signal * score + rng.normal(size=n) * (1.2 - 0.5 * k)
        base = {
            "patient": [f"p{i:04d}" for i in range(n)],
            "centre": centre,
            "arm": None,
            "model": model,
            "repeat": 0,
            "fold": fold,
            "endpoint": ENDPOINT[kind],
        }
        if kind == "nodal":
            p = np.exp(np.outer(lp, [-0.5, 0.2, 0.6]))
            p /= p.sum(axis=1, keepdims=True)
            parts += [
                pd.DataFrame(
                    {
                        **base,
                        "horizon_days": None,
                        "label": label,
                        "risk": p[:, c],
                        "time_days": np.nan,
                        "status": stage,
                    }
                )
                for c, label in enumerate(NODAL_LABELS)
            ]
        else:
            parts += [
                pd.DataFrame(
                    {
                        **base,
                        "horizon_days": h,
                        "label": None,
                        "time_days": days,
                        "status": status,
                        "risk": 1 - np.exp(-h / 6000 * np.exp(0.7 * lp)),
                    }
                )
                for h in (913, *HORIZONS)
            ]
    return Predictions(pd.concat(parts, ignore_index=True))


ENDPOINT = {"survival": "dmfs", "competing": "distant_metastasis", "nodal": "nodal_stage"}


def plan(kind: str, predictions: Predictions) -> EvaluationPlan:
    patients = sorted(predictions.table["patient"].unique())
    size = {p: "few" if i < 8 else "many" for i, p in enumerate(patients)}
    return EvaluationPlan(
        endpoint=ENDPOINT[kind],
        horizons_days=() if kind == "nodal" else HORIZONS,
        tau_days=None if kind == "nodal" else 3652,
        reference_model=REFERENCE,
        headline_model=HEADLINE,
        thresholds=(0.1, 0.2, 0.3),
        n_bootstrap=20,
        n_curve_bootstrap=20,
        subgroups={"grade": size},
    )


def analysis(
    kind: str,
    *,
    population: str = "all_eligible",
    headline: bool = True,
    signal: float = 1.0,
    centres: bool = False,
    seed: int = 3,
) -> AnalysisResult:
    told = simulate(kind, signal=signal, seed=seed)
    judged = evaluate(told, plan(kind, told))
    left_out = simulate(kind, signal=signal, seed=seed, by_centre=True) if centres else None
    follow = FollowUp(
        median_days=2900.0,
        maximum_days=6400.0,
        censored=70,
        events=judged.data.n_events,
        competing=judged.data.n_competing,
    )
    return AnalysisResult(
        endpoint=ENDPOINT[kind],
        population=population,
        headline=headline,
        n=160,
        events=judged.data.n_events,
        deviations=("death was not recorded & <b>not</b> part of the event",),
        refused_horizons=("15 years: too few are followed",) if kind != "nodal" else (),
        follow_up=None if kind == "nodal" else follow,
        table1=Table1(
            groups={"All": 160, "North": 60, "South & Söns": 50, "West": 50},
            rows=(
                Table1Row(
                    label="Age at surgery, years",
                    cells={"All": "61.0 (52.0–70.0)"},
                    missing={"All": 4},
                ),
                Table1Row(label="Histological grade", cells={"All": ""}, missing={"All": 0}),
                Table1Row(label="  1", cells={"All": "30 (19 %)"}, missing={"All": 0}),
            ),
        ),
        missing={"age_years": 4, "grade": 0},
        evaluation=judged,
        centres=evaluate_centres(left_out, plan(kind, left_out)) if left_out else None,
        gaps=centre_gap(told, left_out, plan(kind, told)) if left_out else (),
        temporal=None,
        failures=(),
    )


def flow(protocol, *, excluded=(("I1", 5),), unknown=(("I2", 2),), waived=("I5",)) -> FlowCounts:
    out, held, left = dict(excluded), dict(unknown), 180
    steps = []
    for c in protocol.criterion:
        left -= out.get(c.id, 0) + held.get(c.id, 0)
        steps.append(
            FlowStep(
                criterion=c.id,
                kind=c.kind,
                text=c.text,
                excluded=out.get(c.id, 0),
                unknown=held.get(c.id, 0),
                remaining=left,
                waived="no slides <here>" if c.id in waived else "",
            )
        )
    return FlowCounts(
        screened=183,
        failed=3,
        steps=tuple(steps),
        as_written=left - 13,
        all_eligible=left - 13 if protocol.id != "breast-dmfs" else left,
    )


CHECKS = (
    Check(
        id="folds-disjoint",
        title="A patient is in one fold",
        verdict="pass",
        finding="12 fits were handed their own",
        limit="0",
    ),
    Check(
        id="windows",
        title="Predictors were measured in time",
        verdict="warn",
        finding="2 are as stated by the authors",
        limit="all dated",
    ),
    Check(
        id="centre-shortcut",
        title="No shortcut",
        verdict="not done",
        finding="one centre",
        limit="AUC ≤ 0.8",
    ),
)


def build(
    *analyses: AnalysisResult, title: str = "A study of made-up patients", demonstration: str = ""
) -> ReportContents:
    nodal = analyses[0].evaluation.kind == "nodal"
    protocol = read_protocol("nsclc-occult-node" if nodal else "breast-dmfs")
    models = tuple(
        ModelDescription(
            name=name,
            kind="cox",
            modalities=("clinical",),
            role=role,
            settings={"kind": "cox", "splines": False},
            notes=("a <note>",),
            coefficients={"age_years": 0.02, "X1_at": -0.4, "zero": 0.0},
        )
        for name, role in ((REFERENCE, "reference"), (HEADLINE, "headline"))
    )
    return ReportContents(
        title=title,
        protocol=protocol,
        run="0123456789ab",
        flow=flow(protocol),
        accrual=("2015-01", "2019-12"),
        waived={"I5": "no slides <here>"},
        not_recorded={"death": "the table has none"},
        constants={"sex": "female: women only"},
        analyses=analyses,
        checks=CHECKS,
        optimism=OptimismResult(
            model=HEADLINE,
            resamples=20,
            apparent_c=0.8,
            optimism=0.06,
            corrected_c=0.74,
            mape=0.05,
            patients=tuple(
                {"risk": r / 50, "lower": r / 60, "upper": r / 40} for r in range(1, 30)
            ),
            horizon="any positive node" if nodal else "1826 days",
        ),
        sample_size=SampleSizeResult(
            model=REFERENCE,
            parameters=6,
            required_n=400,
            required_events=90.0,
            criteria={"shrinkage of at most 10 %": 400, "optimism in R² of at most 0.05": 100},
            available_n=160,
            available_events=analyses[0].events,
            assumptions="R² at 15 % of its largest possible value",
            all_parameters=26,
            all_required_n=1733,
        ),
        models=models,
        reference_model=REFERENCE,
        headline_model=HEADLINE,
        single_centre_reason=None if analyses[0].centres else "the table names no hospital",
        settings={
            "analysis": {"seed": 1, "folds": 3},
            "model": [{"kind": "cox", "name": HEADLINE}],
        },
        inputs={"patients.csv": "ab" * 32},
        versions={"python": "3.11", "metasight": "0.1.0"},
        code="cd" * 32,
        demonstration=demonstration,
    )


@pytest.fixture(scope="session")
def survival() -> ReportContents:
    """Both populations, a competing secondary endpoint, three centres."""
    return build(
        analysis("survival", centres=True),
        analysis("survival", population="as_written", headline=False),
        analysis("competing", headline=False),
    )


@pytest.fixture(scope="session")
def nodal() -> ReportContents:
    return build(analysis("nodal"))


@pytest.fixture(scope="session")
def null_signal() -> ReportContents:
    """Risks that know nothing of the outcome."""
    return build(analysis("survival", signal=0.0, seed=8), demonstration="Made up; no evidence.")


@pytest.fixture(scope="session")
def hostile(survival: ReportContents) -> ReportContents:
    """The same run with text that would break markup."""
    renamed = replace(survival.models[0], name=HOSTILE, notes=(HOSTILE,))
    return replace(
        survival,
        title=HOSTILE,
        waived={"I5": HOSTILE},
        single_centre_reason=HOSTILE,
        constants={"sex": HOSTILE},
        models=(renamed, *survival.models[1:]),
    )
