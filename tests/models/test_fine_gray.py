import time

import numpy as np

from metasight.models.registry import ModelSettings, build


def test_coefficients_and_incidence_are_those_of_crr(reference, values, continuous_table):
    expected = values["rotterdam"]
    terms = expected["crr_cause1"]["terms"]
    table, outcome, frame = continuous_table(reference / "data" / "rotterdam.csv", terms, "status")
    started = time.process_time()
    fitted = build(ModelSettings(kind="fine_gray", name="fg")).fit(table, outcome, seed=0)
    assert time.process_time() - started < 5.0
    found = fitted.state["head"]["fit"]["coefficients_per_unit"]
    np.testing.assert_allclose([found[t] for t in terms], expected["crr_cause1"]["coef"], atol=1e-6)
    rows = np.argsort(frame["pid"].to_numpy(), kind="stable")[:10]
    risk = fitted.predict(table.rows(table.values.index[rows]), np.array([1826]))[:, 0]
    np.testing.assert_allclose(risk, expected["crr_pred5_first10"]["cif5"], atol=1e-7)


def test_held_out_risks_are_those_of_r(reference, values, continuous_table):
    import pandas as pd

    terms = values["rotterdam"]["crr_cause1"]["terms"]
    table, outcome, frame = continuous_table(reference / "data" / "rotterdam.csv", terms, "status")
    frozen = pd.read_csv(reference / "data" / "rotterdam_test_predictions.csv").set_index("pid")
    train = np.flatnonzero(frame["test"] == 0)
    test = np.flatnonzero(frame["test"] == 1)
    expected = frozen.loc[frame["pid"].iloc[test]]
    for kind, column in (("cause_specific_cox", "csc5"), ("fine_gray", "fgr5")):
        fitted = build(ModelSettings(kind=kind, name=kind)).fit(
            table.rows(table.values.index[train]), outcome.take(train), seed=0
        )
        risk = fitted.predict(table.rows(table.values.index[test]), np.array([1826]))[:, 0]
        np.testing.assert_allclose(risk, expected[column], atol=1e-6)


def test_without_competing_events_it_is_a_cox_model(simulated):
    from metasight.cohort.outcome import SurvivalOutcome
    from metasight.models.cox import fit_hazard
    from metasight.models.fine_gray import fit_subdistribution

    x, follow_up, event = simulated(ties=False)
    cox = fit_hazard(x, follow_up, event, model="cox")
    fine_gray = fit_subdistribution(
        x, SurvivalOutcome(follow_up, event.astype(np.int8)), model="fg"
    )
    np.testing.assert_allclose(fine_gray.coefficients, cox.coefficients, atol=1e-6)
    np.testing.assert_allclose(fine_gray.increments, cox.increments, rtol=1e-5)
