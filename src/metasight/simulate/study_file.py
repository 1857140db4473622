"""``study.toml`` of a simulated cohort."""

from __future__ import annotations

from metasight.simulate.settings import STAMP, BreastSettings
from metasight.simulate.table import CLINICAL_COLUMNS

_MODELS = """
[analysis]
seed = 20250101
folds = 3
repeats = {repeats}
bootstrap = {bootstrap}
instability_resamples = {resamples}
noise_replicates = 1
horizons_years = [5]
reference_model = "clinical"
headline_model = "clinical + spatial"
{single}
[[model]]
kind = "elastic_net_cox"
name = "clinical"

# Biomarkers measured on each patient's sections.
[[model]]
kind = "elastic_net_cox"
name = "clinical + spatial"
modalities = ["clinical", "spatial"]

[[model]]
kind = "npi"
name = "Nottingham Prognostic Index"
"""


def study_toml(settings: BreastSettings, seed: int) -> str:
    """Text of the study file: as a hospital's would be, with every constant in a column."""
    lines = [
        f"# {STAMP}",
        f"# metasight simulate breast, seed {seed}; settings and truth are in truth/.",
        'protocol = "breast-dmfs"',
        'title = "Simulated breast cohort"',
        f'demonstration = "{STAMP} It shows how the program works on data whose truth is known."',
        f'salt = "simulated cohort {seed}"',
        "",
        "[patients]",
        'path = "patients.csv"',
        'id = "patient"',
        "",
        "[slides]",
        'path = "slides.csv"',
        'id = "patient"',
        'folder = "slides"',
        "",
        "[columns]",
        *(f'{name} = "{name}"' for name in CLINICAL_COLUMNS),
        "",
        *_waived(settings),
    ]
    few = settings.patients < 100
    single = '\nsingle_centre_reason = "one centre was simulated"\n' * (settings.centres == 1)
    models = _MODELS.format(repeats=1 if few else 3, bootstrap=100 if few else 300,
                            resamples=3 if few else 10, single=single)  # fmt: skip
    return "\n".join(lines) + models


def _waived(settings: BreastSettings) -> list[str]:
    if settings.pair_fraction >= 1:
        return []
    why = "simulated: marker sections were cut for a part of the patients only"
    return ["[waive]", f'I6 = "{why}"', f'E7 = "{why}"', ""]
