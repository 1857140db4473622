"""How many plausible faults the tests notice: hand-made mutants, each killed or alive.

``python bench/mutants.py`` makes each fault in a copy of ``src``, runs the tests named beside it,
and prints who survived, with the share killed of each package; ``python bench/mutants.py volumes
cohort`` does so for these. A mutant whose text is not in its file any more is called stale and
counts as alive, so that the table is kept up with the source. One mutant takes some 10 to 30 s.

A good mutant is a mistake that somebody could make and that moves a number or an exclusion: an
order turned round, a boundary that is in instead of out, a unit, a missing half pixel. One that
changes nothing anybody could see is no mutant (a tolerance, a speed, a wording).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST_S = 420
"""A mutant that hangs is noticed too."""


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes
    ----------
    package
        What it is counted under.
    fault
        In words.
    file
        Below ``src/metasight``.
    old, new
        Text that occurs once in the file, and what stands there instead.
    tests
        Below ``tests``, with spaces between, a file or one test of it; the fewest that should
        notice it.
    """

    package: str
    fault: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = (
    Mutant(
        "validation",
        "C ranked by the first horizon, not the last",
        "validation/table.py",
        "columns.index(max(plan.horizons_days))",
        "columns.index(min(plan.horizons_days))",
        "validation/test_table.py",
    ),
    Mutant(
        "validation",
        "ordinal C ranked by P(any node), not by the expected stage",
        "validation/table.py",
        "ranking.append(block @ np.arange(block.shape[1]))",
        "ranking.append(1 - block[:, 0])",
        "validation/test_table.py",
    ),
    Mutant(
        "validation",
        "AUC of partly verified patients compares patients with themselves",
        "validation/verification.py",
        "own = (cases * controls).sum(axis=1)",
        "own = np.zeros(len(cases))",
        "validation/test_verification.py",
    ),
    Mutant(
        "validation",
        "Uno's weights are made for patients past tau too",
        "validation/discrimination.py",
        "(w > 0) & (data.time <= tau)",
        "(w > 0)",
        "validation/test_discrimination.py",
    ),
    Mutant(
        "validation",
        "events on the day of tau open no pair",
        "validation/discrimination.py",
        "if time[j] <= tau:",
        "if time[j] < tau:",
        "validation/test_discrimination.py",
    ),
    Mutant(
        "validation",
        "who had a competing event is no control",
        "validation/ipcw.py",
        "elif status[i] == 2:",
        "elif status[i] == 3:",
        "validation/test_ipcw.py validation/test_brier.py",
    ),
    Mutant(
        "validation",
        "events at t are still at risk of being censored at t",
        "validation/curves.py",
        "after = g * (1.0 - censored / (at_risk - events))",
        "after = g * (1.0 - censored / at_risk)",
        "validation/test_curves.py validation/test_ipcw.py validation/test_discrimination.py",
    ),
    Mutant(
        "validation",
        "net benefit counts false positives among the untreated",
        "validation/decision_curve.py",
        "model=treated * (rate - (1 - rate) * odds)",
        "model=treated * rate - (1 - rate) * odds",
        "validation/test_decision_curve.py",
    ),
    Mutant(
        "validation",
        "O/E is expected over observed",
        "validation/bootstrap.py",
        "return _ratio(self.observed, self.expected)",
        "return _ratio(self.expected, self.observed)",
        "validation/test_bootstrap.py",
    ),
    Mutant(
        "validation",
        "Hartung and Knapp's variance over k, not k - 1",
        "validation/centres.py",
        "/ ((k - 1) * w.sum())",
        "/ (k * w.sum())",
        "validation/test_centres.py",
    ),
    Mutant(
        "validation",
        "kappa's chance from one reader alone",
        "validation/agreement.py",
        "chance = float(rows @ columns)",
        "chance = float(rows @ rows)",
        "validation/test_agreement.py",
    ),
    Mutant(
        "validation",
        "Begg and Greenes forget the unexamined",
        "validation/verification.py",
        "share = np.where(seen, disease, p)",
        "share = np.where(seen, disease, 0.0)",
        "validation/test_verification.py",
    ),
    Mutant(
        "validation",
        "null Brier score of one half, not of the incidence",
        "validation/brier.py",
        "flat = np.full(n, observed_risk(time, status, horizon))",
        "flat = np.full(n, 0.5)",
        "validation/test_brier.py",
    ),
    Mutant(
        "crossfit",
        "the corrupt-test-rows guard is blind to binary features",
        "models/crossfit.py",
        "column[rows] = 1.0 - np.nan_to_num(column[rows])",
        "pass",
        "models/test_crossfit.py::test_every_value_of_every_kind_is_spoilt_in_test_rows_and_none_elsewhere",
    ),
    Mutant(
        "crossfit",
        "copies of a patient in a resample are not marked as his",
        "models/crossfit.py",
        '{data.patients[i]}{COPY_MARK}{k}"',
        '{data.patients[i]}-{k}"',
        "models/test_crossfit.py::test_copies_of_a_patient_in_a_resample_are_known_as_one_patient",
    ),
    Mutant(
        "crossfit",
        "training patients are predicted, not test patients",
        "models/crossfit.py",
        "fitted, model.name, data, split.test, horizons_days",
        "fitted, model.name, data, split.train, horizons_days",
        "models/test_crossfit.py::test_predictions_are_out_of_fold_and_audited",
    ),
    Mutant(
        "crossfit",
        "noise leaves every row with its own patient",
        "models/crossfit.py",
        "data.features.values.iloc[order]",
        "data.features.values.iloc[np.sort(order)]",
        "models/test_crossfit.py::test_noise_moves_whole_rows_and_keeps_outcomes_where_they_were",
    ),
    Mutant(
        "crossfit",
        "outcomes of test rows are not spoilt",
        "models/crossfit.py",
        "1.0 + np.arange(len(rows)), 1 - np.minimum(status[rows], 1)",
        "time[rows], status[rows]",
        "models/test_crossfit.py::test_every_value_of_every_kind_is_spoilt_in_test_rows_and_none_elsewhere",
    ),
    Mutant(
        "crossfit",
        "continuous features of test rows are not spoilt",
        "models/crossfit.py",
        "column[rows] = 1e6 + np.arange(len(rows), dtype=float)",
        "pass",
        "models/test_crossfit.py::test_every_value_of_every_kind_is_spoilt_in_test_rows_and_none_elsewhere",
    ),
    Mutant(
        "crossfit",
        "levels of test rows become the commonest one",
        "models/crossfit.py",
        "column[rows] = feature.levels[-1]",
        "column[rows] = feature.levels[0]",
        "models/test_crossfit.py::test_every_value_of_every_kind_is_spoilt_in_test_rows_and_none_elsewhere",
    ),
    Mutant(
        "crossfit",
        "stages of test rows are not spoilt",
        "models/crossfit.py",
        "stage[rows], 2 - stage[rows])",
        "stage[rows], stage[rows])",
        "models/test_crossfit.py::test_a_spoilt_stage_is_the_opposite_one_and_an_unknown_stays_unknown",
    ),
    Mutant(
        "crossfit",
        "horizons are dealt out to patients in the wrong order",
        "models/crossfit.py",
        "np.tile(horizons_days, n)",
        "np.repeat(horizons_days, n)",
        "models/test_crossfit.py::test_predictions_are_out_of_fold_and_audited",
    ),
    Mutant(
        "crossfit",
        "unexamined nodes count as N0 in predictions",
        "models/crossfit.py",
        "pd.Series(stage).where(np.repeat(outcome.observed, width))",
        "pd.Series(stage).clip(lower=0)",
        "models/test_crossfit.py::test_predictions_of_stages_have_their_labels_and_unknown_stages_stay_unknown",
    ),
    Mutant(
        "crossfit",
        "every fold is fitted with the same seed",
        "models/crossfit.py",
        "split.repeat, split.fold),\n    )\n    predictions",
        "0, 0),\n    )\n    predictions",
        "models/test_crossfit.py::test_every_fit_has_a_seed_of_its_own_and_the_same_in_every_run",
    ),
    Mutant(
        "crossfit",
        "a resample keeps the outcomes of the original patients",
        "models/crossfit.py",
        "data.outcome.take(index)",
        "data.outcome",
        "models/test_crossfit.py::test_copies_of_a_patient_in_a_resample_are_known_as_one_patient",
    ),
    Mutant(
        "crossfit",
        "a resample predicts itself, not the original patients",
        "models/crossfit.py",
        "fitted.predict(data.features, horizons_days), fitted)",
        "fitted.predict(FeatureTable(values, data.features.features), horizons_days), fitted)",
        "models/test_crossfit.py::test_a_resample_predicts_the_original_patients",
    ),
    Mutant(
        "crossfit",
        "the centre is told from models that saw the patient",
        "models/crossfit.py",
        "train, test = list(split.train), list(split.test)",
        "train, test = [*split.train, *split.test], list(split.test)",
        "models/test_crossfit.py::test_a_centre_is_told_by_models_that_did_not_see_the_patient",
    ),
    Mutant(
        "cohort",
        "a waived criterion excludes",
        "cohort/eligibility.py",
        "Fate.WAIVED: True, Fate.EXCLUDED",
        "Fate.WAIVED: False, Fate.EXCLUDED",
        "cohort/test_eligibility.py",
    ),
    Mutant(
        "cohort",
        "an unknown future keeps a patient out of the other population",
        "cohort/eligibility.py",
        "if keeps is not True and criterion.selects_on_future",
        "if keeps is False and criterion.selects_on_future",
        "cohort/test_eligibility.py",
    ),
    Mutant(
        "cohort",
        "who is excluded and unknown is counted as unknown",
        "cohort/eligibility.py",
        "        if out is not None:\n            excluded",
        "        if out is not None and held is None:\n            excluded",
        "cohort/test_eligibility.py",
    ),
    Mutant(
        "cohort",
        "the last event counts, not the first",
        "cohort/outcome.py",
        "time, status = min(happened)",
        "time, status = max(happened)",
        "cohort/test_outcome.py",
    ),
    Mutant(
        "cohort",
        "at the same time the competing event counts first",
        "cohort/outcome.py",
        "time, status = min(happened)",
        "time, status = min(happened, key=lambda h: (h[0], -h[1]))",
        "cohort/test_outcome.py",
    ),
    Mutant(
        "cohort",
        "a follow-up of no day is analysed",
        "cohort/outcome.py",
        "    if time <= 0:",
        "    if time < 0:",
        "cohort/test_outcome.py",
    ),
    Mutant(
        "cohort",
        "nodes of another arm count",
        "cohort/outcome.py",
        "(values == label).to_numpy() & in_arm",
        "(values == label).to_numpy()",
        "cohort/test_outcome.py",
    ),
    Mutant(
        "cohort",
        "the dead are followed until their last visit",
        "cohort/canonical.py",
        "and last >= death:",
        "and last <= death:",
        "cohort/test_canonical.py",
    ),
    Mutant(
        "cohort",
        "a median far above the plausible range passes",
        "cohort/columns.py",
        "if low <= median <= high:",
        "if low <= median:",
        "cohort/test_canonical.py",
    ),
    Mutant(
        "cohort",
        "a formula without a result is missing",
        "cohort/tables.py",
        "return None if text and text in missing else found",
        "return None if text in missing else found",
        "cohort/test_columns.py",
    ),
    Mutant(
        "cohort",
        "a box of a form that nobody opened is a no",
        "cohort/redcap.py",
        "known = filled & ~_said_missing(box, cells, dictionary)",
        "known = ~_said_missing(box, cells, dictionary)",
        "cohort/test_redcap.py",
    ),
    Mutant(
        "cohort",
        "follow-up reaches past a status that was closed",
        "cohort/derived.py",
        "return min(censored) if censored else max(days, default=None)",
        "return max(days, default=None)",
        "cohort/test_derived.py",
    ),
    Mutant(
        "cohort",
        "a ratio given as a percentage is a hundred times too large",
        "cohort/parsing.py",
        'factor = 1.0 if variable.unit == "%" else 0.01',
        "factor = 1.0",
        "cohort/test_parsing.py",
    ),
    Mutant(
        "cohort",
        "a share formatted as per cent is read as the share",
        "cohort/workbook.py",
        'text = f"{Decimal(repr(value)) * 100:f}"',
        'text = f"{Decimal(repr(value)):f}"',
        "cohort/test_workbook.py",
    ),
    Mutant(
        "cohort",
        "a waived part takes the other parts with it",
        "protocol/criteria.py",
        "kept = tuple(part for part in rest if part is not None)",
        "kept = ()",
        "cohort/test_eligibility.py",
    ),
    Mutant(
        "cohort",
        "ids that meet only after a change are strangers without a word",
        "cohort/ids.py",
        "    if nearly:\n        causes",
        "    if len(nearly) > 2:\n        causes",
        "cohort/test_ids.py",
    ),
    Mutant(
        "cohort",
        "each stratum is dealt out from fold 0",
        "cohort/splits.py",
        "(np.arange(len(members)) + dealt) % folds",
        "np.arange(len(members)) % folds",
        "cohort/test_splits.py",
    ),
    Mutant(
        "cohort",
        "patients of the first test year are lost",
        "cohort/splits.py",
        "year.index[year >= first_test_year]",
        "year.index[year > first_test_year]",
        "cohort/test_splits.py",
    ),
    Mutant(
        "cohort",
        "percentages of all, not of those recorded",
        "cohort/describe.py",
        "100 * n / len(recorded)",
        "100 * n / len(values)",
        "cohort/test_describe.py",
    ),
    Mutant(
        "cohort",
        "a patient may have two CTs",
        "cohort/scan_table.py",
        "        another = kind in own\n",
        "        another = False\n",
        "cohort/test_scan_table.py",
    ),
    Mutant(
        "cohort",
        "the table's resolution goes before a file's own",
        "cohort/slide_table.py",
        "slides.mpp_of.get(file, slides.mpp)",
        "slides.mpp or slides.mpp_of.get(file)",
        "cohort/test_slide_table.py",
    ),
    Mutant(
        "volumes",
        "decay the wrong way",
        "volumes/suv.py",
        "2.0 ** (-elapsed / half_life)",
        "2.0 ** (elapsed / half_life)",
        "volumes/test_suv.py volumes/test_pet.py",
    ),
    Mutant(
        "volumes",
        "an injection before midnight is taken for one after the scan",
        "volumes/suv.py",
        "injected -= timedelta(days=1)",
        "injected += timedelta(days=0)",
        "volumes/test_suv.py",
    ),
    Mutant(
        "volumes",
        "time zones are added the wrong way",
        "volumes/pet.py",
        "apart = _minutes(offset) - _minutes(sign + zone)",
        "apart = _minutes(sign + zone) - _minutes(offset)",
        "volumes/test_pet.py",
    ),
    Mutant(
        "volumes",
        "a missing slice is nearer to the farther neighbour",
        "volumes/dicom.py",
        "(1 - weight) * voxels[low] + weight * voxels[high]",
        "weight * voxels[low] + (1 - weight) * voxels[high]",
        "volumes/test_dicom.py",
    ),
    Mutant(
        "volumes",
        "a tilt is undone along the other axis",
        "volumes/dicom.py",
        "(shift_mm[1] / down, shift_mm[0] / right)",
        "(shift_mm[0] / down, shift_mm[1] / right)",
        "volumes/test_dicom.py",
    ),
    Mutant(
        "volumes",
        "contours half-way between slices are taken",
        "volumes/rtstruct.py",
        "_OFF_SLICE = 0.25",
        "_OFF_SLICE = 0.6",
        "volumes/test_rtstruct.py",
    ),
    Mutant(
        "volumes",
        "an outline drawn again is a hole",
        "volumes/polygons.py",
        "outline, near_mm / _SAMPLES) < near_mm",
        "outline, near_mm / _SAMPLES) < 0",
        "volumes/test_polygons.py",
    ),
    Mutant(
        "volumes",
        "a copy with one side corrected is a hole",
        "volumes/polygons.py",
        "_ALONG = 1 / 3",
        "_ALONG = 2.0",
        "volumes/test_rtstruct.py",
    ),
    Mutant(
        "volumes",
        "a stray speck belongs to the lesion",
        "volumes/parts.py",
        "kept[box] = labels == chosen",
        "kept[box] = labels > 0",
        "volumes/test_parts.py",
    ),
    Mutant(
        "volumes",
        "slices without a contour are left empty",
        "volumes/rtstruct.py",
        "if longest > max_missing:",
        "if longest > max_missing + 20:",
        "volumes/test_rtstruct.py",
    ),
    Mutant(
        "volumes",
        "direction cosines are compared digit by digit",
        "volumes/grouping.py",
        "ORIENTATION_TOLERANCE = 2e-3",
        "ORIENTATION_TOLERANCE = 2e-7",
        "volumes/test_grouping.py",
    ),
    Mutant(
        "volumes",
        "two examinations in one folder are one",
        "volumes/series.py",
        "{h.study for s in fit for h in s.headers if h.study}",
        "{h.modality for s in fit for h in s.headers if h.study}",
        "volumes/test_series.py",
    ),
    Mutant(
        "volumes",
        "a packed file's checksum is not asked for",
        "volumes/nifti.py",
        "if file.read(1):",
        "if not file:",
        "volumes/test_nifti.py",
    ),
    Mutant(
        "volumes",
        "more pixels than the header says are read",
        "volumes/pixels.py",
        "if len(pixels) not in (needed, needed + needed % 2):",
        "if len(pixels) < needed:",
        "volumes/test_dicom.py",
    ),
    Mutant(
        "volumes",
        "a decay factor of the other correction passes",
        "volumes/suv.py",
        "_DECAY_AGREES = 0.05",
        "_DECAY_AGREES = 0.5",
        "volumes/test_suv.py",
    ),
    Mutant(
        "volumes",
        "rows and columns of a segmentation are swapped",
        "volumes/dicom_seg.py",
        "np.outer(c, row) + np.outer(r, column)",
        "np.outer(r, row) + np.outer(c, column)",
        "volumes/test_dicom_seg.py",
    ),
    Mutant(
        "volumes",
        "a fractional voxel counts from a quarter on",
        "volumes/dicom_seg.py",
        "_MAJORITY = 0.5",
        "_MAJORITY = 0.25",
        "volumes/test_dicom_seg.py",
    ),
    Mutant(
        "volumes",
        "masks a millimetre off are on the grid",
        "volumes/grid.py",
        "<= _SAME_PLACE_MM",
        "<= 20 * _SAME_PLACE_MM",
        "volumes/test_grid.py",
    ),
    Mutant(
        "volumes",
        "polygons begin a pixel early",
        "volumes/polygons.py",
        "first = np.clip(np.ceil(x)",
        "first = np.clip(np.floor(x)",
        "volumes/test_polygons.py",
    ),
    Mutant(
        "volumes",
        "the object's value goes before the frame's",
        "volumes/headers.py",
        "return [*found, data]",
        "return [data, *found]",
        "volumes/test_headers.py",
    ),
    Mutant(
        "volumes",
        "a limit's low end is out",
        "volumes/ct_limits.py",
        "value >= self.low",
        "value > self.low",
        "volumes/test_ct_limits.py",
    ),
    Mutant(
        "volumes",
        "tissue alone passes for a chest in HU",
        "volumes/hounsfield.py",
        "low > _LUNG_OR_AIR_HU or high",
        "low > _LUNG_OR_AIR_HU and high",
        "volumes/test_hounsfield.py",
    ),
    Mutant(
        "volumes",
        "lung is told by a fixed number, not from the scan's own air",
        "volumes/chest.py",
        "low, high = (hu + shift for hu in _LUNG_HU)",
        "low, high = _LUNG_HU",
        "volumes/test_chest.py",
    ),
    Mutant(
        "alignment",
        "the inverse does not reverse the legs",
        "alignment/transform.py",
        "for leg in reversed(self.legs)",
        "for leg in self.legs",
        "alignment/test_transform.py",
    ),
    Mutant(
        "alignment",
        "warped pixels are half a pixel off across",
        "alignment/transform.py",
        "((across - left) / mpp - 0.5)",
        "((across - left) / mpp)",
        "alignment/test_transform.py",
    ),
    Mutant(
        "alignment",
        "warped pixels are half a pixel off down",
        "alignment/transform.py",
        "((down - top) / mpp - 0.5)",
        "((down - top) / mpp)",
        "alignment/test_transform.py",
    ),
    Mutant(
        "alignment",
        "the second transform is walked first",
        "alignment/transform.py",
        "legs=self.legs + onward.legs",
        "legs=onward.legs + self.legs",
        "alignment/test_transform.py",
    ),
    Mutant(
        "alignment",
        "of two pieces the one whose ground is farther answers",
        "alignment/placement.py",
        "off_ground.argmin(axis=0)",
        "off_ground.argmax(axis=0)",
        "alignment/test_placement.py",
    ),
    Mutant(
        "alignment",
        "the displacement is read on the moving section",
        "alignment/placement.py",
        "moved + self.field.at(fixed_um)",
        "moved + self.field.at(moved)",
        "alignment/test_placement.py alignment/test_transform.py",
    ),
    Mutant(
        "alignment",
        "peaks are refined to the wrong side",
        "alignment/matching.py",
        "0.5 * (float(before) - float(after))",
        "0.5 * (float(after) - float(before))",
        "alignment/test_matching.py",
    ),
    Mutant(
        "alignment",
        "warped evidence is half a pixel off",
        "alignment/matching.py",
        " + linear @ half - half",
        "",
        "alignment/test_matching.py",
    ),
    Mutant(
        "alignment",
        "blocks at the search's edge count as found",
        "alignment/rigid.py",
        "np.where(matches.at_edge, 0.0,",
        "np.where(matches.at_edge & False, 0.0,",
        "alignment/test_rigid.py",
    ),
    Mutant(
        "alignment",
        "models are judged on blocks they were fitted to",
        "alignment/refine.py",
        "tried[model] = fit(halves[0]), fit(halves[1])",
        "tried[model] = fit(halves[1]), fit(halves[0])",
        "alignment/test_refine.py",
    ),
    Mutant(
        "alignment",
        "columns and rows of the error map are swapped",
        "alignment/error.py",
        "x, y = np.floor((points_um",
        "y, x = np.floor((points_um",
        "alignment/test_error.py",
    ),
    Mutant(
        "alignment",
        "blocks far off count as in place",
        "alignment/error.py",
        "(checked.distance_um < _NEAR * extent_um)",
        "(checked.distance_um > _NEAR * extent_um)",
        "alignment/test_error.py",
    ),
    Mutant(
        "protocol",
        "at_least leaves its limit out",
        "protocol/criteria.py",
        "return bool(value >= limit)",
        "return bool(value > limit)",
        "protocol/test_criteria.py protocol/test_load.py",
    ),
    Mutant(
        "protocol",
        "below takes its limit in",
        "protocol/criteria.py",
        "return bool(value < limit)",
        "return bool(value <= limit)",
        "protocol/test_criteria.py cohort/test_eligibility.py",
    ),
    Mutant(
        "protocol",
        "an unknown part of any-of is not met",
        "protocol/criteria.py",
        "return None if None in parts else False",
        "return False",
        "protocol/test_criteria.py protocol/test_load.py",
    ),
    Mutant(
        "protocol",
        "an unknown part hides one that is not met",
        "protocol/criteria.py",
        "    if False in parts:\n        return False\n    return None if None in parts else True",
        "    if None in parts:\n        return None\n    return False not in parts",
        "protocol/test_criteria.py protocol/test_load.py",
    ),
    Mutant(
        "protocol",
        "not of unknown is true",
        "protocol/criteria.py",
        "return None if part is None else not part",
        "return not part",
        "protocol/test_criteria.py protocol/test_load.py",
    ),
    Mutant(
        "protocol",
        "met exclusion criteria keep a patient",
        "protocol/criteria.py",
        '(verdict is Verdict.MET) == (self.kind == "inclusion")',
        "verdict is Verdict.MET",
        "protocol/test_criteria.py protocol/test_load.py",
    ),
    Mutant(
        "protocol",
        "one value of several recorded is enough",
        "protocol/criteria.py",
        "return all(row.get(name) is not None",
        "return any(row.get(name) is not None",
        "protocol/test_criteria.py protocol/test_load.py",
    ),
    Mutant(
        "protocol",
        "the ledger shows the day",
        "protocol/criteria.py",
        'return f"{value:%Y-%m}"',
        'return f"{value:%Y-%m-%d}"',
        "protocol/test_criteria.py protocol/test_load.py",
    ),
    Mutant(
        "protocol",
        "none_of reads as any_of",
        "protocol/criteria.py",
        "results.append(value not in self.none_of)",
        "results.append(value in self.none_of)",
        "protocol/test_criteria.py protocol/test_load.py",
    ),
    Mutant(
        "protocol",
        "an unknown verdict excludes",
        "protocol/criteria.py",
        "        if verdict is Verdict.UNKNOWN:\n            return None",
        "        if verdict is Verdict.UNKNOWN:\n            return False",
        "protocol/test_criteria.py protocol/test_load.py",
    ),
    Mutant(
        "protocol",
        "a protocol may have no primary endpoint",
        "protocol/study.py",
        "sum(e.primary for e in self.endpoint) != 1",
        "sum(e.primary for e in self.endpoint) > 1",
        "protocol/test_criteria.py protocol/test_load.py",
    ),
    Mutant(
        "protocol",
        "a missing limit variable is met",
        "protocol/criteria.py",
        "    if limit is None:\n        return None",
        "    if limit is None:\n        return True",
        "protocol/test_criteria.py protocol/test_load.py",
    ),
    Mutant(
        "biomarkers",
        "aggregates of B cells only are counted as TLS",
        "biomarkers/tls.py",
        "good &= b_cells < total  #",
        "good &= b_cells <= total  #",
        "biomarkers/test_tls.py",
    ),
    Mutant(
        "steps",
        "an unmeasured patient counts as like training",
        "validation/abstention.py",
        "~(np.asarray(distance, dtype=np.float64) <= 1)",
        "(np.asarray(distance, dtype=np.float64) > 1)",
        "validation/test_abstention.py",
    ),
    Mutant(
        "steps",
        "a patient's interval from refits that held the patient",
        "decisions/refit_interval.py",
        "unseen = ~np.isin(np.arange(n), drawn[row])",
        "unseen = np.ones(n, dtype=bool)",
        "decisions/test_refit_interval.py",
    ),
    Mutant(
        "steps",
        "a tumour area whose interval decides nothing is evidence",
        "steps/slides/patient.py",
        "known = known and not undecided",
        "known = True",
        "steps/slides/test_patient.py",
    ),
    Mutant(
        "steps",
        "a tumour area whose interval decides nothing is kept or excluded",
        "steps/slides/patient.py",
        "Fate.UNKNOWN if undecided else _fate",
        "_fate",
        "steps/slides/test_patient.py",
    ),
    Mutant(
        "steps",
        "unknown CT quality taken for good",
        "steps/scans/patient.py",
        "{Fate.KEPT: False, Fate.EXCLUDED: True}.get(fate)",
        "fate is Fate.EXCLUDED",
        "steps/scans/test_patient.py",
    ),
    Mutant(
        "cohort",
        "a reader's decision is applied to any verdict",
        "cohort/reader_decisions.py",
        "if entry.verdict is not self.replaces:",
        "if False:",
        "cohort/test_reader_decisions.py",
    ),
    Mutant(
        "cohort",
        "a text that one row holds is shown",
        "cohort/tables.py",
        "return self._counts[column][text] > 1",
        "return self._counts[column][text] > 0",
        "study/test_bad_input.py",
    ),
    Mutant(
        "steps",
        "the H&E with the most pixels counts, whatever their size",
        "steps/slides/choice.py",
        "float(tissue.sum()) * mpp**2",
        "float(tissue.sum())",
        "steps/slides/test_choice.py",
    ),
    Mutant(
        "steps",
        "the largest lesion is told without those that could not be read",
        "steps/scans/patient.py",
        "if len(volumes) < len(rows):",
        "if not volumes:",
        "steps/scans/test_patient.py",
    ),
    Mutant(
        "steps",
        "marker sections stand under what is asked of the H&E",
        "steps/slides/patient.py",
        "if is_he and protocol.criteria_on(HE_QUALITY_SUFFICIENT)",
        "if protocol.criteria_on(HE_QUALITY_SUFFICIENT)",
        "study/test_toy.py",
    ),
    Mutant(
        "steps",
        "the table's value stands in where the scan could not tell",
        "lesions/against_table.py",
        "**dict.fromkeys(MEASURED_ON_CT), ",
        "",
        "lesions/test_against_table.py",
    ),
    Mutant(
        "steps",
        "a survival risk by the first horizon",
        "validation/out_of_fold.py",
        'rows["horizon_days"].max()',
        'rows["horizon_days"].min()',
        "validation/test_out_of_fold.py",
    ),
    Mutant(
        "steps",
        "fits with a centre left out count as random folds",
        "steps/risk/out_of_fold.py",
        '(told["model"], told["scheme"]) == (model, "kfold")',
        'told["model"] == model',
        "steps/risk/test_out_of_fold.py",
    ),
    Mutant(
        "steps",
        "the centres' share with the size of the largest group",
        "validation/reliability.py",
        "(size - 1) * within",
        "size * within",
        "validation/test_reliability.py",
    ),
    Mutant(
        "steps",
        "a rule is judged on the patients as they are, the risk on resamples",
        "validation/gain_over_rule.py",
        "_net(acted[rows], y[rows], thresholds)",
        "_net(acted, y, thresholds)",
        "validation/test_gain_over_rule.py",
    ),
    Mutant(
        "steps",
        "tissue that one section shows is enough",
        "maps/together.py",
        "seen &= section.window.mask",
        "pass",
        "maps/test_together.py",
    ),
    Mutant(
        "steps",
        "an H&E's empty glass holds tumour too",
        "maps/tumour_on_he.py",
        "float(v) * of_field for v",
        "float(v) for v",
        "maps/test_tumour_on_he.py",
    ),
    Mutant(
        "steps",
        "patients who are not known to be still followed support a horizon that nobody does",
        "validation/horizons.py",
        "if refused and (insist or not kept):",
        "if refused and insist:",
        "validation/test_horizons.py",
    ),
    Mutant(
        "steps",
        "a refused slide is asked for its markers' sheet",
        "steps/slides/sheet.py",
        'if a.slide.stain == "H&E" or quality["sufficient"] is False',
        'if a.slide.stain == "H&E"',
        "steps/slides/test_sheet.py",
    ),
    Mutant(
        "steps",
        "one failure with a centre left out stops the headline",
        "steps/risk/judging.py",
        'x["item"].startswith(f"{scheme} ")',
        'x["item"]',
        "steps/risk/test_judging.py",
    ),
    Mutant(
        "steps",
        "images of slices sorted towards the feet are recorded upside down",
        "study/sources.py",
        "if normal[np.argmax(np.abs(normal))] < 0:",
        "if normal[np.argmax(np.abs(normal))] < -2:",
        "study/test_sources.py",
    ),
    Mutant(
        "steps",
        "frames of a multi-frame object are recorded from 0",
        "study/sources.py",
        "series.headers[index].frame + 1",
        "series.headers[index].frame",
        "study/test_sources.py",
    ),
    Mutant(
        "steps",
        "source images are those of the series that the rule takes, not the lesion's",
        "steps/scans/sources.py",
        "return ct_rule(scan.argument.settings, scans.ct_series, drawn)",
        "return ct_rule(scan.argument.settings, scans.ct_series)",
        "steps/scans/test_sources.py",
    ),
    Mutant(
        "steps",
        "a CT that is refused is reported as one that can be measured",
        "steps/scans/checking.py",
        '"failed": "refused"',
        '"failed": "sufficient"',
        "steps/scans/test_checking.py",
    ),
    Mutant(
        "steps",
        "a box without a study is read as two equal corners",
        "plan/loose_scans.py",
        "first, corner = (self.point_mm, None) if self.box_mm is None else self.box_mm",
        "first, corner = (self.point_mm or self.box_mm[0],) * 2 if self.box_mm else "
        "(self.point_mm, None)",
        "plan/test_loose_scans.py",
    ),
    Mutant(
        "models",
        "tied events are all at risk of one another when a Cox model's errors are computed",
        "models/risk_sets.py",
        "sums = at_risk[start] - share[:, None] * dying",
        "sums = at_risk[start] - 0.0 * share[:, None] * dying",
        "models/test_risk_sets.py models/test_coefficient_intervals.py",
    ),
    Mutant(
        "models",
        "proportional hazards tested on the Kaplan–Meier of the day, not of the day before",
        "models/proportional_hazards.py",
        "return np.asarray(1.0 - before[np.searchsorted(distinct, time)])",
        "return np.asarray(1.0 - after[np.searchsorted(distinct, time)])",
        "models/test_proportional_hazards.py",
    ),
    Mutant(
        "models",
        "a term tested for proportional hazards as if the others had none to estimate",
        "models/proportional_hazards.py",
        "variance = twice - crossed @ np.linalg.solve(plain, crossed)",
        "variance = twice",
        "models/test_proportional_hazards.py",
    ),
    Mutant(
        "models",
        "errors of Fine–Gray coefficients without the estimated censoring",
        "models/fine_gray_variance.py",
        "    influence += _of_censoring(sets, ratio, (mean, steps), time, status == CENSORED)\n",
        "",
        "models/test_coefficient_intervals.py",
    ),
    Mutant(
        "models",
        "a refit without a term does not count in its range",
        "models/refit_spread.py",
        "r.get(t, 0.0)",
        "r.get(t, np.nan)",
        "models/test_refit_spread.py",
    ),
    Mutant(
        "validation",
        "a centre's slope is pooled on the log scale",
        "validation/subgroups.py",
        'slope=_pool([r.slope for r in rows], "identity", level)',
        'slope=_pool([r.slope for r in rows], "log", level)',
        "validation/test_subgroups.py",
    ),
    Mutant(
        "report",
        "R's headline is of patients whom some model does not predict too",
        "report/headline_script.py",
        "shared = set.intersection(*blocks)",
        "shared = set.union(*blocks)",
        "report/test_headline_script.py",
    ),
    Mutant(
        "validation",
        "levels of a subgroup are compared with the one of fewest events",
        "validation/subgroups.py",
        "against = max(judged, key=lambda v: events[v])",
        "against = min(judged, key=lambda v: events[v])",
        "validation/test_subgroups.py",
    ),
    Mutant(
        "intervals",
        "nested cross-validation keeps the chance of the outer fold's patients",
        "validation/nested_cv.py",
        "(estimate - split.outer) ** 2 - split.variance",
        "(estimate - split.outer) ** 2",
        "validation/test_nested_cv.py",
    ),
    Mutant(
        "intervals",
        "the models without a fold and itself are taken for a pair",
        "validation/nested_cv.py",
        "inner[a, b] = gap(b, pairs[0][:, a], pairs[1][:, a])[0]",
        "inner[a, b] = gap(a, pairs[0][:, b], pairs[1][:, b])[0]",
        "validation/test_nested_cv.py",
    ),
    Mutant(
        "intervals",
        "ties with permuted values count for the modality",
        "validation/permutation.py",
        "(values >= difference)",
        "(values > difference)",
        "validation/test_permutation.py",
    ),
    Mutant(
        "intervals",
        "rows are permuted over all patients",
        "models/crossfit.py",
        "order[members] = rng.permutation(members)",
        "order[members] = rng.permutation(len(strata))[: len(members)]",
        "models/test_crossfit.py",
    ),
    Mutant(
        "intervals",
        "refits shrink to zero instead of to a drawn point",
        "models/perturbed_refits.py",
        "found.start + towards",
        "found.start + 0 * towards",
        "models/test_perturbed_refits.py",
    ),
    Mutant(
        "intervals",
        "a patient censored before the horizon counts as free of the event",
        "models/patient_interval.py",
        "known = ~early | (outcome.status != CENSORED)",
        "known = early | ~early",
        "models/test_patient_interval.py",
    ),
    Mutant(
        "intervals",
        "lower and upper of any node are those of no node",
        "steps/after/staging.py",
        "around(float(risk[p]), 1 - up, 1 - low)",
        "around(float(risk[p]), low, up)",
        "steps/after/test_staging.py",
    ),
)


def main(chosen: list[str]) -> int:
    """Run the mutants of the chosen packages, or all; 1 if fewer than 90 % are killed."""
    wanted = [m for m in MUTANTS if not chosen or m.package in chosen]
    told: dict[str, list[bool]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        keep_out = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
        shutil.copytree(ROOT / "src", source, ignore=keep_out)
        for mutant in wanted:
            result = tried(mutant, source)
            told[mutant.package].append(result == "killed")
            print(f"{result:9} {mutant.package:11} {mutant.fault}  ({mutant.file})", flush=True)
    print()
    for package, killed in told.items():
        share = 100 * sum(killed) / len(killed)
        print(f"{package:11} {sum(killed):3} of {len(killed):3} killed, {share:.0f} %")
    everyone = [k for killed in told.values() for k in killed]
    print(f"{'all':11} {sum(everyone):3} of {len(everyone):3} killed")
    return 0 if sum(everyone) >= 0.9 * len(everyone) else 1


def tried(mutant: Mutant, source: Path) -> str:
    """``killed``, ``survived``, ``stale``, or ``broken`` where no test could run."""
    path = source / "metasight" / mutant.file
    whole = path.read_text()
    if whole.count(mutant.old) != 1:
        return "stale"
    path.write_text(whole.replace(mutant.old, mutant.new))
    try:
        return outcome(mutant, source)
    finally:
        path.write_text(whole)


def outcome(mutant: Mutant, source: Path) -> str:
    """Run the mutant's tests on the copy."""
    tests = [f"tests/{t}" for t in mutant.tests.split()]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", *tests],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "killed"
    return {0: "survived", 1: "killed"}.get(done.returncode, "broken")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
