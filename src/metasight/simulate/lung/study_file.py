"""``study.toml`` of a simulated lung cohort."""

from __future__ import annotations

from metasight.simulate.lung.settings import LungSettings
from metasight.simulate.lung.table import CLINICAL_COLUMNS
from metasight.simulate.settings import STAMP

_OF_SCANS = ("solid_size_mm", "ctr", "suvmax", "pure_ground_glass")
"""Columns that a radiologist read; the study takes what it measures itself."""

_ANALYSIS = """
[analysis]
seed = 20250101
folds = 3
repeats = {repeats}
bootstrap = {bootstrap}
instability_resamples = {resamples}
noise_replicates = 1
reference_model = "clinical"
headline_model = "clinical + scan"
{single}
[[model]]
kind = "ordinal"
name = "clinical"

[[model]]
kind = "nodal_size"
name = "size alone"

# What was measured on CT and PET, in addition to the clinical data.
"""

_FEW = """[[model]]
kind = "ordinal"
name = "clinical + scan"
modalities = ["clinical", "scan"]
features = ["age_years", "ct_tumour_size_mm", "ct_solid_size_mm"]
{abstain}"""
"""With a handful of events nothing is fused: one model of three features."""

_MANY = """[[model]]
kind = "nodal_solid_size"
name = "solid size alone"

[[model]]
kind = "nodal_ctr"
name = "CTR alone"

[[model]]
kind = "nodal_suvmax"
name = "SUVmax alone"

[[model]]
kind = "fudan_2012"
name = "Fudan 2012"

[[model]]
kind = "ordinal"
name = "CT alone"
modalities = ["scan"]

[[model]]
kind = "modality_ridge"
name = "clinical + scan"
modalities = ["clinical", "scan"]
{abstain}
# The same by late fusion: a sensitivity analysis.
[[model]]
kind = "stacked"
name = "clinical + scan, stacked"
modalities = ["clinical", "scan"]
"""

_ABSTAIN = """# It gives no risk where the scan is unlike those of training.
abstain_by = ["acquisition", "scan"]
"""
_FEWEST_TO_ABSTAIN = 80
"""Patients below which folds are too small to tell what is unlike."""

_BIOLOGY = """
[modalities.expression]
path = "expression.csv"
id = "patient"

# What the risk has to do with gene expression; nothing is fetched.
[biology]
expression = "expression"
gene_sets = "gene_sets.gmt"
log_scale = true
adjust = ["clinical_t", "centre"]
purity = "purity"
permutations = 1000
"""


def study_toml(settings: LungSettings, seed: int) -> str:
    """Text of the study file; scans are listed in ``scans.csv`` beside it."""
    lines = [
        f"# {STAMP}",
        f"# metasight simulate lung, seed {seed}; settings and truth are in truth/.",
        'protocol = "nsclc-occult-node"',
        'title = "Simulated lung cohort"',
        f'demonstration = "{STAMP} It shows how the program works on data whose truth is known."',
        f'salt = "simulated lung cohort {seed}"',
        "public_data = true",
        "",
        "[patients]",
        'path = "patients.csv"',
        'id = "patient"',
        "",
        "# CT, PET and masks: columns patient, kind (CT, PET, mask), path, roi, x_mm, y_mm, z_mm.",
        "[scans]",
        'path = "scans.csv"',
        'id = "patient"',
        'folder = "scans"',
        "",
        "[columns]",
        *(f'{name} = "{name}"' for name in CLINICAL_COLUMNS if name not in _OF_SCANS),
    ]
    single = '\nsingle_centre_reason = "one centre was simulated"\n' * (settings.centres == 1)
    few = settings.patients < 100
    analysis = _ANALYSIS.format(
        repeats=1 if few else 3, bootstrap=100 if few else 300, resamples=25, single=single
    )
    models = (_FEW if few else _MANY).format(
        abstain=_ABSTAIN * (settings.patients >= _FEWEST_TO_ABSTAIN)
    )
    return "\n".join(lines) + "\n" + analysis + models + _BIOLOGY * (settings.genes > 0)
