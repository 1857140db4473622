"""A lung study on de-identified input against the same study on the original.

    python bench/deidentified_lung.py [WORK] [--patients 24] [--masks rtstruct] [--seed 4]

A cohort is simulated (CT, PET, masks, tables), de-identified with one key, and three studies are
run to their reports: on the original, on the output, and on the original files under the ids that
the output has. Printed: which published files of the last two are not the same, and in how many
rows, values or lines; of the original and the output, whether each patient's features are the same,
and the headline's AUC, which differs by the draw of the folds alone. Exit status 1 if anything
differs that does not follow from the moved dates and the folder's name. Simulated.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from deidentified_study import Compared, coarse, compare, deidentify, new_names, renamed
from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.engine.step import StepKind
from metasight.estimate import Estimate
from metasight.simulate.lung.cohort import simulate_lung
from metasight.simulate.lung.settings import LungSettings
from metasight.steps import artefacts
from metasight.validation.results import Evaluation

EXPECTED = {
    "manifest.json": ("/run", "/settings/scans/folder", "/tables/"),
    "bundle/bundle.json": ("/overlap/marks/", "/training/accrual/", "/training/run"),
    "bundle/hashes.json": ("/bundle.json", "/model_card.md", "/settings.json"),
    "bundle/settings.json": ("/scans/folder",),
}
"""Keys that may differ: hashes of the files, the scans' folder, dates of accrual, marks of days."""
EXPECTED_LINES = {"bundle/model_card.md": "Accrual", "report.html": "Accrual|lies between|folder"}
PACKED = ("bundle.zip", "report.pdf")
"""Hold the same texts as the page and the bundle's folder."""


def as_expected(found: Compared) -> bool:
    """Whether all that differs follows from moved dates or the folder's name."""
    if found.name in PACKED:
        return True
    words = EXPECTED_LINES.get(found.name, "").split("|")
    if words != [""]:
        return all(any(w in place for w in words) for place in found.where)
    return all(place.startswith(EXPECTED.get(found.name, ("-",))) for place in found.where)


def auc(folder: Path) -> str:
    """Headline AUC of a finished study."""
    finished = pipeline.finished(coarse(folder))
    (judged, *_) = finished.of(StepKind.EVALUATE)
    evaluation = Evaluation.from_json(artefacts.EVALUATION.read(finished.store.path(judged.key)))
    name = evaluation.settings.headline_model
    found = evaluation.models[name].targets[0].auc
    if not isinstance(found, Estimate):
        return f"{name}: no AUC"
    return f"{name}: AUC {found.value:.3f} ({found.lower:.3f} to {found.upper:.3f})"


def main() -> int:
    """Draw, de-identify, run three times, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--patients", type=int, default=24)
    parser.add_argument("--masks", choices=("rtstruct", "seg", "nifti"), default="rtstruct")
    parser.add_argument("--seed", type=int, default=4)
    asked = parser.parse_args()
    settings = LungSettings(
        patients=asked.patients,
        pixel_mm=2.0,
        click_fraction=0.1,
        ineligible_fraction=0.0,
        centres=2,
        n1_share=0.25,
        n2_share=0.2,
        sbrt_share=0.1,
        mask_kind=asked.masks,
    )
    with tempfile.TemporaryDirectory(prefix="deidentified-lung-") as own:
        work = asked.work or Path(own)
        return study(work, settings, asked.seed)


def study(work: Path, settings: LungSettings, seed: int) -> int:
    """Everything in one folder; prints."""
    began = time.perf_counter()
    original = work / "original"
    simulate_lung(original, settings, seed, jobs=1, progress=Silent())
    new, same = deidentify(original, work), renamed(original, work)
    runs = {
        f: pipeline.run(coarse(f), scheduler="inline", progress=Silent())[0]
        for f in (original, same, new)
    }
    bad = 0
    files = compare(runs[same], runs[new])
    for found in (f for f in files if f.differing):
        fine = as_expected(found)
        bad += not fine
        print(f"{' ' if fine else '!'} {found.name}: {found.differing} of {found.parts} differ")
        if found.name not in PACKED:
            for place in found.where[:6]:
                print(f"      {place[:90]}")
    alike = sum(not f.differing for f in files)
    print(f"{alike} of {len(files)} published files are the same to the bit or the value")
    names = new_names(original, coarse(original).settings.key)
    was = pd.read_parquet(runs[original] / "features.parquet").rename(index=names)
    now = pd.read_parquet(runs[new] / "features.parquet")
    equal = was.loc[now.index].equals(now)
    print(f"features of {len(now)} patients, {now.shape[1]} columns, as in the original: {equal}")
    print(f"original      {auc(original)}\nde-identified {auc(new)}")
    print(
        f"{bad} files differ otherwise than by date and folder; {time.perf_counter() - began:.0f} s"
    )
    return int(bool(bad) or not equal)


if __name__ == "__main__":
    sys.exit(main())
