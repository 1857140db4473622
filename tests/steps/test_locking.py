"""What a bundle is told of a study: standing of a risk, figures of the model card, states."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight.engine.step import Input, Inputs, StepKind
from metasight.estimate import Estimate
from metasight.predictions import Predictions
from metasight.steps.files import write_json
from metasight.steps.locking import _interval, _standing, final_states, performance
from metasight.validation.evaluate import evaluate
from metasight.validation.results import EvaluationPlan
from validation.conftest import predictions


def fits(tmp_path, kind: StepKind, states: dict[str, dict | None]) -> tuple[Input, ...]:
    made = []
    for name, state in states.items():
        folder = tmp_path / name
        folder.mkdir()
        if state is not None:
            write_json(folder / "state.json", state)
        made.append(Input(name=f"{kind} {name}", kind=kind, subject=name, folder=folder))
    return tuple(made)


def test_final_states_are_those_of_everybody_that_could_be_fitted(tmp_path):
    inputs = Inputs(
        (
            *fits(tmp_path, StepKind.FIT_EVERYBODY, {"clinical": {"a": 1}, "fusion": None}),
            *fits(tmp_path, StepKind.FIT_RESAMPLE, {"resampled": {"a": 2}}),
        )
    )
    assert final_states(inputs) == {"clinical": {"a": 1}}


def test_a_patient_stands_by_the_mean_of_the_repeats():
    """Three patients in two repeats: 0.2, 0.4 and 0.6 on average, whatever each repeat said."""
    rows = [
        {
            "patient": f"P{i}",
            "centre": "A",
            "arm": None,
            "model": model,
            "repeat": repeat,
            "fold": 0,
            "endpoint": "dm",
            "horizon_days": horizon,
            "label": None,
            "risk": (0.2 + 0.2 * i + shift) * scale,
            "time_days": 100.0,
            "status": 0,
        }
        for model, scale in (("fusion", 1.0), ("other", 0.1))
        for repeat, shift in ((0, -0.1), (1, 0.1))
        for horizon in (365, 730)
        for i in range(3)
    ]
    found = _standing(Predictions(pd.DataFrame(rows)), "fusion").quantiles
    assert set(found) == {"365", "730"}
    assert found["365"] == pytest.approx(np.linspace(0.2, 0.6, 21))


def test_nodal_risks_stand_by_class():
    table = predictions(60, kind="nodal", models=1, repeats=1)
    found = _standing(table, "model0").quantiles
    assert set(found) == {"N0", "N1", "N2"}
    own = table.table[table.table["label"] == "N2"]["risk"]
    assert found["N2"][10] == pytest.approx(own.median())
    assert found["N2"][0] == pytest.approx(own.min())
    assert found["N2"][-1] == pytest.approx(own.max())


def test_figures_are_written_with_their_interval_or_bare():
    assert _interval(Estimate(value=0.71234)) == "0.712"
    assert _interval(Estimate(value=0.71234, lower=0.6, upper=0.79996)) == (
        "0.712 (95 % interval 0.600 to 0.800)"
    )


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("survival", {"harrell c", "uno c", "integrated ipa", "AUC, 800 days", "AUC, 1200 days"}),
        ("nodal", {"ordinal c", "AUC, N1 or worse", "AUC, N2"}),
    ],
)
def test_a_model_card_has_the_figures_that_the_endpoint_allows(kind, names):
    nodal = kind == "nodal"
    plan = EvaluationPlan(
        endpoint="dm",
        horizons_days=() if nodal else (800, 1200),
        tau_days=None if nodal else 1200.0,
        reference_model="model0",
        headline_model="model0",
        n_bootstrap=20,
        n_curve_bootstrap=20,
    )
    evaluation = evaluate(predictions(80, kind=kind, models=1, repeats=1), plan)
    told = performance(evaluation, "model0")
    assert set(told) == names
    auc = evaluation.models["model0"].targets[0].auc
    assert told[f"AUC, {evaluation.models['model0'].targets[0].target}"].startswith(
        f"{auc.value:.3f} (95 % interval {auc.lower:.3f}"
    )
