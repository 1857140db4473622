"""Every number of a lesion with its interval; a risk is never without one."""

from __future__ import annotations

import pytest

from exchange_made import ALGORITHM, PATIENT, RESULTS, SCAN
from metasight.errors import StudyError
from metasight.exchange.contents import (
    RESEARCH_ONLY,
    Interval,
    PatientResults,
    Risk,
    lesion_findings,
    lesion_measurements,
)


def test_every_number_is_there_once_and_no_interval_is_a_measurement_of_its_own() -> None:
    names = [m.name for m in lesion_measurements(SCAN)]
    assert len(set(names)) == len(names)
    numbers = {
        k
        for part in SCAN.values()
        for k, v in part.items()
        if isinstance(v, float) and not k.endswith(("_error", "_lower", "_upper"))
    }
    assert set(names) == numbers - {"centre_x_mm"}


def test_intervals_are_the_range_of_the_ctr_and_the_error_over_outlines() -> None:
    found = {m.name: m for m in lesion_measurements(SCAN)}
    ctr, size = found["ctr"].interval, found["tumour_size_mm"].interval
    assert ctr is not None and (ctr.lower, ctr.upper) == (0.25, 1.0)
    assert size is not None and size.upper - size.lower == pytest.approx(2.5)
    assert "outlines" in size.kind
    assert found["statistics:mean"].interval is not None
    assert found["suvmax"].interval is None
    assert {m.on for m in found.values() if m.name.startswith(("suv", "tlg", "met"))} == {"PET"}


def test_words_are_findings() -> None:
    told = {f.name: f.value for f in lesion_findings(SCAN)}
    assert told["attenuation"] == "part-solid" and told["central"] == "yes"
    assert told["lobe"] == "left lower"


def test_a_measure_without_a_code_is_refused() -> None:
    with pytest.raises(StudyError, match="cannot be coded"):
        lesion_measurements({"measured": {}, "radiomics": {"no feature": 1.0}})


def test_risks_are_probabilities_and_say_of_what_from_when() -> None:
    within = Interval(lower=0.1, upper=0.3, kind="k")
    risk = Risk(
        endpoint="dmfs",
        label="Distant metastasis-free survival",
        target="5 years",
        value=0.2,
        interval=within,
        horizon_days=1826,
        counted_from="the day of curative surgery",
    )
    assert risk.name == "risk_dmfs_1826_days"
    assert risk.words == (
        "Distant metastasis-free survival: predicted probability of the event within 5 years of "
        "the day of curative surgery"
    )
    assert risk.code.concept.meaning == "Predicted risk, dmfs, 5 years"
    assert RESULTS.risks[1].name == "risk_pathological_n_N1"
    with pytest.raises(ValueError, match="within 0 and 1"):
        Risk(endpoint="e", label="E", target="N1", value=1.2, interval=within)
    with pytest.raises(ValueError, match="ends before"):
        Interval(lower=2, upper=1, kind="k")


def test_the_notice_goes_with_whatever_is_shown() -> None:
    shown = PatientResults(patient=PATIENT, algorithm=ALGORITHM, demonstration="Simulated.")
    assert shown.notice == f"{RESEARCH_ONLY} Simulated."
    assert ALGORITHM.parameters[-1] == f"locked models sha256: {'ab' * 32}"
