"""The demonstrations: real tables (TRANSBIG), and small simulated studies from slides and from CT.

The real patients come from scikit-survival's bundled data:

198 women with node-negative breast cancer operated in 1980–1998 who had no systemic treatment,
and 76 genes of their tumours (Desmedt et al., Clin Cancer Res 2007;13:3207; GSE7390). The data
come with the ``demo`` extra; nothing is fetched.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from metasight.engine.progress import Progress
from metasight.errors import StudyError
from metasight.simulate.breast.cohort import simulate_breast
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.lung.cohort import simulate_lung
from metasight.simulate.lung.settings import LungSettings
from metasight.spreadsheet import write_csv

# Large enough for sections to be aligned, small enough for a few minutes.
_SIMULATED = BreastSettings(
    patients=16,
    tissue_mm=1.3,
    margin_mm=0.12,
    mpp=1.0,
    markers_mpp=1.0,
    pair_fraction=0.7,
    defect_fraction=0.0,
    ineligible_fraction=0.0,
    event_share=0.6,
)
# More nodal disease than in life: with forty-four patients there would be nothing to fit.
_SIMULATED_LUNG = LungSettings(
    patients=44,
    pixel_mm=1.0,
    n1_share=0.28,
    n2_share=0.17,
    sbrt_share=0.15,
    ineligible_fraction=0.0,
    genes=240,
    expression_share=0.9,
)
_SEED = 1


def write_demonstration(folder: Path) -> None:
    """Write the demonstration's tables and ``study.toml`` into ``folder``.

    Raises
    ------
    StudyError
        The ``demo`` extra is not installed.
    """
    if find_spec("sksurv") is None:
        raise StudyError(
            "the demonstration's data are not installed",
            remedy="Install them: pip install '.[demo]' -c constraints.txt (or run `make demo`)",
        )
    from sksurv.datasets import load_breast_cancer

    table, outcome = load_breast_cancer()
    event, days = (outcome[name] for name in outcome.dtype.names)
    patients = table[["age", "er", "grade"]].copy()
    patients.insert(0, "patient", [f"TB{i + 1:03d}" for i in range(len(table))])
    patients["series"] = "TRANSBIG"
    patients["size_cm"] = table["size"]
    patients["metastasis"] = ["yes" if e else "no" for e in event]
    patients["metastasis_days"] = [f"{d:g}" if e else "" for e, d in zip(event, days, strict=True)]
    patients["followup_days"] = [f"{d:g}" for d in days]
    genes = table[[c for c in table.columns if c.startswith("X")]].copy()
    genes.insert(0, "patient", patients["patient"])
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(patients, folder / "patients.csv")
    write_csv(genes, folder / "genes.csv")
    study = files("metasight").joinpath("demonstration.toml").read_text("utf-8")
    (folder / "study.toml").write_text(study, "utf-8")


def write_simulated(folder: Path, progress: Progress) -> None:
    """Draw the simulated demonstration: slides, tables, ``study.toml`` and the truth.

    Raises
    ------
    StudyError
        The folder holds something else.
    """
    simulate_breast(folder, _SIMULATED, _SEED, jobs=2, progress=progress)


def write_simulated_lung(folder: Path, progress: Progress) -> None:
    """Draw the simulated demonstration of the lung study: CT, PET, tables, and the truth.

    Raises
    ------
    StudyError
        The folder holds something else.
    """
    simulate_lung(folder, _SIMULATED_LUNG, _SEED, jobs=2, progress=progress)
