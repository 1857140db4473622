"""From DICOM to the increment over clinical data, on simulated lung studies whose truth is known.

    python bench/lung_end_to_end.py WORK [--replicates 3] [--patients 110] [--strength 1.8]
                                    [--null] [--jitter] [--network]

Each replicate draws a cohort (CT, PET, masks, tables), runs the study (read, judge, measure, fit,
correct for unexamined nodes) and prints the AUC of the clinical model, the increment of the stack
of clinical data, measurements and texture with its intervals, the oracle's, whom the model is
silent about, and what E1 made of the scans. The weights of what only images tell are multiplied by
``strength``: with a hundred patients a weaker effect could not be told from none. A replicate that
was run is read. Simulated.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.engine.store import Store
from metasight.simulate.lung.cohort import simulate_lung
from metasight.simulate.lung.settings import LungSettings
from metasight.study.file import read_study
from metasight.validation.results import Estimate, Evaluation

OF_IMAGE = ("solid", "spiculation", "heterogeneity", "uptake")
MODELS = """
[[model]]
kind = "ordinal"
name = "clinical"

[[model]]
kind = "stacked"
name = "clinical + CT"
modalities = [{modalities}]
l1_ratios = [0.05]
harmonise = ["radiomics"]
{reliability}abstain_by = ["acquisition", "scan"]
"""


def replicate(
    folder: Path, settings: LungSettings, seed: int, *, network: bool, jitter: bool
) -> None:
    """Draw, run, print."""
    began = time.perf_counter()
    simulate_lung(folder, settings, seed, jobs=2, progress=Silent())
    drawn = time.perf_counter() - began
    path = folder / "study.toml"
    text = path.read_text("utf-8")
    if "clinical + CT" not in text:
        names = ["clinical", "scan", "radiomics"] + ["scan_network"] * network
        models = MODELS.format(
            modalities=", ".join(f'"{n}"' for n in names),
            reliability="least_reliability = 0.5\n" * jitter,
        )
        texture = "radiomics = true\n" + "jitter = {}\n" * jitter + "crops = {}\n" * network
        text = text[: text.index("[[model]]")] + models
        text = text.replace('folder = "scans"\n', f'folder = "scans"\n{texture}')
        text = text.replace('"clinical + scan"', '"clinical + CT"')
        path.write_text(text, "utf-8")
    began = time.perf_counter()
    study = read_study(folder)
    results, _ = pipeline.run(study, scheduler="local", progress=Silent())
    ran = time.perf_counter() - began
    steps = pipeline.planned(study)
    store = Store(study.store)
    own = next(s for name, s in steps.items() if name.startswith("evaluate nodal"))
    judged = store.path(own.key)
    found = Evaluation.from_json(_json(judged / "evaluation.json"))
    info = _json(store.path(steps["cohort"].key) / "cohort.json")
    truth = _json(folder / "truth" / "truth.json")["oracle_auc"]
    _print(seed, found, truth)
    print(
        f"  screened {info['screened']}, eligible {len(info['as_written'])}, examined "
        f"{found.data.n_patients}; E1 {info['verdicts'].get('E1', {})}"
    )
    silent = judged / "abstention.json"
    if silent.is_file():
        told = _json(silent)
        print(f"  no risk for {told['silent']} of {told['patients']}")
    corrected = steps["verification"]
    for row in _json(store.path(corrected.key) / "verification.json").get("rows", []):
        if abs(row["threshold"] - 0.20) < 1e-9:
            said = ", ".join(
                f"{n} {row[n]['value']:.3f}" for n in ("sensitivity", "specificity", "auc")
            )
            print(f"  at 20 %, {row['method']}: {said}")
    print(f"  drawn in {drawn:.0f} s, run in {ran:.0f} s; {results.name}", flush=True)


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _print(seed: int, found: Evaluation, truth: dict[str, Any]) -> None:
    for name, model in found.models.items():
        auc = model.targets[0].auc
        if isinstance(auc, Estimate):
            print(f"seed {seed}: {name}: AUC {auc.value:.3f} ({auc.lower:.3f} to {auc.upper:.3f})")
    gain = found.comparisons[0].targets[0]
    test = gain.delong
    print(
        f"  increment in AUC, {gain.target}: {gain.auc.difference:.3f} "
        f"({gain.auc.lower:.3f} to {gain.auc.upper:.3f}) resampled"
        + (f", {test.difference:.3f} ({test.lower:.3f} to {test.upper:.3f}) DeLong" if test else "")
    )
    for which, told in truth.items():
        print(
            f"  oracle, {which}: {told['full']:.3f} − {told['clinical']:.3f} = "
            f"{told['full'] - told['clinical']:.3f}"
        )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--replicates", type=int, default=3)
    parser.add_argument("--patients", type=int, default=110)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--null", action="store_true")
    parser.add_argument("--strength", type=float, default=1.8)
    parser.add_argument("--jitter", action="store_true", help="with the error of drawing")
    parser.add_argument("--network", action="store_true", help="with the 3-D network's score")
    asked = parser.parse_args()
    settings = LungSettings(
        patients=asked.patients,
        pixel_mm=1.0,
        n1_share=0.25,
        n2_share=0.15,
        sbrt_share=0.2,
        click_fraction=0.0,
        ineligible_fraction=0.0,
        ground_glass_fraction=0.0,
    )
    factor = 0.0 if asked.null else asked.strength
    weights = {name: factor * getattr(settings.effects, name) for name in OF_IMAGE}
    settings = settings.model_copy(update={"effects": settings.effects.model_copy(update=weights)})
    for number in range(asked.first, asked.first + asked.replicates):
        kind = ("null" if asked.null else "effect") + "-network" * asked.network
        replicate(
            asked.work / f"{kind}-{asked.patients}-{number}",
            settings,
            number,
            network=asked.network,
            jitter=asked.jitter,
        )


if __name__ == "__main__":
    main()
