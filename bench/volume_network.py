"""The 3-D network on phantoms with a planted image effect: AUC in later patients, time and memory.

    python bench/volume_network.py [--patients 100] [--later 100] [--crops FOLDER] [--null]

Lesions are drawn, scanned and cut into 48³ crops of 1.5 mm (kept in FOLDER where it is given); PET
where the simulated patient has one. The nodal stage is the simulation's. One fit of the network
alone, as one fold of a study does it; it is judged in patients that it never saw, beside the
measured size, the true CTR, and the true image part, which is the most that any reader of images
can reach. ``--null`` deals the stages of the training patients out at random first. Simulated.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from metasight.cohort.outcome import NodalOutcome
from metasight.cohort.settings import CropSettings
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.features.cropping import crop_of
from metasight.features.crops import MODALITY, CropFolder, write_crop
from metasight.features.images import ImageFolders
from metasight.lesions.solidity import solidity_of
from metasight.models.registry import ModelSettings, build
from metasight.simulate.lung.patients import Patients
from metasight.simulate.lung.pet import draw_pet
from metasight.simulate.lung.phantom import scan_of
from metasight.simulate.lung.settings import LungSettings, ThoraxSettings
from metasight.simulate.lung.specimen import drawn, nodule_of, plan_of
from metasight.validation.binary import binary_auc
from metasight.volumes.volume import Mask, Volume

SETTINGS = LungSettings(ground_glass_fraction=0.0, n1_share=0.20, n2_share=0.15)
SEED = 7
NONE = np.array([], dtype=np.int64)


def draw(folder: Path, number: int) -> None:
    """One patient's crop and what is true of him."""
    plan = plan_of(SETTINGS, SEED, number)
    people: Patients = plan.patients
    thorax_settings = ThoraxSettings(
        female=bool(people.female[0]),
        nodule=nodule_of(people),
        scan=plan.centre.scan(SETTINGS, contrast=plan.contrast),
    )
    thorax = drawn(thorax_settings, (SEED, 13, number))
    noise = np.random.default_rng([SEED, 14, number])
    scan = scan_of(thorax, thorax_settings, noise, crop_mm=84)
    place = {"spacing_mm": scan.grid.spacing_mm[::-1], "origin_mm": scan.grid.origin_mm}
    ct = Volume.from_array(scan.ct_hu, unit="HU", **place)
    lesion = Mask.from_array(scan.lesion_mask, on=ct)
    pet = None
    if plan.course.pet[0]:
        seen = draw_pet(thorax, scan.grid, np.random.default_rng([SEED, 17, number]))
        pet = Volume.from_array(
            seen.suv,
            unit="SUVbw",
            spacing_mm=seen.grid.spacing_mm[::-1],
            origin_mm=seen.grid.origin_mm,
        )
    solidity = solidity_of(ct, lesion)
    write_crop(crop_of(ct, lesion, pet, solidity, CropSettings()), folder / f"P{number:04d}.h5")
    effects = SETTINGS.effects
    image = float(people.image_part(effects)[0] + effects.size * np.log2(people.size_mm[0] / 20))
    truth = {
        "stage": int(plan.course.stage[0]),
        "image": image,
        "ctr": float(people.ctr[0]),
        "size_mm": solidity.whole.longest_mm,
    }
    (folder / f"P{number:04d}.json").write_text(json.dumps(truth))


def table_of(folder: Path, numbers: range) -> tuple[FeatureTable, pd.DataFrame]:
    """Crops of patients as a feature table, and the truth."""
    names = [f"P{k:04d}" for k in numbers]
    index = pd.Index(names, name="patient")
    truth = pd.DataFrame([json.loads((folder / f"{n}.json").read_text()) for n in names], index)
    feature = Feature(name="crops", kind=Kind.CROP, modality=MODALITY)
    values = pd.DataFrame({"crops": pd.Series(names, index=index, dtype=object)})
    return FeatureTable(values, (feature,)), truth


def judge(folder: Path, patients: int, later: int, *, null: bool) -> None:
    """Fit to the first patients, judge in the later ones."""
    train, known = table_of(folder, range(patients))
    test, truth = table_of(folder, range(patients, patients + later))
    stage = known["stage"].to_numpy(dtype=np.int8)
    if null:
        stage = np.random.default_rng(SEED).permutation(stage)
    model = build(
        ModelSettings(kind="scan_network", name="3-D", modalities=(MODALITY,)),
        ImageFolders(crops=CropFolder(folder)),
    )
    began, cpu = time.perf_counter(), time.process_time()
    fitted = model.fit(train, NodalOutcome(stage), seed=0)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{patients} patients, {int((stage > 0).sum())} node-positive"
        f"{', stages dealt out at random' * null}: one fit {seconds:.0f} s, CPU {cpu:.0f} s, "
        f"peak memory {peak:.1f} GiB"
    )
    fit = fitted.head.fit
    notes = "; ".join(fitted.notes) or "no notes"
    print(
        f"  round {fit['rounds']} kept of {len(fit['held_out_loss']) - 1}, weight "
        f"{fitted.head.coefficients[0]:.2f}; {notes}"
    )
    positive = (truth["stage"] > 0).astype(int).to_numpy()
    risks = {
        "3-D network": 1 - fitted.predict(test, NONE)[:, 0],
        "size, measured": truth["size_mm"],
        "CTR, true": truth["ctr"],
        "image part, true": truth["image"],
    }
    print(f"  AUC for any node in {later} later patients ({positive.sum()} positive):")
    for name, risk in risks.items():
        found = binary_auc(np.asarray(risk, dtype=float), positive)
        print(f"    {name:18s} {found.auc:.3f} ± {found.variance**0.5:.3f}")


def main() -> None:
    """Draw, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=100)
    parser.add_argument("--later", type=int, default=100)
    parser.add_argument("--crops", type=Path)
    parser.add_argument("--null", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = asked.crops or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        missing = [
            k
            for k in range(asked.patients + asked.later)
            if not (folder / f"P{k:04d}.json").is_file()
        ]
        for number in missing:
            draw(folder, number)
        if missing:
            each = (time.perf_counter() - began) / len(missing)
            print(f"{len(missing)} phantoms drawn, {each:.1f} s each")
        judge(folder, asked.patients, asked.later, null=asked.null)


if __name__ == "__main__":
    main()
