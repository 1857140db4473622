"""Attention over the patches of 400 slides with 5,000 patches each: time and memory of one fit.

    python bench/mil.py [--slides 400] [--patches 5000] [--dimension 1280]

Files in TRIDENT's layout are written first (not timed). Also the speed of the embedded encoder,
beside plain float32 as PyTorch lays it out by default.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from metasight.cohort.outcome import SurvivalOutcome
from metasight.features.bags import BagFolder
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.features.images import ImageFolders
from metasight.models.registry import ModelSettings, build


def write_bags(folder: Path, slides: int, patches: int, dimension: int) -> np.ndarray:
    """Bags of half precision; a share of patches, by the slide's latent, points one way."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=slides)
    way = rng.normal(size=dimension).astype(np.float32) * 0.3
    for i in range(slides):
        features = rng.standard_normal((patches, dimension), dtype=np.float32)
        features[rng.random(patches) < 0.2 / (1 + np.exp(-latent[i]))] += way
        with h5py.File(folder / f"P{i:04d}.h5", "w") as file:
            file["features"] = features.astype(np.float16)
            file["coords"] = rng.integers(0, 50_000, (patches, 2))
    return latent


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=400)
    parser.add_argument("--patches", type=int, default=5000)
    parser.add_argument("--dimension", type=int, default=1280)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        latent = write_bags(folder, asked.slides, asked.patches, asked.dimension)
        rng = np.random.default_rng(1)
        event = rng.exponential(8 * 365 * np.exp(-latent))
        censored = rng.uniform(3 * 365, 9 * 365, asked.slides)
        status = (event <= censored).astype(np.int8)
        names = [f"P{i:04d}" for i in range(asked.slides)]
        index = pd.Index(names, name="patient")
        table = FeatureTable(
            pd.DataFrame({"bags": pd.Series(names, index=index, dtype=object)}),
            (Feature(name="bags", kind=Kind.BAG, modality="embedding"),),
        )
        settings = ModelSettings(kind="attention_mil", name="mil", modalities=("embedding",))
        images = ImageFolders(bags=BagFolder(folder, most_patches=asked.patches))
        began = time.perf_counter()
        outcome = SurvivalOutcome(np.minimum(event, censored), status)
        build(settings, images).fit(table, outcome, seed=0)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"attention_mil, {asked.slides} slides × {asked.patches} patches × {asked.dimension}: "
        f"{seconds:.0f} s (bar 600), peak memory {peak:.1f} GiB (bar 6)"
    )
    encoder_speed()


def encoder_speed() -> None:
    """Tiles a second of the embedded encoder, ours and in PyTorch's default layout."""
    import torch

    from metasight.features.encoders import load_encoder

    encoder = load_encoder()
    tiles = np.random.default_rng(0).integers(0, 255, (64, 224, 224, 3)).astype(np.uint8)
    encoder.embed(tiles[:8])
    began = time.perf_counter()
    encoder.embed(tiles)
    ours = len(tiles) / (time.perf_counter() - began)
    plain = encoder._network.to(memory_format=torch.contiguous_format)
    pixels = torch.from_numpy(tiles.astype(np.float32)).permute(0, 3, 1, 2).contiguous()
    with torch.inference_mode():
        plain(pixels[:8])
        began = time.perf_counter()
        plain(pixels)
        other = len(tiles) / (time.perf_counter() - began)
    print(f"{encoder.card.name}: {ours:.0f} tiles/s, in PyTorch's default layout {other:.0f}")


if __name__ == "__main__":
    main()
