"""What steps leave in their folders: each file's name and format, and how it is written and read.

A step that reads what another left names it from here, so that one spelling counts and a change of
format is made in one place. What others than metasight read carries the version of its format.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasight.steps.files import read_json, read_told, write_json, write_told


@dataclass(frozen=True)
class File:
    """A file whose content the stage that owns it writes: a table, an array, a picture.

    Attributes
    ----------
    name
        Within the folder of a step.
    """

    name: str

    def path(self, folder: Path) -> Path:
        """Where it lies in a step's folder."""
        return folder / self.name

    def is_in(self, folder: Path) -> bool:
        """Whether a step left it."""
        return self.path(folder).is_file()


@dataclass(frozen=True)
class Json(File):
    """A file of JSON; the same value gives the same bytes.

    Attributes
    ----------
    own
        Version of the format of a file that others read; None for one that only steps read.
    """

    own: int | None = None

    def write(self, folder: Path, value: Any) -> None:
        """Write it; a value of its own format is a mapping."""
        if self.own is None:
            write_json(self.path(folder), value)
        else:
            write_told(self.path(folder), value, own=self.own)

    def read(self, folder: Path) -> Any:
        """Read it.

        Raises
        ------
        StoreError
            It has another format.
        """
        if self.own is None:
            return read_json(self.path(folder))
        return read_told(self.path(folder), own=self.own)

    def read_if_there(self, folder: Path) -> Any:
        """Read it; None where the step had nothing to tell."""
        return self.read(folder) if self.is_in(folder) else None


# ------------------------------------------------------------------ cohort and analysis data

PATIENT_TABLE = File("table.parquet")
"""Canonical values of a cohort."""
LEDGER = File("ledger.parquet")
COHORT = Json("cohort.json")
"""Flow, populations and modalities of a cohort."""
OVERLAP = Json("overlap.json")
"""Marks by which patients are found in another cohort."""
ACQUIRED = Json("acquired.json", own=1)
"""How each patient's images were acquired."""
FEATURES = File("features.parquet")
FEATURE_LIST = Json("features.json")
OUTCOME = File("outcome.parquet")
SPLITS = Json("splits.json")
DATA = Json("data.json")
"""What an analysis is of: patients, events, horizons, characteristics, or why it is skipped."""

# ------------------------------------------------------------------ slides

QUALITY = Json("quality.json")
OVERVIEW = File("overview.png")
DEFECTS = File("defects.png")
TISSUE = File("tissue.npz")
MARKERS = Json("markers.json")
CELLS = File("cells.parquet")
DENSITY = File("density.ome.tif")
ALIGNMENT = Json("alignment.json")
TRANSFORM = File("transform.npz")
CHECKERBOARD = File("checkerboard.png")
ALIGNMENT_ERROR = File("alignment_error.png")
BIOMARKERS = Json("biomarkers.json")
STRUCTURES = File("structures.geojson")
"""Outlines of structures, as QuPath reads them, on the slide that ``biomarkers.json`` names."""
PATIENT = Json("patient.json", own=1)
"""Evidence, features and ledger rows of a patient's slides."""
SHEET = File("sheet.html")
TILES = Json("tiles.json")
TRAINING_TILES = File("tiles.h5")
FAILED = Json("failed.json")
"""Why a generator was not trained."""
MAP = Json("map.json", own=1)
GENERATED = File("generated.ome.tif")
MEASURED = File("measured.ome.tif")
REGIONS = File("regions.parquet")
TABLE_REGIONS = File("table-regions.parquet")
"""A painted map beside the study's table of regions."""
AGREEMENT = Json("agreement.json")
GENERATORS = Json("generators.json", own=1)
"""The generator for new patients beside the folds'."""
PATCHES = Json("patches.json")
BAG = File("bag.h5")
BAGS = Json("bags.json")

# ------------------------------------------------------------------ scans

SCAN = Json("scan.json", own=1)
"""Quality, measurements, evidence and ledger rows of a patient's scans."""
CHECK = Json("check.json", own=1)
LESION_MASK = File("lesion_mask.npz")
LESION_PICTURE = File("lesion.png")
CROP = File("crop.h5")

# ------------------------------------------------------------------ fits and judgement

PREDICTIONS = File("predictions.parquet")
PREDICTIONS_CENTRES = File("predictions_centres.parquet")
PREDICTIONS_TEMPORAL = File("predictions_temporal.parquet")
AUDIT = Json("audit.json")
"""What a fit saw."""
FAILURE = Json("failure.json")
"""Why a fit failed."""
STATE = Json("state.json")
MODEL = Json("model.json")
RISK = File("risk.npy")
RESAMPLE_INDEX = File("index.npy")
PAIRS = File("pairs.parquet")
"""What models fitted without two folds say of the patients of both."""
PAIR_AUDITS = Json("pair_audits.json")
"""What each of these fits saw."""
INTERVALS = Json("intervals.json", own=1)
"""Refits by which a new patient's interval is given."""
OWN_INTERVALS = File("intervals.parquet")
"""Intervals of the study's patients, from refits that did not see them."""
HASHES = Json("hashes.json")
CENTRE_PROBABILITIES = File("probabilities.parquet")
CONTRIBUTIONS = File("contributions.parquet")
ATTENTION = File("attention.parquet")
LIKENESS = File("likeness.parquet")
ABSTENTION = Json("abstention.json")
EVALUATION = Json("evaluation.json")
CENTRES = Json("centres.json")
GAPS = Json("gaps.json")
TEMPORAL = Json("temporal.json")
OPTIMISM = Json("optimism.json")
PERMUTATION = Json("permutation.json")
"""The increment's permutation test."""
MISSING = Json("missing.json")
"""By which missing predictors patients are grouped."""
IMPUTED = Json("imputed.json")
"""Performance and increment over multiple imputations, beside single imputation."""
POOLED = Json("pooled.json")
"""Coefficients over multiple imputations, or why there are none."""
RECALIBRATION = Json("recalibration.json")
"""What recalibrating locked models in external patients would change."""
VALIDATION_SIZE = Json("validation_size.json")
"""Patients that a validation of the model needs."""
SAMPLE_SIZE = Json("sample_size.json")
COEFFICIENTS = Json("coefficients.json")
"""Of a refit: term → coefficient."""
REFITS = Json("refits.json")
"""How coefficients differ between refits."""
FINAL_FIT = Json("final_fit.json")
"""Intervals and tests of a model fitted to all patients."""
CHECKS = Json("checks.json")
FAILURES = Json("failures.json")
NOTES = Json("notes.json")
SKIPPED = Json("skipped.json")
LEDGER_ROWS = Json("ledger.json")
ORIGIN = Json("origin.json")
"""Where locked models come from."""
MANIFEST = Json("manifest.json")

# ------------------------------------------------------------------ after a risk

STAGING = Json("staging.json", own=2)
VERIFICATION = Json("verification.json")
BIOLOGY = Json("biology.json")
GENES = File("genes.csv")
GENE_SETS = File("gene_sets.csv")
SINGLE_SAMPLE = File("single_sample.csv")
STABILITY = Json("stability.json")
STABILITY_TABLE = File("stability.csv")
NEW_PREDICTIONS = Json("predictions.json")
"""Risks of new patients, as `docs/schema/predictions.json` says."""
