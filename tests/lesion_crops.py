"""Crops of balls in lung for tests; the nodal stage of their cohort depends on texture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from metasight.cohort.outcome import NodalOutcome
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.features.crops import ATTENUATIONS, LesionCrop, write_crop

N = 120
FEATURES = (
    Feature(name="crops", kind=Kind.CROP, modality="scan_network"),
    Feature(name="age", kind=Kind.CONTINUOUS),
)


def crop_of(rng: np.random.Generator, texture: float, *, pet: bool, edge: int = 16) -> LesionCrop:
    """A ball of soft tissue in lung; ``texture`` sets how uneven it is."""
    axes = np.indices((edge,) * 3) - (edge - 1) / 2
    distance = np.sqrt((axes**2).sum(axis=0))
    radius = rng.uniform(3.0, 5.0)
    mask = distance <= radius
    kind = int(rng.integers(0, 3))
    hu = rng.normal(-850, 40, mask.shape)
    level = (-550.0, -250.0, 30.0)[kind]
    hu[mask] = level + rng.normal(0, 40 * np.exp(0.9 * texture), int(mask.sum()))
    suv = rng.gamma(2, 0.3, mask.shape) + 2 * mask
    return LesionCrop(
        ct_hu=np.clip(hu, -1024, 3000).astype(np.int16),
        mask=mask,
        suv=suv.astype(np.float16) if pet else None,
        spacing_mm=1.5,
        attenuation=ATTENUATIONS[kind],
        diameter_mm=float(2 * radius * 1.5),
    )


def cohort(folder: Path, *, n: int = N, seed: int = 0) -> tuple[FeatureTable, NodalOutcome]:
    """Stage rises with texture; a third has no PET, and three were not examined."""
    rng = np.random.default_rng(seed)
    texture = rng.normal(size=n)
    names = [f"P{i:03d}" for i in range(n)]
    for i, name in enumerate(names):
        write_crop(crop_of(rng, texture[i], pet=i % 3 > 0), folder / f"{name}.h5")
    latent = 4.0 * texture + rng.logistic(size=n)
    stage = (latent > 0.5).astype(np.int8) + (latent > 3.0).astype(np.int8)
    stage[:3] = -1
    values = pd.DataFrame(
        {"crops": pd.Series(names, dtype=object), "age": rng.normal(size=n)}
    ).set_axis(pd.Index(names, name="patient"))
    values.assign(stage=stage).to_parquet(folder / "table.parquet")
    return FeatureTable(values, FEATURES), NodalOutcome(stage)


def cohort_of(folder: Path) -> tuple[FeatureTable, NodalOutcome]:
    """The table that was written beside the crops: another process draws nothing anew."""
    values = pd.read_parquet(folder / "table.parquet")
    stage = values.pop("stage").to_numpy(dtype=np.int8)
    return FeatureTable(values, FEATURES), NodalOutcome(stage)
