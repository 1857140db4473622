"""A small finished study with scans, a vault and intervals, for tests and benches of exchange."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.study.file import read_study
from metasight.study.vault import make_key
from scan_files import Field, sphere, write_ct, write_pet, write_rtstruct

HEADLINE = """
[[model]]
kind = "elastic_net_cox"
name = "with scans"
"""
LIMITS = """
[ct_quality]
slice_thickness_mm = { high = 6.0 }
slice_distance_mm = { high = 6.0 }
pixel_spacing_mm = { high = 3.0 }
lung_volume_ml = { low = 100 }
lung_height_mm = { low = 30 }
lung_first_slice_cm2 = { high = 1000 }
lung_last_slice_cm2 = { high = 1000 }
slice_jump_mm = { high = 10 }
"""
Z_MM = np.arange(-30, 31, 5.0)


def build_exchange_study(folder: Path, made_up: tuple[pd.DataFrame, str]) -> Path:
    """Made-up patients; the first has a CT, a PET and a lesion, the second a CT and no lesion."""
    table, text = made_up
    folder.mkdir(parents=True)
    table.to_csv(folder / "patients.csv", index=False)
    rows = []
    for k in range(2):
        ct = write_ct(folder / f"{k}" / "CT", Z_MM, series=f"ct {k}")
        rows.append((f"MRN-0000{k}", "CT", f"{k}/CT"))
        if k == 0:
            write_pet(folder / "0" / "PT", Field())
            write_rtstruct(folder / "0" / "rt.dcm", {"GTV-1": sphere(Z_MM)}, of=ct)
            rows += [("MRN-00000", "PET", "0/PT"), ("MRN-00000", "mask", "0/rt.dcm")]
    pd.DataFrame(rows, columns=["id", "kind", "path"]).to_csv(folder / "scans.csv", index=False)
    make_key(folder.with_name("study.vault"))
    built_in = files("metasight.protocol").joinpath("breast_dmfs.toml").read_text("utf-8")
    (folder / "wide.toml").write_text(built_in + LIMITS)  # slices of a few kB are of no quality
    for old, new in {
        'protocol = "breast-dmfs"': 'protocol = "wide.toml"',
        'salt = "a salt for tests"': 'vault = "../study.vault"',
        "public_data = true\n": "",
        "instability_resamples = 3": "instability_resamples = 0\ninterval_refits = 100",
        'headline_model = "forest"': 'headline_model = "with scans"',
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    text = text[: text.index('[[model]]\nkind = "forest"')] + HEADLINE
    (folder / "study.toml").write_text(text + '\n[scans]\npath = "scans.csv"\nid = "id"\n')
    pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    return folder
