"""Which stage supplies which variable, and that a protocol cannot wait for what none supplies."""

from __future__ import annotations

import pytest

from metasight.protocol.evidence import problem_of_evidence
from metasight.protocol.load import BUILT_IN, read_protocol


def test_a_variable_is_supplied_by_the_stage_that_it_names() -> None:
    assert problem_of_evidence("tumour_area_percent", "tissue maps") == ""
    assert problem_of_evidence("age_years", "table") == ""
    # the table may give what a stage can measure
    assert problem_of_evidence("central", "table") == ""


@pytest.mark.parametrize(
    ("variable", "evidence", "said"),
    [
        ("he_quality", "slide quality", "does not supply 'he_quality'; it supplies he_quality_s"),
        ("tumour_area_percent", "slide quality", "does not supply 'tumour_area_percent'"),
        ("ct_quality_poor", "CT", "is no stage; there are table, slide quality"),
    ],
)
def test_evidence_that_would_never_come_is_refused(variable, evidence, said) -> None:
    assert said in problem_of_evidence(variable, evidence)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_studies_wait_for_nothing_in_vain(name: str) -> None:
    for variable in read_protocol(name).variable:
        assert problem_of_evidence(variable.name, variable.evidence) == ""
