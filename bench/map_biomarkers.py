"""Biomarkers on painted maps beside those on the true densities of the same simulated sections.

    python bench/generator.py STUDY --work WORK --train 14     # trains
    python bench/map_biomarkers.py STUDY WORK/generator

Every patient of the study whom the generator did not see, with or without marker sections.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from metasight.biomarkers.measure import measure
from metasight.biomarkers.phenotype import UNDECIDED
from metasight.errors import EvaluationError
from metasight.maps.generator import load_generator
from metasight.maps.ome import read_density_map
from metasight.maps.predict import paint
from metasight.maps.regions import on_grid_of
from metasight.maps.tumour import tumour_from_marker
from metasight.protocol.load import read_protocol
from metasight.protocol.study import require_roles
from metasight.slides.opening import open_slide
from metasight.slides.reader import Region
from metasight.slides.tissue import tissue_mask
from metasight.steps.slides.sections import definitions
from metasight.validation.agreement import agreement, kappa

TISSUE_MPP = 4.0


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("generator", type=Path)
    parser.add_argument("--seen", type=int, default=14, help="--train of bench/generator.py")
    parser.add_argument("--seed", type=int, default=1, help="--seed of bench/generator.py")
    asked = parser.parse_args()
    generator = load_generator(asked.generator)
    protocol = read_protocol("breast-dmfs")
    roles = require_roles(protocol, where="breast-dmfs")
    values: dict[str, list[tuple[float, float]]] = {}
    labels: dict[str, list[tuple[str | None, str | None]]] = {}
    told = sorted((asked.study / "truth").glob("*/density-HE.ome.tif"))
    for path in told:
        name = path.parent.name
        if name in generator.trained_on:
            continue
        slide = open_slide(next((asked.study / "slides").glob(f"{name}-HE.*")), name=name)
        width, height = slide.size_at(TISSUE_MPP)
        overview = slide.read(Region(x=0, y=0, width=width, height=height), TISSUE_MPP)
        painted = paint(slide, tissue_mask(overview, TISSUE_MPP), TISSUE_MPP, generator).map
        slide.close()
        truth = on_grid_of(read_density_map(path), painted)
        found = []
        for density in (truth, painted):
            tumour = tumour_from_marker(
                density, roles.tumour, scanned_area_um2=density.window.area_um2
            )
            found.append(
                measure(
                    density, density.window, tumour.region, definitions(protocol.for_slides), seed=1
                )
            )
        for a, b in zip(found[0].measures, found[1].measures, strict=True):
            values.setdefault(a.name, []).append((a.value, b.value))
        for key in found[0].labels:
            told, painted = (
                None if f.labels[key] in {"", UNDECIDED} else f.labels[key] for f in found
            )
            labels.setdefault(key, []).append((told, painted))
        print(
            name,
            *(f"{k} {v[-1]}" for k, v in labels.items()),
            "tls",
            values.get("tls_count", [("?", "?")])[-1],
            flush=True,
        )
    for name, pairs in values.items():
        a, b = np.array(pairs, dtype=float).T
        try:
            r = agreement(a, b)
        except EvaluationError:
            continue
        print(
            f"{name:40s} n {r.n:3d}  ICC {r.icc:6.3f} ({r.icc_lower:.2f} to {r.icc_upper:.2f})  "
            f"bias {r.bias:.3g}"
        )
    for name, sides in labels.items():
        try:
            k = kappa([a for a, _ in sides], [b for _, b in sides])
        except EvaluationError:
            continue
        print(f"{name:40s} n {k.n:3d}  kappa {k.kappa:.2f}, equal {k.observed:.2f}")


if __name__ == "__main__":
    main()
