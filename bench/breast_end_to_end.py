"""From pixels to the increment over clinical data, on simulated studies whose truth is known.

    python bench/breast_end_to_end.py WORK [--replicates 3] [--patients 48] [--steps 1000] [--null]

Each replicate simulates slides, tables and outcome, runs the study (check, align, train, paint,
measure, fit, judge) and prints the increment in C with its interval beside the oracle's, and how
well painted maps and their biomarkers agree with the sections. A replicate that was run is read.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.engine.store import Store
from metasight.simulate.breast.cohort import simulate_breast
from metasight.simulate.breast.settings import BreastSettings
from metasight.study.file import read_study
from metasight.validation.results import Evaluation

MODELS = """
[[model]]
kind = "elastic_net_cox"
name = "clinical"
l1_ratios = [0.05]

[[model]]
kind = "stacked"
name = "clinical + maps"
modalities = ["clinical", "generated"]
l1_ratios = [0.05]
inner_folds = 3
"""


def replicate(folder: Path, settings: BreastSettings, seed: int, steps: int) -> None:
    """Simulate, run, print."""
    simulate_breast(folder, settings, seed, jobs=2, progress=Silent())
    path = folder / "study.toml"
    text = path.read_text("utf-8")
    text = text[: text.index("[[model]]")] + MODELS
    if "steps = 400" not in text:
        raise SystemExit("the simulated study's own steps of training are others now")
    path.write_text(text.replace("steps = 400", f"steps = {steps}"), "utf-8")
    study = read_study(folder)
    pipeline.run(study, scheduler="local", progress=Silent())
    store = Store(study.store)
    plan = pipeline.planned(study)
    judged = next(s for name, s in plan.items() if name.startswith("evaluate dmfs"))
    found = Evaluation.from_json(
        json.loads((store.path(judged.key) / "evaluation.json").read_text("utf-8"))
    )
    gain = found.comparisons[0].harrell_c
    truth = json.loads((folder / "truth" / "truth.json").read_text("utf-8"))
    print(
        f"seed {seed}: C clinical {found.models['clinical'].harrell_c.value:.3f}, increment "
        f"{gain.difference:.3f} ({gain.lower:.3f} to {gain.upper:.3f}); "
        f"truth: {truth.get('oracle', truth)}"
    )
    step = plan["agreement of maps"]
    told = json.loads((store.path(step.key) / "agreement.json").read_text("utf-8"))
    print(
        f"  maps: {told['painted']} painted, {told['compared']} compared, {told['unlike']} unlike"
    )
    for r in told["regions"]:
        if r["region_um"] == 128:
            print(
                f"  {r['marker']}: Pearson {r['pearson']['value']:.2f}, nuclei "
                f"{r['pearson_nuclei']:.2f}, shuffled {r['pearson_shuffled']:.2f}, ceiling "
                f"{r['ceiling']:.2f}, covers {r['covered']['value']:.2f}"
            )
    for b in told["biomarkers"]:
        if b["name"].startswith(("tls", "t_cells", "b_cells", "mixing")) and b["icc"] is not None:
            print(
                f"  {b['name']}: ICC {b['icc']:.2f} ({b['icc_lower']:.2f} to "
                f"{b['icc_upper']:.2f}), n {b['n']}"
            )
    for k in told["labels"]:
        print(f"  {k['name']}: kappa {k['kappa']}, equal {k['observed']:.2f} of {k['n']}")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--replicates", type=int, default=3)
    parser.add_argument("--patients", type=int, default=48)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1000, help="of a generator's training")
    parser.add_argument("--null", action="store_true")
    asked = parser.parse_args()
    settings = BreastSettings(
        patients=asked.patients,
        tissue_mm=1.4,
        margin_mm=0.12,
        mpp=1.0,
        markers_mpp=1.0,
        pair_fraction=0.6,
        event_share=0.5,
    )
    if asked.null:
        none = settings.effects.model_copy(update={"tls": 0.0, "t_cells": 0.0, "mixing": 0.0})
        settings = settings.model_copy(update={"effects": none})
    for number in range(asked.first, asked.first + asked.replicates):
        name = f"{'null' if asked.null else 'effect'}-{asked.patients}-{number}"
        replicate(asked.work / name, settings, number, asked.steps)


if __name__ == "__main__":
    main()
