import numpy as np
import pandas as pd
import pytest

from metasight.biology.expression import genes_of_all, log_of_counts
from metasight.errors import EvaluationError


def test_counts_become_logarithms_of_base_two_after_one_is_added():
    counts = pd.DataFrame({"A": [0, 1], "B": [3, 1023]}, index=["p", "q"])
    found = log_of_counts(counts, where="genes")
    assert found.loc["p"].tolist() == [0.0, 2.0]
    assert found.loc["q"].tolist() == [1.0, 10.0]


def test_only_genes_of_every_patient_are_kept():
    table = pd.DataFrame({"A": [1.0, np.nan], "B": [1.0, 2.0]})
    assert list(genes_of_all(table).columns) == ["B"]
    with pytest.raises(EvaluationError, match="no gene was measured in all"):
        genes_of_all(table[["A"]])


def test_a_negative_value_is_no_count():
    with pytest.raises(EvaluationError, match="below 0 is no count") as caught:
        log_of_counts(pd.DataFrame({"A": [0.0, -0.1], "B": [np.e, 1]}), where="genes")
    assert "genes" in str(caught.value)
