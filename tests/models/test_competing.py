import numpy as np

from metasight.cohort.outcome import SurvivalOutcome
from metasight.models.registry import ModelSettings, build


def _fit(kind, reference, values, continuous_table):
    terms = values["rotterdam"]["crr_cause1"]["terms"]
    table, outcome, frame = continuous_table(reference / "data" / "rotterdam.csv", terms, "status")
    fitted = build(ModelSettings(kind=kind, name=kind)).fit(table, outcome, seed=0)
    return terms, table, frame, fitted


def test_cause_specific_cox_is_that_of_risk_regression(reference, values, continuous_table):
    terms, table, frame, fitted = _fit("cause_specific_cox", reference, values, continuous_table)
    expected = values["rotterdam"]
    fit = fitted.state["head"]["fit"]
    for key, found in (
        ("coef1", fit["coefficients_per_unit"]),
        ("coef2", fit["competing_coefficients_per_unit"]),
    ):
        np.testing.assert_allclose([found[t] for t in terms], expected["csc"][key], atol=1e-6)
    rows = np.argsort(frame["pid"].to_numpy(), kind="stable")[:10]
    risk = fitted.predict(table.rows(table.values.index[rows]), np.array([1826]))[:, 0]
    np.testing.assert_allclose(risk, expected["csc_pred5_first10"], atol=1e-8)


def test_incidences_of_both_causes_and_survival_add_to_one(reference, values, continuous_table):
    _, table, _, fitted = _fit("cause_specific_cox", reference, values, continuous_table)
    from dataclasses import replace

    head = fitted.head
    swapped = replace(head, causes=head.causes[::-1])
    matrix = fitted.reader.matrix(table.rows(table.values.index[:200]))
    horizons = np.array([365, 1826, 4000])
    total = head.risk(matrix, horizons) + swapped.risk(matrix, horizons)
    assert (total <= 1 + 1e-12).all()
    assert (np.diff(total, axis=1) >= 0).all()


def test_rare_competing_cause_enters_survival_only(simulated):
    import pandas as pd

    from metasight.features.columns import Feature, FeatureTable, Kind

    x, time, event = simulated(p=5)
    status = event.astype(np.int8)
    status[np.flatnonzero(~event)[:3]] = 2
    frame = pd.DataFrame(x, index=[f"p{i:03d}" for i in range(len(x))], columns=list("abcde"))
    table = FeatureTable(frame, tuple(Feature(name=c, kind=Kind.CONTINUOUS) for c in frame))
    fitted = build(ModelSettings(kind="cause_specific_cox", name="csc")).fit(
        table, SurvivalOutcome(time, status), seed=0
    )
    assert not fitted.head.causes[1].coefficients.any()
    assert any("competing events" in note for note in fitted.state["notes"])
