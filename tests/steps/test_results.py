"""What a report is told of the steps: slides by stage, contributions, deviations, origins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from metasight.engine.step import Input, Inputs, StepKind
from metasight.errors import StoreError
from metasight.ledger import Entry, Fate, Ledger
from metasight.steps.artefacts import Json
from metasight.steps.files import write_json
from metasight.steps.results import (
    AnalysisNames,
    _as,
    _contributions,
    _everybody,
    _maps,
    _origin,
    _permutation,
    _skipped,
    _slide_stages,
    _told,
)
from metasight.validation.json_tree import to_jsonable
from metasight.validation.permutation import PermutationTest
from worked import inputs_of


def entry(patient: str, item: str, stage: str, verdict: Fate, criterion: str = "") -> Entry:
    return Entry(
        patient=patient, item=item, stage=stage, verdict=verdict, criterion=criterion, reason="why"
    )


def test_a_slide_is_counted_once_a_stage_however_many_criteria_asked(tmp_path):
    rows = [
        entry("A", "s1", "slide quality", Fate.EXCLUDED, "Q1"),
        entry("A", "s1", "slide quality", Fate.EXCLUDED, "Q2"),
        entry("A", "s2", "slide quality", Fate.KEPT),
        entry("B", "s1", "slide quality", Fate.KEPT),  # another patient's slide of that name
        entry("B", "s1", "alignment", Fate.FAILED),
        entry("C", "s1", "alignment", Fate.UNKNOWN),
        entry("A", "", "eligibility", Fate.KEPT),  # no stage of slides
    ]
    ledger = Ledger()
    ledger.extend(rows)
    ledger.to_parquet(tmp_path / "ledger.parquet")
    quality, alignment = _slide_stages(tmp_path)
    assert (quality.stage, quality.kept, quality.excluded) == ("slide quality", 2, 1)
    assert (alignment.stage, alignment.failed, alignment.unknown) == ("alignment", 1, 1)
    assert (quality.failed, alignment.kept) == (0, 0)


def test_a_modality_contributes_by_its_spread_and_its_widest_patient(tmp_path):
    frame = pd.DataFrame({"clinical": [0.1, -0.5, 0.4], "til": [0.0, 0.0, 0.2]}, index=list("ABC"))
    frame.to_parquet(tmp_path / "contributions.parquet")
    found = _contributions(tmp_path, "fusion")
    assert (found.model, found.n) == ("fusion", 3)
    assert found.modalities["clinical"]["widest"] == pytest.approx(0.5)
    assert found.modalities["clinical"]["sd"] == pytest.approx(np.std([0.1, -0.5, 0.4], ddof=1))
    assert list(found.modalities) == ["clinical", "til"]


def test_without_a_fused_model_nothing_contributes(tmp_path):
    assert _contributions(tmp_path, "clinical") is None


NAMES = AnalysisNames(
    endpoint="dm", population="all_eligible", headline=False, data="data", judged="judged"
)


def test_an_analysis_is_skipped_where_its_step_says_why(tmp_path):
    inputs = inputs_of(StepKind.EVALUATE, {"judged": tmp_path})
    assert _skipped(inputs, NAMES) == ""
    write_json(tmp_path / "skipped.json", "no model could be fitted")
    assert _skipped(inputs, NAMES) == "no model could be fitted"


def test_what_a_step_told_is_read_with_the_version_of_its_format(tmp_path):
    inputs = inputs_of(StepKind.OTHER, {"step": tmp_path})
    told = Json("told.json", own=2)
    assert _told(inputs, "another step", told) is None
    assert _told(inputs, "step", told) is None
    told.write(tmp_path, {"rows": [1]})
    assert _told(inputs, "step", told)["rows"] == [1]
    assert _told(inputs, "step", Json("told.json"))["rows"] == [1]
    with pytest.raises(StoreError, match="another format"):
        _told(inputs, "step", Json("told.json", own=3))


@dataclass(frozen=True, kw_only=True)
class Shape:
    sides: tuple[int, ...]
    name: str = "square"


def test_lists_become_tuples_again_and_unknown_entries_are_left_out():
    assert _as(Shape, {"sides": [1, 2], "colour": "red"}) == Shape(sides=(1, 2))


ORIGIN = {
    "run": "abc",
    "patients": 400,
    "events": 80,
    "centres": 3,
    "accrual": ["2010-01", "2015-12"],
    "case_mix": [["Age", "61 (50 to 70)"]],
    "median_follow_up_years": 5.5,
    "ledger": {"kept": 400},
    "horizons_days": [1826],
    "judged_days": [1826],
    "left_out": {"slices too thick": 2},
}


def test_the_origin_of_locked_models_is_told_with_the_hash_of_the_bundle():
    found = _origin(dict(ORIGIN), "f00d")
    assert (found.bundle, found.run, found.patients) == ("f00d", "abc", 400)
    assert found.case_mix == (("Age", "61 (50 to 70)"),)
    assert found.left_out == {"slices too thick": 2}
    assert _origin(None, "f00d") is None


def test_final_models_are_found_by_the_name_that_they_give(tmp_path):
    """In a study each has its step; in a validation all lie below the evaluation."""
    final, failed = tmp_path / "final", tmp_path / "failed"
    judged = tmp_path / "judged"
    locked = judged / "models" / "0"
    for folder in (final, failed, locked):
        folder.mkdir(parents=True)
    write_json(final / "model.json", {"name": "clinical"})
    write_json(locked / "model.json", {"name": "locked elsewhere"})
    inputs = Inputs(
        (
            Input(name="a", kind=StepKind.FIT_EVERYBODY, subject="", folder=final),
            Input(name="b", kind=StepKind.FIT_EVERYBODY, subject="", folder=failed),
            Input(name="c", kind=StepKind.EVALUATE, subject="", folder=judged),
        )
    )
    assert _everybody(inputs) == {"clinical": final, "locked elsewhere": locked}


def test_example_maps_are_sorted_into_painted_and_measured_by_marker(tmp_path):
    about = {"patient": "P1", "pearson": 0.7, "spacing_um": 32.0, "outlines": [[[0, 0], [1, 2]]]}
    told = {
        "patients": 3,
        "painted": 3,
        "unlike": 0,
        "failed": 0,
        "compared": 1,
        "regions": [],
        "biomarkers": [],
        "labels": [],
        "tls": {},
        "examples": [about],
    }
    write_json(tmp_path / "agreement.json", told)
    with (tmp_path / "example0.npz").open("wb") as file:
        np.savez(file, **{"generated CD3": np.full((2, 2), 5.0), "measured CD3": np.ones((2, 2))})
    result = _maps(tmp_path)
    (example,) = result.examples
    assert example.painted["CD3"].tolist() == [[5.0, 5.0], [5.0, 5.0]]
    assert example.measured["CD3"].tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert example.outlines_um == (((0, 0), (1, 2)),)
    assert (result.patients, result.compared) == (3, 1)


def test_a_permutation_test_is_read_or_why_there_is_none(tmp_path):
    assert _permutation(tmp_path) is None
    write_json(tmp_path / "permutation.json", {"skipped": "a reason"})
    assert _permutation(tmp_path) == "a reason"
    found = PermutationTest(difference=0.1, p=0.05, dealt=19, median=0.0)
    write_json(tmp_path / "permutation.json", to_jsonable(found))
    assert _permutation(tmp_path) == found
