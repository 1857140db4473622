"""A study whose patients lack predictors: imputed many times, and judged by what they lack."""

from __future__ import annotations

import numpy as np

from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.engine.step import StepKind
from metasight.steps import artefacts
from metasight.study.file import read_study
from metasight.validation.imputed import ImputedEvaluation
from metasight.validation.results import Evaluation

CHANGES = [
    ('I5 = "no slides in a test"', 'E8 = "gaps are wanted here"\nI5 = "no slides in a test"'),
    ("noise_replicates = 1", "noise_replicates = 1\nimputations = 3\ninterval_refits = 0"),
    ('kind = "forest"\nname = "forest"\nn_trees = 20', 'kind = "elastic_net_cox"\nname = "net"'),
    ('headline_model = "forest"', 'headline_model = "net"'),
]


def test_gaps_are_imputed_many_times_and_grouped_by(breast_study, breast_table):
    table = breast_table(260)
    lacking = np.random.default_rng(0).random(len(table)) < 0.35
    table["er"] = table["er"].mask(lacking, "")
    study = read_study(breast_study(table=table, replace=CHANGES))
    folder, made = pipeline.run(study, scheduler="inline", progress=Silent())
    steps = pipeline.planned(study)
    assert sum(s.kind is StepKind.FIT_IMPUTED for s in steps.values()) == 4
    (evaluation,) = [s for s in steps.values() if s.kind is StepKind.EVALUATE and s.argument.leads]
    with pipeline.work_on(study, scheduler="inline", progress=Silent()) as work:
        judged = work.folder(evaluation)
    told = artefacts.IMPUTED.read(judged)
    found = ImputedEvaluation.from_json(told["performance"])
    assert {m.model for m in found.models} == {"clinical", "net"}
    assert {d.reference for d in found.differences} == {"clinical"}
    assert "er_positive" in [c["name"] for c in told["coefficients"]["coefficients"]]
    by_missing = Evaluation.from_json(artefacts.EVALUATION.read(judged)).models["net"].by_missing
    assert [g.variable for g in by_missing] == ["any predictor"] * 2 + ["er_positive"] * 2
    assert sum(g.n for g in by_missing[:2]) == sum(g.n for g in by_missing[2:])
    page = (folder / "report.html").read_text("utf-8")
    for anchor in ("missing-patterns-table", "multiple-imputation-table", "pooled-coefficients"):
        assert f'id="{anchor}"' in page
    assert made
    assert pipeline.run(study, scheduler="inline", progress=Silent())[1] == ()
