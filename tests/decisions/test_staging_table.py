"""Patients by the rule and by the risk, counted by hand."""

import numpy as np

from metasight.decisions.staging_table import staging_cells


def test_every_patient_stands_in_one_cell():
    verdict = ["optional", "optional", "indicated", "unknown", "indicated"]
    risk = np.array([0.05, 0.1, 0.3, 1.0, np.nan])
    stage = np.array([0, 1, -1, 2, 1])
    cells = staging_cells(verdict, risk, stage, (0.1, 0.2))
    assert len(cells) == 3 * 4
    found = {
        (c.rule, c.low): (c.high, c.patients, c.examined, c.positive) for c in cells if c.patients
    }
    assert found == {
        ("optional", 0.0): (0.1, 1, 1, 0),
        ("optional", 0.1): (0.2, 1, 1, 1),  # at the threshold: above it
        ("indicated", 0.2): (1.0, 1, 0, 0),  # nodes not examined
        ("unknown", 0.2): (1.0, 1, 1, 1),
        ("indicated", None): (None, 1, 1, 1),  # the model gives no risk
    }
