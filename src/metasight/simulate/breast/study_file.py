"""``study.toml`` of a simulated cohort."""

from __future__ import annotations

from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.table import CLINICAL_COLUMNS
from metasight.simulate.settings import STAMP

_ANALYSIS = """
[analysis]
seed = 20250101
folds = 3
repeats = {repeats}
bootstrap = {bootstrap}
instability_resamples = {resamples}
noise_replicates = 1
horizons_years = [5]
reference_model = "clinical"
headline_model = "{headline}"
{single}
[[model]]
kind = "elastic_net_cox"
name = "clinical"
"""

# With a dozen events there is nothing to choose: a ridge on few columns.
_FEW = """
# Biomarkers measured on maps that were painted on each patient's H&E.
[[model]]
kind = "elastic_net_cox"
name = "clinical + maps"
modalities = ["clinical", "generated"]
l1_ratios = [0.05]
"""

_MANY = """
# Biomarkers measured on maps that were painted on each patient's H&E.
[[model]]
kind = "stacked"
name = "clinical + maps"
modalities = ["clinical", "generated"]
l1_ratios = [0.05]

# And patch features of the H&E.
[[model]]
kind = "stacked"
name = "clinical + maps + slides"
modalities = ["clinical", "generated", "embedding"]
l1_ratios = [0.05]

[[model]]
kind = "attention_mil"
name = "slides"
modalities = ["embedding"]
"""

FEW_PATIENTS = 60
"""Below it the study fuses nothing and embeds no tiles."""


def study_toml(settings: BreastSettings, seed: int) -> str:
    """Text of the study file: as a hospital's would be, with every constant in a column."""
    lines = [
        f"# {STAMP}",
        f"# metasight simulate breast, seed {seed}; settings and truth are in truth/.",
        'protocol = "breast-dmfs"',
        'title = "Simulated breast cohort"',
        f'demonstration = "{STAMP} It shows how the program works on data whose truth is known."',
        f'salt = "simulated cohort {seed}"',
        "public_data = true",
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
        *_of_slides(settings),
        "[columns]",
        *(f'{name} = "{name}"' for name in CLINICAL_COLUMNS),
        "",
        *_waived(settings),
    ]
    few = settings.patients < 100
    single = '\nsingle_centre_reason = "one centre was simulated"\n' * (settings.centres == 1)
    small = settings.patients < FEW_PATIENTS
    analysis = _ANALYSIS.format(
        repeats=1 if few else 3,
        bootstrap=100 if few else 300,
        resamples=3 if few else 10,
        single=single,
        headline="clinical + maps" if small else "clinical + maps + slides",
    )
    return "\n".join(lines) + analysis + (_FEW if small else _MANY)


def _of_slides(settings: BreastSettings) -> list[str]:
    """A small cohort trains small generators, quickly."""
    if settings.patients < FEW_PATIENTS:
        return ["[slides.maps]", "folds = 2", "steps = 200", "members = 2", "draws = 3", ""]
    return ["[slides.maps]", "folds = 3", "", "[slides.embeddings]", "most_patches = 200", ""]


def _waived(settings: BreastSettings) -> list[str]:
    if settings.pair_fraction >= 1:
        return []
    why = "simulated: marker sections were cut for a part of the patients only"
    return ["[waive]", f'I6 = "{why}"', f'E7 = "{why}"', ""]
